"""Holds the ledger against what truly happened while things went wrong.

`adapters.virtual.compare` is the judge of the demo, where the gateway runs without a break. Here it is
killed and cut off, so bounds may be wide, but they must still be true, and nothing may be doubled.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from fakes.district import Cut

from adapters.virtual.rows import LedgerRows
from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Outage

Span = tuple[datetime, datetime]
SLACK = timedelta(seconds=1)
FAR = timedelta(days=3650)


@dataclass(frozen=True)
class Watched:
    """What the ledger owes.

    Attributes:
        spans: while the gateway ran and saw; one stretch for each run.
        due_s: a cut of at least this length inside one span must be found.
        shaky: channels behind links that stall and reset by chance: one of their checks may fail
            while they are well, so nothing is said about when exactly they came back.
    """

    spans: Sequence[Span]
    due_s: float
    shaky: AbstractSet[ChannelId] = frozenset()

    def owes(self, cut: Cut) -> bool:
        """Whether a cut must have a row."""
        end = cut.ended or datetime.max.replace(tzinfo=cut.began.tzinfo)
        lengths = (min(end, last) - max(cut.began, first) for first, last in self.spans)
        return any(length.total_seconds() >= self.due_s for length in lengths)


def lies(rows: LedgerRows, cuts: Iterable[Cut], since: datetime, watched: Watched) -> list[str]:
    """Everything in the ledger since then that is not so, missing or there twice."""
    by_channel: dict[ChannelId, list[Outage[datetime]]] = defaultdict(list)
    for row in rows.outages:
        if row.ended_at is None or row.ended_at >= since:
            by_channel[row.channel].append(row)
    by_cut: dict[ChannelId, list[Cut]] = defaultdict(list)
    for cut in cuts:
        if cut.ended is None or cut.ended >= since:
            for channel in cut.channels:
                by_cut[channel].append(cut)
    found: list[str] = []
    for channel in sorted({*by_channel, *by_cut}):
        told = sorted(by_channel[channel], key=lambda row: row.failed_at)
        whole = channel not in watched.shaky
        found += [f"{channel}: {lie}" for row in told for lie in _impossible(row, whole=whole)]
        found += [f"{channel}: {lie}" for lie in _overlaps(told)]
        found += [f"{channel}: {lie}" for lie in _matches(told, by_cut[channel], watched)]
    return found


def _impossible(row: Outage[datetime], *, whole: bool) -> Iterable[str]:
    """What no row may say, whatever happened."""
    if row.last_seen_at is not None and row.last_seen_at > row.failed_at:
        yield f"{row.id} failed before it was last seen"
    if row.confirmed_at < row.failed_at:
        yield f"{row.id} was confirmed before it failed"
    if min(row.bad_s, row.unobserved_s) < 0:
        yield f"{row.id} has negative seconds"
    if row.ended_at is not None:
        length = (row.ended_at - row.failed_at).total_seconds()
        if length < 0:
            yield f"{row.id} ended before it failed"
        if whole and abs(row.bad_s + row.unobserved_s - length) > 0.5:
            yield f"{row.id}: {row.bad_s} bad + {row.unobserved_s} unobserved of {length} s"
        if row.last_failed_at > row.ended_at:
            yield f"{row.id} failed after its end"


def _overlaps(told: Sequence[Outage[datetime]]) -> Iterable[str]:
    for first, second in pairwise(told):
        if first.ended_at is None or first.ended_at > second.failed_at:
            yield f"doubled: {first.id} and {second.id}"


def _matches(
    told: Sequence[Outage[datetime]], cuts: Sequence[Cut], watched: Watched
) -> Iterable[str]:
    left = list(told)
    for cut in cuts:
        rows = [row for row in told if _began_in(row, cut)]
        left = [row for row in left if row not in rows]
        if len(rows) > 1:
            yield f"doubled: {len(rows)} rows for {cut}"
        if not rows and watched.owes(cut):
            yield f"missed: {cut}; there is {told}"
        for row in rows:
            yield from _end_lies(row, cut, exactly=row.channel not in watched.shaky)
    for row in left:
        yield f"invented: {row}; there was {cuts}"


def _began_in(row: Outage[datetime], cut: Cut) -> bool:
    after = row.last_seen_at or row.failed_at - FAR
    return after - SLACK <= cut.began <= row.failed_at + SLACK


def _end_lies(row: Outage[datetime], cut: Cut, *, exactly: bool) -> Iterable[str]:
    if cut.ended is None:
        if row.ended_at is not None:
            yield f"closed while it was still so: {row}"
    elif row.ended_at is None:
        yield f"still open: {row} for {cut}"
    elif cut.ended > row.ended_at + SLACK or (exactly and cut.ended < row.last_failed_at - SLACK):
        yield f"ended at {cut.ended}, outside ({row.last_failed_at}, {row.ended_at}]"
