"""What buildings leave of a view, against an exact reference and against single sight lines."""

import math

import numpy as np
import pytest
import shapely
from fakes.coverage_town import houses, stands
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.coverage.line_of_sight import Obstacles, visible
from gateway.domain.coverage.model import Floats, Polygons, Shape
from gateway.domain.coverage.sectors import Sectors

ARC_ERROR_M = 0.1


def look(sectors: Sectors, town: Polygons, simplify_m: float = 0.0) -> Polygons:
    return visible(
        sectors,
        Obstacles.of(town),
        own_building_m=0.5,
        arc_error_m=ARC_ERROR_M,
        simplify_m=simplify_m,
    )


def one(
    x: float, y: float, azimuth_deg: float = 0.0, field_deg: float = 360.0, radius_m: float = 80.0
) -> Sectors:
    return Sectors(
        np.array([[x, y]]),
        np.array([math.radians(azimuth_deg)]),
        np.array([math.radians(field_deg / 2)]),
        np.array([radius_m]),
    )


def exact(stand: Floats, azimuth: float, half: float, radius: float, town: Polygons) -> Shape:
    """Rays at every edge end +-eps and every quarter of a degree, against every edge."""
    a, b = edges(town)
    to_a, to_b = a - stand, b - stand
    ends = np.concatenate((to_a, to_b))
    turns = np.arctan2(ends[:, 0], ends[:, 1]) - azimuth
    turns = (turns + np.pi) % (2 * np.pi) - np.pi
    crossing = rim_crossings(to_a, to_b, radius) - azimuth
    crossing = (crossing + np.pi) % (2 * np.pi) - np.pi
    near = np.concatenate((turns, crossing))
    fine = np.linspace(-half, half, max(2, math.ceil(math.degrees(2 * half) * 4)))
    rays = np.concatenate((near - 1e-8, near + 1e-8, fine))
    rays = np.sort(rays[np.abs(rays) <= half])
    way = np.column_stack((np.sin(rays + azimuth), np.cos(rays + azimuth)))
    length = np.full(len(rays), radius)
    along = to_b - to_a
    for at, wall in zip(to_a, along, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            down = way[:, 0] * wall[1] - way[:, 1] * wall[0]
            hit = (at[0] * wall[1] - at[1] * wall[0]) / down
            part = (at[0] * way[:, 1] - at[1] * way[:, 0]) / down
        on = (hit > 0) & (part >= 0) & (part <= 1)
        length[on] = np.minimum(length[on], hit[on])
    outline = stand + way * length[:, None]
    return shapely.Polygon([*([stand] if half < np.pi else []), *outline]).buffer(0)


def edges(town: Polygons) -> tuple[Floats, Floats]:
    rings = shapely.get_rings(shapely.get_parts(town))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    return points[:-1][same], points[1:][same]


def rim_crossings(a: Floats, b: Floats, radius: float) -> Floats:
    rim = shapely.Point(0, 0).buffer(radius, quad_segs=2000).exterior
    walls = shapely.linestrings(np.stack((a, b), axis=1))
    hits = shapely.get_coordinates(shapely.intersection(walls, rim))
    found: Floats = np.arctan2(hits[:, 0], hits[:, 1])
    return found


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    azimuth_deg=st.floats(0, 360),
    field_deg=st.sampled_from([25.0, 53.0, 90.0, 110.0, 180.0, 300.0, 360.0]),
    radius_m=st.floats(5, 120),
)
def test_a_view_is_the_exact_one_but_for_the_chords_of_its_arc(
    seed: int, azimuth_deg: float, field_deg: float, radius_m: float
) -> None:
    town = houses(seed)
    stand = stands(seed, 1, town)[0]
    found = look(one(stand[0], stand[1], azimuth_deg, field_deg, radius_m), town)[0]
    half = math.radians(field_deg / 2)
    wanted = exact(stand, math.radians(azimuth_deg), half, radius_m, town)
    assert found.is_valid
    # A chord with a rise of e lies inside its arc and takes 2/3 e of its length.
    chords = 2 / 3 * ARC_ERROR_M * 2 * half * radius_m
    assert shapely.difference(found, wanted).area < 0.02
    assert shapely.difference(wanted, found).area < chords * 1.05 + 0.02


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_point_is_in_a_view_exactly_if_its_sight_line_meets_no_building(seed: int) -> None:
    town = houses(seed)
    stood = stands(seed, 6, town)
    n = len(stood)
    rng = np.random.default_rng(seed)
    sectors = Sectors(stood, rng.uniform(0, 6, n), rng.uniform(0.2, np.pi, n), np.full(n, 70.0))
    town_tree = shapely.STRtree(town)
    for view, stand, azimuth, half in zip(
        look(sectors, town), stood, sectors.azimuth_rad, sectors.half_rad, strict=True
    ):
        points = stand + rng.uniform(-75, 75, (150, 2))
        way = points - stand
        off = np.arctan2(way[:, 0], way[:, 1]) - azimuth
        off = np.abs((off + np.pi) % (2 * np.pi) - np.pi)
        lines = shapely.linestrings(np.stack((np.broadcast_to(stand, points.shape), points), 1))
        blocked = np.zeros(len(points), dtype=bool)
        blocked[town_tree.query(lines, predicate="intersects")[0]] = True
        free = (off <= half) & (np.hypot(way[:, 0], way[:, 1]) <= 70.0) & ~blocked
        shapes = shapely.points(points)
        clear = shapely.distance(view.exterior, shapes) > 0.15
        assert (shapely.contains(view, shapes) == free)[clear].all()


