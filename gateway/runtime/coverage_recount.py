"""Recounts of coverage: nightly, and on demand. A difference is an alarm, and so is a recount that fails.

Only the copying needs the thread that owns the state; the counting has one of its own, so that outages become
blind spots meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from math import nan
from typing import TypeVar
from zoneinfo import ZoneInfo

import structlog

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.recount import (
    Difference,
    Snapshot,
    recount,
    rows_apart,
    views_apart,
)
from gateway.domain.coverage.sight import Sight
from gateway.errors import StoreUnavailable, Unavailable
from gateway.metrics import COVERAGE_DIFFERENCE, RECOUNT_FAILED, RECOUNT_TIMESTAMP
from gateway.ports import Clock, Store
from gateway.runtime.coverage_outbox import Outbox

log = structlog.get_logger("sightline.coverage")
T = TypeVar("T")
LOOK_AGAIN_S = 3.0
"""A view that is another one than the judge's is looked at again: an import takes a moment everywhere."""
SHANGHAI = ZoneInfo("Asia/Shanghai")
FAILED = "the recount of coverage failed: see the log of the service"


@dataclass(frozen=True)
class Taken:
    """The running state, and what the judge said at the same moment."""

    snapshot: Snapshot
    present: Mapping[ChannelId, Sight]


class Recounts:
    """Counts coverage again, one at a time: who asks while one runs gets its answer.

    Args:
        store: asked for the open rows as it has them.
        clock: the service's.
        outbox: written before the store is asked.
        take: copies the state when everything that waits is in it; raises `Unavailable`.
        at_s: when the nightly recount is made, seconds after midnight Asia/Shanghai.

    Attributes:
        difference: what the last recount found, and when; None before the first.
        failure: why the last attempt came to nothing, and when; None = it did not.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        outbox: Outbox,
        take: Callable[[], Awaitable[Taken]],
        at_s: float,
    ) -> None:
        self.store, self.clock, self.outbox, self.take, self.at_s = store, clock, outbox, take, at_s
        self.difference: tuple[Difference, datetime] | None = None
        self.failure: tuple[str, datetime] | None = None
        self._thread = ThreadPoolExecutor(1, "recount")
        self._running: asyncio.Task[Difference] | None = None

    async def recount(self) -> Difference:
        """Count everything again.

        Raises:
            Unavailable: the model is not built yet, or the recount failed.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._recount())
            self._running.add_done_callback(_heard)  # who asked may have hung up
        return await asyncio.shield(self._running)

    async def nightly(self) -> None:
        """Count every night, until cancelled; one that fails is told, and the next one made."""
        while True:
            await self.clock.sleep_until(self.clock.instant(self._next_at()))
            try:
                await self.recount()
            except Unavailable as error:
                log.warning("no recount of coverage tonight", reason=str(error))

    def _next_at(self) -> datetime:
        local = self._utc().astimezone(SHANGHAI)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        due = midnight + timedelta(seconds=self.at_s)
        return due if due > local else due + timedelta(days=1)

    async def _recount(self) -> Difference:
        try:
            difference = await self._count()
        except Unavailable as error:
            self._fail(str(error))
            raise
        except Exception as error:
            log.exception("the recount of coverage failed")
            self._fail(FAILED)
            raise Unavailable(FAILED) from error
        self._tell(difference)
        return difference

    async def _count(self) -> Difference:
        taken = await self.take()
        with self.outbox.moved() as moved:
            stored = await self._stored(taken.snapshot, moved)
            difference = await self._in_thread(lambda: recount(taken.snapshot))
        apart = await self._views_apart(taken)
        if apart:
            await asyncio.sleep(LOOK_AGAIN_S)
            apart &= await self._views_apart(await self.take())
        if apart:
            log.error("views are not what the judge says", channels=sorted(apart)[:20])
        return replace(difference, views=len(apart), stored=stored)

    async def _views_apart(self, taken: Taken) -> set[ChannelId]:
        return await self._in_thread(lambda: views_apart(taken.snapshot, taken.present))

    async def _stored(self, held: Snapshot, moved: set[str]) -> int | None:
        """Open rows that the store has otherwise; what changed since is left out. None = no answer."""
        try:
            if not await self.outbox.flush():
                return None
            live = await self.store.coverage.load()
        except StoreUnavailable:
            return None
        settled = frozenset(moved)
        return await self._in_thread(
            lambda: rows_apart(held, live.blind_spots, live.intervals, settled)
        )

    def _fail(self, reason: str) -> None:
        self.failure = reason, self._utc()
        RECOUNT_FAILED.set(1)

    def _tell(self, difference: Difference) -> None:
        at = self._utc()
        self.difference, self.failure = (difference, at), None
        RECOUNT_FAILED.set(0)
        RECOUNT_TIMESTAMP.set(at.timestamp())
        for f in fields(difference):
            value = getattr(difference, f.name)
            COVERAGE_DIFFERENCE.labels(f.name).set(nan if value is None else abs(value))
        if difference:
            log.error("coverage differs from its recount", difference=repr(difference))
        else:
            log.info("coverage equals its recount", area_m2=difference.area_m2)

    def _utc(self) -> datetime:
        return self.clock.utc(self.clock.now())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Give up what runs."""
        if self._running is not None:
            self._running.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)


def _heard(task: asyncio.Task[Difference]) -> None:
    if not task.cancelled():
        task.exception()
