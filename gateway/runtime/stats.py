"""What the service measures of itself, since the end of the first full round."""

import os
import resource
import time
from array import array
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.domain.observation import Instant

SAMPLES = 100_000


class Samples:
    """The newest `SAMPLES` numbers, four bytes each."""

    __slots__ = ("_at", "_values")

    def __init__(self) -> None:
        self._values = array("f")
        self._at = 0

    def append(self, value: float) -> None:
        """Add a number; the oldest goes when it is full."""
        if len(self._values) < SAMPLES:
            self._values.append(value)
        else:
            self._values[self._at] = value
            self._at = (self._at + 1) % SAMPLES

    def clear(self) -> None:
        """Forget all."""
        self._values = array("f")
        self._at = 0

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[float]:
        return iter(self._values)


def quantile(samples: Samples | Collection[float], q: float) -> float:
    """A quantile by nearest rank; 0 when there are no samples."""
    if not samples:
        return 0.0
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def peak_rss_mb() -> float:
    """The most memory this process has had, MB.

    From /proc where there is one: `ru_maxrss` starts at what the *parent* had when it forked.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass
class Stats:
    """Samples and counters; `restart` begins anew (done once, after the first full round)."""

    lateness_s: Samples = field(default_factory=Samples)
    loop_lag_s: Samples = field(default_factory=Samples)
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
            "peak_rss_mb": round(peak_rss_mb(), 1),
        }
