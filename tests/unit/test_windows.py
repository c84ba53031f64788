"""Maintenance windows and scheduled-off hours."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.camera import ChannelId, NodeId, Window
from gateway.domain.windows import is_open, next_change, open_targets

# 12:00 in Shanghai.
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def window(
    start: datetime = NOON,
    end: datetime | None = NOON + HOUR,
    daily: tuple[int, int] | None = None,
) -> Window:
    first, last = daily or (None, None)
    return Window("w", ChannelId("c"), start, end, "", first, last)


def test_a_plain_window_is_half_open() -> None:
    assert not is_open(window(), NOON - timedelta(microseconds=1))
    assert is_open(window(), NOON)
    assert is_open(window(), NOON + HOUR - timedelta(microseconds=1))
    assert not is_open(window(), NOON + HOUR)


def test_a_window_without_an_end_stays_open() -> None:
    assert is_open(window(end=None), NOON + timedelta(days=400))


@pytest.mark.parametrize(
    ("hour", "expected"), [(-1, False), (0, True), (1, True), (2, False), (24, True), (26, False)]
)
def test_daily_hours_repeat_in_shanghai_time(hour: int, expected: bool) -> None:
    daily = window(NOON - HOUR, None, (12 * 3600, 14 * 3600))
    assert is_open(daily, NOON + hour * HOUR) == expected


@pytest.mark.parametrize(
    ("hour", "expected"),
    [(0, False), (9.9, False), (10, True), (13, True), (17.9, True), (18, False)],
)
def test_hours_may_run_past_midnight(hour: float, expected: bool) -> None:
    night = window(NOON - HOUR, None, (22 * 3600, 6 * 3600))
    assert is_open(night, NOON + hour * HOUR) == expected


def test_daily_hours_end_with_their_window() -> None:
    daily = window(NOON, NOON + timedelta(days=1), (12 * 3600, 14 * 3600))
    assert not is_open(daily, NOON + timedelta(days=1, minutes=5))


def test_targets_of_open_windows() -> None:
    windows = [
        window(),
        Window("n", NodeId("east"), NOON - HOUR, None),
        Window("later", NodeId("west"), NOON + HOUR, None),
    ]
    assert open_targets(windows, NOON) == {"c", "east"}


def test_the_next_change_of_a_plain_window() -> None:
    assert next_change([window()], NOON - HOUR) == NOON
    assert next_change([window()], NOON) == NOON + HOUR
    assert next_change([window()], NOON + HOUR) is None
    assert next_change([], NOON) is None
    assert next_change([window(end=None)], NOON) is None


def test_the_next_change_of_daily_hours() -> None:
    daily = window(NOON - timedelta(days=9), None, (6 * 3600, 13 * 3600))
    assert next_change([daily], NOON) == NOON + HOUR
    assert next_change([daily], NOON + HOUR) == NOON + timedelta(hours=18)
