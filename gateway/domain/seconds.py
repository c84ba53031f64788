"""Who owns each second of a channel (semantics §6).

good + bad + bad_upstream + maintenance + unobserved = elapsed. A day is Asia/Shanghai (UTC+8 without
summer time), 24 slots of an hour. The book holds the days that are being filled; `portion` gives the
rows to be written. Times are UTC epoch seconds here: days are a matter of the calendar.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from math import log2

import numpy as np
from numpy.typing import NDArray

from gateway.domain.camera import ChannelId
from gateway.domain.ledger import RollUp

SHANGHAI_S = 8 * 3600
DAY_S = 86_400
SLOT_S = 3600
SLOTS = 24
BUCKETS = 24
"""Buckets of the round-trip histogram, see `bucket_of`."""


class Kind(IntEnum):
    """Kinds of seconds; DEGRADED is a part of GOOD, kept beside it."""

    GOOD = 0
    BAD = 1
    BAD_UPSTREAM = 2
    MAINTENANCE = 3
    UNOBSERVED = 4
    DEGRADED = 5


def day_of(epoch_s: float) -> str:
    """The Shanghai day (ISO date) of a UTC epoch time."""
    return datetime.fromtimestamp(epoch_s + SHANGHAI_S, UTC).date().isoformat()


def day_start(day: str) -> float:
    """UTC epoch seconds at which a Shanghai day begins."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() - SHANGHAI_S


