"""Compares the ledger with the truth, by the rules of semantics §10 and nothing of the judge's code.

Pure: truth rows and ledger rows in, a verdict with every offending row and its reason out.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from adapters.virtual.incidents import IncidentFinding, check_incidents
from adapters.virtual.intervals import (
    OUTAGE,
    STANDING,
    TAKEOVER,
    Interval,
    Rules,
    WatchedSpan,
    Weight,
    intervals,
)
from adapters.virtual.model import TruthRow
from adapters.virtual.rows import LedgerRows
from adapters.virtual.truth import when
from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Fault, GapReason, Outage

DOWN_KINDS: Final = frozenset({"outage", "uplink", "switch", "flapping", TAKEOVER})
NEVER_WELL: Final = frozenset({TAKEOVER, STANDING})
"""What was so before anybody watched: a row each, no incident, no alert."""
SIGNED_CAUSES: Final = frozenset({"auth", "locked_out", "wrong_device"})
_MOST_LISTED: Final = 200

Row = Outage[datetime] | Fault[datetime]


@dataclass(frozen=True, slots=True)
class Offence:
    """Something that is not as it should be, for people to look at."""

    what: str
    """`missed`, `invented`, `bounds`, `width`, `gap` or `incident`."""
    channel: str
    kind: str
    reason: str
    row: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict."""

    missed: int
    invented: int
    worst_bound_error_s: float
    too_wide: int
    detection_p50_s: float | None
    detection_p99_s: float | None
    detections: int
    untouched: int
    untouched_without_rows: int
    unknown_seconds_outside_blindness: float
    blindness_seen: bool | None
    """Whether a gateway gap covers part of the scripted blindness; None: none was scripted."""
    incidents: tuple[IncidentFinding, ...]
    by_kind: Mapping[str, Mapping[str, int]]
    """Kind of truth -> due, found, optional, optional_found, forbidden."""
    offences: tuple[Offence, ...] = field(repr=False)
    ok: bool = False


def _outside(at: datetime, after: datetime | None, until: datetime | None) -> float:
    """Seconds by which `at` lies outside (after, until]."""
    early = (after - at).total_seconds() if after else 0.0
    late = (at - until).total_seconds() if until else 0.0
    return max(0.0, early, late)


def _start_error(row: Row, interval: Interval) -> float:
    return _outside(interval.began, row.last_seen_at, row.failed_at)


def _end_error(row: Row, interval: Interval, span: WatchedSpan) -> float:
    """Of a row against an interval; one that has not ended ends after everything."""
    if interval.ended is None:
        return 0.0 if row.ended_at is None else (span.ended - row.ended_at).total_seconds()
    return _outside(interval.ended, row.last_failed_at, row.ended_at)


