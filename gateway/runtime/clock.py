"""Time for the loops: CLOCK_BOOTTIME instants, and UTC from one anchor.

Live state holds instants, which never step. A step of the wall clock is noticed by comparing it with
the anchor; the caller decides what to do about it (semantics §3) and calls `anchor_again`.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from gateway.domain.observation import Instant

STEP_LIMIT_S = 5.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SystemClock:
    """The machine's clock (implements `ports.Clock`)."""

    def __init__(self) -> None:
        self._boot_epoch = 0.0
        self.anchor_again()

    def now(self) -> Instant:
        """CLOCK_BOOTTIME seconds."""
        return Instant(time.clock_gettime(time.CLOCK_BOOTTIME))

    def utc(self, at: Instant) -> datetime:
        """UTC of an instant."""
        return EPOCH + timedelta(seconds=self._boot_epoch + at)

    def instant(self, at: datetime) -> Instant:
        """The instant of a UTC time."""
        return Instant((at - EPOCH).total_seconds() - self._boot_epoch)

    async def sleep_until(self, at: Instant) -> None:
        """Sleep; returns at once when `at` is past."""
        await asyncio.sleep(max(0.0, at - self.now()))

    def step_s(self) -> float:
        """How far the wall clock has moved against the anchor, seconds."""
        return time.time() - self.now() - self._boot_epoch

    def anchor_again(self) -> float:
        """Take the wall clock as it is now; returns the step that this undid, seconds."""
        step = self.step_s()
        self._boot_epoch += step
        return step