def split(start: float, end: float) -> Iterator[tuple[str, int, float]]:
    """Cut a span of UTC epoch seconds by day and hour slot: (day, slot, seconds)."""
    at = start
    while at < end:
        local = at + SHANGHAI_S
        slot_end = (local // SLOT_S + 1) * SLOT_S - SHANGHAI_S
        stop = min(end, slot_end)
        yield day_of(at), int(local % DAY_S // SLOT_S), stop - at
        at = stop


def bucket_of(rtt_s: float) -> int:
    """The histogram bucket of a round trip: two buckets a doubling, from 1 ms to 4 s."""
    if rtt_s <= 0.001:  # noqa: PLR2004 - the first bucket's upper edge
        return 0
    return min(BUCKETS - 1, int(2 * log2(rtt_s * 1000)) + 1)


def bucket_edge_ms(bucket: int) -> float:
    """The upper edge of a bucket, milliseconds."""
    return float(round(2 ** (bucket / 2), 3))


def quantile_ms(histogram: Sequence[int], q: float) -> float:
    """A quantile out of a histogram, as the upper edge of its bucket (0 = no round trips)."""
    total = sum(histogram)
    if total == 0:
        return 0.0
    need, run = q * total, 0
    for bucket, count in enumerate(histogram):
        run += count
        if run >= need:
            return bucket_edge_ms(bucket)
    return bucket_edge_ms(BUCKETS - 1)


@dataclass(slots=True)
class _Day:
    """Arrays of one day: seconds (kind, channel, slot), probes, round trips of the hour."""

    seconds: NDArray[np.float32]
    probes: NDArray[np.uint16]
    p50: NDArray[np.float32]
    p95: NDArray[np.float32]
    dirty: NDArray[np.bool_]


@dataclass(slots=True)
class Book:
    """The days being filled, for a fixed list of channels (index = position).

    Memory: about 900 bytes a channel and day, two days at most.
    """

    channels: tuple[ChannelId, ...]
    _days: dict[str, _Day] = field(default_factory=dict)
    _hour: tuple[str, int] = ("", 0)
    _rtt: NDArray[np.uint16] = field(default_factory=lambda: np.zeros((0, BUCKETS), np.uint16))

    def day(self, day: str) -> _Day:
        """The arrays of a day, made when first asked for."""
        if day not in self._days:
            n = len(self.channels)
            self._days[day] = _Day(
                np.zeros((len(Kind), n, SLOTS), np.float32),
                np.zeros((n, SLOTS), np.uint16),
                np.zeros((n, SLOTS), np.float32),
                np.zeros((n, SLOTS), np.float32),
                np.zeros(n, np.bool_),
            )
        return self._days[day]

    def add(self, index: int, kind: Kind, start: float, end: float) -> None:
        """Give a span of UTC epoch seconds to a kind."""
        for day, slot, seconds in split(start, end):
            book = self.day(day)
            book.seconds[kind, index, slot] += seconds
            book.dirty[index] = True

    def move(self, index: int, old: Kind, new: Kind, start: float, end: float) -> None:
        """What one kind owns of a span goes to another: the cause was understood later."""
        for day, slot, seconds in split(start, end):
            book = self.day(day)
            moved = min(seconds, float(book.seconds[old, index, slot]))
            book.seconds[old, index, slot] -= moved
            book.seconds[new, index, slot] += moved
            book.dirty[index] = True

    def probe(self, indexes: Iterable[int], rtt_s: float | None, epoch_s: float) -> None:
        """Count one completed check of some channels."""
        local = epoch_s + SHANGHAI_S
        slot = int(local % DAY_S // SLOT_S)
        hour = int(local // SLOT_S)
        if self._hour[1] != hour:
            self._hour = (day_of(epoch_s), hour)
            self._rtt = np.zeros((len(self.channels), BUCKETS), np.uint16)
        book = self.day(self._hour[0])
        bucket = None if rtt_s is None else bucket_of(rtt_s)
        for index in indexes:
            book.probes[index, slot] += 1
            book.dirty[index] = True
            if bucket is not None:
                self._rtt[index, bucket] += 1

    def portion(self, number: int, of: int) -> list[RollUp]:
        """The changed rows of one of `of` spread portions; they count as written afterwards."""
        rows: list[RollUp] = []
        for day in sorted(self._days):
            book = self._days[day]
            for index in np.flatnonzero(book.dirty[number::of]) * of + number:
                rows.append(self._row(day, book, int(index)))
                book.dirty[index] = False
        return rows

    def close_before(self, day: str) -> None:
        """Let go of days before `day` whose rows have all been written."""
        for old in [d for d in self._days if d < day and not self._days[d].dirty.any()]:
            del self._days[old]

    def take(self, rows: Iterable[RollUp], index_of: dict[ChannelId, int]) -> None:
        """Go on with rows written before a restart."""
        for row in rows:
            index = index_of.get(row.channel)
            if index is None:
                continue
            book = self.day(row.day)
            for kind, seconds in zip(Kind, _columns(row), strict=True):
                book.seconds[kind, index] = seconds
            book.probes[index] = row.probes
            book.p50[index] = row.rtt_p50_ms
            book.p95[index] = row.rtt_p95_ms

    def moved_to(self, channels: tuple[ChannelId, ...]) -> tuple["Book", list[RollUp]]:
        """The same seconds for another list of channels, and the rows of those that left it."""
        index_of = {channel: i for i, channel in enumerate(channels)}
        stay = [i for i, channel in enumerate(self.channels) if channel in index_of]
        there = [index_of[self.channels[i]] for i in stay]
        rtt = np.zeros((len(channels), BUCKETS), np.uint16)
        if len(self._rtt):
            rtt[there] = self._rtt[stay]
        book = Book(channels, _hour=self._hour, _rtt=rtt)
        for day, old in self._days.items():
            new = book.day(day)
            new.seconds[:, there] = old.seconds[:, stay]
            new.probes[there], new.dirty[there] = old.probes[stay], old.dirty[stay]
            new.p50[there], new.p95[there] = old.p50[stay], old.p95[stay]
            old.dirty[stay] = False
        return book, self.portion(0, 1)

    def missing(self, index: int, day: str, until: float) -> list[tuple[float, float]]:
        """Spans of a day up to `until`, from its first owned second on, that no kind owns yet.

        After a crash these are unobserved, never good: what was not flushed is lost.
        """
        owned = self.day(day).seconds[: Kind.DEGRADED, index].sum(axis=0)
        begun = np.flatnonzero(owned)
        if not len(begun):
            return []
        spans: list[tuple[float, float]] = []
        start = day_start(day)
        until = min(until, start + DAY_S)
        for slot in range(int(begun[0]), SLOTS):
            slot_start = start + slot * SLOT_S
            slot_end = min(slot_start + SLOT_S, until)
            lost = slot_end - slot_start - float(owned[slot])
            if slot == begun[0]:
                continue  # it may have begun within the hour: nothing can be said of its start
            if lost > 0:
                spans.append((slot_end - lost, slot_end))
        return spans

    def _row(self, day: str, book: _Day, index: int) -> RollUp:
        if day == self._hour[0]:
            slot = self._hour[1] % SLOTS
            histogram = self._rtt[index].tolist()
            if any(histogram):
                book.p50[index, slot] = quantile_ms(histogram, 0.5)
                book.p95[index, slot] = quantile_ms(histogram, 0.95)
        seconds = book.seconds[:, index].round(3)
        good, bad, upstream, maintenance, unobserved, degraded = (
            tuple(seconds[kind].tolist()) for kind in Kind
        )
        return RollUp(
            self.channels[index],
            day,
            good,
            bad,
            upstream,
            maintenance,
            unobserved,
            degraded,
            tuple(book.probes[index].tolist()),
            tuple(book.p50[index].tolist()),
            tuple(book.p95[index].tolist()),
        )


def _columns(row: RollUp) -> tuple[tuple[float, ...], ...]:
    return (
        row.good_s,
        row.bad_s,
        row.bad_upstream_s,
        row.maintenance_s,
        row.unobserved_s,
        row.degraded_s,
    )
