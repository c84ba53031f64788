"""What hangs on one camera: whom the next failure would blind."""

from dataclasses import dataclass

import numpy as np

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.counters import Seen
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.model import Ints
from gateway.domain.coverage.place import PlaceId


@dataclass(frozen=True, slots=True)
class NextFailure:
    """What the failure of one camera would take out of sight.

    Attributes:
        places: that would lose their last view on some part, heaviest loss first.
        weight: that would be lost.
    """

    channel: ChannelId
    places: tuple[PlaceId, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Redundancy:
    """How much hangs on one camera, and on which.

    Attributes:
        weight_seen: of what is seen now, well or not.
        weight_single: of what is seen by one camera only.
        places_single: places of which some part is.
        failures: by camera, the heaviest first.
    """

    weight_seen: float
    weight_single: float
    places_single: int
    failures: tuple[NextFailure, ...]


def redundancy(state: CoverageState) -> Redundancy:
    """What the next failure would blind. A camera that is not watched now helps nobody."""
    groups, counters = state.groups, state.counters
    sees = counters.counts[:, Seen.WELL] + counters.counts[:, Seen.UNVERIFIED]
    single = np.flatnonzero(sees == 1)
    held: dict[int, list[int]] = {}
    for g in single.tolist():
        seers: Ints = groups.seers.of(g)
        last = seers[counters.view[seers] <= Seen.UNVERIFIED]
        held.setdefault(int(last[0]), []).append(g)
    failures = [_failure(state, camera, mine) for camera, mine in held.items()]
    failures.sort(key=lambda one: (-one.weight, one.channel))
    return Redundancy(
        float(groups.weight[sees > 0].sum()),
        float(groups.weight[single].sum()),
        len(np.unique(groups.place[single])),
        tuple(failures),
    )


def _failure(state: CoverageState, camera: int, mine: list[int]) -> NextFailure:
    weights: dict[int, float] = {}
    for g in mine:
        place = int(state.groups.place[g])
        weights[place] = weights.get(place, 0.0) + float(state.groups.weight[g])
    heaviest = sorted(weights, key=lambda place: (-weights[place], place))
    places = tuple(state.model.places[place] for place in heaviest)
    return NextFailure(state.model.channels[camera], places, sum(weights.values()))
