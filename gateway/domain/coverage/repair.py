"""In which order to mend (抢修顺序): restored weight a visit, neighbours in one go."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.model import Floats
from gateway.domain.coverage.place import PlaceId


@dataclass(frozen=True, slots=True)
class Repair:
    """One camera of a visit, and the weight that it would restore alone."""

    channel: ChannelId
    alone: float


@dataclass(frozen=True, slots=True)
class Visit:
    """Cameras that one visit can mend: on one access node, or on one pole.

    Attributes:
        node: the access node they share; "" where they only stand together.
        together: weight that they restore if nothing else is mended.
        adds: weight that they restore after the visits before this one.
        lost_m2: area of their blind spots.
        places: that see again, in part or in whole, after this visit and those before.
    """

    node: str
    repairs: tuple[Repair, ...]
    together: float
    adds: float
    lost_m2: float
    places: tuple[PlaceId, ...]


def repair_order(state: CoverageState, nodes: Sequence[str], near_m: float) -> list[Visit]:
    """Visits, the one that restores the most first: greedy, what is restored counts once.

    Args:
        state: the present.
        nodes: the access node of each camera, "" where none is known.
        near_m: cameras no further apart than this are one visit.
    """
    down = np.flatnonzero(state.counters.down).tolist()
    visits = _visits(down, nodes, state.model.xy, near_m)
    lost = {c: _lost_groups(state, c) for c in down}
    weight = state.groups.weight
    blinded: list[set[int]] = [set().union(*(lost[c] for c in visit)) for visit in visits]
    together = [_sum(weight, groups) for groups in blinded]
    area = [sum(state.pieces.area.get(c, 0.0) for c in visit) for visit in visits]
    waiting = [(-together[i], -area[i], visits[i][0], i) for i in range(len(visits))]
    heapq.heapify(waiting)
    mended: set[int] = set()
    order: list[Visit] = []
    while waiting:
        gain, *rest, best = heapq.heappop(waiting)
        left = blinded[best] - mended
        now = -_sum(weight, left)
        if now > gain:  # others restored a part of it meanwhile: it may not be the best any more
            heapq.heappush(waiting, (now, rest[0], int(rest[1]), best))
            continue
        mended |= left
        cameras = visits[best]
        order.append(
            Visit(
                _shared(nodes, cameras),
                tuple(Repair(state.model.channels[c], _sum(weight, lost[c])) for c in cameras),
                together[best],
                -gain,
                area[best],
                tuple(sorted({state.model.places[state.groups.place[g]] for g in left})),
            )
        )
    return order


def _lost_groups(state: CoverageState, camera: int) -> set[int]:
    groups = state.groups.of_camera.of(camera)
    return set(groups[state.counters.standing[groups] == 0].tolist())


def _sum(weight: Floats, groups: set[int]) -> float:
    return float(weight[sorted(groups)].sum()) if groups else 0.0


def _shared(nodes: Sequence[str], cameras: Sequence[int]) -> str:
    found = {nodes[c] for c in cameras}
    return found.pop() if len(found) == 1 else ""


def _visits(
    down: Sequence[int], nodes: Sequence[str], xy: Floats, near_m: float
) -> list[list[int]]:
    """Cameras that share a node or stand near to each other, each list in order."""
    leader = {c: c for c in down}

    def find(c: int) -> int:
        while leader[c] != c:
            leader[c] = leader[leader[c]]
            c = leader[c]
        return c

    first: dict[str, int] = {}
    for c in down:
        if nodes[c]:
            leader[find(c)] = find(first.setdefault(nodes[c], c))
    by_x = sorted(down, key=lambda c: float(xy[c][0]))
    for i, c in enumerate(by_x):
        for other in by_x[i + 1 :]:
            if xy[other][0] - xy[c][0] > near_m:
                break
            if np.hypot(*(xy[other] - xy[c])) <= near_m:
                leader[find(other)] = find(c)
    visits: dict[int, list[int]] = {}
    for c in sorted(down):
        visits.setdefault(find(c), []).append(c)
    return list(visits.values())
