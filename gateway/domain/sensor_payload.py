"""Reading what sensors send: payloads, JSON pointers (RFC 6901), states, times, topic patterns of MQTT."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

import orjson

Scalar = bool | int | float | str
MISSING = object()
"""What stands nowhere."""
_CHINA = timezone(timedelta(hours=8))
_MILLISECONDS_FROM = 1e11
"""An epoch time above it is in milliseconds (as seconds it would be the year 5138)."""


class Form(StrEnum):
    """What a payload is."""

    JSON = "json"
    NUMBER = "number"
    """A plain number as text: `2.31`."""
    TEXT = "text"
    """A plain word: `ON`."""


def find(content: object, pointer: str) -> object:
    """What stands at a JSON pointer; `MISSING` where nothing does."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(content, dict):
            content = content.get(key, MISSING)
        elif isinstance(content, list) and key.isdecimal() and key.isascii():
            index = int(key[:9])
            content = content[index] if str(index) == key and index < len(content) else MISSING
        else:
            return MISSING
    return content


def read(form: Form, payload: bytes) -> object:
    """The content of a payload; `MISSING` when it is not of that form."""
    try:
        if form is Form.JSON:
            return orjson.loads(payload)
        text = payload.decode("utf-8").strip()
    except ValueError:
        return MISSING
    if form is Form.TEXT:
        return text or MISSING
    number = number_of(text)
    return MISSING if number is None else number


def number_of(found: object) -> float | None:
    """A finite number; devices also send them as text."""
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        number = float(found)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def word_of(found: object) -> object:
    """A state as comparable text; what is no scalar is like nothing else."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, int | float):
        return f"{found:g}"
    return found.strip().casefold() if isinstance(found, str) else MISSING


def words_of(values: Sequence[Scalar]) -> frozenset[object]:
    """States as comparable texts."""
    return frozenset(map(word_of, values))


def time_of(found: object) -> datetime | None:
    """ISO 8601 (Beijing time where no offset is given) or epoch seconds or milliseconds."""
    number = number_of(found)
    try:
        if number is not None:
            seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
            return datetime.fromtimestamp(seconds, UTC)
        if isinstance(found, str):
            at = datetime.fromisoformat(found.strip())
            return (at if at.tzinfo else at.replace(tzinfo=_CHINA)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


# --- topics


def topic_matches(pattern: str, topic: str) -> bool:
    """Whether a topic fits a pattern of MQTT (`+` = one level, `#` = the rest, also nothing)."""
    wanted, given = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False  # the broker's own topics are never meant
    for n, level in enumerate(wanted):
        if level == "#":
            return True
        if n >= len(given) or level not in {"+", given[n]}:
            return False
    return len(wanted) == len(given)


def bad_pattern(pattern: str) -> str:
    """What is wrong with a topic pattern; "" = nothing."""
    levels = pattern.split("/")
    if not pattern or "\x00" in pattern:
        return "is empty or holds a zero byte"
    if any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]:
        return "`#` must be the whole last level"
    if any("+" in level and level != "+" for level in levels):
        return "`+` must be a whole level"
    return ""
