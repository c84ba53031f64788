"""Query parameters and paging cursors: everything wrong is reported at once, by name."""

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
from aiohttp import web

from gateway.web import problems
from gateway.web.problems import Problem

E = TypeVar("E", bound=StrEnum)

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
TEXT_MAX = 64
CURSOR_MAX = 400
NUMBER_DIGITS = 9


def parse_time(text: str) -> datetime:
    """An RFC 3339 time with an offset, as UTC.

    Raises:
        ValueError: says what is wrong.
    """
    # An unescaped "+08:00" in a query arrives as " 08:00".
    text = text.strip().replace(" ", "+") if "T" in text.upper() else text
    try:
        value = datetime.fromisoformat(text)
        in_utc = value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not an ISO 8601 time") from None
    if value.tzinfo is None:
        raise ValueError("has no offset: end it in Z or +08:00")
    return in_utc


_PLAIN = re.compile(r"[^\x00-\x20\x7f-\xa0][^\x00-\x08\x0b-\x1f\x7f-\x9f]*", re.DOTALL)
"""The same pattern stands in the OpenAPI document (schema `Text`)."""


def is_plain(text: str) -> bool:
    """Begins with a visible character, holds no control characters: fit for store and terminal."""
    return _PLAIN.fullmatch(text) is not None


class Params:
    """The query of a request.

    Args:
        allowed: every parameter the route knows; any other is an error, so that a misspelt filter
            is not silently ignored.
    """

    def __init__(self, request: web.Request, allowed: Collection[str]) -> None:
        self.request = request
        self.errors: list[dict[str, str]] = []
        self.given: dict[str, str] = {}
        for name, value in request.query.items():
            if name not in allowed:
                known = ", ".join(sorted(allowed)) or "none"
                self.wrong(name, f"is not known here; known: {known}")
            elif name in self.given:
                self.wrong(name, "is given twice")
            else:
                self.given[name] = value

    def wrong(self, name: str, reason: str) -> None:
        """Note an error; `check` raises them all."""
        self.errors.append({"name": name[:TEXT_MAX], "reason": reason})

    def check(self) -> None:
        """Raise all errors found.

        Raises:
            Problem: bad-parameters, with one entry an error.
        """
        if self.errors:
            raise Problem(problems.BAD_PARAMETERS, errors=self.errors)

    def text(self, name: str) -> str | None:
        """A short text."""
        value = self.given.get(name)
        if value is not None and not (len(value) <= TEXT_MAX and is_plain(value)):
            self.wrong(name, f"must be 1 to {TEXT_MAX} characters, the first one visible")
            return None
        return value

    def choice(self, name: str, kind: type[E], default: E | None = None) -> E | None:
        """One of a closed list."""
        value = self.given.get(name)
        if value is None:
            return default
        try:
            return kind(value)
        except ValueError:
            self.wrong(name, f"must be one of {', '.join(kind)}")
            return default

    def flag(self, name: str) -> bool | None:
        """`true` or `false`."""
        value = self.given.get(name)
        if value not in {None, "true", "false"}:
            self.wrong(name, "must be true or false")
        return None if value is None else value == "true"

    def number(self, name: str, default: int, highest: int, lowest: int = 1) -> int:
        """A whole number within bounds."""
        value = self.given.get(name)
        if value is None:
            return default
        short = value.isascii() and value.isdigit() and len(value) <= NUMBER_DIGITS
        if short and lowest <= int(value) <= highest:
            return int(value)
        self.wrong(name, f"must be a whole number from {lowest} to {highest}")
        return default

    def limit(self) -> int:
        """Rows of a page."""
        return self.number("limit", LIMIT_DEFAULT, LIMIT_MAX)

    def time(self, name: str) -> datetime | None:
        """A time with an offset."""
        value = self.given.get(name)
        if value is None:
            return None
        try:
            return parse_time(value)
        except ValueError as error:
            self.wrong(name, str(error))
            return None

    def window(self) -> tuple[datetime | None, datetime | None]:
        """`since` and `until`, in order."""
        since, until = self.time("since"), self.time("until")
        if since is not None and until is not None and since >= until:
            self.wrong("until", "must be after since")
        return since, until

    def cursor(self, shape: Sequence[type]) -> list[Any] | None:
        """The sort key in `cursor`, checked: ours, for this route and these filters.

        Raises:
            Problem: bad-cursor.
        """
        value = self.given.get("cursor")
        if value is None:
            return None
        try:
            text = value[:CURSOR_MAX].encode("ascii")
            padded = text + b"=" * (-len(text) % 4)
            raw = base64.b64decode(padded, altchars=b"-_", validate=True)
            mark, *key = orjson.loads(raw)
        except (ValueError, TypeError, binascii.Error):
            mark, key = "", []
        fits = len(key) == len(shape) and all(
            type(part) is kind for part, kind in zip(key, shape, strict=True)
        )
        if mark != self._mark() or not fits:
            detail = "take it unchanged from `next` of the page before, with the same filters"
            raise Problem(problems.BAD_CURSOR, detail)
        return list(key)

    def next_url(self, key: Sequence[Any] | None) -> str | None:
        """The address of the page after the row with this sort key."""
        if key is None:
            return None
        raw = orjson.dumps([self._mark(), *key])
        cursor = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return f"{self.request.path}?{urlencode({**self.given, 'cursor': cursor})}"

    def _mark(self) -> str:
        """Binds a cursor to its route and filters (not to the size of a page)."""
        rest = sorted((k, v) for k, v in self.given.items() if k not in {"cursor", "limit"})
        content = repr((self.request.path, rest)).encode("utf-8", "replace")
        return hashlib.blake2b(content, digest_size=6).hexdigest()
