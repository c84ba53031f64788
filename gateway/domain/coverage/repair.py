"""In which order to mend (抢修顺序): restored weight a visit, one root cause or neighbours in one go."""

import heapq
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import numpy as np

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.model import Floats
from gateway.domain.coverage.place import PlaceId
from gateway.domain.ledger import Incident


@dataclass(frozen=True, slots=True)
class Repair:
    """One camera of a visit, and the weight that it would restore alone."""

    channel: ChannelId
    alone: float


@dataclass(frozen=True, slots=True)
class Visit:
    """Cameras that one visit can mend: behind one failed node, on one access node, or on one pole.

    Attributes:
        node: where to go: the node that failed, else the access node they share; "" where they only
            stand together.
        incident: whose root that node is; None = none with a node for its root.
        together: weight that they restore if nothing else is mended.
        adds: weight that they restore after the visits before this one.
        lost_m2: area of their blind spots.
        places: that see again, in part or in whole, after this visit and those before.
    """

    node: str
    incident: str | None
    repairs: tuple[Repair, ...]
    together: float
    adds: float
    lost_m2: float
    places: tuple[PlaceId, ...]


def roots_of(incidents: Iterable[Incident[datetime]], nodes: Container[str]) -> dict[str, str]:
    """Open incident -> the node that it blames; those of single cameras are left out."""
    return {one.id: one.root for one in incidents if one.ended_at is None and one.root in nodes}


def repair_order(
    state: CoverageState,
    nodes: Sequence[str],
    near_m: float,
    roots: Mapping[str, str] = MappingProxyType({}),
) -> list[Visit]:
    """Visits, the one that restores the most first: greedy, what is restored counts once.

    Cameras in a maintenance window are left out: they come back by themselves.

    Args:
        state: the present.
        nodes: the access node of each camera, "" where none is known.
        near_m: cameras no further apart than this are one visit, unless a node above them failed.
        roots: open incident -> the node that it blames; those of single cameras are left out.
    """
    lost_now = np.flatnonzero(state.counters.down).tolist()
    down = [c for c in lost_now if not state.causes[c].planned]
    incident_of = {c: state.causes[c].incident or "" for c in down}
    blamed = {c: incident for c, incident in incident_of.items() if incident in roots}
    where = {c: roots[blamed[c]] if c in blamed else nodes[c] for c in down}
    free = [c for c in down if c not in blamed]
    visits = _visits(where, free, state.model.xy, near_m)
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
                _shared([where[c] for c in cameras]),
                next((blamed[c] for c in cameras if c in blamed), None),
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


def _shared(nodes: Sequence[str]) -> str:
    found = set(nodes)
    return found.pop() if len(found) == 1 else ""


def _visits(
    where: Mapping[int, str], free: Sequence[int], xy: Floats, near_m: float
) -> list[list[int]]:
    """Cameras that share a node or stand near to each other, each list in order.

    Args:
        where: the node to go to for each lost camera.
        free: those that may be mended where they stand.
        xy: of all cameras.
        near_m: how near.
    """
    leader = {c: c for c in where}

    def find(c: int) -> int:
        while leader[c] != c:
            leader[c] = leader[leader[c]]
            c = leader[c]
        return c

    first: dict[str, int] = {}
    for c, node in where.items():
        if node:
            leader[find(c)] = find(first.setdefault(node, c))
    by_x = sorted(free, key=lambda c: float(xy[c][0]))
    for i, c in enumerate(by_x):
        for other in by_x[i + 1 :]:
            if xy[other][0] - xy[c][0] > near_m:
                break
            if np.hypot(*(xy[other] - xy[c])) <= near_m:
                leader[find(other)] = find(c)
    visits: dict[int, list[int]] = {}
    for c in sorted(where):
        visits.setdefault(find(c), []).append(c)
    return list(visits.values())
