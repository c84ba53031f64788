"""Why a geometry of an import cannot be used: one reason a row, in both languages.

The model never raises because of a geometry (`plane.Plane.shapes_to_xy` leaves out what it cannot use); this
tells the people who wrote the file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import shapely

from gateway.domain.coverage.model import Floats, Shape

MOST_VERTICES = 20_000
"""Of one geometry. The outline of a whole county has fewer; a million is a mistake or an attack."""
_NESTING: Mapping[str, int] = {
    "Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2,
    "MultiPolygon": 3,
}  # fmt: skip
"""Type -> lists around a position."""
_CHINA_DEG = (73.0, 18.0, 135.1, 53.6)
"""West, south, east, north."""
_RING, _LINE = 4, 2
_PAIR = 2


@dataclass(frozen=True, slots=True)
class GeometryProblem:
    """Why a geometry is refused.

    Attributes:
        code: stable, for lists and tests.
        english / chinese: one sentence for people.
    """

    code: str
    english: str
    chinese: str


def check_geometry(geojson: object) -> GeometryProblem | None:
    """The first thing that is wrong with a GeoJSON geometry (WGS-84 degrees), or None.

    Never raises. Takes time in proportion to `MOST_VERTICES` at most, whatever comes in.
    """
    if not isinstance(geojson, Mapping) or geojson.get("type") not in _NESTING:
        return _problem("not_geometry")
    kind = str(geojson["type"])
    try:
        points, rings = _read(geojson.get("coordinates"), _NESTING[kind])
    except _TooMany:
        return too_many_vertices()
    except (TypeError, OverflowError):
        return _problem("bad_coordinates")
    if not len(points):
        return _problem("empty")
    if not np.isfinite(points).all():
        return _problem("not_finite")
    return _check_position(points) or _check_form(kind, rings, geojson)


def too_many_vertices() -> GeometryProblem:
    """What is wrong with a geometry that was too long even to be read."""
    return _problem("too_many_vertices")


class _TooMany(Exception):
    """More vertices than one geometry may have."""


def _lists(value: object, depth: int) -> Iterator[Sequence[object]]:
    """The lists of positions that lie `depth` deep.

    Raises:
        TypeError: something there is no list.
    """
    if not isinstance(value, list | tuple):
        raise TypeError(value)
    if depth <= 1:
        yield value
        return
    for inner in value:
        yield from _lists(inner, depth - 1)


def _read(coordinates: object, nesting: int) -> tuple[Floats, list[int]]:
    """All positions, and how many each list of them has.

    Raises:
        _TooMany: stops counting.
        TypeError: not numbers, or not so nested.
        OverflowError: a whole number that no float can hold.
    """
    flat: list[tuple[float, float]] = []
    sizes: list[int] = []
    alone = nesting == 0 and coordinates
    for positions in [[coordinates]] if alone else _lists(coordinates or [], nesting):
        if max(len(flat) + len(positions), len(sizes)) > MOST_VERTICES:
            raise _TooMany
        flat.extend(_pair(position) for position in positions)
        sizes.append(len(positions))
    return np.array(flat, dtype=np.float64).reshape(-1, _PAIR), sizes


def _pair(position: object) -> tuple[float, float]:
    if not isinstance(position, list | tuple) or len(position) < _PAIR:
        raise TypeError(position)
    return _number(position[0]), _number(position[1])


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    return float(value)


def _check_position(points: Floats) -> GeometryProblem | None:
    west, south, east, north = _CHINA_DEG
    x, y = points[:, 0], points[:, 1]
    if ((x >= west) & (x <= east) & (y >= south) & (y <= north)).all():
        return None
    if ((y >= west) & (y <= east) & (x >= south) & (x <= north)).all():
        return _problem("swapped_axes")
    if (np.abs(x) > 180).any() or (np.abs(y) > 90).any():  # noqa: PLR2004 - degrees of the globe
        return _problem("not_degrees")
    return _problem("far_away")


def _check_form(kind: str, sizes: list[int], geojson: Mapping[str, Any]) -> GeometryProblem | None:
    if kind.endswith("LineString") and min(sizes) < _LINE:
        return _problem("too_short")
    if kind.endswith("Polygon") and min(sizes) < _RING:
        return _problem("too_short")
    text = orjson.dumps({"type": kind, "coordinates": geojson["coordinates"]}).decode()
    shape: Shape = shapely.from_geojson(text, on_invalid="ignore")
    if shape is None:
        return _problem("not_closed" if kind.endswith("Polygon") else "bad_coordinates")
    if kind.endswith("LineString") and shape.length == 0:
        return _problem("no_extent")
    if kind.endswith("Polygon"):
        if shape.convex_hull.area == 0:
            return _problem("no_extent")
        if not shapely.is_valid(shape):
            return _problem("self_crossing", str(shapely.is_valid_reason(shape)))
    return None


_TEXTS: Mapping[str, tuple[str, str]] = {
    "not_geometry": (
        "it is no GeoJSON Point, LineString, Polygon or Multi- of these",
        "不是 GeoJSON 的点、线、面或其多部件类型",
    ),
    "bad_coordinates": (
        "its coordinates are not lists of number pairs as its type demands",
        "坐标不是该类型要求的数字对列表",
    ),
    "too_many_vertices": (
        f"it has more than {MOST_VERTICES} vertices: simplify it",
        f"顶点超过 {MOST_VERTICES} 个，请先简化",
    ),
    "empty": ("it has no coordinates", "没有坐标"),
    "not_finite": ("a coordinate is not a finite number", "坐标含有非有限数值（NaN 或无穷大）"),
    "swapped_axes": (
        "latitude and longitude are swapped: GeoJSON writes longitude first",
        "经纬度颠倒：GeoJSON 先写经度后写纬度",
    ),
    "not_degrees": (
        "its coordinates are not degrees: projected metres?",
        "坐标不是经纬度（度），可能是投影坐标（米）",
    ),
    "far_away": ("it does not lie in China", "不在中国范围内"),
    "too_short": (
        "a line needs 2 positions, a ring 4",
        "线至少 2 个点，环至少 4 个点",
    ),
    "not_closed": (
        "a ring does not end where it begins",
        "环的首尾点不重合，未闭合",
    ),
    "no_extent": (
        "it has no length or area: all its positions coincide or lie in a line",
        "长度或面积为零：各点重合或共线",
    ),
    "self_crossing": ("its outline crosses or touches itself", "边界自相交或自接触"),
}


def _problem(code: str, detail: str = "") -> GeometryProblem:
    english, chinese = _TEXTS[code]
    if detail:
        return GeometryProblem(code, f"{english} ({detail})", f"{chinese}（{detail}）")
    return GeometryProblem(code, english, chinese)
