"""Count everything again from scratch, and say how the running state differs: it must not.

What is compared is copied first (`snapshot`, some milliseconds for a district), so that the state may move
on while it is counted, which takes seconds where half of a fleet is down.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.counters import CLASS_OF, Seen
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.model import CoverageModel, Ints, Shape
from gateway.domain.coverage.rows import BlindSpot, PlaceInterval
from gateway.domain.coverage.sight import Sight
from gateway.domain.ledger import State

AREA_LIMIT_M2 = 1.0
WEIGHT_LIMIT = 1e-6


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the running state is from a count from scratch.

    Attributes:
        points: sample points whose count of any class is wrong.
        places: places whose state is wrong.
        rows: open blind-spot rows that should not be, or that miss.
        area_m2: of the lost area that stands in no row, or wrongly in one, or in two.
        weight: weight lost by the counters less the weight of the rows.
        views: cameras whose view is another one than the judge's present says.
        stored: open rows that the store has otherwise than the running state, or not at all; None = the
            store did not answer.
    """

    points: int = 0
    places: int = 0
    rows: int = 0
    area_m2: float = 0.0
    weight: float = 0.0
    views: int = 0
    stored: int | None = 0

    def __bool__(self) -> bool:
        """True when there is one."""
        wrong = bool(self.points or self.places or self.rows or self.views or self.stored)
        return wrong or abs(self.weight) > WEIGHT_LIMIT or self.area_m2 >= AREA_LIMIT_M2


@dataclass(frozen=True)
class Snapshot:
    """The running state at one moment: copies, beside what only an import changes.

    Attributes:
        view / down: (cameras,) as in `Counters`.
        counts: (points, 4) views on each point by class.
        parts: (places, 5) whether some part of a place is of a class.
        order: cameras that are lost.
        shape: lost camera -> its piece.
        weight: lost camera -> weight of the groups it holds.
        open / intervals: the open rows.
    """

    model: CoverageModel
    view: NDArray[np.int8]
    down: NDArray[np.bool_]
    counts: Ints
    parts: NDArray[np.bool_]
    order: frozenset[int]
    shape: Mapping[int, Shape]
    weight: Mapping[int, float]
    open: Mapping[int, BlindSpot]
    intervals: tuple[PlaceInterval, ...]


def snapshot(state: CoverageState) -> Snapshot:
    """Copy what a recount compares; by the owner of the state."""
    counters, groups = state.counters, state.groups
    # GEOS keeps the bounds of a shape within it, once asked: later, two threads would write them.
    for shapes in (state.model.views, np.array(list(state.pieces.shape.values()), object)):
        shapely.bounds(shapes)
    return Snapshot(
        state.model,
        counters.view.copy(),
        counters.down.copy(),
        counters.counts[groups.of_point],
        counters.by_place > 0,
        frozenset(state.pieces.order),
        dict(state.pieces.shape),
        {c: float(groups.weight[sorted(held)].sum()) for c, held in state.owned.items() if held},
        dict(state.open),
        tuple(state.intervals.open.values()),
    )


def recount(held: Snapshot) -> Difference:
    """Count from the views alone: nothing of the running counters, groups or pieces is used."""
    model = held.model
    points = np.repeat(np.arange(len(model.point_place)), np.diff(model.seen_by.start))
    counted = np.zeros((len(model.point_place), 4), np.int64)
    np.add.at(counted, (points, held.view[model.seen_by.index]), 1)
    seen = np.where(counted.any(axis=1), (counted > 0).argmax(axis=1), Seen.NEVER)
    parts = np.zeros((len(model.places), len(Seen)), np.bool_)
    parts[model.point_place, seen] = True
    standing = np.zeros(len(model.point_place), np.int64)
    np.add.at(standing, points, ~held.down[model.seen_by.index])
    lost = (np.diff(model.seen_by.start) > 0) & (standing == 0)
    rows = sum(held.weight.get(camera, 0.0) for camera in held.open)
    expected = {c for c in held.order if c in held.shape or c in held.weight}
    return Difference(
        int((counted != held.counts).any(axis=1).sum()),
        int((parts != held.parts).any(axis=1).sum()),
        len(expected.symmetric_difference(held.open)),
        _area_wrong(held),
        float(model.point_weight[lost].sum() - rows),
    )


def lost_area(model: CoverageModel, down: NDArray[np.bool_]) -> Shape:
    """The lost area as one shape: all lost views less all that stand around them."""
    lost = np.flatnonzero(down)
    around = Counter(n for c in lost.tolist() for n in model.neighbours.of(c).tolist())
    standing = [n for n in around if not down[n]]
    return shapely.difference(
        shapely.union_all(model.views[lost]), shapely.union_all(model.views[standing])
    )


def _area_wrong(held: Snapshot) -> float:
    pieces = list(held.shape.values())
    union = shapely.union_all(pieces)
    doubled = abs(sum(piece.area for piece in pieces) - union.area)
    apart = shapely.symmetric_difference(union, lost_area(held.model, held.down)).area
    return float(doubled + apart)


# --- beside what others hold


def views_apart(held: Snapshot, present: Mapping[ChannelId, Sight]) -> set[ChannelId]:
    """Cameras whose view is not what the present of the judge makes of it."""
    view, down = held.view.tolist(), held.down.tolist()
    found: set[ChannelId] = set()
    for c, channel in enumerate(held.model.channels):
        sight = present.get(channel)
        if sight is None or sight.state is State.DECOMMISSIONED:
            continue  # an import took it away: so will the next model
        if CLASS_OF[sight.view] != view[c] or (sight.cause(channel) is not None) is not down[c]:
            found.add(channel)
    return found


def rows_apart(
    held: Snapshot,
    spots: Iterable[BlindSpot],
    intervals: Iterable[PlaceInterval],
    moved: AbstractSet[str],
) -> int:
    """How many open rows the store has otherwise.

    Args:
        held: the running state.
        spots: those that are open, as stored.
        intervals: the same.
        moved: ids of rows that changed since the snapshot: they are left out.
    """
    running, stored = _told(held.open.values(), held.intervals), _told(spots, intervals)
    found = (running.keys() | stored.keys()) - moved
    return sum(running.get(row) != stored.get(row) for row in found)


def _told(
    spots: Iterable[BlindSpot], intervals: Iterable[PlaceInterval]
) -> dict[str, BlindSpot | PlaceInterval]:
    """Rows by id, without their shapes, which are large and never change."""
    rows: dict[str, BlindSpot | PlaceInterval] = {
        row.id: replace(row, polygon=None) for row in spots
    }
    return rows | {row.id: row for row in intervals}
