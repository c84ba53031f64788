"""Removes, once a night, what its retention no longer asks for."""

import asyncio
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from gateway.errors import StoreUnavailable
from gateway.ports import Clock, Store
from gateway.settings import StoreSettings

log = structlog.get_logger("sightline.retention")
SHANGHAI = ZoneInfo("Asia/Shanghai")
AT_S = 3 * 3600 + 45 * 60
"""Seconds after midnight Asia/Shanghai: when nobody reads reports, and beside the nightly recount."""
LOOK_EVERY_S = 60.0
AGAIN_S = 600.0


def next_night(now: datetime) -> datetime:
    """The next time of removal after `now`."""
    local = now.astimezone(SHANGHAI)
    tonight = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(seconds=AT_S)
    return tonight if tonight > local else tonight + timedelta(days=1)


class Retention:
    """One loop; a store that does not answer is asked again ten minutes later.

    Args:
        store: open.
        clock: the service's. Looked at each minute: a wall clock may be set.
        settings: how long what is kept.
    """

    def __init__(self, store: Store, clock: Clock, settings: StoreSettings) -> None:
        self.store, self.clock, self.settings = store, clock, settings
        self.due = next_night(clock.utc(clock.now()))

    async def run(self) -> None:
        """Look at the clock until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Remove when it is time."""
        now = self.clock.utc(self.clock.now())
        self.due = min(self.due, next_night(now))
        if now < self.due:
            return
        kept = self.settings
        try:
            await self.store.prune(now, kept.audit_days, kept.rollup_days, kept.event_days)
        except StoreUnavailable as error:
            log.warning("nothing was removed", reason=str(error))
            self.due = now + timedelta(seconds=AGAIN_S)
            return
        self.due = next_night(now)
        log.info("what is past its retention was removed")
