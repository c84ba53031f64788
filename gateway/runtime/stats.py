"""What the service measures of itself, since the end of the first full round."""

import os
import resource
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.domain.observation import Instant

SAMPLES = 100_000


def quantile(samples: Sequence[float], q: float) -> float:
    """A quantile by nearest rank; 0 when there are no samples."""
    if not samples:
        return 0.0
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


@dataclass
class Stats:
    """Samples and counters; `restart` begins anew (done once, after the first full round)."""

    lateness_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    loop_lag_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    rounds_s: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    checks: int = 0
    observations: int = 0
    since: Instant | None = None
    _cpu_s: float = 0.0
    _wall: float = 0.0

    def restart(self, now: Instant) -> None:
        """Forget everything measured so far."""
        self.lateness_s.clear()
        self.loop_lag_s.clear()
        self.rounds_s.clear()
        self.checks = self.observations = 0
        self.since = now
        self._cpu_s = time.process_time()
        self._wall = time.monotonic()

    def report(self) -> dict[str, object]:
        """Plain numbers, for the API and the demo."""
        cpu = time.process_time() - self._cpu_s
        wall = max(1e-9, time.monotonic() - self._wall)
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "pid": os.getpid(),
            "seconds": round(wall, 1),
            "checks": self.checks,
            "observations": self.observations,
            "lateness_seconds": {
                "p50": round(quantile(self.lateness_s, 0.5), 4),
                "p99": round(quantile(self.lateness_s, 0.99), 4),
            },
            "round_seconds": {
                "p50": round(quantile(self.rounds_s, 0.5), 2),
                "p95": round(quantile(self.rounds_s, 0.95), 2),
            },
            "loop_lag_ms": {
                "p50": round(quantile(self.loop_lag_s, 0.5) * 1000, 2),
                "p99": round(quantile(self.loop_lag_s, 0.99) * 1000, 2),
            },
            "cpu_ms_per_check": round(cpu * 1000 / max(1, self.observations), 4),
            "cores_used": round(cpu / wall, 3),
            "peak_rss_mb": round(peak_kb / 1024, 1),
        }
