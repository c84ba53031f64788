"""Builds the coverage model from archive, grid cells and places: once an import, off the event loop."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely

from gateway.domain.camera import Camera, GridCell, GridId
from gateway.domain.coverage.archive_view import ArchiveViews, read_views
from gateway.domain.coverage.line_of_sight import (
    Indices,
    Obstacles,
    pairs_csr,
    point_shapes,
    visible,
)
from gateway.domain.coverage.model import CoverageModel, Csr, Floats, Ints, Polygons
from gateway.domain.coverage.optics import Optics
from gateway.domain.coverage.place import PlaceList
from gateway.domain.coverage.plane import DISTRICT, Plane
from gateway.domain.coverage.points import SamplePoints, sample_points
from gateway.domain.coverage.sectors import Sectors, Side, reaches, sectors


@dataclass(frozen=True)
class Scene:
    """Archive, cells and places in metres: what model, bounds and survey order start from."""

    optics: Optics
    views: ArchiveViews
    obstacles: Obstacles
    grids: tuple[GridId, ...]
    cells: Polygons
    points: SamplePoints
    prohibited: Polygons
    prohibited_ids: tuple[str, ...]

    def seen(self, what: Sectors) -> Polygons:
        """Sectors cut by buildings."""
        return visible(
            what,
            self.obstacles,
            own_building_m=self.optics.own_building_m,
            arc_error_m=self.optics.arc_error_m,
            simplify_m=self.optics.simplify_m,
        )

    @property
    def ladder(self) -> str:
        """Name of the standard, with its edition, whose pixel densities count."""
        return self.optics.ladder.name

    def area_views(self, side: Side = Side.EXPECTED) -> Polygons:
        """The views at the area level."""
        return self.seen(sectors(self.views, self.optics, self.optics.area_px_per_m(), side))

    def lowest_px_per_m(self) -> float:
        """The lowest density that anything asks for: beyond its range no view is counted on."""
        lowest = min(self.points.px_per_m.min(initial=np.inf), self.optics.area_px_per_m())
        return float(lowest)

    def utmost_views(self, views: Polygons, side: Side = Side.EXPECTED) -> Polygons:
        """The views as far as any place may count on them, wherever a prohibited area is near.

        Far from all prohibited areas they stay as they are: nobody asks there.

        Args:
            views: of that side at the area level.
            side: of the sectors.
        """
        lowest = self.lowest_px_per_m()
        if lowest >= self.optics.area_px_per_m():
            return views
        reach = sectors(self.views, self.optics, lowest, side)
        near, _ = shapely.STRtree(self.prohibited).query(
            point_shapes(reach.xy), predicate="dwithin", distance=reach.radius_m
        )
        near = np.unique(near)
        found = views.copy()
        found[near] = self.seen(reach.take(near))
        return found

    def sightings(self, views: Polygons, side: Side = Side.EXPECTED) -> tuple[Indices, Indices]:
        """Pairs (camera, point): seen at the density that the point asks for.

        Args:
            views: the views of that side at the area level.
            side: of the sectors.
        """
        area_px_per_m = self.optics.area_px_per_m()
        pairs = []
        for density in np.unique(self.points.px_per_m):
            asked = np.flatnonzero(self.points.px_per_m == density)
            reach = sectors(self.views, self.optics, float(density), side)
            shapes = views if density >= area_px_per_m else self.seen(reach)
            tree = shapely.STRtree(point_shapes(self.points.xy[asked]))
            camera, found = tree.query(shapes, predicate="intersects")
            point = asked[found]
            away = self.points.xy[point] - self.views.xy[camera]
            near = np.hypot(away[:, 0], away[:, 1]) <= reach.radius_m[camera]
            pairs.append((camera[near], point[near]))
        if not pairs:
            none = np.empty(0, dtype=np.intp)
            return none, none
        cameras, points = zip(*pairs, strict=True)
        return np.concatenate(cameras), np.concatenate(points)


def make_scene(
    cameras: Iterable[Camera],
    grids: Iterable[GridCell],
    places: PlaceList,
    optics: Optics,
    plane: Plane = DISTRICT,
) -> Scene:
    """Project and clean everything; what cannot be used is left out, nothing raises."""
    shaped = [grid for grid in grids if grid.polygons]
    cells = plane.shapes_to_xy(
        {"type": "MultiPolygon", "coordinates": grid.polygons} for grid in shaped
    )
    usable = np.flatnonzero(~shapely.is_missing(cells))
    prohibited = plane.shapes_to_xy(area.geometry for area in places.prohibited)
    fenced = np.flatnonzero(~shapely.is_missing(prohibited))
    return Scene(
        optics,
        read_views(cameras, optics, plane),
        Obstacles.of(plane.shapes_to_xy(house.geometry for house in places.footprints)),
        tuple(shaped[i].id for i in usable),
        cells[usable],
        sample_points(tuple(places.places.values()), optics, plane),
        prohibited[fenced],
        tuple(places.prohibited[i].id for i in fenced),
    )


def build_model(
    cameras: Iterable[Camera], grids: Iterable[GridCell], places: PlaceList, optics: Optics
) -> CoverageModel:
    """Everything that changes only with an import.

    Args:
        cameras: of the archive; those not in use or without a position are left out.
        grids: cells without a shape are left out.
        places: listed places (drafts are left out), footprints, prohibited areas.
        optics: pixel densities, assumptions and tolerances.
    """
    return model_of(make_scene(cameras, grids, places, optics))


def model_of(scene: Scene) -> CoverageModel:
    """The model of a scene."""
    views = scene.area_views()
    count = len(views)
    camera, point = scene.sightings(views)
    tree = shapely.STRtree(views)
    one, other = tree.query(views, predicate="intersects")
    apart = one != other
    return CoverageModel(
        channels=scene.views.channels,
        xy=scene.views.xy,
        views=views,
        reach=_reaches(scene),
        confidence=scene.views.confidence,
        grids=scene.grids,
        cells=scene.cells,
        cells_of=_touching(views, scene.cells),
        neighbours=pairs_csr(one[apart], other[apart], count),
        places=scene.points.places,
        point_xy=scene.points.xy,
        point_place=scene.points.place,
        point_weight=scene.points.weight,
        point_cell=_cell_of(scene.points.xy, scene.cells),
        sees=pairs_csr(camera, point, count),
        seen_by=pairs_csr(point, camera, len(scene.points.xy)),
        intrusions=_intrusions(scene, scene.utmost_views(views)),
    )


def _reaches(scene: Scene) -> Polygons:
    found: Polygons = np.full(len(scene.views.channels), None, dtype=object)
    turning = np.flatnonzero(scene.views.turning)
    discs = reaches(scene.views, scene.optics, scene.optics.area_px_per_m())
    found[turning] = scene.seen(discs.take(turning))
    return found


def _touching(views: Polygons, cells: Polygons) -> Csr:
    camera, cell = shapely.STRtree(cells).query(views, predicate="intersects")
    return pairs_csr(camera, cell, len(views))


def _cell_of(xy: Floats, cells: Polygons) -> Ints:
    """The cell of each point, -1 outside all; on a border the first."""
    found = np.full(len(xy), -1, dtype=np.int32)
    point, cell = shapely.STRtree(cells).query(point_shapes(xy), predicate="intersects")
    order = np.lexsort((-cell, point))
    found[point[order]] = cell[order]  # the smallest number is written last
    return found


def _intrusions(scene: Scene, views: Polygons) -> tuple[tuple[int, str], ...]:
    camera, area = shapely.STRtree(scene.prohibited).query(views, predicate="intersects")
    overlap = shapely.area(shapely.intersection(views[camera], scene.prohibited[area]))
    into = overlap > scene.optics.intrusion_m2
    pairs = zip(camera[into].tolist(), area[into].tolist(), strict=True)
    return tuple(sorted((c, scene.prohibited_ids[a]) for c, a in pairs))
