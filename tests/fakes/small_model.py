"""Coverage models built by hand: views anywhere, cells a checkerboard, places with points where told."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from shapely.geometry import Point, box, mapping

from gateway.domain.camera import ChannelId, GridId
from gateway.domain.coverage.groups import csr, turned
from gateway.domain.coverage.model import CoverageModel
from gateway.domain.coverage.place import PlaceId

CELL_M = 50.0


def shapes(found: Sequence[Any]) -> Any:
    """An array of geometries."""
    array = np.empty(len(found), object)
    array[:] = found
    return array


def touching(left: Any, right: Any) -> list[list[int]]:
    """For each left shape the right shapes that share some area with it."""
    tree = shapely.STRtree(right)
    return [
        sorted(int(i) for i in tree.query(one) if one.intersection(right[i]).area > 0)
        for one in left
    ]


def model_of(
    views: Sequence[Any],
    places: Sequence[Sequence[tuple[float, float]]] = (),
    weights: Sequence[float] = (),
    *,
    size_m: float = 200.0,
) -> CoverageModel:
    """A model in which a camera sees the points within its view.

    Args:
        views: a polygon a camera.
        places: sample points of each place.
        weights: of the places; default: 1 each.
        size_m: side of the square that the cells fill.
    """
    seen = shapes(views)
    steps = np.arange(0, size_m + 1, CELL_M)
    cells = shapes([box(a, c, b, d) for a, b in pairwise(steps) for c, d in pairwise(steps)])
    around = touching(seen, seen)
    points = [xy for place in places for xy in place]
    of_place = [i for i, place in enumerate(places) for _ in place]
    each = [(weights[i] if weights else 1.0) / len(places[i]) for i in of_place]
    sees = csr([[p for p, xy in enumerate(points) if view.covers(Point(xy))] for view in views])
    in_cell = [next((g for g, c in enumerate(cells) if c.covers(Point(xy))), -1) for xy in points]
    return CoverageModel(
        channels=tuple(ChannelId(f"c{i:04d}") for i in range(len(views))),
        xy=np.array([view.centroid.coords[0] for view in views]).reshape(-1, 2),
        views=seen,
        reach=shapes([None] * len(views)),
        confidence=np.full(len(views), 2, np.int32),
        grids=tuple(GridId(f"g{i}") for i in range(len(cells))),
        cells=cells,
        cells_of=csr(touching(seen, cells)),
        neighbours=csr([[n for n in row if n != i] for i, row in enumerate(around)]),
        places=tuple(PlaceId(f"p{i}") for i in range(len(places))),
        point_xy=np.array(points).reshape(-1, 2),
        point_place=np.array(of_place, np.int32),
        point_weight=np.array(each),
        point_cell=np.array(in_cell, np.int32),
        sees=sees,
        seen_by=turned(sees, len(points)),
    )


def geojson(shape: Any) -> dict[str, Any]:
    """The shape in its own plane: these models have no datum."""
    return dict(mapping(shape))


def district(n: int, around: float, seed: int = 1, points: int = 0) -> CoverageModel:
    """Many random wedges, quickly.

    Args:
        n: cameras.
        around: how many neighbours a view has, about.
        seed: of the numbers.
        points: one-point places, spread as the cameras are.
    """
    random = np.random.default_rng(seed)
    radius = 80.0
    size = float(np.sqrt(n * 3.0 * radius**2 / max(around, 0.1)))
    xy = random.uniform(0, size, (n, 2))
    angles = random.uniform(0, 2 * np.pi, n)
    turns = np.linspace(-np.pi / 4, np.pi / 4, 19)
    rim = np.stack([np.cos(angles[:, None] + turns), np.sin(angles[:, None] + turns)], axis=2)
    reach = random.uniform(0.6, 1.0, (n, 19, 1)) * radius  # buildings bite into it
    rings = np.concatenate([xy[:, None], xy[:, None] + rim * reach, xy[:, None]], axis=1)
    views: Any = shapely.polygons(rings)
    steps = np.arange(0, size + 400, 400)
    cells = shapes([box(a, c, b, d) for a, b in pairwise(steps) for c, d in pairwise(steps)])
    tree = shapely.STRtree(views)
    left, right = tree.query(views, predicate="intersects")
    own = left == right
    place_xy = random.uniform(0, size, (points, 2))
    point, camera = tree.query(shapely.points(place_xy), predicate="intersects")
    seen_by = _csr_of(point, camera, points)
    cell_camera, cell = shapely.STRtree(cells).query(views, predicate="intersects")
    return CoverageModel(
        channels=tuple(ChannelId(f"c{i:05d}") for i in range(n)),
        xy=xy,
        views=views,
        reach=shapes([None] * n),
        confidence=np.full(n, 2, np.int32),
        grids=tuple(GridId(f"g{i}") for i in range(len(cells))),
        cells=cells,
        cells_of=_csr_of(cell_camera, cell, n),
        neighbours=_csr_of(left[~own], right[~own], n),
        places=tuple(PlaceId(f"p{i}") for i in range(points)),
        point_xy=place_xy,
        point_place=np.arange(points, dtype=np.int32),
        point_weight=random.uniform(0.5, 3.0, points),
        point_cell=np.zeros(points, np.int32),
        sees=turned(seen_by, n),
        seen_by=seen_by,
    )


def _csr_of(row: Any, number: Any, rows: int) -> Any:
    lists: list[list[int]] = [[] for _ in range(rows)]
    for r, k in zip(row.tolist(), number.tolist(), strict=True):
        lists[r].append(k)
    return csr(lists)
