"""Count everything again from scratch, and say how the running state differs: it must not."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import shapely

from gateway.domain.coverage.counters import Seen
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.model import Shape

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
    """

    points: int = 0
    places: int = 0
    rows: int = 0
    area_m2: float = 0.0
    weight: float = 0.0

    def __bool__(self) -> bool:
        """True when there is one."""
        wrong = bool(self.points or self.places or self.rows or abs(self.weight) > WEIGHT_LIMIT)
        return wrong or self.area_m2 >= AREA_LIMIT_M2


def recount(state: CoverageState) -> Difference:
    """Count from the views alone: nothing of the running counters, groups or pieces is used."""
    model, views = state.model, state.counters.view
    points = np.repeat(np.arange(len(model.point_place)), np.diff(model.seen_by.start))
    counted = np.zeros((len(model.point_place), 4), np.int64)
    np.add.at(counted, (points, views[model.seen_by.index]), 1)
    held = state.counters.counts[state.groups.of_point]
    wrong_points = int((counted != held).any(axis=1).sum())
    seen = [_seen(*row) for row in counted.tolist()]
    parts: list[set[Seen]] = [set() for _ in model.places]
    for place, one in zip(model.point_place.tolist(), seen, strict=True):
        parts[place].add(one)
    wrong_places = sum(
        {kind for kind in Seen if state.counters.by_place[place][kind]} != held_parts
        for place, held_parts in enumerate(parts)
    )
    lost_points = np.add.reduceat(
        np.append(~state.counters.down[model.seen_by.index], False), model.seen_by.start[:-1]
    )
    reachable = np.diff(model.seen_by.start) > 0
    weight = model.point_weight[reachable & (lost_points == 0)].sum()
    rows = sum(state.groups.weight[sorted(state.owned.get(c, ()))].sum() for c in state.open)
    expected = {c for c in state.pieces.order if c in state.pieces.shape or state.owned.get(c)}
    return Difference(
        wrong_points,
        wrong_places,
        len(expected.symmetric_difference(state.open)),
        _area_wrong(state),
        float(weight - rows),
    )


def _seen(well: int, weak: int, unknown: int, blind: int) -> Seen:
    if well:
        return Seen.WELL
    if weak:
        return Seen.UNVERIFIED
    if unknown:
        return Seen.UNKNOWN
    return Seen.BLIND if blind else Seen.NEVER


def lost_area(state: CoverageState) -> Shape:
    """The lost area as one shape: all lost views less all that stand around them."""
    model, down = state.model, np.flatnonzero(state.counters.down)
    around = Counter(n for c in down.tolist() for n in model.neighbours.of(c).tolist())
    standing = [n for n in around if not state.counters.down[n]]
    lost = shapely.union_all(model.views[down])
    return shapely.difference(lost, shapely.union_all(model.views[standing]))


def _area_wrong(state: CoverageState) -> float:
    pieces = list(state.pieces.shape.values())
    union = shapely.union_all(pieces)
    doubled = abs(sum(piece.area for piece in pieces) - union.area)
    apart = shapely.symmetric_difference(union, lost_area(state)).area
    return float(doubled + apart)
