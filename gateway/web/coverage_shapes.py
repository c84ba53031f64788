"""What is told of coverage: the same objects for the API and for `sightline coverage`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from gateway.domain.coverage.archive_view import Missing
from gateway.domain.coverage.availability import Availability
from gateway.domain.coverage.bounds import CoverageBounds, Estimate, Sure
from gateway.domain.coverage.counters import Seen
from gateway.domain.coverage.figures import CoverageBy, Part
from gateway.domain.coverage.intrusions import Intrusion
from gateway.domain.coverage.model import Confidence, Floats
from gateway.domain.coverage.present import Present
from gateway.domain.coverage.redundancy import Redundancy
from gateway.domain.coverage.repair import Visit
from gateway.domain.coverage.rows import PlaceState
from gateway.domain.coverage.survey import SurveyOrder
from gateway.domain.coverage.trust import BoundedPart, Trust, bounds_by
from gateway.errors import Unavailable
from gateway.inventory import Inventory
from gateway.ports.coverage import PastCoverage
from gateway.web.shapes import Json, division_name, grid_name, row

NOT_YET = "the bounds of coverage are being computed: they follow the model by some seconds"
DECIMALS_M2 = 1
DECIMALS_DEG = 6


def trust_in(present: Present) -> Trust:
    """What stands beside the model.

    Raises:
        Unavailable: it is still being computed, or could not be.
    """
    if present.trust is None:
        raise Unavailable(present.trust_reason or NOT_YET)
    return present.trust


def bounded_parts(present: Present, what: CoverageBy) -> list[BoundedPart]:
    """Bounds of the parts, by code; computed once a model, in the thread that owns it.

    Raises:
        Unavailable: as `trust_in`.
    """
    found = present.bounded.get(what)
    if found is None:
        bounds, model = trust_in(present).bounds, present.state.model
        found = bounds_by(what, bounds, model, present.places, present.divided)
        present.bounded[what] = found
    return found


def part_name(inventory: Inventory, what: CoverageBy, code: str) -> str:
    """The name of a cell, a division or a kind of place."""
    if what is CoverageBy.KIND:
        return code
    return grid_name(inventory, code) if what is CoverageBy.GRID else division_name(inventory, code)


def part_item(inventory: Inventory, what: CoverageBy, part: Part) -> Json:
    """Coverage of one part: shares of its weight, and area."""
    weights = part.weights
    names = ("designed", "seen", "unverified", "unknown", "blind", "never")
    return {
        "code": part.code,
        "name": part_name(inventory, what, part.code),
        "places": part.places,
        "weight": weights.total,
        **{f"{name}_share": weights.share(getattr(weights, name)) for name in names},
        "area_m2": round(part.area_m2, DECIMALS_M2),
        "designed_m2": round(part.designed_m2, DECIMALS_M2),
        "lost_m2": round(part.lost_m2, DECIMALS_M2),
        "now_m2": None if part.now_m2 is None else round(part.now_m2, DECIMALS_M2),
    }


def place_item(present: Present, n: int, weights: Floats) -> Json:
    """A listed place with its state."""
    facts, state = present.places, present.state
    return {
        "id": state.model.places[n],
        "name": facts.name[n],
        "kind": facts.kind[n],
        "level": facts.level[n],
        "township": facts.township[n],
        "village": facts.village[n],
        "grid": facts.grid[n],
        "weight": facts.weight[n],
        "state": state.counters.place_state(n).value,
        **gap_weights(weights, n),
    }


def gap_weights(weights: Floats, n: int) -> Json:
    """Of the weight of a place: what is out of sight now, and what no view reaches by design."""
    return {
        "blind_weight": float(weights[n, Seen.BLIND]),
        "never_weight": float(weights[n, Seen.NEVER]),
    }


@dataclass(frozen=True)
class PlaceFilter:
    """Which places are wanted; None = whatever it is."""

    state: PlaceState | None = None
    township: str | None = None
    kind: str | None = None
    gaps: bool | None = None

    def page(self, present: Present, first: int, limit: int) -> tuple[list[Json], int | None]:
        """Places from a number on, in the order of the list, and the number of the next one."""
        found: list[Json] = []
        facts, counters = present.places, present.state.counters
        weights = counters.place_weights()
        for n in range(first, len(present.state.model.places)):
            if self.township is not None and facts.township[n] != self.township:
                continue
            if self.kind is not None and facts.kind[n] != self.kind:
                continue
            if self.state is not None and counters.place_state(n) is not self.state:
                continue
            if self.gaps is not None and bool(weights[n, Seen.NEVER]) is not self.gaps:
                continue
            if len(found) == limit:
                return found, n
            found.append(place_item(present, n, weights))
        return found, None


def redundancy_item(found: Redundancy, limit: int) -> Json:
    """What hangs on one camera, and the heaviest of these."""
    failures = [row(one) for one in found.failures[:limit]]
    return {**row(found), "cameras": len(found.failures), "failures": failures}


def repair_item(visits: Sequence[Visit], names: Mapping[str, str], limit: int) -> Json:
    """The first visits of the repair order."""
    items = [
        {
            **row(visit),
            "node_name": names.get(visit.node, ""),
            "repairs": [row(repair) for repair in visit.repairs],
        }
        for visit in visits[:limit]
    ]
    return {"visits": len(visits), "items": items}


def availability_item(found: Availability, since: datetime, until: datetime) -> Json:
    """覆盖可用率 of a window, with its bounds."""
    return {
        "from": since,
        "to": until,
        "share": found.share(found.lost),
        "share_least": found.share(found.lost_most),
        "share_most": found.share(found.lost_least),
        **{f"{name}_h": value for name, value in row(found).items()},
    }


def past_item(found: PastCoverage, at: datetime) -> Json:
    """A past moment; weights are null before coverage was counted.

    Within a gap of the gateway all that is ever seen is unknown; the rest is what was known before it.
    """
    basis, unknown = found.basis, found.unknown
    told: Json = {"time": at, "observed": found.observed}
    told |= dict.fromkeys(("weight", "designed", "seen"))
    if basis is not None:
        told |= {"weight": basis.listed, "designed": basis.reached}
        if found.observed:
            told["seen"] = max(0.0, basis.reached - found.lost - unknown - found.unverified)
        else:
            unknown = basis.reached
    return {
        **told,
        "lost": found.lost,
        "unknown": unknown,
        "unverified": found.unverified,
        "items": [row(place) for place in found.places],
    }


def _area(estimate: Estimate) -> Json:
    return {name: round(value, DECIMALS_M2) for name, value in row(estimate).items()}


def bounds_item(bounds: CoverageBounds) -> Json:
    """Bounds of the district, and what its views rest on."""
    return {
        "listed_weight": bounds.listed_weight,
        "weight": row(bounds.place_weight),
        "cell_m2": round(float(np.sum(bounds.cell_m2)), DECIMALS_M2),
        "area_m2": _area(bounds.district_m2),
        "cameras": {kind.name.lower(): bounds.cameras.get(kind, 0) for kind in Confidence},
        "ladder": bounds.ladder,
    }


def designed_bounds(present: Present) -> Json | None:
    """How far `designed_share` can be off; None until it is known, or where nothing is listed."""
    if present.trust is None or not present.trust.bounds.listed_weight:
        return None
    bounds = present.trust.bounds
    return {
        f"{name}_share": value / bounds.listed_weight
        for name, value in row(bounds.place_weight).items()
    }


def bounded_item(part: BoundedPart, name: str) -> Json:
    """Bounds of one part."""
    return {
        "code": part.code,
        "name": name,
        "listed_weight": part.listed_weight,
        "weight": row(part.weight),
        "cell_m2": round(part.cell_m2, DECIMALS_M2),
        "area_m2": _area(part.area_m2),
    }


def survey_item(present: Present, order: SurveyOrder, n: int, inventory: Inventory) -> Json:
    """One camera of the survey order."""
    item, c = order.item(n), int(order.camera[n])
    township = present.cameras.township[c]
    return {
        "rank": n + 1,
        "channel": item.channel,
        "camera_name": present.cameras.name[c],
        "township": township,
        "township_name": division_name(inventory, township),
        "confidence": Confidence(int(present.state.model.confidence[c])).name.lower(),
        "weight": item.weight,
        "area_m2": round(item.area_m2, DECIMALS_M2),
        "fields": [{"field": field.value, "weight": weight} for field, weight in item.fields],
    }


def survey_rows(
    present: Present, order: SurveyOrder, first: int, township: str | None, field: Missing | None
) -> Iterator[int]:
    """The rows from `first` on that a filter lets through."""
    column = None if field is None else list(Missing).index(field)
    for n in range(first, len(order)):
        if township is not None and present.cameras.township[order.camera[n]] != township:
            continue
        if column is None or order.worth[n, column] == order.worth[n, column]:
            yield n


@dataclass(frozen=True)
class IntrusionFilter:
    """Which cameras that look where none may.

    Attributes:
        possible: those, too, that look in only if a missing field of the archive is so.
        township: of the camera.
    """

    possible: bool = False
    township: str | None = None

    def rows(self, present: Present, found: tuple[Intrusion, ...]) -> list[tuple[Intrusion, int]]:
        """Those that it lets through, each with the index of its camera."""
        number = present.state.model.number()
        numbered = [(one, number[one.channel]) for one in found]
        return [
            (one, c)
            for one, c in numbered
            if (self.possible or one.sure >= Sure.EXPECTED)
            and self.township in (None, present.cameras.township[c])
        ]


def intrusion_item(present: Present, one: Intrusion, c: int, inventory: Inventory) -> Json:
    """One camera and the prohibited area that it looks into."""
    township = present.cameras.township[c]
    return {
        "channel": one.channel,
        "camera_name": present.cameras.name[c],
        "township": township,
        "township_name": division_name(inventory, township),
        "area": one.area,
        "area_name": one.name,
        "area_kind": one.kind,
        "sure": one.sure.name.lower(),
        "overlap_m2": round(one.overlap_m2, DECIMALS_M2),
        "most_m2": round(one.most_m2, DECIMALS_M2),
        "longitude": round(one.longitude, DECIMALS_DEG),
        "latitude": round(one.latitude, DECIMALS_DEG),
    }
