"""The silences (who, why, until) that people set here or in another process.

store (API of any process) -> rows -> desk (what is told to nobody)
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import structlog

from gateway.domain.alerting.mute import mute_ended, mute_to_end
from gateway.domain.alerting.rows import Mute
from gateway.errors import StoreUnavailable
from gateway.ports import Clock, Store

log = structlog.get_logger("sightline.mutes")


class Mutes:
    """What is known of mutes. One owner: the desk's loop.

    Args:
        store: open.
        clock: the service's.

    Attributes:
        rows: those that hold or will, by id.
        changed: called when others are known than before; not when one ends by itself.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.rows: dict[str, Mute] = {}
        self.changed: list[Callable[[], None]] = []
        self._writing = asyncio.Lock()
        """A look at the store must not put back what was written meanwhile."""

    def _now(self) -> datetime:
        return self.clock.utc(self.clock.now())

    def known(self) -> Sequence[Mute]:
        """Those that hold or will, in order of their beginning."""
        return sorted(self.rows.values(), key=lambda one: (one.from_at, one.id))

    def take(self, rows: Iterable[Mute], now: datetime) -> None:
        """What the store holds now; tells `changed` when that is not what was known."""
        self.forget_over(now)
        found = {row.id: row for row in rows if row.until_at > now}
        if found == self.rows:
            return
        for row in found.values():
            if self.rows.get(row.id) != row:
                until = row.until_at.isoformat()
                log.info("mute is set", mute=row.id, kind=row.kind, area=row.area, until=until)
        for key in self.rows.keys() - found.keys():
            log.info("mute is ended", mute=key)
        self.rows = found
        for tell in self.changed:
            tell()

    def forget_over(self, now: datetime) -> None:
        """Drop those that ended."""
        self.rows = {key: one for key, one in self.rows.items() if one.until_at > now}

    async def set(self, mute: Mute) -> None:
        """Add or replace one; stored before it holds.

        Raises:
            StoreUnavailable: it was not stored.
        """
        async with self._writing:
            await self.store.events.save_mute(mute)
            self.take((self.rows | {mute.id: mute}).values(), self._now())

    async def end(self, mute_id: str) -> Mute:
        """End one now.

        Raises:
            Refused: none that holds or will has this id.
            StoreUnavailable: it was not stored.
        """
        now = self._now()
        ended = mute_ended(mute_to_end(self.rows.values(), mute_id, now), now)
        await self.set(ended)
        return ended

    async def look(self) -> None:
        """Take what others wrote."""
        try:
            async with self._writing:
                now = self._now()
                self.take(await self.store.events.mutes(now), now)
        except StoreUnavailable as error:
            log.warning("mutes wait for the store", reason=str(error))