def test_many_cameras_at_once_see_what_each_sees_alone() -> None:
    town = houses(5)
    stood = stands(5, 40, town)
    rng = np.random.default_rng(5)
    n = len(stood)
    every = Sectors(
        stood, rng.uniform(0, 6, n), rng.choice([0.4, 1.5, np.pi], n), rng.uniform(9, 90, n)
    )
    together = look(every, town)
    for c in range(n):
        alone = look(every.take(np.array([c])), town)[0]
        assert shapely.symmetric_difference(together[c], alone).area < 1e-6


@pytest.mark.parametrize(
    ("x", "y"),
    [(0.0, 0.0), (10.0, 3.0), (10.0, 10.0), (10.4, 0.0), (9.7, -4.0)],
    ids=["inside", "on the wall", "on a corner", "before the wall", "within the wall"],
)
def test_a_camera_is_not_blinded_by_the_building_that_carries_it(x: float, y: float) -> None:
    town = np.array([shapely.box(-10, -10, 10, 10), shapely.box(30, -50, 40, 50)], dtype=object)
    view = look(one(x, y, 90.0, 90.0, 60.0), town)[0]
    assert view.contains(shapely.Point(29, y))
    assert not view.intersects(shapely.Point(45, y))


def test_a_camera_in_a_courtyard_sees_its_walls_and_no_further() -> None:
    ring = shapely.box(-20, -20, 20, 20).difference(shapely.box(-10, -10, 10, 10))
    view = look(one(0, 0, radius_m=50.0), np.array([ring], dtype=object))[0]
    assert shapely.symmetric_difference(view, shapely.box(-10, -10, 10, 10)).area < 0.01


def test_without_buildings_a_view_has_the_area_of_its_sector() -> None:
    none = np.empty(0, dtype=object)
    for field_deg in (40.0, 180.0, 300.0, 360.0):
        view = look(one(0, 0, 200.0, field_deg, 100.0), none)[0]
        assert view.area == pytest.approx(math.pi * 100**2 * field_deg / 360, rel=0.0015)


def test_a_view_without_range_is_empty() -> None:
    town = houses(1)
    assert look(one(1, 1, radius_m=0.0), town)[0].is_empty


def test_simplifying_moves_the_outline_by_no_more_than_it_may() -> None:
    town = houses(9)
    stood = stands(9, 30, town)
    n = len(stood)
    sectors = Sectors(stood, np.linspace(0, 6, n), np.full(n, 0.7), np.full(n, 90.0))
    full, simple = look(sectors, town), look(sectors, town, 0.3)
    # Discrete Fréchet or Hausdorff distances look at corners; a strip of 0.3 m holds the outline.
    for outline, moved in zip(shapely.boundary(full), shapely.boundary(simple), strict=True):
        assert outline.buffer(0.301).contains(moved)
    assert shapely.get_num_coordinates(simple).sum() < shapely.get_num_coordinates(full).sum()
    assert shapely.is_valid(simple).all()


def test_shapes_that_are_no_polygons_hide_nothing() -> None:
    odd = np.array(
        [
            None,
            shapely.LineString([(-9, 5), (9, 5)]),
            shapely.MultiPolygon([shapely.box(-1, 9, 1, 11)]),
        ],
        dtype=object,
    )
    view = look(one(0, 0, 0.0, 60.0, 30.0), odd)[0]
    assert view.contains(shapely.Point(0, 7))
    assert not view.intersects(shapely.Point(0, 20))
