"""Which points can be looked at from where, before direction and lens are chosen."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gateway.domain.coverage.build import Scene
from gateway.domain.coverage.line_of_sight import point_shapes, visible
from gateway.domain.coverage.model import Csr, Floats, Polygons
from gateway.domain.coverage.sectors import Sectors
from gateway.domain.planning.problem import csr_of

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class SightLines:
    """Pairs of a stand and a point with nothing in between; arrays are (n,).

    Attributes:
        bearing_deg: of the point from the stand, clockwise from north.
    """

    stand: Indices
    point: Indices
    distance_m: Floats
    bearing_deg: Floats

    def take(self, chosen: NDArray[np.bool_]) -> "SightLines":
        """Some of them."""
        return SightLines(
            self.stand[chosen], self.point[chosen], self.distance_m[chosen],
            self.bearing_deg[chosen],
        )  # fmt: skip

    def within(self, azimuth_deg: Floats | float, field_deg: Floats | float) -> NDArray[np.bool_]:
        """Which lie in a field of view."""
        off = np.abs((self.bearing_deg - azimuth_deg + 180.0) % 360.0 - 180.0)
        inside: NDArray[np.bool_] = off <= np.asarray(field_deg) / 2 + 1e-9
        return inside


def sight_lines(scene: Scene, xy: Floats, radius_m: Floats, wanted: Indices) -> SightLines:
    """The clear lines from stands to points.

    Args:
        scene: buildings and points.
        xy: (n, 2) stands, metres.
        radius_m: (n,) how far to look.
        wanted: the points to look at.
    """
    tree = shapely.STRtree(point_shapes(scene.points.xy[wanted]))
    stand, found = tree.query(point_shapes(xy), predicate="dwithin", distance=radius_m)
    point = wanted[found]
    away = scene.points.xy[point] - xy[stand]
    lines = SightLines(
        stand,
        point,
        np.hypot(away[:, 0], away[:, 1]),
        np.degrees(np.arctan2(away[:, 0], away[:, 1])) % 360.0,
    )
    used, row = np.unique(stand, return_inverse=True)
    if not len(scene.obstacles.shapes) or not len(used):
        return lines
    # Outwards a little: the rim of the fan is made of chords.
    reach = radius_m[used] + scene.optics.arc_error_m
    zero = np.zeros(len(used))
    discs = scene.seen(Sectors(xy[used], zero, zero + np.pi, reach))
    shapely.prepare(discs)
    at = scene.points.xy[point]
    return lines.take(shapely.intersects_xy(discs[row.reshape(-1)], at[:, 0], at[:, 1]))


def intrudes(scene: Scene, views: Sectors) -> NDArray[np.bool_]:
    """Which views overlap a prohibited area by more than is tolerated."""
    found = np.zeros(len(views.radius_m), dtype=bool)
    if not len(scene.prohibited) or not len(found):
        return found
    fences = shapely.STRtree(scene.prohibited)
    stands = point_shapes(views.xy)
    near, _ = fences.query(stands, predicate="dwithin", distance=views.radius_m)
    near = np.unique(near)
    seen = exact(scene, views.take(near))
    view, area = fences.query(seen, predicate="intersects")
    overlap = shapely.area(shapely.intersection(seen[view], scene.prohibited[area]))
    found[near[view[overlap > scene.optics.intrusion_m2]]] = True
    return found


def exact(scene: Scene, views: Sectors) -> Polygons:
    """Views cut by buildings, their outline not simplified."""
    return visible(
        views,
        scene.obstacles,
        own_building_m=scene.optics.own_building_m,
        arc_error_m=scene.optics.arc_error_m / 10,
        simplify_m=0.0,
    )


def seen_from_beside(scene: Scene, sees: Csr, xy: Floats, near_m: float) -> Csr:
    """Stand -> the points that one standing camera sees alone, which stands beside it.

    Args:
        scene: cameras and points.
        sees: camera -> points.
        xy: (n, 2) stands, metres; those that are not finite have no neighbours.
        near_m: no further apart = beside each other.
    """
    count = np.bincount(sees.index, minlength=len(scene.points.xy))
    alone = count[sees.index] == 1
    camera = np.repeat(np.arange(len(scene.views.xy)), np.diff(sees.start))
    held = csr_of(camera[alone], sees.index[alone], len(scene.views.xy))
    placed = np.flatnonzero(np.isfinite(xy).all(axis=1))
    tree = shapely.STRtree(point_shapes(scene.views.xy))
    stand, near = tree.query(point_shapes(xy[placed]), predicate="dwithin", distance=near_m)
    points = [held.of(c) for c in near.tolist()]
    stands = np.repeat(placed[stand], [len(found) for found in points])
    return csr_of(stands, np.concatenate([np.empty(0, np.int32), *points]), len(xy))


def stands_in(scene: Scene, xy: Floats) -> NDArray[np.bool_]:
    """Which stands lie in a prohibited area."""
    found = np.zeros(len(xy), dtype=bool)
    if len(scene.prohibited):
        inside, _ = shapely.STRtree(scene.prohibited).query(point_shapes(xy), "intersects")
        found[inside] = True
    return found
