"""How far a model can be trusted: bounds of its parts, and cameras that look where none may."""

import dataclasses

import numpy as np
import pytest
from fakes.coverage_town import box, camera, cell, optics, point

from gateway.domain.camera import Camera
from gateway.domain.coverage.bounds import Sure, covered_m2
from gateway.domain.coverage.build import make_scene, model_of
from gateway.domain.coverage.figures import CoverageBy, Divided, PlaceFacts
from gateway.domain.coverage.place import Place, PlaceId, PlaceList, ProhibitedArea
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.trust import BoundedPart, Trust, bounds_by, trust_of

NORTH = {
    "ptz_type": "3", "azimuth": "0", "horizontal_field_angle": "90", "max_view_distance": "50",
    "resolution": "2560*1440",
}  # fmt: skip
AIMLESS = {k: v for k, v in NORTH.items() if k != "azimuth"}
CELLS = [cell("g1", -100, -100, 100, 100), cell("g2", 900, -100, 1100, 100)]
PLACES = PlaceList.of(
    [
        Place(PlaceId("ahead"), "ahead", "road", point(0, 20), weight=2.0),
        Place(PlaceId("behind"), "behind", "square", point(0, -20), weight=3.0),
        Place(PlaceId("maybe"), "maybe", "road", point(1000, 20), weight=5.0),
        Place(PlaceId("outside"), "outside", "road", point(0, 5000), weight=7.0),
    ],
    prohibited=[
        ProhibitedArea("ward", "ward 1", "ward", box(-4, 25, 4, 33)),
        ProhibitedArea("bath", "bath 2", "bathroom", box(1020, -4, 1028, 4)),
        ProhibitedArea("far", "far 3", "dormitory", box(300, 300, 310, 310)),
    ],
)
FACTS = PlaceFacts(
    kind=("road", "square", "road", "road"),
    township=("t1",) * 4, village=("v1",) * 4, grid=("g9",) * 4,
)  # fmt: skip
DIVIDED = Divided({"g1": "v1", "g2": "v2"}, {"v1": "t1", "v2": "t1"})


def cameras() -> list[Camera]:
    return [camera("sure", 0, 0, NORTH), camera("aimless", 1000, 0, AIMLESS)]


def trusted(places: PlaceList = PLACES) -> Trust:
    return trust_of(make_scene(cameras(), CELLS, places, optics()), places.prohibited)


def parts(what: CoverageBy) -> dict[str, BoundedPart]:
    scene = make_scene(cameras(), CELLS, PLACES, optics())
    found = bounds_by(what, trusted().bounds, model_of(scene), FACTS, DIVIDED)
    assert [part.code for part in found] == sorted(part.code for part in found)
    return {part.code: part for part in found}


def test_each_point_is_certain_expected_possible_or_never_seen() -> None:
    bounds = trusted().bounds
    # Where the aimless camera looks is not known: the figures assume a disc as large as its wedge.
    assert [Sure(n) for n in bounds.points.tolist()] == [
        Sure.CERTAIN, Sure.NO, Sure.EXPECTED, Sure.NO,
    ]  # fmt: skip
    told = dataclasses.astuple(bounds.place_weight)
    assert told == (2.0, 7.0, 7.0)
    assert bounds.listed_weight == 17.0


