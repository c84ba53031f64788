"""Stretches of time over which a part of a place was not well seen, with honest bounds."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b

import numpy as np

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.counters import Counters, Seen
from gateway.domain.coverage.groups import Groups
from gateway.domain.coverage.model import CoverageModel, Floats, Ints
from gateway.domain.coverage.rows import PlaceInterval, PlaceState
from gateway.domain.coverage.sight import Bounds, latest

CADENCES = 3
"""What was not watched for less long than so many cadences belongs to what was known before (§6)."""
CADENCE_S = 30.0
"""Where none is told."""


class Intervals:
    """The open rows. Each is for the points of one place that the same cameras see (a group).

    While the gateway itself does not watch, and for three cadences after, a group that became unknown
    keeps its row: that hole is one gateway-gap row, not one a place.

    Attributes:
        open: group -> its open row.
        written: (groups,) the class that the rows say, `Seen.WELL` or `Seen.NEVER` = no row.
        patience_s: (groups,) how long each may be unknown without a row of its own.
        counted_from: when the import began to count: the time before it belongs to the rows of the
            archive before, which other cameras may have seen otherwise. None = no such bound.
    """

    def __init__(self, model: CoverageModel, groups: Groups, counters: Counters) -> None:
        self.model, self.groups, self.counters = model, groups, counters
        self.open: dict[int, PlaceInterval] = {}
        self.written = np.full(len(groups), Seen.WELL, np.int8)
        self.patience_s: Floats = np.full(len(groups), CADENCES * CADENCE_S)
        self.counted_from: datetime | None = None
        self._pending_since = np.full(len(groups), np.inf)
        reachable = np.diff(groups.seers.start) > 0
        self._parts = np.bincount(groups.place[reachable], minlength=len(model.places))

    def change(
        self, which: Ints, left: Sequence[Sequence[Bounds]], changed: dict[int, Bounds]
    ) -> Iterable[PlaceInterval]:
        """Some groups are seen in another way.

        Args:
            which: the groups.
            left: for each camera and class, when its view last became worse than that class.
            changed: the cameras that just changed.
        """
        now = self.counters.seen[which]
        unknown = which[now == Seen.UNKNOWN]
        if len(unknown):
            moment = max(bounds.at for bounds in changed.values()).timestamp()
            fresh = unknown[np.isinf(self._pending_since[unknown])]
            self._pending_since[fresh] = moment
        known = which[now != Seen.UNKNOWN]
        self._pending_since[known] = np.inf
        moved = known[self.counters.seen[known] != self.written[known]]
        for g in moved.tolist():
            seers = self.groups.seers.of(g).tolist()
            if self.counters.seen[g] > self.written[g]:
                better = int(self.counters.seen[g]) - 1
                bounds = last_of(left[c][better] for c in seers)
            else:
                best = [c for c in seers if c in changed and self._as_good(c, g)]
                bounds = min((changed[c] for c in best), key=lambda b: b.at)
            yield from self._turn(g, Seen(self.counters.seen[g]), bounds)

    def _as_good(self, camera: int, g: int) -> bool:
        return bool(self.counters.view[camera] <= self.counters.seen[g])

    def settle(self, at: datetime, left: Sequence[Sequence[Bounds]]) -> Iterable[PlaceInterval]:
        """Write what has been unknown for long. Not to be called while the gateway is blind."""
        due = self._pending_since <= at.timestamp() - self.patience_s
        due &= self.written != Seen.UNKNOWN
        for g in np.flatnonzero(due).tolist():
            bounds = last_of(left[c][Seen.UNVERIFIED] for c in self.groups.seers.of(g).tolist())
            since = datetime.fromtimestamp(self._pending_since[g], at.tzinfo)
            yield from self._turn(g, Seen.UNKNOWN, bounds.not_before(Bounds(None, since)))

    def pace(self, cadence_s: Floats) -> None:
        """Cameras are asked so often, (cameras,); a group waits for the slowest that sees it."""
        seers = self.groups.seers
        slowest: Floats = np.zeros(len(self.groups))
        group = np.repeat(np.arange(len(self.groups)), np.diff(seers.start))
        np.maximum.at(slowest, group, cadence_s[seers.index])
        self.patience_s = CADENCES * slowest

    def watched_again(self, at: datetime) -> None:
        """A gateway gap ended: what is unknown still counts from here on as its own."""
        waiting = np.isfinite(self._pending_since)
        moment = at.timestamp()
        self._pending_since[waiting] = np.maximum(self._pending_since[waiting], moment)

    def _turn(self, g: int, now: Seen, bounds: Bounds) -> Iterable[PlaceInterval]:
        row = self.open.pop(g, None)
        if row is not None:
            bounds = bounds.not_before(Bounds(row.after_at, row.started_at))
            yield closed(row, bounds)
        self.written[g] = now
        if now in {Seen.WELL, Seen.NEVER}:
            return
        self.open[g] = self._row(g, now, bounds)
        yield self.open[g]

    def _row(self, g: int, seen: Seen, bounds: Bounds) -> PlaceInterval:
        bounds = self._counted(bounds)
        place = self.model.places[self.groups.place[g]]
        causes = self.causes(g)
        state = self._state(g, seen)
        text = f"{place}/{state}/{bounds.at.isoformat()}/{'/'.join(causes)}"
        return PlaceInterval(
            id=blake2b(text.encode(), digest_size=10).hexdigest(),
            place=place,
            state=state,
            weight_lost=float(self.groups.weight[g]),
            causes=causes,
            after_at=bounds.after_at,
            started_at=bounds.at,
        )

    def _counted(self, bounds: Bounds) -> Bounds:
        first = self.counted_from
        if first is None or (bounds.at > first and (bounds.after_at or first) >= first):
            return bounds
        return Bounds(first, max(bounds.at, first))

    def causes(self, g: int) -> tuple[ChannelId, ...]:
        """The cameras that are jointly responsible for a group: all that see it."""
        return tuple(self.model.channels[c] for c in self.groups.seers.of(g).tolist())

    def _state(self, g: int, seen: Seen) -> PlaceState:
        if seen is Seen.BLIND:
            whole = self._parts[self.groups.place[g]] == 1
            return PlaceState.BLIND if whole else PlaceState.PARTLY
        return PlaceState.UNKNOWN if seen is Seen.UNKNOWN else PlaceState.UNVERIFIED

    def adopt(self, g: int, row: PlaceInterval) -> None:
        """Take over a row that the store says is open."""
        self.open[g] = row
        self.written[g] = CLASS_OF_ROW[row.state]

    def renew(self, g: int, bounds: Bounds) -> PlaceInterval:
        """A row of its own from a moment on, for a group that stays as it is seen."""
        seen = Seen(int(self.counters.seen[g]))
        self.open[g], self.written[g] = self._row(g, seen, bounds), seen
        return self.open[g]


CLASS_OF_ROW = {
    PlaceState.BLIND: Seen.BLIND,
    PlaceState.PARTLY: Seen.BLIND,
    PlaceState.UNKNOWN: Seen.UNKNOWN,
    PlaceState.UNVERIFIED: Seen.UNVERIFIED,
}


def last_of(moments: Iterable[Bounds]) -> Bounds:
    """When the last of several things had happened."""
    held = list(moments)
    at = max(bounds.at for bounds in held)
    return Bounds(latest(*(bounds.after_at for bounds in held), most=at), at)


def closed(row: PlaceInterval, bounds: Bounds) -> PlaceInterval:
    """A row that ended."""
    before = bounds.after_at if bounds.after_at is not None else row.started_at
    return replace(row, before_at=min(before, bounds.at), ended_at=bounds.at)
