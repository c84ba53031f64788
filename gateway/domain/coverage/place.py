"""What coverage is told: places to be seen, buildings, prohibited areas, candidate sites.

Geometries are GeoJSON geometry objects in WGS-84 degrees (RFC 7946), as they came from the import.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

from gateway.domain.camera import DivisionCode, GridId

PlaceId = NewType("PlaceId", str)
SiteId = NewType("SiteId", str)
Geometry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A listed place (重点部位): a point, a line such as a road, or an area such as a square.

    Attributes:
        kind: a key of `config/place_kinds.toml` (GB 37300 kinds, roads, village entrances).
        weight: how much it counts in the headline, > 0; spread evenly over its sample points.
        level: name of a step of the pixel-density ladder; "" = the level of its kind.
        accepted: False = a draft (`--suggest`): shown, not counted.
        source: where the row came from, for the report.
    """

    id: PlaceId
    name: str
    kind: str
    geometry: Geometry
    weight: float = 1.0
    level: str = ""
    accepted: bool = True
    township: DivisionCode = DivisionCode("")
    village: DivisionCode = DivisionCode("")
    grid: GridId = GridId("")
    source: str = ""


@dataclass(frozen=True, slots=True)
class Footprint:
    """A building's footprint (Polygon or MultiPolygon). Heights are not used: the model is 2D."""

    id: str
    geometry: Geometry


@dataclass(frozen=True, slots=True)
class ProhibitedArea:
    """Where no camera may look (Decree 799: rooms, bathrooms, dormitories and the like)."""

    id: str
    name: str
    kind: str
    geometry: Geometry


@dataclass(frozen=True, slots=True)
class CandidateSite:
    """Where a camera could be mounted: a pole, a wall, an existing site.

    `power`, `network` and `cost` are None where they are not known; cost is in CNY for one camera.
    """

    id: SiteId
    name: str
    kind: str
    longitude: float
    latitude: float
    power: bool | None = None
    network: bool | None = None
    cost: float | None = None


@dataclass(frozen=True)
class PlaceList:
    """Everything coverage is told beside the archive: one immutable snapshot by import."""

    places: Mapping[PlaceId, Place] = field(default_factory=dict)
    footprints: tuple[Footprint, ...] = ()
    prohibited: tuple[ProhibitedArea, ...] = ()
    candidates: Mapping[SiteId, CandidateSite] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        places: Iterable[Place] = (),
        footprints: Iterable[Footprint] = (),
        prohibited: Iterable[ProhibitedArea] = (),
        candidates: Iterable[CandidateSite] = (),
    ) -> "PlaceList":
        """Build a snapshot from plain rows."""
        return cls(
            {p.id: p for p in places},
            tuple(footprints),
            tuple(prohibited),
            {c.id: c for c in candidates},
        )
