"""Places that matter (synthetic): what a coverage report counts, by kind and weight."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from random import Random

import numpy as np

from adapters.virtual import plane
from adapters.virtual.geography import Geography, VillageLand
from adapters.virtual.model import Place
from adapters.virtual.names import division_rows, is_community, is_street, road_stem, stem
from adapters.virtual.streets import Point, Road, Setting, Stand, Streets

WEIGHTS: Mapping[str, float] = {
    "school": 3.0,
    "hospital": 3.0,
    "station": 3.0,
    "square": 2.0,
    "market": 2.0,
    "park": 1.0,
    "road": 1.0,
    "village_entrance": 1.0,
}
"""Kinds of place with their weight."""
_SCHOOL_SHARE, _SQUARE_SHARE, _MARKET_SHARE, _PARK_SHARE = 0.5, 0.35, 0.15, 0.12
_CITY_STATIONS = (("榆阳汽车站", -1500.0), ("榆阳火车站", -4200.0), ("城北客运站", 4300.0))
_ENTRANCE_M = 14.0
_CITY_ROADS = 24
_CITY_REACH_M = 4800.0


def build_places(seed: int, land: Geography, streets: Streets) -> tuple[Place, ...]:
    """Name several hundred places; the same for every number of cameras."""
    rng = Random(f"{seed}:places")
    serial = count(1)
    drafts: list[tuple[str, str, Mapping[str, object]]] = []
    towns = {row.division.code: stem(row.division.name) for row in division_rows()}
    for village in land.villages.values():
        stands = streets.stands.get(village.code, ())
        if village.seat:
            drafts += _seat_places(rng, towns[village.township], village.hamlets[0])
        else:
            drafts += _village_places(rng, village, stands)
    drafts += [
        (name, "station", _point((rng.uniform(-800, 800), north))) for name, north in _CITY_STATIONS
    ]
    drafts += [(road.name, "road", _line(road.line)) for road in _listed_roads(rng, streets)]
    return tuple(
        Place(f"place-{next(serial):04d}", name, kind, geometry, WEIGHTS[kind])
        for name, kind, geometry in drafts
    )


def _seat_places(
    rng: Random, town: str, middle: Point
) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """What every seat of a town has."""
    yield f"{town}中心小学", "school", _beside(rng, middle, 160)
    yield f"{town}初级中学", "school", _beside(rng, middle, 260)
    yield f"{town}卫生院", "hospital", _beside(rng, middle, 200)
    yield f"{town}汽车站", "station", _beside(rng, middle, 300)
    yield f"{town}文化广场", "square", _beside(rng, middle, 60)
    yield f"{town}集贸市场", "market", _block(rng, middle, 90, 60)


def _village_places(
    rng: Random, village: VillageLand, stands: Sequence[Stand]
) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    name, short = village.name, road_stem(village.name)
    middle = village.hamlets[0]
    if is_community(name):
        if rng.random() < _SCHOOL_SHARE:
            yield f"{short}小学", "school", _beside(rng, middle, 120)
        if rng.random() < _SQUARE_SHARE:
            yield f"{short}广场", "square", _beside(rng, middle, 50)
        if rng.random() < _MARKET_SHARE:
            yield f"{short}市场", "market", _block(rng, middle, 80, 50)
        if rng.random() < _PARK_SHARE:
            yield f"{short}公园", "park", _block(rng, middle, 150, 110)
    entrance = next((s for s in stands if s.pole.setting is Setting.ENTRANCE), None)
    if entrance is not None:
        # Beside the pole, on the road: what its cameras look at.
        beside = plane.along(entrance.pole.position, entrance.pole.bearing_deg, _ENTRANCE_M)
        yield f"{name}村口", "village_entrance", _point(beside)
    elif not is_street(village.township):
        yield f"{name}村口", "village_entrance", _point(middle)


def _listed_roads(rng: Random, streets: Streets) -> list[Road]:
    """All trunk roads, and some streets of the city, cut to the city."""
    trunks = [road for road in streets.roads if "—" in road.name]
    city = []
    for road in streets.roads:
        inside = tuple(point for point in road.line if math.hypot(*point) < _CITY_REACH_M)
        if "—" not in road.name and len(inside) > 8:  # noqa: PLR2004 - blocks: a main street
            city.append(Road(road.name, inside))
    chosen = sorted(rng.sample(range(len(city)), min(_CITY_ROADS, len(city))))
    return trunks + [city[index] for index in chosen]


def _point(at: Point) -> Mapping[str, object]:
    return {"type": "Point", "coordinates": _degrees([at])[0]}


def _line(points: Iterable[Point]) -> Mapping[str, object]:
    return {"type": "LineString", "coordinates": _degrees(points)}


def _beside(rng: Random, middle: Point, within_m: float) -> Mapping[str, object]:
    return _point(plane.along(middle, rng.uniform(0, 360), rng.uniform(0.3, 1.0) * within_m))


def _block(rng: Random, middle: Point, width_m: float, depth_m: float) -> Mapping[str, object]:
    """A turned rectangle near the middle of a village."""
    turn = rng.uniform(0, 90)
    corner = plane.along(middle, rng.uniform(0, 360), 60.0)
    ring = [corner]
    for bearing, length in ((turn, depth_m), (turn - 90, width_m), (turn + 180, depth_m)):
        ring.append(plane.along(ring[-1], bearing, length))
    return {"type": "Polygon", "coordinates": [_degrees([*ring, corner])]}


def _degrees(points: Iterable[Point]) -> list[list[float]]:
    rows: list[list[float]] = plane.to_degrees(np.array(list(points))).tolist()
    return rows
