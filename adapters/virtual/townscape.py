"""What stands between cameras and places (synthetic): buildings, private rooms, poles to come.

Buildings line the streets of the city and of the town seats, set back from the poles, so that views are
cut as in a real town. Nothing here depends on the number of cameras but the candidate sites: those are
the poles that no camera uses.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random

import numpy as np
import shapely

from adapters.virtual import plane
from adapters.virtual.model import Building, Pole, PrivateArea
from adapters.virtual.streets import Point, Setting, Stand, Streets

_CORE_M = 5200.0
"""Buildings of the city stand within so many metres of its centre."""
_SET_BACK_M = (13.0, 19.0)
"""From the line of the poles to the wall."""
_WIDTH_M, _DEPTH_M = (16.0, 38.0), (9.0, 16.0)
_CLEAR_M = 3.0
"""No wall comes nearer to a pole or to a listed place."""
_PRIVATE_SHARE = 0.004
_PRIVATE_KINDS = (("dormitory", "宿舍"), ("bathroom", "公共浴室"), ("ward", "病房"))
CANDIDATES = 1500
"""So many free poles are offered, the best ones of each village first."""
_COSTS = (6800.0, 9200.0, 14500.0)


def build_buildings(
    seed: int, streets: Streets, keep_clear: Iterable[Point]
) -> tuple[tuple[Building, ...], tuple[PrivateArea, ...]]:
    """Footprints along the streets, and those among them that no camera may look into.

    Args:
        seed: of the district.
        streets: its poles.
        keep_clear: points of the plane that no building may come near: listed places.
    """
    rng = Random(f"{seed}:buildings")
    stands = [stand for village in sorted(streets.stands) for stand in streets.stands[village]]
    rings = list(_rings(rng, stands))
    shapes = shapely.polygons(rings)
    clear = [stand.pole.position for stand in stands] + list(keep_clear)
    taken = shapely.STRtree(shapely.points(clear)).query(
        shapely.buffer(shapes, _CLEAR_M), "intersects"
    )
    free = np.setdiff1d(np.arange(len(shapes)), taken[0])
    kept = _apart(shapes, free)
    buildings, private = [], []
    for serial, index in enumerate(kept, start=1):
        ring = plane.to_degrees(np.array(rings[index])).tolist()
        geometry = {"type": "Polygon", "coordinates": [ring]}
        buildings.append(Building(f"building-{serial:05d}", geometry))
        if rng.random() < _PRIVATE_SHARE:
            kind, name = rng.choice(_PRIVATE_KINDS)
            private.append(PrivateArea(f"private-{serial:05d}", name, kind, geometry))
    return tuple(buildings), tuple(private)


def _rings(rng: Random, stands: Sequence[Stand]) -> Iterator[Sequence[Point]]:
    """A rectangle on each side of the road at every pole of a built-up street."""
    built_up = {Setting.STREET, Setting.JUNCTION, Setting.SQUARE}
    for stand in stands:
        pole = stand.pole
        urban = math.hypot(*pole.position) < _CORE_M
        if pole.setting not in built_up or not (urban or pole.road.endswith("主街")):
            continue
        for side in (90.0, -90.0):
            for along in (-25.0, 25.0) if urban else (rng.uniform(-12, 12),):
                start = plane.along(pole.position, pole.bearing_deg, along + rng.uniform(-6, 6))
                wall = plane.along(start, pole.bearing_deg + side, rng.uniform(*_SET_BACK_M))
                yield _rectangle(rng, wall, pole.bearing_deg, side)


def _rectangle(rng: Random, wall: Point, bearing: float, side: float) -> Sequence[Point]:
    half = rng.uniform(*_WIDTH_M) / 2
    depth = rng.uniform(*_DEPTH_M)
    near = plane.along(wall, bearing, -half), plane.along(wall, bearing, half)
    far = plane.along(near[1], bearing + side, depth), plane.along(near[0], bearing + side, depth)
    ring = (*near, *far, near[0])
    return ring if side < 0 else ring[::-1]  # counter-clockwise, as GeoJSON wants


def _apart(
    shapes: "np.ndarray[tuple[int], np.dtype[np.object_]]", free: Iterable[int]
) -> list[int]:
    """Those that overlap no earlier one."""
    order = list(free)
    pairs = shapely.STRtree(shapes[order]).query(shapes[order], "intersects")
    before: dict[int, list[int]] = {}
    for one, other in zip(pairs[0].tolist(), pairs[1].tolist(), strict=True):
        if other < one:
            before.setdefault(one, []).append(other)
    kept: set[int] = set()
    for at in range(len(order)):
        if not kept.intersection(before.get(at, ())):
            kept.add(at)
    return [int(order[at]) for at in sorted(kept)]


def build_poles(
    seed: int,
    streets: Streets,
    used: Iterable[tuple[float, float]],
    places: Iterable[Point],
    buildings: Sequence[Building],
) -> tuple[Pole, ...]:
    """Where a camera could be added: a lamp post beside each listed place, then poles without a camera.

    Args:
        seed: of the district.
        streets: its poles.
        used: longitude and latitude of poles that carry cameras.
        places: points of the plane that are listed.
        buildings: no post stands in one.
    """
    rng = Random(f"{seed}:candidates")
    sites = [("lamp_post", "灯杆", lon, lat) for lon, lat in _posts(rng, places, buildings)]
    occupied = set(used)
    free = [
        (rank, stand)
        for village in sorted(streets.stands)
        for rank, stand in enumerate(streets.stands[village])
        if (stand.longitude, stand.latitude) not in occupied
    ]
    free.sort(key=lambda row: row[0])
    for _, stand in free[: max(0, CANDIDATES - len(sites))]:
        kind = "wall" if stand.pole.setting is Setting.HAMLET else "pole"
        sites.append((kind, f"{stand.pole.road}待建杆", stand.longitude, stand.latitude))
    return tuple(
        Pole(
            id=f"pole-{serial:04d}",
            name=f"{name}{serial}",
            kind=kind,
            longitude=longitude,
            latitude=latitude,
            power=rng.choice((True, True, True, False, None)),
            network=rng.choice((True, True, False, None)),
            cost=rng.choice((*_COSTS, None)),
        )
        for serial, (kind, name, longitude, latitude) in enumerate(sites, start=1)
    )


def _posts(
    rng: Random, places: Iterable[Point], buildings: Sequence[Building]
) -> list[tuple[float, float]]:
    """A position 12-30 m beside each place that lies in the open, in degrees."""
    at = [plane.along(place, rng.uniform(0, 360), rng.uniform(12, 30)) for place in places]
    walls = [
        shapely.Polygon(plane.to_metres(np.array(b.geometry["coordinates"][0])))  # type: ignore[index]
        for b in buildings
    ]
    within = shapely.STRtree(walls).query(shapely.points(at), "dwithin", distance=_CLEAR_M)
    taken = set(within[0].tolist())
    rows: list[tuple[float, float]] = [
        (lon, lat)
        for n, (lon, lat) in enumerate(plane.to_degrees(np.array(at)).tolist())
        if n not in taken
    ]
    return rows


def points_of(geometries: Iterable[Mapping[str, object]]) -> list[Point]:
    """The points of the plane that GeoJSON points stand for; other geometries are passed over."""
    degrees = [g["coordinates"] for g in geometries if g["type"] == "Point"]
    if not degrees:
        return []
    found: list[Point] = [(x, y) for x, y in plane.to_metres(np.array(degrees)).tolist()]
    return found
