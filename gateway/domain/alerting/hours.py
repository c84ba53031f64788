"""Spans of the day, Asia/Shanghai: `HH:MM-HH:MM`, past midnight too."""

from datetime import datetime, timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8))
DAY_MINUTES = 24 * 60


def span_of(hours: str) -> tuple[int, int]:
    """`HH:MM-HH:MM` as minutes of the day; the end may be 24:00.

    Raises:
        ValueError: it is none.
    """
    first, dash, last = hours.partition("-")
    found = tuple(_minutes(text) for text in (first, last))
    if not dash or found[0] == found[1] or found[0] == DAY_MINUTES:
        raise ValueError(hours)
    return found[0], found[1]


def _minutes(text: str) -> int:
    hour, _, minute = text.partition(":")
    if not (len(hour) == len(minute) == 2 and (hour + minute).isdecimal()):  # noqa: PLR2004
        raise ValueError(text)
    found = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or found > DAY_MINUTES:  # noqa: PLR2004 - minutes of an hour
        raise ValueError(text)
    return found


def within(hours: str, at: datetime) -> bool:
    """A time lies in a span of the day."""
    local = at.astimezone(SHANGHAI)
    minute = local.hour * 60 + local.minute
    first, last = span_of(hours)
    if first < last:
        return first <= minute < last
    return minute >= first or minute < last
