"""What is left of a sector when buildings stand in it. 2D: a building hides all behind it.

A ray fan over all cameras at once. Rays are cast close on both sides of every corner that faces the
camera, where a wall leaves the range, and as often as the arc needs; between two neighbouring rays the
nearest wall is one straight edge, so the polygon is exact except for the chords of the arc
(`arc_error_m`). Where footprints overlap one another, their crossing is cut off by at most one step of the
fan. Only walls that face the camera can hide anything, and each meets only the rays of its own angle.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray

from gateway.domain.coverage.model import Csr, Floats, Ints, Polygons
from gateway.domain.coverage.sectors import Sectors

Indices: TypeAlias = NDArray[np.intp]

_EPS_RAD = 1e-7
"""A ray beside a corner: 0.02 mm off at 200 m."""
_TURN = 2 * np.pi
_KEY = 8.0
"""Rays are sorted by camera, then by angle: camera * _KEY + angle + _OFFSET, an angle in [-pi, pi]."""
_OFFSET = 4.0
_CHUNK = 4096
"""Cameras a time: bounds the memory."""
_EMPTY = shapely.Polygon()


@dataclass(frozen=True)
class Obstacles:
    """Footprints, and their walls in the order that leaves the building on the left.

    Attributes:
        shapes: (m,) polygons.
        tree: over `shapes`.
        start: (m + 1,) first wall of each footprint.
        wall_a / wall_b: (k, 2) ends of each wall.
    """

    shapes: Polygons
    tree: shapely.STRtree
    start: Ints
    wall_a: Floats
    wall_b: Floats

    @classmethod
    def of(cls, footprints: Polygons) -> "Obstacles":
        """Take polygons and multipolygons in metres; None and other shapes are left out."""
        given = footprints[~shapely.is_missing(footprints)]
        parts = shapely.get_parts(given)
        flat = shapely.orient_polygons(parts[shapely.get_type_id(parts) == _POLYGON])
        rings, owner = shapely.get_rings(flat, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        same = np.flatnonzero(ring[1:] == ring[:-1])
        wall_owner = owner[ring[same]]
        start = np.searchsorted(wall_owner, np.arange(len(flat) + 1)).astype(np.int32)
        return cls(flat, shapely.STRtree(flat), start, points[same], points[same + 1])


_POLYGON = int(shapely.GeometryType.POLYGON)


@dataclass(frozen=True)
class _Walls:
    """Walls that face a camera, seen from it: (k,) each."""

    camera: Indices
    ax: Floats
    ay: Floats
    bx: Floats
    by: Floats
    from_rad: Floats
    """Bearing of `a` from the middle of the view, [-pi, pi)."""
    to_rad: Floats
    """Bearing of `b`, more than `from_rad`, by less than pi."""

    def take(self, chosen: NDArray[np.bool_], turned: float = 0.0) -> "_Walls":
        return _Walls(
            self.camera[chosen], self.ax[chosen], self.ay[chosen], self.bx[chosen],
            self.by[chosen], self.from_rad[chosen] - turned, self.to_rad[chosen] - turned,
        )  # fmt: skip


def visible(
    sectors: Sectors,
    obstacles: Obstacles,
    *,
    own_building_m: float,
    arc_error_m: float,
    simplify_m: float,
) -> Polygons:
    """What each camera sees, cut by buildings.

    Args:
        sectors: what they would see on an empty plain.
        obstacles: buildings; one that is nearer to a camera than `own_building_m` carries it and hides
            nothing from it.
        own_building_m: see `obstacles`.
        arc_error_m: how far an arc may differ from its chord.
        simplify_m: how far the outline may be moved to save corners; 0 = not at all.

    Returns:
        (n,) polygons; an empty one where the radius is 0.
    """
    found: Polygons = np.full(sectors.radius_m.shape, _EMPTY, dtype=object)
    some = np.flatnonzero(sectors.radius_m > 0)
    for at in range(0, some.size, _CHUNK):
        chosen = some[at : at + _CHUNK]
        part = sectors.take(chosen)
        open_field = _fan(part, _no_walls(), arc_error_m)
        camera, footprint = _in_the_way(part, open_field, obstacles, own_building_m)
        hidden = np.unique(camera)
        if hidden.size:
            rank = np.searchsorted(hidden, camera)
            few = part.take(hidden)
            open_field[hidden] = _fan(few, _facing(few, rank, footprint, obstacles), arc_error_m)
        found[chosen] = open_field
    if simplify_m > 0:
        found = shapely.simplify(found, simplify_m)
    broken = np.flatnonzero(~shapely.is_valid(found))
    found[broken] = shapely.buffer(found[broken], 0.0)
    return found


def _in_the_way(
    sectors: Sectors, fields: Polygons, obstacles: Obstacles, own_building_m: float
) -> tuple[Indices, Indices]:
    """Pairs (camera, footprint) where the footprint stands in the view and does not carry it."""
    camera, footprint = obstacles.tree.query(fields, predicate="intersects")
    stands = point_shapes(sectors.xy)
    own = obstacles.tree.query(stands, predicate="dwithin", distance=own_building_m)
    count = len(obstacles.shapes)
    strange = ~np.isin(camera * count + footprint, own[0] * count + own[1])
    return camera[strange], footprint[strange]


def point_shapes(xy: Floats) -> Polygons:
    """(n, 2) metres as shapely points."""
    return np.asarray(shapely.points(xy), dtype=object)


def spread(start: Indices, count: Indices) -> tuple[Indices, Indices]:
    """Ranges flattened: the row that each number came from, and the numbers start..start+count."""
    row = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    return row, np.arange(row.size) - np.repeat(before - start, count)


def _no_walls() -> _Walls:
    none = np.empty(0)
    return _Walls(np.empty(0, dtype=np.intp), none, none, none, none, none, none)


def _facing(sectors: Sectors, camera: Indices, footprint: Indices, obstacles: Obstacles) -> _Walls:
    """The walls that face a camera and may be in its view."""
    first = obstacles.start[footprint].astype(np.intp)
    pair, wall = spread(first, obstacles.start[footprint + 1] - first)
    owner = camera[pair]
    stand = sectors.xy[owner]
    ax, ay = (obstacles.wall_a[wall] - stand).T
    bx, by = (obstacles.wall_b[wall] - stand).T
    facing = ax * by - ay * bx < 0  # the building lies left of a->b, the camera right
    owner, ax, ay, bx, by = (values[facing] for values in (owner, ax, ay, bx, by))
    start = np.arctan2(ax, ay)
    width = (np.arctan2(bx, by) - start) % _TURN
    start = (start - sectors.azimuth_rad[owner] + np.pi) % _TURN - np.pi
    walls = _Walls(owner, ax, ay, bx, by, start, start + width)
    past = walls.to_rad > np.pi
    both = _joined(walls, walls.take(past, _TURN))
    half = sectors.half_rad[both.camera]
    return both.take((both.to_rad > -half) & (both.from_rad < half))


def _joined(one: _Walls, other: _Walls) -> _Walls:
    return _Walls(
        *(
            np.concatenate((getattr(one, name), getattr(other, name)))
            for name in ("camera", "ax", "ay", "bx", "by", "from_rad", "to_rad")
        )
    )


def _fan(sectors: Sectors, walls: _Walls, arc_error_m: float) -> Polygons:
    """Cast the rays of each sector and join their ends."""
    camera, angle = _rays(sectors, walls, arc_error_m)
    key = camera * _KEY + (angle + _OFFSET)
    order = np.argsort(key)
    camera, angle, key = camera[order], angle[order], key[order]
    length = sectors.radius_m[camera]
    base = walls.camera * _KEY + _OFFSET
    # Rays on the very border of the view belong to it, whichever way the sums of keys are rounded.
    half = sectors.half_rad[walls.camera] + _EPS_RAD / 2
    first = np.searchsorted(key, base + np.maximum(walls.from_rad, -half), side="left")
    last = np.searchsorted(key, base + np.minimum(walls.to_rad, half), side="right")
    wall, ray = spread(first, np.maximum(last - first, 0))
    bearing = angle + sectors.azimuth_rad[camera]
    east, north = np.sin(bearing), np.cos(bearing)
    along_x, along_y = walls.bx - walls.ax, walls.by - walls.ay
    cross = walls.ax * walls.by - walls.ay * walls.bx
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = cross[wall] / (east[ray] * along_y[wall] - north[ray] * along_x[wall])
    np.minimum.at(length, ray, np.where(hit > 0, hit, np.inf))
    ends = sectors.xy[camera] + np.column_stack((east * length, north * length))
    return _polygons(sectors, camera, ends)


def _rays(sectors: Sectors, walls: _Walls, arc_error_m: float) -> tuple[Indices, Floats]:
    """Camera and angle from the middle of its view of each ray, in no order."""
    radius, half = sectors.radius_m, sectors.half_rad
    step = 2 * np.arccos(1 - np.minimum(arc_error_m / radius, 0.25))
    count = np.ceil(2 * half / step).astype(np.intp) + 1
    row, number = spread(np.zeros_like(count), count)
    fan = half[row] * (2 * number / (count[row] - 1) - 1)
    reach = radius[walls.camera]
    near_a = walls.ax**2 + walls.ay**2 <= reach**2
    near_b = walls.bx**2 + walls.by**2 <= reach**2
    rim_camera, rim = _leaving(sectors, walls, reach)
    corner_camera = np.concatenate((walls.camera[near_a], walls.camera[near_b], rim_camera))
    corner = np.concatenate((walls.from_rad[near_a], walls.to_rad[near_b], rim))
    corner_camera = np.tile(corner_camera, 2)
    corner = np.concatenate((corner - _EPS_RAD, corner + _EPS_RAD))
    inside = np.abs(corner) < half[corner_camera]
    return (
        np.concatenate((row, corner_camera[inside])),
        np.concatenate((fan, corner[inside])),
    )


def _leaving(sectors: Sectors, walls: _Walls, reach: Floats) -> tuple[Indices, Floats]:
    """Where walls cross the rim of the range: camera and angle from the middle of its view."""
    dx, dy = walls.bx - walls.ax, walls.by - walls.ay
    a = dx**2 + dy**2
    b = walls.ax * dx + walls.ay * dy
    square = b**2 - a * (walls.ax**2 + walls.ay**2 - reach**2)
    crosses = square > 0
    root = np.sqrt(np.where(crosses, square, 0.0))
    cameras, angles = [], []
    for sign in (-1.0, 1.0):
        t = (-b + sign * root) / a
        on = crosses & (t > 0) & (t < 1)
        x, y = walls.ax[on] + t[on] * dx[on], walls.ay[on] + t[on] * dy[on]
        turn = np.arctan2(x, y) - sectors.azimuth_rad[walls.camera[on]]
        cameras.append(walls.camera[on])
        angles.append((turn + np.pi) % _TURN - np.pi)
    return np.concatenate(cameras), np.concatenate(angles)


def _polygons(sectors: Sectors, camera: Indices, ends: Floats) -> Polygons:
    """Close each fan: through the camera, unless it goes all round."""
    wedge = np.flatnonzero(sectors.half_rad < np.pi)
    owner = np.concatenate((wedge, camera))
    order = np.argsort(owner, kind="stable")
    points = np.concatenate((sectors.xy[wedge], ends))[order]
    rings = shapely.linearrings(points, indices=owner[order])
    return np.asarray(shapely.polygons(rings), dtype=object)


def pairs_csr(row: Indices, index: Indices, rows: int) -> Csr:
    """Pairs as a list of lists, each list rising."""
    order = np.lexsort((index, row))
    start = np.searchsorted(row[order], np.arange(rows + 1)).astype(np.int32)
    return Csr(start, index[order].astype(np.int32))
