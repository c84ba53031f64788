"""Links to grid cells are what measuring every cell would give; views tell who looks there."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from gateway.domain.alerting.rows import GridLink, LinkReason
from gateway.domain.camera import ChannelId, DivisionCode, GridCell, GridId
from gateway.domain.coverage.model import CoverageModel, Csr
from gateway.domain.coverage.view import ViewState
from gateway.domain.linking import CellIndex, ViewIndex, posts, township_of

WEST, SOUTH, EAST, NORTH = 109.6, 38.2, 109.9, 38.4
VILLAGE = DivisionCode("610802001001")


def cell(grid: str, *polygons: shapely.Polygon) -> GridCell:
    rings = tuple(
        tuple(
            tuple((x, y) for x, y in ring.coords) for ring in (polygon.exterior, *polygon.interiors)
        )
        for polygon in polygons
    )
    return GridCell(GridId(grid), f"网格{grid}", VILLAGE, rings)


def voronoi(seed: int, count: int) -> list[GridCell]:
    points = np.random.default_rng(seed).uniform((WEST, SOUTH), (EAST, NORTH), (count, 2))
    parts = shapely.voronoi_polygons(shapely.MultiPoint(points))
    frame = shapely.box(WEST, SOUTH, EAST, NORTH)
    cut = [part.intersection(frame) for part in parts.geoms]
    drawn = [part for part in cut if isinstance(part, shapely.Polygon)]
    assert len(drawn) == count
    return [cell(f"{n:03d}", part) for n, part in enumerate(drawn)]


LAND = voronoi(7, 150)
INDEX = CellIndex(LAND)
OUTLINES = {c.id: shapely.Polygon(c.polygons[0][0]) for c in LAND}
PLANE = Transformer.from_crs(
    4326, "+proj=laea +lat_0=38.3 +lon_0=109.7 +datum=WGS84", always_xy=True
)
FLAT = {
    grid: shapely.transform(outline, lambda a: np.column_stack(PLANE.transform(a[:, 0], a[:, 1])))
    for grid, outline in OUTLINES.items()
}


def brute_force(longitude: float, latitude: float, k: int, radius_m: float) -> list[GridId]:
    """The same question, by measuring all cells."""
    degrees = shapely.Point(longitude, latitude)
    home = sorted(grid for grid, outline in OUTLINES.items() if outline.intersects(degrees))[:1]
    place = shapely.Point(PLANE.transform(longitude, latitude))
    near = sorted((round(flat.distance(place), 3), grid) for grid, flat in FLAT.items())
    return home + [g for d, g in near if g not in home and d <= radius_m][:k]


@settings(max_examples=150, deadline=None)
@given(
    st.floats(WEST - 0.05, EAST + 0.05),
    st.floats(SOUTH - 0.05, NORTH + 0.05),
    st.integers(0, 12),
    st.floats(50, 6000),
)
def test_the_links_are_those_that_measuring_every_cell_gives(
    longitude: float, latitude: float, k: int, radius_m: float
) -> None:
    found = INDEX.link(longitude, latitude, k, radius_m)

    assert [one.grid for one in found] == brute_force(longitude, latitude, k, radius_m)
    distances = [one.distance_m for one in found]
    assert distances == sorted(distances)


def test_a_place_is_linked_to_its_cell_and_the_five_around_it() -> None:
    found = INDEX.link(109.75, 38.3, radius_m=10_000)

    assert [one.reason for one in found] == [LinkReason.CONTAINS] + 5 * [LinkReason.NEAR]
    assert found[0] == GridLink(
        found[0].grid, LinkReason.CONTAINS, 0.0, None, VILLAGE, DivisionCode("610802001")
    )
    assert OUTLINES[found[0].grid].contains(shapely.Point(109.75, 38.3))
    assert INDEX.containing(109.75, 38.3) == found[0].grid


SQUARES = CellIndex(
    [
        cell("b", shapely.box(109.70, 38.30, 109.71, 38.31)),
        cell("a", shapely.box(109.71, 38.30, 109.72, 38.31)),
        cell("c", shapely.box(109.70, 38.31, 109.71, 38.32)),
        GridCell(GridId("0"), "不带边界", VILLAGE),
    ]
)


def test_on_a_border_the_smallest_code_contains_and_the_other_is_near_without_a_bearing() -> None:
    first, second, *_ = SQUARES.link(109.71, 38.305)

    assert (first.grid, first.reason) == ("a", LinkReason.CONTAINS)
    assert (second.grid, second.distance_m, second.bearing_deg) == ("b", 0.0, None)


def test_cells_that_are_equally_near_are_ordered_by_code() -> None:
    found = SQUARES.link(109.71, 38.31)  # the corner that all three share

    assert [(one.grid, one.distance_m) for one in found] == [("a", 0.0), ("b", 0.0), ("c", 0.0)]


def test_a_cell_without_a_shape_is_never_linked() -> None:
    assert len(SQUARES) == 3
    assert "0" not in {one.grid for one in SQUARES.link(109.705, 38.305, 10, 50_000)}


def test_distance_and_bearing_are_those_on_the_ellipsoid() -> None:
    # Due east of square "a", on its middle parallel.
    found = SQUARES.link(109.73, 38.305, 1)
    bearing, _, distance = Geod(ellps="WGS84").inv(109.73, 38.305, 109.72, 38.305)

    assert [one.grid for one in found] == ["a"]
    assert found[0].distance_m == pytest.approx(distance, rel=1e-4)
    assert found[0].bearing_deg == pytest.approx(bearing % 360, abs=0.2)


def test_bearings_are_true_ones_far_from_the_middle_of_the_plane() -> None:
    wide = CellIndex(
        [
            cell("w", shapely.box(108.70, 38.30, 108.71, 38.31)),
            cell("e", shapely.box(110.70, 38.30, 110.71, 38.31)),
        ]
    )
    # Due south of the eastern one, a degree off the plane's middle: y is 0.6 degrees off north there.
    (found,) = wide.link(110.705, 38.29)

    assert min(found.bearing_deg or 0, 360 - (found.bearing_deg or 0)) < 0.1


def test_a_cell_of_several_polygons_is_as_near_as_its_nearest_one() -> None:
    parts = shapely.box(109.70, 38.30, 109.71, 38.31), shapely.box(109.74, 38.30, 109.75, 38.31)
    (found,) = CellIndex([cell("m", *parts)]).link(109.735, 38.305)

    assert found.distance_m < 450


def test_without_cells_there_are_no_links() -> None:
    empty = CellIndex([])

    assert empty.link(109.7, 38.3) == ()
    assert empty.containing(109.7, 38.3) is None


def test_far_from_every_cell_there_are_no_links() -> None:
    assert INDEX.link(112.0, 40.0) == ()


def test_a_place_that_is_none_has_no_links() -> None:
    assert INDEX.link(float("nan"), 38.3) == ()


def test_posts_are_roles_with_references_and_prefer_the_archive() -> None:
    told = posts(GridId("610802001001003"), {"beat_officer": "警格 12"})

    assert [post.role for post in told] == [
        "grid_worker",
        "beat_officer",
        "village_chief",
        "volunteers",
    ]
    assert told[0].contact == "grid_worker@610802001001003"
    assert told[1].contact == "警格 12"
    assert told[3].title == "驼城义警"


def test_the_township_of_a_village_is_in_its_code() -> None:
    assert township_of(VILLAGE) == "610802001"


# --- who looks there

A, B, C = ChannelId("A"), ChannelId("B"), ChannelId("C")


def csr(*rows: list[int]) -> Csr:
    starts = np.cumsum([0, *(len(row) for row in rows)])
    return Csr(starts.astype(np.int32), np.array([n for row in rows for n in row], dtype=np.int32))


def model() -> CoverageModel:
    """A looks east over the origin, B from further away, C at nothing."""
    ints, floats = np.zeros(0, dtype=np.int32), np.zeros((0, 2))
    views = [shapely.box(-10, -10, 60, 10), shapely.box(-5, -40, 5, 40), shapely.Polygon()]
    return CoverageModel(
        channels=(A, B, C),
        xy=np.array([[-10.0, 0.0], [3.0, -4.0], [0.0, 0.0]]),
        views=np.array(views, dtype=object),
        reach=np.array([None, None, None], dtype=object),
        confidence=np.array([2, 1, 0], dtype=np.int32),
        grids=(GridId("a"), GridId("b")),
        cells=np.array([shapely.box(-100, -100, 0, 100), shapely.box(0, -100, 100, 100)]),
        cells_of=csr([0, 1], [1], []),
        neighbours=csr([1], [0], []),
        places=(),
        point_xy=floats,
        point_place=ints,
        point_weight=np.zeros(0),
        point_cell=ints,
        sees=csr([], [], []),
        seen_by=csr(),
    )


VIEWS = ViewIndex(model())


def test_cameras_in_view_are_told_nearest_first_with_what_they_see_now() -> None:
    found = VIEWS.cameras_in_view(109.7, 38.3, {A: ViewState.NOT_SEEING, B: ViewState.SEEING})

    assert [(one.channel, one.distance_m, one.view) for one in found] == [
        (B, 5.0, "seeing"),
        (A, 10.0, "not_seeing"),
    ]


def test_the_state_of_views_can_be_asked_for_and_is_unknown_when_nobody_says() -> None:
    asked = VIEWS.cameras_in_view(109.7, 38.3, lambda _: ViewState.DEGRADED)
    silent = VIEWS.cameras_in_view(109.7, 38.3)

    assert {one.view for one in asked} == {"degraded"}
    assert {one.view for one in silent} == {"unknown"}


def test_a_place_that_nobody_looks_at_has_no_cameras() -> None:
    assert VIEWS.cameras_in_view(109.8, 38.3) == ()


def test_the_cells_a_camera_looks_into_are_linked_by_code() -> None:
    assert VIEWS.cells_of(A) == ("a", "b")
    assert VIEWS.cells_of(C) == ()
    assert VIEWS.cells_of(ChannelId("nobody")) == ()

    links = SQUARES.seen([GridId("b"), GridId("a"), GridId("unknown")])

    assert [(one.grid, one.reason) for one in links] == [
        ("a", LinkReason.IN_VIEW),
        ("b", LinkReason.IN_VIEW),
    ]
    assert math.isclose(links[0].distance_m, 0.0)