class _Comparer:
    """One comparison in the making."""

    def __init__(
        self, truth: Sequence[TruthRow], rows: LedgerRows, span: WatchedSpan, rules: Rules
    ) -> None:
        self.truth = truth
        self.rows = rows
        self.span = span
        self.rules = rules
        self.blind = [
            (when(t.began), when(t.ended) if t.ended else span.ended)
            for t in truth
            if t.kind == "blind"
        ]
        self.intervals = intervals(truth, span, rules)
        self.by_channel: dict[tuple[ChannelId, str], list[Interval]] = defaultdict(list)
        for interval in self.intervals:
            self.by_channel[interval.channel, interval.kind].append(interval)
        self.found: dict[int, list[Row]] = defaultdict(list)
        self.offences: list[Offence] = []
        self.invented = self.missed = self.too_wide = 0
        self.worst = 0.0

    def _offend(self, what: str, channel: str, kind: str, reason: str, row: str = "") -> None:
        self.offences.append(Offence(what, channel, kind, reason, row))

    # --- rows
    def judge_rows(self) -> None:
        for outage in self.rows.outages:
            self._judge(outage, OUTAGE)
        for fault in self.rows.faults:
            self._judge(fault, str(fault.cause))

    def _judge(self, row: Row, kind: str) -> None:
        """Give a row to the interval that it tells of, or count it as invented."""
        candidates = self.by_channel.get((row.channel, kind), [])
        during = any(began <= row.failed_at <= ended for began, ended in self.blind)
        near = min(candidates, key=lambda i: _start_error(row, i), default=None)
        if near is None:
            reason = "during the blindness" if during else "nothing was wrong with this channel"
        elif _start_error(row, near) > self.rules.tolerance_s:
            off = _start_error(row, near)
            reason = f"nothing began in its bounds (the nearest is {off:.1f} s outside)"
        elif near.weight is Weight.FORBIDDEN:
            reason = "a dip is no outage"
        elif during:
            reason = "during the blindness"
        else:
            self._bounds(row, kind, near)
            return
        self.invented += 1
        self._offend("invented", row.channel, kind, reason, row.id)

    def _bounds(self, row: Row, kind: str, interval: Interval) -> None:
        last = interval
        if isinstance(row, Outage) and row.flapping:
            # One flapping row stays open over several losses: it ends with the last of them.
            later = (i for i in self.by_channel[row.channel, kind] if i.began >= interval.began)
            last = min(later, key=lambda i: _end_error(row, i, self.span))
        end_error = _end_error(row, last, self.span)
        if end_error > self.rules.tolerance_s and last.ended is None:
            self.invented += 1
            self._offend("invented", row.channel, kind, "closed while it was still so", row.id)
            return
        for covered in self.by_channel[row.channel, kind]:
            if interval.began <= covered.began <= last.began:
                self.found[id(covered)].append(row)
        if interval.source.kind in NEVER_WELL:
            self._never_well(row, kind)
        error = max(_start_error(row, interval), end_error)
        self.worst = max(self.worst, error)
        if error > self.rules.tolerance_s:
            self._offend("bounds", row.channel, kind, f"{error:.1f} s outside its bounds", row.id)
        self._widths(row, kind, last)

    def _never_well(self, row: Row, kind: str) -> None:
        """Its row says that it was never seen good, and that it is nobody's work yet."""
        if row.last_seen_at is not None:
            reason = f"it was never well, and the row saw it so at {row.last_seen_at}"
        elif isinstance(row, Outage) and (not row.takeover or row.incident is not None):
            reason = f"takeover {row.takeover}, incident {row.incident}: it belongs to the list"
        else:
            return
        self.invented += 1
        self._offend("invented", row.channel, kind, reason, row.id)

    def takeover_incidents(self) -> None:
        """No incident may be about what was never well."""
        old = {i.channel for i in self.intervals if i.source.kind in NEVER_WELL}
        devices = {str(t.device) for t in self.truth if t.kind in NEVER_WELL}
        for incident in self.rows.incidents:
            if incident.root in old | devices:
                self.invented += 1
                reason = "an incident about what was never well"
                self._offend("invented", incident.root, "incident", reason, incident.id)

    def _widths(self, row: Row, kind: str, last: Interval) -> None:
        signed = kind in SIGNED_CAUSES
        cadence = self.rules.signed_cadence_s if signed else self.rules.cadence_s
        most = cadence + self.rules.width_slack_s
        widths = {}
        if last.source.kind in NEVER_WELL:
            pass  # its start has no lower bound: it is older than the watch
        elif row.last_seen_at is None:
            # Never tested before: honest only while the first test of its step was not yet due.
            watched = (row.failed_at - self.span.began).total_seconds()
            widths["start"] = watched if signed else float("inf")
        else:
            widths["start"] = (row.failed_at - row.last_seen_at).total_seconds()
        if row.ended_at is not None or last.ended is not None:
            widths["end"] = ((row.ended_at or self.span.ended) - row.last_failed_at).total_seconds()
        spans = {
            "start": (row.last_seen_at or self.span.began, row.failed_at),
            "end": (row.last_failed_at, row.ended_at or self.span.ended),
        }
        for side, width in widths.items():
            allowed = most + self._stalled_s(*spans[side]) + self._blinded_s(*spans[side])
            if width > allowed:
                self.too_wide += 1
                reason = f"its {side} is known to {width:.1f} s only, {allowed:.1f} s allowed"
                self._offend("width", row.channel, kind, reason, row.id)

    def _blinded_s(self, began: datetime, ended: datetime) -> float:
        """What the scripted blindness may add to a width: no check could see anything meanwhile."""
        slack_s = self.rules.blind_slack_s
        return sum(
            (min(last, ended) - max(first, began)).total_seconds() + slack_s
            for first, last in self.blind
            if first < ended and last > began
        )

    def _stalled_s(self, began: datetime, ended: datetime) -> float:
        """What stalls that the gateway itself recorded within some time may add to a width."""
        return sum(
            (min(gap.ended_at, ended) - max(gap.started_at, began)).total_seconds()
            + self.rules.voided_s
            for gap in self.rows.gaps
            if gap.reason is GapReason.STALLED
            and gap.ended_at is not None
            and gap.started_at < ended
            and gap.ended_at > began
        )

    # --- intervals
    def judge_intervals(self) -> dict[str, dict[str, int]]:
        """Count what was due, and what of it has exactly one row."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for interval in self.intervals:
            source = interval.source
            name = f"fault_{source.cause}" if source.kind == "fault" else source.kind
            rows = self.found[id(interval)]
            counts[name][interval.weight] += 1
            if interval.weight is not Weight.DUE:
                counts[name]["optional_found"] += bool(rows)
            elif len(rows) == 1:
                counts[name]["found"] += 1
            else:
                self.missed += 1
                told = f"{len(rows)} rows" if rows else "no row"
                reason = f"{told} for what began {source.began} ({source.cause})"
                self._offend("missed", interval.channel, interval.kind, reason)
        self._flappers()
        return {name: dict(count) for name, count in sorted(counts.items())}

    def _flappers(self) -> None:
        """Who was lost twice and more must have a row that says so, once the last loss was due."""
        losses: dict[ChannelId, list[Interval]] = defaultdict(list)
        for interval in self.intervals:
            if interval.source.kind == "flapping":
                losses[interval.channel].append(interval)
        told = {row.channel for row in self.rows.outages if row.flapping}
        for channel, lost in losses.items():
            enough = len(lost) > 1 and lost[-1].weight is Weight.DUE
            if enough and channel not in told:
                self.missed += 1
                reason = "lost again and again, and no row says flapping"
                self._offend("missed", channel, "flapping", reason)

    def detections(self) -> list[float]:
        """Seconds from death to confirmed, of the single deaths that were due."""
        return sorted(
            (rows[0].confirmed_at - interval.began).total_seconds()
            for interval in self.intervals
            if interval.source.kind == OUTAGE and interval.weight is Weight.DUE
            if len(rows := self.found[id(interval)]) == 1
        )

    def untouched(self) -> tuple[int, int]:
        """Channels that the script left alone, and those of them without any row."""
        touched = {interval.channel for interval in self.intervals}
        alone = self.span.channels - touched
        rows: list[Row] = [*self.rows.outages, *self.rows.faults]
        return len(alone), len(alone - {row.channel for row in rows})

    # --- the gateway itself
    def unknown_outside(self) -> float:
        """Seconds of gateway gaps within the span that the scripted blindness does not explain."""
        slack = timedelta(seconds=self.rules.blind_slack_s)
        total = 0.0
        for gap in self.rows.gaps:
            if gap.reason is GapReason.STALLED:
                continue  # it voids checks, but no second of any channel becomes unknown
            began = max(gap.started_at, self.span.began)
            ended = min(gap.ended_at or self.span.ended, self.span.ended)
            seconds = max(0.0, (ended - began).total_seconds())
            for first, last in self.blind:
                inside = (min(ended, last + slack) - max(began, first - slack)).total_seconds()
                seconds -= max(0.0, inside)
            if seconds > 0:
                total += seconds
                reason = f"{seconds:.1f} s outside the scripted blindness"
                self._offend("gap", "", str(gap.reason), reason, gap.id)
        return total

    def blindness_seen(self) -> bool | None:
        """Whether any gap overlaps each scripted blindness."""
        if not self.blind:
            return None
        return all(
            any(
                gap.started_at <= ended and (gap.ended_at or self.span.ended) >= began
                for gap in self.rows.gaps
                if gap.reason is not GapReason.STALLED
            )
            for began, ended in self.blind
        )

    def incidents(self) -> tuple[IncidentFinding, ...]:
        if not self.rules.single_cause_incidents:
            return ()
        due = {id(i.source) for i in self.intervals if i.weight is Weight.DUE}
        findings = check_incidents([t for t in self.truth if id(t) in due], self.rows)
        for finding in findings:
            for problem in finding.problems:
                self._offend("incident", "", finding.kind, problem, finding.incident)
        return findings


def percentile(values: Sequence[float], share: float) -> float | None:
    """Nearest-rank percentile of sorted values; None when there are none."""
    return values[max(0, ceil(share * len(values)) - 1)] if values else None


def compare(
    truth: Sequence[TruthRow], rows: LedgerRows, span: WatchedSpan, rules: Rules | None = None
) -> Comparison:
    """Hold a ledger against the truth.

    Args:
        truth: of the script, from `truth.read_truth`.
        rows: all rows of the ledger, from `ledger_api.load_rows`.
        span: from when to when, and who is watched.
        rules: the limits.
    """
    rules = rules or Rules()
    comparer = _Comparer(truth, rows, span, rules)
    comparer.judge_rows()
    comparer.takeover_incidents()
    by_kind = comparer.judge_intervals()
    detections = comparer.detections()
    untouched, quiet = comparer.untouched()
    unknown = comparer.unknown_outside()
    incidents = comparer.incidents()
    good = (
        comparer.missed == comparer.invented == comparer.too_wide == 0
        and comparer.worst <= rules.tolerance_s
        and quiet == untouched >= rules.untouched
        and unknown == 0
        and not any(finding.problems for finding in incidents)
    )
    return Comparison(
        missed=comparer.missed,
        invented=comparer.invented,
        worst_bound_error_s=round(comparer.worst, 3),
        too_wide=comparer.too_wide,
        detection_p50_s=percentile(detections, 0.5),
        detection_p99_s=percentile(detections, 0.99),
        detections=len(detections),
        untouched=untouched,
        untouched_without_rows=quiet,
        unknown_seconds_outside_blindness=round(unknown, 3),
        blindness_seen=comparer.blindness_seen(),
        incidents=incidents,
        by_kind=by_kind,
        offences=tuple(comparer.offences[:_MOST_LISTED]),
        ok=good,
    )
