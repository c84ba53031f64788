"""Is a maintenance window (检修) or a scheduled-off hour open for a target now."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from gateway.domain.camera import Window
from gateway.domain.seconds import DAY_S, SHANGHAI_S


def is_open(window: Window, now: datetime) -> bool:
    """Whether a window holds at an aware UTC time."""
    if now < window.starts_at or (window.ends_at is not None and now >= window.ends_at):
        return False
    if window.daily_from_s is None or window.daily_to_s is None:
        return True
    second = (now.timestamp() + SHANGHAI_S) % DAY_S
    if window.daily_from_s <= window.daily_to_s:
        return window.daily_from_s <= second < window.daily_to_s
    return second >= window.daily_from_s or second < window.daily_to_s


def open_targets(windows: Iterable[Window], now: datetime) -> frozenset[str]:
    """The channels and nodes that are in maintenance at an aware UTC time."""
    return frozenset(str(w.target) for w in windows if is_open(w, now))


def next_change(windows: Iterable[Window], now: datetime) -> datetime | None:
    """The next time at which any window may open or close, None when there is none."""
    moments: list[datetime] = []
    for window in windows:
        moments += [m for m in (window.starts_at, window.ends_at) if m is not None]
        if window.daily_from_s is not None and window.daily_to_s is not None:
            midnight = now - timedelta(seconds=(now.timestamp() + SHANGHAI_S) % DAY_S)
            for day in (0, 1):
                for second in (window.daily_from_s, window.daily_to_s):
                    moments.append(midnight + timedelta(days=day, seconds=second))
    later = [m for m in moments if m > now]
    return min(later, default=None)
