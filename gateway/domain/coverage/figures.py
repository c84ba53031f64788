"""What people read: the headline, and the same by cell, village, township and kind of place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import shapely

from gateway.domain.coverage.counters import Seen
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.model import CoverageModel, Floats
from gateway.domain.coverage.pieces import without


class CoverageBy(StrEnum):
    """What coverage can be counted by."""

    GRID = "grid"
    VILLAGE = "village"
    TOWNSHIP = "township"
    KIND = "kind"


@dataclass(frozen=True)
class PlaceFacts:
    """What is told of places, in the order of `CoverageModel.places`; geometry is GeoJSON text.

    Attributes:
        ladder: name of the standard, with its edition, whose pixel densities count.
        drafts: places that are listed but not yet accepted: shown, not counted.
        known: there is a list at all.
    """

    name: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    level: tuple[str, ...] = ()
    township: tuple[str, ...] = ()
    village: tuple[str, ...] = ()
    grid: tuple[str, ...] = ()
    weight: tuple[float, ...] = ()
    geometry: tuple[bytes, ...] = ()
    drafts: int = 0
    ladder: str = ""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weight of listed places, whole or in part: in all, and how it is seen now."""

    total: float = 0.0
    seen: float = 0.0
    unverified: float = 0.0
    unknown: float = 0.0
    blind: float = 0.0
    never: float = 0.0

    @classmethod
    def of(cls, classes: Floats) -> "Weights":
        """From the weight of each class of `Seen`."""
        return cls(float(classes.sum()), *(float(weight) for weight in classes[list(Seen)]))

    def share(self, weight: float) -> float | None:
        """A part of all; None where nothing is listed."""
        return weight / self.total if self.total else None

    @property
    def designed(self) -> float:
        """What would be seen with every camera up."""
        return self.total - self.never


@dataclass(frozen=True, slots=True)
class Headline:
    """The present in a few numbers."""

    places: int
    drafts: int
    cameras: int
    weights: Weights
    blind_spots: int
    lost_m2: float
    states: Mapping[str, int] = field(default_factory=dict)
    ladder: str = ""


def headline(state: CoverageState, facts: PlaceFacts) -> Headline:
    """The present in a few numbers."""
    states: dict[str, int] = {}
    for place in range(len(state.model.places)):
        name = state.counters.place_state(place).value
        states[name] = states.get(name, 0) + 1
    return Headline(
        len(state.model.places),
        facts.drafts,
        len(state.model.channels),
        Weights.of(state.counters.weights()),
        len(state.open),
        sum(state.pieces.area.values()),
        states,
        facts.ladder,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Coverage of one cell, village, township or kind.

    Attributes:
        places: that lie in it, with at least one of their points.
        area_m2: of its cells; designed and lost now. Zero by kind.
        unwatched: views into its cells, each counted once a cell, of cameras that nobody watches now.
    """

    code: str
    places: int
    weights: Weights
    area_m2: float = 0.0
    designed_m2: float = 0.0
    lost_m2: float = 0.0
    unwatched: float = 0.0

    @property
    def now_m2(self) -> float | None:
        """Area that is seen now; None while some of it may be or not: nobody watches a camera there."""
        return None if self.unwatched else max(0.0, self.designed_m2 - self.lost_m2)


@dataclass(frozen=True)
class Divided:
    """Where cells lie: cell -> village -> township, by code."""

    village_of: Mapping[str, str]
    township_of: Mapping[str, str]


def by(
    what: CoverageBy,
    state: CoverageState,
    facts: PlaceFacts,
    divided: Divided,
    designed_m2: Floats,
) -> list[Part]:
    """Coverage by cell, village, township or kind, by code."""
    model = state.model
    of_cell = [cell_code(what, grid, divided) for grid in model.grids]
    codes = point_codes(what, model, facts, of_cell)
    names, number = np.unique(np.array(codes, object).astype(str), return_inverse=True)
    kinds = len(Seen)
    flat = np.bincount(
        number * kinds + state.point_seen(), model.point_weight, len(names) * kinds
    ).reshape(-1, kinds)
    pairs = np.unique(np.stack([number, model.point_place]), axis=1)[0]
    places = np.bincount(pairs, minlength=len(names))
    areas: dict[str, list[float]] = {}
    if what is not CoverageBy.KIND and len(model.cells):
        whole, unwatched = shapely.area(model.cells), _unwatched(state)
        columns = whole, designed_m2, state.pieces.lost_m2, unwatched
        for code, *parts in zip(of_cell, *columns, strict=True):
            held = areas.setdefault(code, [0.0, 0.0, 0.0, 0.0])
            for i, part in enumerate(parts):
                held[i] += float(part)
    weights = {str(n): (int(places[i]), Weights.of(flat[i])) for i, n in enumerate(names)}
    return [
        Part(code, *weights.get(code, (0, Weights())), *areas.get(code, ()))
        for code in sorted(weights.keys() | areas.keys())
    ]


def _unwatched(state: CoverageState) -> Floats:
    """(cells,) how many views of cameras that nobody watches now touch each."""
    cells_of = state.model.cells_of
    camera = np.repeat(np.arange(len(state.model.channels)), np.diff(cells_of.start))
    unknown = state.counters.view[camera] == Seen.UNKNOWN
    return np.bincount(cells_of.index[unknown], minlength=len(state.model.cells)).astype(np.float64)


def cell_code(what: CoverageBy, grid: str, divided: Divided) -> str:
    """The code that a cell counts for."""
    if what is CoverageBy.GRID:
        return grid
    village = divided.village_of.get(grid, "")
    return village if what is CoverageBy.VILLAGE else divided.township_of.get(village, "")


def point_codes(
    what: CoverageBy, model: CoverageModel, facts: PlaceFacts, of_cell: Sequence[str]
) -> list[str]:
    """Each point counts where it lies; outside all cells, where its place is said to lie."""
    told = {
        CoverageBy.KIND: facts.kind,
        CoverageBy.GRID: facts.grid,
        CoverageBy.VILLAGE: facts.village,
        CoverageBy.TOWNSHIP: facts.township,
    }[what]
    places = model.point_place.tolist()
    if what is CoverageBy.KIND:
        return [told[place] for place in places]
    cells = model.point_cell.tolist()
    return [
        of_cell[cell] if cell >= 0 else told[place]
        for place, cell in zip(places, cells, strict=True)
    ]


def designed_area(model: CoverageModel) -> Floats:
    """(cells,) area that views cover with every camera up.

    Each camera adds what no earlier one covers: a sum of disjoint parts, no great union. Seconds for a
    district.
    """
    covered: Floats = np.zeros(len(model.cells))
    for camera in range(len(model.channels)):
        cells = model.cells_of.of(camera)
        around = model.neighbours.of(camera)
        own = without(model.views[camera], model.views[around[around < camera]])
        if own is not None and len(cells):
            covered[cells] += shapely.area(shapely.intersection(own, model.cells[cells]))
    return covered
