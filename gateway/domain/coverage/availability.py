"""Coverage availability (覆盖可用率): weighted place-hours seen of those due, from the interval rows."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from gateway.domain.coverage.rows import PlaceInterval, PlaceState

Span = tuple[datetime, datetime]
LOST = frozenset({PlaceState.BLIND, PlaceState.PARTLY})
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Availability:
    """Weighted place-hours of a window.

    Attributes:
        whole: weight that some view reaches by design, times the hours of the window.
        unknown: of those nobody could watch: in no denominator.
        due: the rest.
        lost: blind, by the times that were seen; `lost_least` / `lost_most` by the bounds of the rows.
        unverified: seen, but not surely as the archive says.
    """

    whole: float
    unknown: float
    due: float
    lost: float
    lost_least: float
    lost_most: float
    unverified: float

    def share(self, lost: float) -> float | None:
        """Seen of due; None where nothing was due."""
        return max(0.0, self.due - lost - self.unverified) / self.due if self.due > 0 else None


class AvailabilitySums:
    """Adds up the rows of a window, however many portions they come in.

    Args:
        gaps: when the gateway itself did not watch: everything is unknown then.
        window: from, to.
        weights: what some view reaches by design, each from a time on until the next, in order.
            Before the first one nothing was counted, and nothing was due.
    """

    def __init__(
        self, gaps: Iterable[Span], window: Span, weights: Sequence[tuple[datetime, float]]
    ) -> None:
        self._spans = [
            (clipped((begin, end), window), weight)
            for (begin, weight), (end, _) in pairwise([*weights, (window[1], 0.0)])
        ]
        self._window = max(window[0], weights[0][0] if weights else window[1]), window[1]
        self._blind = merged(clipped(span, self._window) for span in gaps)
        self._ends = [end for _, end in self._blind]
        self._sums = dict.fromkeys(("lost", "least", "most", "unknown", "unverified"), 0.0)

    def add(self, rows: Iterable[PlaceInterval]) -> None:
        """Take rows that overlap the window; open ones last until its end."""
        for row in rows:
            end = row.ended_at or self._window[1]
            if row.state in LOST:
                self._add("lost", row, row.started_at, end)
                self._add("least", row, row.started_at, row.before_at or end)
                self._add("most", row, row.after_at or row.started_at, end)
            elif row.state is PlaceState.UNKNOWN:
                self._add("unknown", row, row.started_at, end)
            else:
                self._add("unverified", row, row.started_at, end)

    def result(self) -> Availability:
        """The place-hours of what was added."""
        sums = self._sums
        whole = sum(weight * _length_s(span) for span, weight in self._spans) / HOUR_S
        hidden = sum(
            weight * (_length_s(span) - self._watched_s(span)) for span, weight in self._spans
        )
        unknown = sums["unknown"] + hidden / HOUR_S
        return Availability(
            whole,
            unknown,
            whole - unknown,
            sums["lost"],
            sums["least"],
            sums["most"],
            sums["unverified"],
        )

    def _add(self, name: str, row: PlaceInterval, begin: datetime, end: datetime) -> None:
        seconds = self._watched_s(clipped((begin, end), self._window))
        self._sums[name] += row.weight_lost * seconds / HOUR_S

    def _watched_s(self, span: Span) -> float:
        """Of a span, the seconds outside the gaps; only those gaps are looked at that touch it."""
        hidden_s = 0.0
        for n in range(bisect_right(self._ends, span[0]), len(self._blind)):
            if self._blind[n][0] >= span[1]:
                break
            hidden_s += _length_s(clipped(self._blind[n], span))
        return _length_s(span) - hidden_s


def clipped(span: Span, window: Span) -> Span:
    """The part of a span within a window; empty spans end where they begin."""
    begin = max(span[0], window[0])
    return begin, max(begin, min(span[1], window[1]))


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans that do not overlap, in order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found


def _length_s(span: Span) -> float:
    return max(0.0, (span[1] - span[0]).total_seconds())


@dataclass(frozen=True, slots=True)
class PastPlace:
    """How one place was seen at a past moment: weight by state, what is not told was seen."""

    lost: float = 0.0
    unknown: float = 0.0
    unverified: float = 0.0


def at_moment(intervals: Iterable[PlaceInterval], at: datetime) -> dict[str, PastPlace]:
    """The places that were not well seen at a moment, by the backdated bounds of the rows."""
    found: dict[str, list[float]] = {}
    for row in intervals:
        if row.started_at <= at and (row.ended_at is None or at < row.ended_at):
            held = found.setdefault(row.place, [0.0, 0.0, 0.0])
            kind = 0 if row.state in LOST else 1 if row.state is PlaceState.UNKNOWN else 2
            held[kind] += row.weight_lost
    return {place: PastPlace(*parts) for place, parts in found.items()}
