"""Rate limits of calls that reach devices, as token buckets with the time passed in."""

from gateway.domain.observation import Instant

KEYS_MAX = 1000


class RateLimit:
    """A bucket a key: `per_minute` calls at once, refilled evenly.

    Args:
        per_minute: size of a bucket and refill a minute.
    """

    def __init__(self, per_minute: int) -> None:
        self._size = float(per_minute)
        self._rate = per_minute / 60
        self._buckets: dict[str, tuple[float, Instant]] = {}

    def take(self, key: str, now: Instant) -> float:
        """Take one call: 0 = granted, else the seconds until one would be."""
        left, at = self._buckets.get(key, (self._size, now))
        left = min(self._size, left + (now - at) * self._rate)
        if left < 1:
            self._buckets[key] = (left, now)
            return (1 - left) / self._rate
        self._buckets[key] = (left - 1, now)
        if len(self._buckets) > KEYS_MAX:
            self._forget_full(now)
        return 0.0

    def _forget_full(self, now: Instant) -> None:
        """A full bucket says nothing that a missing one does not."""
        self._buckets = {
            key: (left, at)
            for key, (left, at) in self._buckets.items()
            if left + (now - at) * self._rate < self._size
        }
