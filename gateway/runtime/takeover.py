"""The takeover list (存量故障): what was dead when it was taken over becomes work once it is accepted.

A camera that never answered well since the import has an outage row, but no incident and no alert, until
it is accepted or seen good once (semantics §1). Its acceptance is stored first; then the judge takes it:
the open row goes on as any other. What another process accepted is noticed within `LOOK_S`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from gateway.domain.camera import ChannelId
from gateway.domain.health import LOST, SUSPICION
from gateway.domain.observation import Instant
from gateway.errors import StoreUnavailable
from gateway.ports import Accepted, Clock, Store
from gateway.runtime.docket import Docket
from gateway.runtime.live import Live

LOOK_S = 2.0
"""What another process accepted is noticed after so long."""
PORTION = 500
"""Cameras accepted a turn of the loop: hundreds may be dead at a first import."""


def accept(docket: Docket, channel: ChannelId, at: Instant, now: Instant) -> None:
    """From now on a channel is work, although it was never seen good.

    Its own incident waits for a cadence, as after a confirmation: where many are accepted at once, one
    node above them may be to blame.
    """
    docket.accepted[channel] = at
    live = docket.lives.get(channel)
    if live is None or live.accepted:
        return
    unknown_before, live.accepted = live.takeover, True
    if not unknown_before:
        return
    failed = live.health.failed
    if failed is not None and live.health.phase in LOST | SUSPICION:
        docket.root.bad(live.device.id, channel, failed, first=True)
    become_work(docket, live, at, now)


def become_work(docket: Docket, live: Live, at: Instant, now: Instant) -> None:
    """The open row of a channel that leaves the takeover list goes on as any other, since `at`."""
    outage = live.outage
    if outage is None or not outage.unaccepted:
        return
    since = Instant(min(max(at, outage.failed_at), now))
    docket.put_outage(live, replace(outage, accepted_at=since))
    docket.want_single(live, Instant(now + docket.rules.health.cadence_s))


class Takeover:
    """Takes acceptances into the store, and from there to the judge.

    Args:
        store: open.
        clock: the service's.
        docket: the judge's.
        settle: lets the judge publish what changed.
        accepted: what the store knew at the start.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        docket: Docket,
        settle: Callable[[], None],
        accepted: Sequence[Accepted] = (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._docket = docket
        self._settle = settle
        self._accepted = {row.channel: row for row in accepted}

    @property
    def accepted(self) -> Mapping[ChannelId, Accepted]:
        """The cameras that were accepted, and by whom; those seen good since included."""
        return MappingProxyType(self._accepted)

    async def accept(self, channels: Sequence[ChannelId], actor: str, reason: str) -> None:
        """Accept cameras; stored when it returns. The first acceptance of each stands.

        Raises:
            StoreUnavailable: it may be repeated.
        """
        at = self._clock.utc(self._clock.now())
        await self._store.save_accepted([Accepted(one, at, actor, reason) for one in channels])
        await self._take(await self._store.accepted())

    async def watch(self) -> None:
        """Take what another process accepted, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Take what others accepted; nothing is read while there is nothing to accept."""
        if not any(live.outage and live.outage.unaccepted for live in self._docket.order):
            return
        try:
            await self._take(await self._store.accepted())
        except StoreUnavailable:
            return

    async def _take(self, rows: Sequence[Accepted]) -> None:
        new = [row for row in rows if row.channel not in self._accepted]
        for start in range(0, len(new), PORTION):
            now = self._clock.now()
            for row in new[start : start + PORTION]:
                self._accepted[row.channel] = row
                accept(self._docket, row.channel, self._clock.instant(row.at), now)
            self._settle()
            await asyncio.sleep(0)