def test_bounds_of_cells_add_up_to_those_of_villages_townships_and_the_district() -> None:
    bounds = trusted().bounds
    by_cell = parts(CoverageBy.GRID)
    assert sorted(by_cell) == ["g1", "g2", "g9"]
    assert by_cell["g1"].listed_weight == 5.0
    assert dataclasses.astuple(by_cell["g1"].weight) == (2.0, 2.0, 2.0)
    assert by_cell["g9"].cell_m2 == 0.0  # no such cell: where the place outside says it lies
    assert by_cell["g2"].area_m2.lower == 0.0 < by_cell["g2"].area_m2.expected
    villages, townships = parts(CoverageBy.VILLAGE), parts(CoverageBy.TOWNSHIP)
    assert sorted(villages) == ["v1", "v2"]
    for found in (by_cell, villages, townships):
        assert sum(part.cell_m2 for part in found.values()) == pytest.approx(bounds.cell_m2.sum())
        for name in ("lower", "expected", "upper"):
            area = sum(getattr(part.area_m2, name) for part in found.values())
            weight = sum(getattr(part.weight, name) for part in found.values())
            assert area == pytest.approx(getattr(bounds.district_m2, name))
            assert weight == pytest.approx(getattr(bounds.place_weight, name))
    kinds = parts(CoverageBy.KIND)
    assert {code: part.listed_weight for code, part in kinds.items()} == {
        "road": 14.0, "square": 3.0,
    }  # fmt: skip
    assert {part.cell_m2 for part in kinds.values()} == {0.0}


def test_a_camera_that_looks_into_a_room_is_told_with_how_sure_that_is() -> None:
    ward, bath = trusted().intrusions
    assert (ward.channel, ward.area, ward.name, ward.kind) == ("sure", "ward", "ward 1", "ward")
    assert ward.sure is Sure.CERTAIN
    assert ward.overlap_m2 == pytest.approx(64.0, abs=0.5)
    assert ward.most_m2 >= ward.overlap_m2
    assert (bath.channel, bath.sure) == ("aimless", Sure.EXPECTED)
    scene = make_scene(cameras(), CELLS, PLACES, optics())
    assert model_of(scene).intrusions == ((0, "ward"), (1, "bath"))
    assert covered_m2(scene.area_views()[:1], scene.prohibited)[0] == pytest.approx(ward.overlap_m2)


def test_a_room_that_only_the_widest_reading_reaches_is_possible() -> None:
    rooms = PlaceList.of(prohibited=[ProhibitedArea("x", "x", "ward", box(1038, -2, 1044, 2))])
    (found,) = trusted(rooms).intrusions
    assert (found.sure, found.overlap_m2) == (Sure.POSSIBLE, 0.0)
    assert found.most_m2 > 1.0
    x, y = found.longitude, found.latitude
    (east, north), *_ = DISTRICT.to_xy(np.array([[x, y]]))
    assert (1038 <= east <= 1044, -2 <= north <= 2) == (True, True)


def test_a_room_beyond_the_view_is_looked_into_where_a_place_counts_on_so_wide_a_view() -> None:
    far = {**NORTH, "max_view_distance": "150"}  # 51 m at `detect`, 102 m at `monitor`
    room = [ProhibitedArea("room", "room", "ward", box(-4, 70, 4, 76))]
    seen = Place(PlaceId("behind it"), "behind it", "road", point(0, 90), level="monitor")
    looking = camera("c", 0, 0, far)
    near = camera("near", 900, 0, far)
    places = PlaceList.of([seen], prohibited=room)
    scene = make_scene([near, looking], CELLS, places, optics())
    model = model_of(scene)
    assert model.sees.of(1).tolist() == [0]
    assert not model.views[1].intersects(scene.prohibited[0])
    assert model.intrusions == ((1, "room"),)
    (found,) = trust_of(scene, places.prohibited).intrusions
    assert (found.channel, found.sure) == ("c", Sure.CERTAIN)
    assert found.overlap_m2 == pytest.approx(48.0, abs=0.5)
    nobody_asks = PlaceList.of([], prohibited=room)
    assert model_of(make_scene([near, looking], CELLS, nobody_asks, optics())).intrusions == ()


def test_without_prohibited_areas_nobody_intrudes() -> None:
    assert trusted(PlaceList()).intrusions == ()


def test_the_survey_order_is_its_rows() -> None:
    order = trusted().survey
    assert len(order) == len(order.items) == 1
    assert order.items[0].channel == "aimless"
    assert np.isnan(order.worth[0]).tolist() == [False, True, True, True]
