"""Compares the blind spots with the truth: a replay by brute force that shares no code with the ledger.

A place is blind while everybody who sees it is down; who sees it comes from the archive (`sight.py`), who was
down from the truth log. A blind spot is right when its camera went down within its bounds, and
everything it says to be lost was out of everybody's sight at some time of it; it is in time when it stood
soon after the cut and after the confirmation. A camera that looks at ground which nobody else sees leaves
a blind spot, listed places or not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from adapters.virtual.compare import DOWN_KINDS, Offence
from adapters.virtual.intervals import Rules, WatchedSpan
from adapters.virtual.model import TruthRow
from adapters.virtual.sight import Viewers
from adapters.virtual.truth import when
from gateway.domain.camera import ChannelId

Span = tuple[datetime, datetime | None]
CUT_CADENCES, CUT_MORE_S = 2, 5.0
"""A blind spot stands so soon after the cut, and is closed so soon after the return (semantics §8)."""
CONFIRMED_S = 1.0
"""... and stands so soon after its outage was confirmed."""
NOBODY: Mapping[str, datetime] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SpotRow:
    """A blind spot as the public API tells it."""

    id: str
    channel: ChannelId
    last_seen_at: datetime | None
    failed_at: datetime
    ended_at: datetime | None
    places: frozenset[str]
    opened_at: datetime | None = None
    outage: str = ""
    joint: frozenset[ChannelId] = frozenset()


@dataclass(frozen=True, slots=True)
class BlindVerdict:
    """How the blind spots fared.

    Attributes:
        late: rows that stood later than they may after the cut or the confirmation.
        ground_due: losses of cameras that alone see some ground; each had to leave a row.
        places_due: blind intervals of listed points that had to be found.
        places_judged / places_unclear: listed points with clear viewers; with a camera in doubt.
    """

    opened: int
    closed: int
    missed: int
    invented: int
    late: int
    ground_due: int
    places_due: int
    places_judged: int
    places_unclear: int
    offences: tuple[Offence, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not (self.missed or self.invented or self.late)


def read_spots(items: Iterable[Mapping[str, Any]]) -> list[SpotRow]:
    """Rows of `/api/v1/coverage/blind-spots`; one read twice while it changed counts once."""
    found = {
        str(item["id"]): SpotRow(
            str(item["id"]),
            ChannelId(item["channel"]),
            None if item["last_seen_at"] is None else when(item["last_seen_at"]),
            when(item["failed_at"]),
            None if item["ended_at"] is None else when(item["ended_at"]),
            frozenset(item["places"]),
            when(item["opened_at"]),
            str(item["outage"]),
            frozenset(ChannelId(one) for one in item["joint"]),
        )
        for item in items
    }
    return list(found.values())


def compare_spots(
    truth: Sequence[TruthRow],
    spots: Sequence[SpotRow],
    seen_by: Mapping[str, Viewers],
    span: WatchedSpan,
    rules: Rules,
    *,
    alone: Callable[[ChannelId], bool] = lambda _channel: False,
    confirmed: Mapping[str, datetime] = NOBODY,
) -> BlindVerdict:
    """Hold the blind spots against the truth.

    Args:
        truth: the district's log.
        spots: what the public API tells.
        seen_by: who sees each listed point.
        span: what was watched.
        rules: the limits.
        alone: a camera sees ground for sure that nobody else may see.
        confirmed: when each outage was confirmed, by its id.
    """
    judge = _Judge(truth, spots, seen_by, span, rules)
    judge.rows()
    judge.in_time(confirmed)
    ground_due = judge.ground(alone)
    due = judge.places()
    clear = sum(viewers.clear for viewers in seen_by.values())
    return BlindVerdict(
        opened=len(spots),
        closed=sum(spot.ended_at is not None for spot in spots),
        missed=judge.missed,
        invented=judge.invented,
        late=judge.late,
        ground_due=ground_due,
        places_due=due,
        places_judged=clear,
        places_unclear=sum(bool(v.maybe) and not v.clear for v in seen_by.values()),
        offences=tuple(judge.offences[:200]),
    )


class _Judge:
    def __init__(
        self,
        truth: Sequence[TruthRow],
        spots: Sequence[SpotRow],
        seen_by: Mapping[str, Viewers],
        span: WatchedSpan,
        rules: Rules,
    ) -> None:
        self.spots, self.seen_by, self.span, self.rules = spots, seen_by, span, rules
        self.slack = timedelta(seconds=rules.tolerance_s)
        self.down: dict[ChannelId, list[Span]] = defaultdict(list)
        self.flappers: set[ChannelId] = set()
        self.blind = [
            (when(row.began), when(row.ended) if row.ended else None)
            for row in truth
            if row.kind == "blind"
        ]
        for row in truth:
            if row.kind in DOWN_KINDS:
                for channel in row.channels:
                    ended = when(row.ended) if row.ended else None
                    self.down[channel].append((when(row.began), ended))
                    if row.kind == "flapping":
                        # Its row stays open over several losses: it counts as down in between.
                        self.flappers.add(channel)
        self.missed = self.invented = self.late = 0
        self.offences: list[Offence] = []

    def _offend(self, what: str, channel: str, kind: str, reason: str, row: str = "") -> None:
        self.offences.append(Offence(what, channel, kind, reason, row))

    def _invent(self, spot: SpotRow, reason: str) -> None:
        self.invented += 1
        self._offend("invented", spot.channel, "blind_spot", reason, spot.id)

    # --- every row must be true

    def rows(self) -> None:
        for spot in self.spots:
            began = [span for span in self.down[spot.channel] if self._within(spot, span[0])]
            if not began:
                self._invent(spot, "its camera did not go down within its bounds")
                continue
            self._end(spot, began[-1])
            for other in sorted(spot.joint):
                if not self._was_down(other, spot.failed_at):
                    self._invent(spot, f"{other} is named as a joint cause and was up")
            for place in sorted(spot.places & self.seen_by.keys()):
                self._lost(spot, place)

    def _within(self, spot: SpotRow, began: datetime) -> bool:
        after = spot.last_seen_at
        return (
            after is None or began >= after - self.slack
        ) and began <= spot.failed_at + self.slack

    def _end(self, spot: SpotRow, span: Span) -> None:
        if spot.channel in self.flappers:
            return
        limit = timedelta(seconds=CUT_CADENCES * self.rules.cadence_s + CUT_MORE_S)
        if spot.ended_at is None:
            if span[1] is not None and span[1] + limit < self.span.ended:
                self._invent(spot, "it stayed open long after its camera was back")
        elif span[1] is None or spot.ended_at < span[1] - self.slack:
            self._invent(spot, "it was closed while its camera was still down")

    def _lost(self, spot: SpotRow, place: str) -> None:
        viewers = self.seen_by[place]
        if spot.channel not in viewers.maybe:
            self._invent(spot, f"{place} was never in sight of this camera")
            return
        until = spot.ended_at or self.span.ended
        for other in viewers.surely - {spot.channel}:
            if other not in self.flappers and not any(
                began <= until + self.slack
                and (ended is None or ended >= spot.failed_at - self.slack)
                for began, ended in self.down[other]
            ):
                self._invent(spot, f"{place} was in sight of {other} all the time")

    def _was_down(self, channel: ChannelId, at: datetime) -> bool:
        return channel in self.flappers or any(
            began <= at + self.slack and (ended is None or ended >= at - self.slack)
            for began, ended in self.down[channel]
        )

    # --- every row must be in time

    def in_time(self, confirmed: Mapping[str, datetime]) -> None:
        """Rows of losses that had begun before the end, but for those that the gateway could not see."""
        for spot in self.spots:
            opened = spot.opened_at
            cuts = [
                began
                for began, _ in self.down[spot.channel]
                if self._within(spot, began) and began >= self.span.began
            ]
            if opened is None or not cuts or spot.channel in self.flappers:
                continue
            known = confirmed.get(spot.outage)
            after_s = 0.0 if known is None else (opened - known).total_seconds()
            if after_s > CONFIRMED_S:
                self._late(spot, f"it stood {after_s:.1f} s after its outage was confirmed")
            limit_s = CUT_CADENCES * self.rules.cadence_s + CUT_MORE_S
            after_s = (opened - max(cuts)).total_seconds()
            if after_s > limit_s and not self._blinded(max(cuts), opened):
                self._late(spot, f"it stood {after_s:.1f} s after the cut")

    def _late(self, spot: SpotRow, reason: str) -> None:
        self.late += 1
        self._offend("late", spot.channel, "blind_spot", reason, spot.id)

    def _blinded(self, since: datetime, until: datetime) -> bool:
        """The gateway itself was blind for some of the time."""
        return any(
            began <= until and (ended is None or ended >= since) for began, ended in self.blind
        )

    # --- every camera that alone saw something must have a row

    def ground(self, alone: Callable[[ChannelId], bool]) -> int:
        due = 0
        for channel in sorted(self.down.keys() - self.flappers):
            cuts = [began for began, ended in self.down[channel] if self._is_due(began, ended)]
            if not cuts or not alone(channel):
                continue
            own = [spot for spot in self.spots if spot.channel == channel]
            for began in cuts:
                due += 1
                if not any(self._within(spot, began) for spot in own):
                    self.missed += 1
                    reason = f"nobody else sees all of its ground, lost at {began:%H:%M:%S}: no row"
                    self._offend("missed", channel, "blind_spot", reason)
        return due

    def _is_due(self, began: datetime, ended: datetime | None) -> bool:
        due = timedelta(seconds=self.rules.due_s)
        return (ended or self.span.ended) - began >= due and self.span.ended - began >= due

    # --- every place that went blind must have a row

    def places(self) -> int:
        by_channel: dict[ChannelId, list[SpotRow]] = defaultdict(list)
        for spot in self.spots:
            by_channel[spot.channel].append(spot)
        due = 0
        for place, viewers in self.seen_by.items():
            if not viewers.clear or viewers.surely & self.flappers:
                continue
            for last, began in self._blind(viewers.surely):
                due += 1
                told = [
                    spot
                    for spot in by_channel[last]
                    if place in spot.places and self._within(spot, began)
                ]
                if len(told) != 1:
                    self.missed += 1
                    reason = f"{place} went out of sight at {began:%H:%M:%S}: {len(told)} rows tell"
                    self._offend("missed", last, "blind_spot", reason)
        return due

    def _blind(self, everybody: frozenset[ChannelId]) -> Iterable[tuple[ChannelId, datetime]]:
        """Whose loss blinded a place that all of these see, and when; only what is due."""
        for last in sorted(everybody):
            for began, ended in self.down[last]:
                others = [self._down_at(other, began) for other in everybody - {last}]
                if any(other is None for other in others):
                    continue
                ends = [e for e in (ended, *(o[1] for o in others if o)) if e is not None]
                until = min(ends, default=self.span.ended)
                if self._is_due(began, until):
                    yield last, began

    def _down_at(self, channel: ChannelId, at: datetime) -> Span | None:
        """The interval in which a camera was down, since before some time."""
        for began, ended in self.down[channel]:
            if began < at and (ended is None or ended > at):
                return began, ended
        return None
