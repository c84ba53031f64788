"""What the service measures of itself, since the end of the first full round."""

import math
import os
import resource
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from gateway.domain.observation import Instant

SMALLEST, STEP = 1e-6, 1.02
"""The first bucket ends at a microsecond; each is 2 % wider than the one before."""
BUCKETS = 1_280
"""Up to a day: log(86_400 / SMALLEST) / log(STEP), and one for what is above."""
_PER_STEP = 1 / math.log(STEP)


class Histogram:
    """Counts of non-negative numbers in buckets that grow by 2 %: small, however many there are.

    Quantiles are upper edges of buckets, so up to 2 % too high and never too low.
    """

    __slots__ = ("_counts", "_length", "largest")

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self._length = 0
        self.largest = 0.0

    def append(self, value: float) -> None:
        """Count a number."""
        place = 0
        if value > SMALLEST:
            place = min(BUCKETS - 1, math.ceil(math.log(value / SMALLEST) * _PER_STEP))
        self._counts[place] += 1
        self._length += 1
        self.largest = max(self.largest, value)

    def clear(self) -> None:
        """Forget all."""
        self._counts = [0] * BUCKETS
        self._length = 0
        self.largest = 0.0

    def __len__(self) -> int:
        return self._length

    def quantile(self, q: float) -> float | None:
        """By nearest rank; None when nothing was counted."""
        if not self._length:
            return None
        rank = min(self._length - 1, int(q * self._length))
        passed = 0
        for place, count in enumerate(self._counts):
            passed += count
            if passed > rank:
                return min(self.largest, SMALLEST * STEP**place)
        return self.largest


def quantile(samples: Collection[float], q: float) -> float:
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
    """Histograms and counters; `restart` begins anew (done once, after the first full round)."""

    lateness_s: Histogram = field(default_factory=Histogram)
    loop_lag_s: Histogram = field(default_factory=Histogram)
    rounds_s: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    checks: int = 0
    observations: int = 0
    heard: int = 0
    """Devices heard by pulled events: each such answer spares a check."""
    since: Instant | None = None
    _cpu_s: float = 0.0
    _wall: float = 0.0

    def restart(self, now: Instant) -> None:
        """Forget everything measured so far."""
        self.lateness_s.clear()
        self.loop_lag_s.clear()
        self.rounds_s.clear()
        self.checks = self.observations = self.heard = 0
        self.since = now
        self._cpu_s = time.process_time()
        self._wall = time.monotonic()

    def report(self) -> dict[str, object]:
        """Plain numbers, for the API and the demo; None for what was not measured yet."""
        done = self.since is not None
        cpu = time.process_time() - self._cpu_s
        wall = max(1e-9, time.monotonic() - self._wall)
        rounds = self.rounds_s
        p50, p95 = (quantile(rounds, q) if rounds and done else None for q in (0.5, 0.95))
        answers = self.observations + self.heard
        per_check = cpu * 1000 / answers if answers else None
        return {
            "pid": os.getpid(),
            "seconds": _rounded(wall, 1) if done else None,
            "checks": self.checks if done else None,
            "observations": self.observations if done else None,
            "heard": self.heard if done else None,
            "lateness_seconds": self._quantiles(self.lateness_s, 1, 4),
            "round_seconds": {"p50": _rounded(p50, 2), "p95": _rounded(p95, 2)},
            "loop_lag_ms": self._quantiles(self.loop_lag_s, 1000, 2),
            "cpu_ms_per_check": _rounded(per_check, 4) if done else None,
            "cores_used": _rounded(cpu / wall, 3) if done else None,
            "peak_rss_mb": round(peak_rss_mb(), 1),
        }

    def _quantiles(self, found: Histogram, factor: float, digits: int) -> dict[str, float | None]:
        values = {"p50": found.quantile(0.5), "p99": found.quantile(0.99)}
        if self.since is None:
            return dict.fromkeys(values)
        return {
            name: _rounded(None if value is None else value * factor, digits)
            for name, value in values.items()
        }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
