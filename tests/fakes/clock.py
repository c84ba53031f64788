"""A clock whose time moves only when told, and whose wall can be stepped."""

import asyncio
import heapq
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from gateway.domain.observation import Instant

T = TypeVar("T")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
"""12:00 in Shanghai."""


class FakeClock:
    """Implements `ports.Clock`, and what `watch_clock` asks of the system's clock.

    Args:
        now: the first instant, seconds since a boot that never happened.
        wall: the UTC time of that instant.
    """

    def __init__(self, now: float = 1000.0, wall: datetime = NOON) -> None:
        self._now = now
        self._wall_offset = (wall - EPOCH).total_seconds() - now
        self._anchor = self._wall_offset
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> Instant:
        """The time, as far as it was moved."""
        return Instant(self._now)

    def utc(self, at: Instant) -> datetime:
        """UTC of an instant, from the anchor."""
        return EPOCH + timedelta(seconds=self._anchor + at)

    def instant(self, at: datetime) -> Instant:
        """The instant of a UTC time, from the anchor."""
        return Instant((at - EPOCH).total_seconds() - self._anchor)

    def epoch(self, at: Instant) -> float:
        """UTC epoch seconds of an instant, from the anchor."""
        return self._anchor + at

    async def sleep_until(self, at: Instant) -> None:
        """Wait until the time was moved past `at`."""
        if at <= self._now:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (at, next(self._order), future))
        await future

    def move(self, seconds: float) -> None:
        """Let time pass at once; who slept until then wakes on the loop's next turns."""
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    async def advance(self, seconds: float, tick_s: float = 0.02) -> None:
        """Let time pass in ticks, with a few turns of the loop after each."""
        for _ in range(round(seconds / tick_s)):
            self.move(tick_s)
            await turns()

    # --- the wall

    def step_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock; instants do not notice."""
        self._wall_offset += seconds

    def step_s(self) -> float:
        """How far the wall has moved against the anchor."""
        return self._wall_offset - self._anchor

    def anchor_again(self) -> float:
        """Take the wall as it is now."""
        step = self.step_s()
        self._anchor = self._wall_offset
        return step


async def turns(number: int = 5) -> None:
    """Let everything that is ready run."""
    for _ in range(number):
        await asyncio.sleep(0)


async def within(work: Coroutine[Any, Any, T], seconds: float = 5.0) -> T:
    """A real deadline around something that must not hang."""
    async with asyncio.timeout(seconds):
        return await work
