"""Known replies: a bytes-level reader that accepts only what lxml has accepted before.

A device answers GetSystemDateAndTime with the same bytes again and again, but for the digits of the
time. When lxml has judged a reply good, its skeleton (the bytes without the digits that stand alone
between two tags) is remembered, with the places of the UTC digits in it. A later reply with the very
same skeleton can differ from the judged one only in those digits, which cannot change its structure;
so its time is read from them. Any doubt, and lxml decides.
"""

import re
from datetime import UTC, datetime

DIGITS = re.compile(rb">(\d{1,4})<")
UTC_TAG = re.compile(rb"<((?:[\w.-]+:)?UTCDateTime)>(.*?)</\1>", re.DOTALL)
PART = re.compile(rb"<(?:[\w.-]+:)?(Year|Month|Day|Hour|Minute|Second)>(\d{1,4})<")
ORDER = (b"Year", b"Month", b"Day", b"Hour", b"Minute", b"Second")
SKELETONS = 512
"""Kept at most; a fleet has a few dozen firmwares. A device whose replies carry a fresh id each time
never repeats a skeleton and always goes through lxml."""
LONGEST = 8192


class KnownReplies:
    """Skeletons of good replies, and where their UTC time stands."""

    def __init__(self) -> None:
        self._places: dict[bytes, tuple[int, tuple[int, ...]]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def read(self, body: bytes) -> datetime | None:
        """The time in a reply whose skeleton is known; None: let lxml decide."""
        pieces = DIGITS.split(body)
        known = self._places.get(b"\0".join(pieces[::2]))
        if known is None or known[0] != len(pieces):
            return None
        places = known[1]
        year, month, day, hour, minute, second = (int(pieces[at]) for at in places)
        try:
            return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        except ValueError:
            return None

    def learn(self, body: bytes, told: datetime) -> None:
        """Remember a reply that lxml judged good and whose time it read as `told`."""
        if len(body) > LONGEST or b"\0" in body or len(self._places) >= SKELETONS:
            return
        found = UTC_TAG.search(body)
        if found is None or body.count(b"UTCDateTime") != 2:  # noqa: PLR2004 - opened and closed
            return
        begin, end = found.span(2)
        parts = [(m[1], m.start(2)) for m in PART.finditer(body, begin, end)]
        if sorted(name for name, _ in parts) != sorted(ORDER):
            return
        at = {m.start(1): 2 * n + 1 for n, m in enumerate(DIGITS.finditer(body))}
        starts = dict(parts)
        if any(starts[name] not in at for name in ORDER):
            return
        pieces = DIGITS.split(body)
        key = b"\0".join(pieces[::2])
        self._places[key] = len(pieces), tuple(at[starts[name]] for name in ORDER)
        if self.read(body) != told:
            del self._places[key]
