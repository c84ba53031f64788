"""Sample points: a place is seen as far as its points are.

A point is one; a line has one every `line_step_m`; an area has a lattice. The weight of a place is spread
evenly over its points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from gateway.domain.coverage.line_of_sight import Indices, spread
from gateway.domain.coverage.model import Floats, Ints, Polygons, Shape
from gateway.domain.coverage.optics import Optics
from gateway.domain.coverage.place import Place, PlaceId
from gateway.domain.coverage.plane import Plane

_LINES = (shapely.GeometryType.LINESTRING, shapely.GeometryType.LINEARRING)


@dataclass(frozen=True)
class SamplePoints:
    """The points of all accepted places whose geometry can be used.

    Attributes:
        places: in their order.
        xy: (p, 2) metres.
        place: (p,) index into `places`.
        weight: (p,).
        px_per_m: (p,) the density its place asks for.
    """

    places: tuple[PlaceId, ...]
    xy: Floats
    place: Ints
    weight: Floats
    px_per_m: Floats


def sample_points(places: Sequence[Place], optics: Optics, plane: Plane) -> SamplePoints:
    """Sample the accepted places."""
    accepted = [place for place in places if place.accepted and place.weight > 0]
    shapes = plane.shapes_to_xy(place.geometry for place in accepted)
    good = np.flatnonzero(~shapely.is_missing(shapes))
    kept = [accepted[i] for i in good]
    xy, place = _sample(shapes[good], optics)
    share = np.array([p.weight for p in kept]) / np.bincount(place, minlength=len(kept))
    density = np.array([optics.place_px_per_m(p.kind, p.level) for p in kept])
    return SamplePoints(
        tuple(p.id for p in kept),
        xy,
        place.astype(np.int32),
        share[place] if kept else np.empty(0),
        density[place] if kept else np.empty(0),
    )


def _sample(shapes: Polygons, optics: Optics) -> tuple[Floats, Indices]:
    """Points of shapes, and the shape of each; every shape has at least one."""
    parts, owner = shapely.get_parts(shapes, return_index=True)
    nested = shapely.get_type_id(parts) >= shapely.GeometryType.MULTIPOINT
    while nested.any():
        more, inner = shapely.get_parts(parts[nested], return_index=True)
        parts = np.concatenate((parts[~nested], more))
        owner = np.concatenate((owner[~nested], owner[nested][inner]))
        nested = shapely.get_type_id(parts) >= shapely.GeometryType.MULTIPOINT
    kind = shapely.get_type_id(parts)
    is_point, is_line = kind == shapely.GeometryType.POINT, np.isin(kind, _LINES)
    xy = [shapely.get_coordinates(parts[is_point])]
    place = [owner[is_point]]
    line_xy, line = _along(parts[is_line], optics.line_step_m)
    xy.append(line_xy)
    place.append(owner[is_line][line])
    for shape, of in zip(parts[~is_point & ~is_line], owner[~is_point & ~is_line], strict=True):
        inside = _lattice(shape, optics)
        xy.append(inside)
        place.append(np.full(len(inside), of))
    every, index = np.concatenate(xy), np.concatenate(place)
    order = np.argsort(index, kind="stable")
    return every[order], index[order]


def _along(lines: Polygons, step_m: float) -> tuple[Floats, Indices]:
    """Points in the middle of equal pieces of about `step_m`."""
    length = shapely.length(lines)
    count = np.maximum(1, np.round(length / step_m)).astype(np.intp)
    line, number = spread(np.zeros_like(count), count)
    at = (number + 0.5) * (length / count)[line]
    return shapely.get_coordinates(shapely.line_interpolate_point(lines[line], at)), line


def _lattice(area: Shape, optics: Optics) -> Floats:
    """Between the least and the most points of a square lattice in an area."""
    least, most = optics.area_points
    wanted = min(max(area.area / optics.area_step_m**2, least), most)
    step = float(np.sqrt(area.area / wanted))
    found = np.empty((0, 2))
    west, south, east, north = area.bounds
    for _ in range(_TRIES):
        if step <= 0 or (east - west) * (north - south) / step**2 > _MOST_CELLS:
            break
        x = np.arange(west + step / 2, east, step)
        y = np.arange(south + step / 2, north, step)
        grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        found = grid[shapely.contains_xy(area, grid[:, 0], grid[:, 1])]
        if least <= len(found) <= most:
            return found
        step *= 0.7 if len(found) < least else 1.05
    inner = shapely.get_coordinates(area.representative_point())
    return found[:most] if len(found) else inner


_TRIES = 12
_MOST_CELLS = 1_000_000
"""Of a lattice over the box around a crooked sliver: more is not worth it."""
