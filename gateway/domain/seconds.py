"""Who owns each second of a channel (semantics §6).

good + bad + bad_upstream + maintenance + unobserved = elapsed. A day is Asia/Shanghai (UTC+8 without
summer time), 24 slots of an hour. The book holds the days that are being filled; `portion` gives the
rows to be written. Times are UTC epoch seconds here: days are a matter of the calendar.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from itertools import compress
from math import log2
from typing import Generic, TypeVar

from gateway.domain.camera import ChannelId
from gateway.domain.ledger import RollUp

N = TypeVar("N", int, float)
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


class _Hours(Generic[N]):
    """A number a channel and hour of a day; an hour takes memory from the first number on."""

    __slots__ = ("_arrays", "_kind", "_zeros")

    def __init__(self, kind: str, channels: int) -> None:
        self._kind = kind
        self._zeros = channels * array(kind).itemsize
        self._arrays: list[array[N] | None] = [None] * SLOTS

    def hour(self, slot: int) -> "array[N]":
        """The numbers of an hour, to be changed."""
        found = self._arrays[slot]
        if found is None:
            found = self._arrays[slot] = array(self._kind, bytes(self._zeros))
        return found

    def row(self, index: int) -> list[N]:
        """The 24 numbers of a channel."""
        return [numbers[index] if numbers else 0 for numbers in self._arrays]

    def put(self, index: int, row: Sequence[N]) -> None:
        """Replace the 24 numbers of a channel."""
        if any(row):
            for slot, value in enumerate(row):
                if value or self._arrays[slot]:
                    self.hour(slot)[index] = value
        else:
            for numbers in filter(None, self._arrays):
                numbers[index] = 0

    def add_to(self, sums: list[float], index: int) -> None:
        """Add the numbers of a channel to others, slot by slot."""
        for slot, numbers in enumerate(self._arrays):
            if numbers:
                sums[slot] += numbers[index]

    def moved(self, channels: int, runs: "_Runs") -> "_Hours[N]":
        """The same numbers in other places."""
        new: _Hours[N] = _Hours(self._kind, channels)
        for slot, numbers in enumerate(self._arrays):
            if numbers is not None:
                there = new.hour(slot)
                for old, at, length in runs:
                    there[at : at + length] = numbers[old : old + length]
        return new


_Runs = Sequence[tuple[int, int, int]]
"""(from, to, length): places of channels that move together."""


@dataclass(slots=True)
class _Day:
    """One day: seconds by kind, probes, round trips of the hour, and which channels changed."""

    seconds: tuple[_Hours[float], ...]
    probes: _Hours[int]
    p50: _Hours[float]
    p95: _Hours[float]
    dirty: bytearray

    @classmethod
    def empty(cls, channels: int) -> "_Day":
        """Nothing owned, nothing asked."""
        seconds: tuple[_Hours[float], ...] = tuple(_Hours("f", channels) for _ in Kind)
        return cls(
            seconds,
            _Hours("H", channels),
            _Hours("f", channels),
            _Hours("f", channels),
            bytearray(channels),
        )

    def moved(self, channels: int, runs: _Runs) -> "_Day":
        """The same with the channels in other places."""
        dirty = bytearray(channels)
        for old, at, length in runs:
            dirty[at : at + length] = self.dirty[old : old + length]
        return _Day(
            tuple(hours.moved(channels, runs) for hours in self.seconds),
            self.probes.moved(channels, runs),
            self.p50.moved(channels, runs),
            self.p95.moved(channels, runs),
            dirty,
        )


class Book:
    """The days being filled, for a fixed list of channels (index = position).

    Memory: about 37 bytes a channel and begun hour, two days at most. Arrays of the standard
    library: single numbers are read and written twice as fast as numpy's, which alone would take
    17 MB of the service.
    """

    __slots__ = ("_asked", "_closed", "_days", "_hour", "_rtt", "channels")

    def __init__(self, channels: tuple[ChannelId, ...]) -> None:
        self.channels = channels
        self._days: dict[str, _Day] = {}
        self._closed = ""
        self._hour: tuple[str, int] = ("", 0)
        self._asked = array("H")
        self._rtt = array("H")

    @property
    def days(self) -> tuple[str, ...]:
        """The days that are held."""
        return tuple(self._days)

    def day(self, day: str) -> _Day:
        """What is held of a day, made when first asked for."""
        found = self._days.get(day)
        if found is None:
            found = self._days[day] = _Day.empty(len(self.channels))
        return found

    def owned(self, index: int, kind: Kind) -> float:
        """Seconds that a kind owns of a channel, in all days that are held."""
        return sum(sum(day.seconds[kind].row(index)) for day in self._days.values())

    def add(self, index: int, kind: Kind, start: float, end: float) -> None:
        """Give a span of UTC epoch seconds to a kind."""
        for day, slot, seconds in split(start, end):
            if day > self._closed:
                book = self.day(day)
                book.seconds[kind].hour(slot)[index] += seconds
                book.dirty[index] = True

    def move(self, index: int, old: Kind, new: Kind, start: float, end: float) -> None:
        """What one kind owns of a span goes to another: the cause was understood later."""
        for day, slot, seconds in split(start, end):
            if day <= self._closed:
                continue
            book = self.day(day)
            loser, winner = book.seconds[old].hour(slot), book.seconds[new].hour(slot)
            moved = min(seconds, loser[index])
            loser[index] -= moved
            winner[index] += moved
            book.dirty[index] = True

    def probe(self, indexes: Iterable[int], rtt_s: float | None, epoch_s: float) -> None:
        """Count one completed check of some channels."""
        hour = int((epoch_s + SHANGHAI_S) // SLOT_S)
        if self._hour[1] != hour:
            self._begin_hour(day_of(epoch_s), hour)
        if self._hour[0] <= self._closed:
            return
        dirty = self.day(self._hour[0]).dirty
        bucket = None if rtt_s is None else bucket_of(rtt_s)
        for index in indexes:
            self._asked[index] += 1
            dirty[index] = True
            if bucket is not None:
                self._rtt[index * BUCKETS + bucket] += 1

    def _begin_hour(self, day: str, hour: int) -> None:
        self._hour = (day, hour)
        if day > self._closed:
            self._asked = self.day(day).probes.hour(hour % SLOTS)
        self._rtt = array("H", bytes(2 * BUCKETS * len(self.channels)))

    def portion(self, number: int, of: int) -> list[RollUp]:
        """The changed rows of one of `of` spread portions; they count as written afterwards."""
        rows: list[RollUp] = []
        for day in sorted(self._days):
            book = self._days[day]
            for index in compress(range(number, len(self.channels), of), book.dirty[number::of]):
                rows.append(self._row(day, book, index))
                book.dirty[index] = False
        return rows

    def close_before(self, day: str) -> None:
        """Let go of days before `day` whose rows have all been written.

        A day that was let go is closed: its rows are written whole, so what comes too late for them
        is left out, and counts as not observed.
        """
        for old in [d for d in self._days if d < day and 1 not in self._days[d].dirty]:
            del self._days[old]
            self._closed = max(self._closed, old)

    def take(self, rows: Iterable[RollUp], index_of: Mapping[ChannelId, int]) -> None:
        """Go on with rows written before a restart."""
        for row in rows:
            index = index_of.get(row.channel)
            if index is None:
                continue
            book = self.day(row.day)
            for hours, seconds in zip(book.seconds, _columns(row), strict=True):
                hours.put(index, seconds)
            book.probes.put(index, row.probes)
            book.p50.put(index, row.rtt_p50_ms)
            book.p95.put(index, row.rtt_p95_ms)

    def moved_to(self, channels: tuple[ChannelId, ...]) -> tuple["Book", list[RollUp]]:
        """The same seconds for another list of channels, and the rows of those that left it."""
        if channels == self.channels:
            return self, []
        index_of = {channel: i for i, channel in enumerate(channels)}
        stay = [
            (i, index_of[channel]) for i, channel in enumerate(self.channels) if channel in index_of
        ]
        runs = _runs(stay)
        book = Book(channels)
        book._closed = self._closed
        for day, held in self._days.items():
            book._days[day] = held.moved(len(channels), runs)
            for old, _, length in runs:
                held.dirty[old : old + length] = bytes(length)
        if self._rtt:
            book._begin_hour(*self._hour)
            for old, at, length in runs:
                numbers = self._rtt[old * BUCKETS : (old + length) * BUCKETS]
                book._rtt[at * BUCKETS : (at + length) * BUCKETS] = numbers
        return book, self.portion(0, 1)

    def missing(self, index: int, day: str, until: float) -> list[tuple[float, float]]:
        """Spans of a day up to `until`, from its first owned second on, that no kind owns yet.

        After a crash these are unobserved, never good: what was not flushed is lost.
        """
        owned = [0.0] * SLOTS
        for hours in self.day(day).seconds[: Kind.DEGRADED]:
            hours.add_to(owned, index)
        begun = next((slot for slot in range(SLOTS) if owned[slot]), SLOTS)
        spans: list[tuple[float, float]] = []
        start = day_start(day)
        until = min(until, start + DAY_S)
        # the first hour may have begun within: nothing can be said of its start
        for slot in range(begun + 1, SLOTS):
            slot_start = start + slot * SLOT_S
            if slot_start >= until:
                break
            slot_end = min(slot_start + SLOT_S, until)
            lost = slot_end - slot_start - owned[slot]
            if lost > 0:
                spans.append((slot_end - lost, slot_end))
        return spans

    def _row(self, day: str, book: _Day, index: int) -> RollUp:
        if day == self._hour[0]:
            slot = self._hour[1] % SLOTS
            histogram = self._rtt[index * BUCKETS : (index + 1) * BUCKETS]
            if any(histogram):
                book.p50.hour(slot)[index] = quantile_ms(histogram, 0.5)
                book.p95.hour(slot)[index] = quantile_ms(histogram, 0.95)
        good, bad, upstream, maintenance, unobserved, degraded = (
            _tidy(hours.row(index)) for hours in book.seconds
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
            tuple(book.probes.row(index)),
            tuple(book.p50.row(index)),
            tuple(book.p95.row(index)),
        )


_NONE = (0.0,) * SLOTS


def _tidy(seconds: Sequence[float]) -> tuple[float, ...]:
    """Seconds to the millisecond; most kinds have none."""
    return tuple([int(s * 1000 + 0.5) / 1000 for s in seconds]) if any(seconds) else _NONE


def _runs(pairs: Iterable[tuple[int, int]]) -> _Runs:
    """Pairs (from, to) in ascending order of `from`, neighbours that stay neighbours put together."""
    runs: list[tuple[int, int, int]] = []
    for old, new in pairs:
        if runs and (old, new) == (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]):
            runs[-1] = (runs[-1][0], runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((old, new, 1))
    return runs


def _columns(row: RollUp) -> tuple[tuple[float, ...], ...]:
    return (
        row.good_s,
        row.bad_s,
        row.bad_upstream_s,
        row.maintenance_s,
        row.unobserved_s,
        row.degraded_s,
    )
