"""Generated towns for the tests of coverage: houses that do not overlap, cameras between them."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import shapely

from gateway.coverage_config import load_optics
from gateway.domain.camera import Camera, ChannelId, DeviceId, DivisionCode, GridCell, GridId
from gateway.domain.coverage.model import Floats, Polygons
from gateway.domain.coverage.optics import Optics
from gateway.domain.coverage.place import Geometry
from gateway.domain.coverage.plane import DISTRICT


@cache
def optics() -> Optics:
    """As shipped."""
    return load_optics()


def degrees(x: float, y: float) -> tuple[float, float]:
    """A point of the plane as longitude, latitude."""
    lon, lat = DISTRICT.to_lonlat(np.array([[x, y]]))[0].tolist()
    return lon, lat


def point(x: float, y: float) -> Geometry:
    """A GeoJSON point at metres of the plane."""
    return {"type": "Point", "coordinates": list(degrees(x, y))}


def box(west: float, south: float, east: float, north: float) -> Geometry:
    """A GeoJSON rectangle of the plane."""
    return DISTRICT.shape_to_geojson(shapely.box(west, south, east, north))


def camera(
    name: str, x: float, y: float, archive: Mapping[str, str] | None = None, **more: object
) -> Camera:
    """A camera at metres of the plane; by default fixed, 90 degrees to the north, 50 m."""
    lon, lat = degrees(x, y)
    fields = {
        "ptz_type": "3", "azimuth": "0.0", "horizontal_field_angle": "90",
        "max_view_distance": "50", "resolution": "2560*1440",
    }  # fmt: skip
    told = fields if archive is None else archive
    row = Camera(
        ChannelId(name), DeviceId(name), name, longitude=lon, latitude=lat, archive=dict(told)
    )
    return row if not more else _changed(row, more)


def _changed(row: Camera, more: Mapping[str, object]) -> Camera:
    from dataclasses import replace

    return replace(row, **more)  # type: ignore[arg-type]


def cell(name: str, west: float, south: float, east: float, north: float) -> GridCell:
    """A rectangular grid cell of the plane."""
    ring = [degrees(*at) for at in ((west, south), (east, south), (east, north), (west, north))]
    return GridCell(GridId(name), name, DivisionCode("610802001001"), (((*ring, ring[0]),),))


def houses(seed: int, across: int = 8, block_m: float = 30.0) -> Polygons:
    """Turned rectangles, L-shapes and courtyards, one a block: none touches another."""
    rng = np.random.default_rng(seed)
    found = []
    for column in range(across):
        for row in range(across):
            wide, deep = rng.uniform(6, 18, 2)
            house = shapely.box(-wide / 2, -deep / 2, wide / 2, deep / 2)
            form = rng.integers(4)
            if form == 0:
                house = house.difference(shapely.box(0, 0, wide, deep))
            elif form == 1:
                house = house.difference(shapely.box(-wide / 4, -deep / 4, wide / 4, deep / 4))
            turned = shapely.affinity.rotate(house, float(rng.uniform(0, 90)), origin=(0, 0))
            middle = (np.array([column, row]) + 0.5) * block_m
            found.append(shapely.affinity.translate(turned, *middle))
    return np.array(found, dtype=object)


def stands(seed: int, count: int, town: Polygons, size_m: float = 240.0) -> Floats:
    """Places for cameras outside all houses."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, size_m, (count * 3 + 60, 2))
    away = shapely.distance(shapely.points(xy), shapely.union_all(town))
    return xy[away > 1.0][:count]
