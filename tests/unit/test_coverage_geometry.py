"""The plane, and why geometries are refused."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.coverage.geometry_check import MOST_VERTICES, check_geometry
from gateway.domain.coverage.plane import DISTRICT

SQUARE = [[109.7, 38.2], [109.71, 38.2], [109.71, 38.21], [109.7, 38.21], [109.7, 38.2]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


@given(lon=st.floats(109.0, 110.4), lat=st.floats(37.9, 38.9))
@settings(max_examples=25, deadline=None)
def test_degrees_come_back_from_the_plane(lon: float, lat: float) -> None:
    there = DISTRICT.to_xy(np.array([[lon, lat]]))
    assert DISTRICT.to_lonlat(there)[0] == pytest.approx([lon, lat], abs=2e-8)


def test_distances_in_the_plane_are_those_on_the_ground() -> None:
    from pyproj import Geod

    ends = np.array([[109.2, 38.6], [109.21, 38.61]])
    true_m = Geod(ellps="WGS84").inv(*ends[0], *ends[1])[2]
    a, b = DISTRICT.to_xy(ends)
    assert math.dist(a, b) == pytest.approx(true_m, rel=3e-5)


def test_what_is_published_has_its_outer_rings_counter_clockwise_and_seven_decimals() -> None:
    shape = DISTRICT.shape_to_xy(polygon(SQUARE[::-1]))
    published = DISTRICT.shape_to_geojson(shape)
    assert published["type"] == "Polygon"
    ring = published["coordinates"][0]
    assert shapely.LinearRing(ring).is_ccw
    assert all(round(value, 7) == value for position in ring for value in position)
    assert {tuple(p) for p in ring} == {tuple(p) for p in SQUARE}


def test_what_cannot_be_projected_is_nothing_and_raises_nothing() -> None:
    shapes = DISTRICT.shapes_to_xy(
        [
            None,
            {"type": "Point", "coordinates": [math.nan, 38.0]},
            {"type": "Point", "coordinates": [1e300, 38.0]},
            {"type": "Polygon", "coordinates": []},
            {"type": "Point", "coordinates": [{1, 2}]},
            {"type": "Point", "coordinates": [109.7, 38.3]},
        ]
    )
    assert [shape is None for shape in shapes] == [True] * 5 + [False]
    assert DISTRICT.shapes_to_xy([]).size == 0


def test_of_a_self_crossing_ring_remains_what_it_encloses() -> None:
    bow = polygon([[109.7, 38.2], [109.71, 38.21], [109.71, 38.2], [109.7, 38.21], [109.7, 38.2]])
    shape = DISTRICT.shape_to_xy(bow)
    assert shape.is_valid
    assert shape.area == pytest.approx(DISTRICT.shape_to_xy(polygon(SQUARE)).area / 2, rel=1e-3)


def test_the_plane_travels_between_processes() -> None:
    there = pickle.loads(pickle.dumps(DISTRICT))  # noqa: S301 - our own
    assert (there.lon_deg, there.lat_deg) == (DISTRICT.lon_deg, DISTRICT.lat_deg)


@pytest.mark.parametrize(
    "good",
    [
        {"type": "Point", "coordinates": [109.7, 38.2]},
        {"type": "Point", "coordinates": (109.7, 38.2, 1100.0)},
        {"type": "MultiPoint", "coordinates": SQUARE},
        {"type": "LineString", "coordinates": SQUARE[:2]},
        {"type": "MultiLineString", "coordinates": [SQUARE[:2], SQUARE[2:]]},
        polygon(SQUARE),
        {"type": "MultiPolygon", "coordinates": [[SQUARE]]},
    ],
)
def test_a_good_geometry_has_no_problem(good: object) -> None:
    assert check_geometry(good) is None


CLOSED = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (None, "not_geometry"),
        ("POINT (109 38)", "not_geometry"),
        ({"type": "GeometryCollection", "geometries": []}, "not_geometry"),
        ({"type": "Point"}, "empty"),
        ({"type": "Point", "coordinates": []}, "empty"),
        ({"type": "MultiPolygon", "coordinates": []}, "empty"),
        (polygon(), "empty"),
        (polygon([]), "empty"),
        ({"type": "Point", "coordinates": ["109", "38"]}, "bad_coordinates"),
        ({"type": "Point", "coordinates": [True, False]}, "bad_coordinates"),
        ({"type": "Point", "coordinates": [109.7]}, "bad_coordinates"),
        ({"type": "Point", "coordinates": [10**400, 38]}, "bad_coordinates"),
        ({"type": "LineString", "coordinates": "ab"}, "bad_coordinates"),
        ({"type": "Polygon", "coordinates": SQUARE}, "bad_coordinates"),
        ({"type": "Polygon", "coordinates": {"a": 1}}, "bad_coordinates"),
        ({"type": "Point", "coordinates": [math.nan, 38.2]}, "not_finite"),
        ({"type": "Point", "coordinates": [math.inf, 38.2]}, "not_finite"),
        ({"type": "Point", "coordinates": [38.2, 109.7]}, "swapped_axes"),
        ({"type": "Point", "coordinates": [500_000.0, 4_230_000.0]}, "not_degrees"),
        ({"type": "Point", "coordinates": [2.3, 48.8]}, "far_away"),
        ({"type": "LineString", "coordinates": SQUARE[:1]}, "too_short"),
        (polygon(SQUARE[:3]), "too_short"),
        (polygon(SQUARE[:4]), "not_closed"),
        (polygon([[109.7, 38.2]] * 4), "no_extent"),
        ({"type": "LineString", "coordinates": [[109.7, 38.2]] * 2}, "no_extent"),
        (polygon([SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3], SQUARE[0]]), "self_crossing"),
        (polygon(SQUARE * 4_001), "too_many_vertices"),
        (polygon(*[[]] * (MOST_VERTICES + 2)), "too_many_vertices"),
    ],
)
def test_a_bad_geometry_gets_one_reason_in_both_languages(bad: object, code: str) -> None:
    problem = check_geometry(bad)
    assert problem is not None
    assert problem.code == code
    assert problem.english
    assert not problem.chinese.isascii()


def test_a_million_vertices_are_refused_without_reading_them_all() -> None:
    class Counted(list[Any]):
        read = 0

        def __iter__(self) -> Any:
            Counted.read += 1
            return super().__iter__()

    problem = check_geometry(polygon(Counted(SQUARE * 200_000)))
    assert problem is not None
    assert problem.code == "too_many_vertices"
    assert Counted.read == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=12,
)
KINDS = ("Point", "LineString", "Polygon", "MultiPolygon", "MultiPoint", "MultiLineString", "Cube")


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(KINDS), coordinates=JSON)
@example(kind="Polygon", coordinates=[CLOSED, None])
def test_nothing_that_comes_in_raises(kind: str, coordinates: object) -> None:
    geojson = {"type": kind, "coordinates": coordinates}
    problem = check_geometry(geojson)
    shape = DISTRICT.shape_to_xy(geojson)
    if problem is None:
        assert shape is not None
