"""The machine's clock, plus as much as the test says."""

from gateway.domain.observation import Instant
from gateway.runtime.clock import SystemClock


class LeapClock(SystemClock):
    """Both time bases move together when `ahead_s` is raised: time passes, nothing steps."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        super().__init__()

    def now(self) -> Instant:
        """CLOCK_BOOTTIME seconds and what was leapt over."""
        return Instant(super().now() + self.ahead_s)
