"""From archive, cells and places to the model; its bounds; and what to survey first."""

import dataclasses
import math
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import shapely
from fakes.coverage_town import box, camera, cell, houses, optics, point, stands

from gateway.domain.camera import Camera
from gateway.domain.coverage.archive_view import Missing
from gateway.domain.coverage.bounds import coverage_bounds, covered_m2
from gateway.domain.coverage.build import Scene, build_model, make_scene
from gateway.domain.coverage.model import Confidence, CoverageModel, Csr
from gateway.domain.coverage.place import (
    Footprint,
    Geometry,
    Place,
    PlaceId,
    PlaceList,
    ProhibitedArea,
)
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.points import sample_points
from gateway.domain.coverage.survey import survey_order

NORTH = {
    "ptz_type": "3", "azimuth": "0", "horizontal_field_angle": "90", "max_view_distance": "50",
    "resolution": "2560*1440",
}  # fmt: skip


def place(name: str, geometry: Geometry, kind: str = "other", **more: Any) -> Place:
    return Place(PlaceId(name), name, kind, geometry, **more)


def line(*points: tuple[float, float]) -> Geometry:
    return DISTRICT.shape_to_geojson(shapely.LineString(points))


def build(cameras: Sequence[Camera], places: PlaceList | None = None, **more: Any) -> CoverageModel:
    return build_model(cameras, more.get("grids", ()), places or PlaceList(), optics())


def lists(csr: Csr) -> list[list[int]]:
    return [csr.of(row).tolist() for row in range(len(csr.start) - 1)]


def seen_places(model: CoverageModel) -> set[str]:
    seen = np.diff(model.seen_by.start) > 0
    return {model.places[p] for p in model.point_place[seen]}


def test_an_empty_district_has_an_empty_model() -> None:
    model = build([])
    assert model.channels == ()
    assert len(model.views) == len(model.point_xy) == len(model.seen_by.index) == 0
    assert lists(model.sees) == []


def test_a_place_is_seen_within_the_range_of_its_level_only() -> None:
    places = PlaceList.of(
        place(f"{level} at {away}", point(0, away), level=level)
        for level in ("detect", "recognise", "identify")
        for away in (4, 9, 45, 60)
    )
    model = build([camera("a", 0, 0, NORTH)], places)
    # 2560 px over 90 degrees: 10.2 m to recognise, 5.1 m to identify; 50 m is the archive's limit.
    assert seen_places(model) == {
        "detect at 4", "detect at 9", "detect at 45",
        "recognise at 4", "recognise at 9", "identify at 4",
    }  # fmt: skip


def test_a_level_below_the_area_level_reaches_further_than_the_view() -> None:
    far = {**NORTH, "max_view_distance": "150"}
    wall = PlaceList.of(
        [place("near", point(0, 45), level="detect"), place("far", point(0, 90), level="monitor"),
         place("hidden", point(40, 85), level="monitor")],
        [Footprint("house", box(30, 60, 50, 70))],
    )  # fmt: skip
    model = build([camera("a", 0, 0, far)], wall)
    assert seen_places(model) == {"near", "far"}
    assert not model.views[0].contains(shapely.Point(0, 90))


def test_buildings_hide_places() -> None:
    places = PlaceList.of(
        [place("free", point(-5, 40)), place("hidden", point(5, 40))],
        [Footprint("house", box(1, 20, 12, 25)), Footprint("broken", {"type": "Polygon"})],
    )
    assert seen_places(build([camera("a", 0, 0, NORTH)], places)) == {"free"}


def test_cells_neighbours_and_points_agree_with_the_shapes() -> None:
    cells = [cell("west", -100, -10, 0, 90), cell("east", 0, -10, 100, 90),
             dataclasses.replace(cell("shapeless", 0, 0, 1, 1), polygons=()),
             cell("elsewhere", 900, 900, 950, 950)]  # fmt: skip
    cameras = [camera("a", -30, 0, NORTH), camera("b", -20, 0, NORTH), camera("c", 80, 0, NORTH)]
    places = PlaceList.of(place(str(x), point(x, 30), weight=2.0) for x in (-25, 0, 80, 200))
    model = build(cameras, places, grids=cells)
    assert model.grids == ("west", "east", "elsewhere")
    assert model.number() == {"a": 0, "b": 1, "c": 2}
    assert lists(model.cells_of) == [[0, 1], [0, 1], [1]]
    assert lists(model.neighbours) == [[1], [0], []]
    assert model.point_cell.tolist() == [0, 0, 1, -1]
    assert lists(model.sees) == [[0, 1], [0, 1], [2]]
    assert lists(model.seen_by) == [[0, 1], [0, 1], [2], []]
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    assert shapely.equals_exact(again.views, model.views).all()


def test_points_of_a_place_share_its_weight() -> None:
    ring = shapely.box(0, 0, 30, 30).difference(shapely.box(1, 1, 29, 29))
    geometries: dict[str, Geometry] = {
        "point": point(0, 0),
        "points": {"type": "MultiPoint", "coordinates": [point(0, i)["coordinates"] for i in range(3)]},
        "road": line((0, 0), (100, 0)),
        "path": line((0, 0), (3, 0)),
        "square": box(0, 0, 50, 50),
        "kiosk": box(0, 0, 2, 2),
        "desert": box(0, 0, 5000, 5000),
        "ring": DISTRICT.shape_to_geojson(ring),
        "sliver": box(0, 0, 3000, 0.02),
        "crooked": DISTRICT.shape_to_geojson(
            shapely.LineString([(0, 0), (20_000, 20_000)]).buffer(0.01)
        ),
        "mixed": {"type": "GeometryCollection", "geometries": [
            {"type": "MultiPoint", "coordinates": [point(0, 0)["coordinates"]]}, box(0, 0, 50, 50)]},
        "nothing": {"type": "Polygon", "coordinates": []},
    }  # fmt: skip
    rows = [place(name, shape, weight=3.0) for name, shape in geometries.items()]
    rows.append(place("draft", point(0, 0), accepted=False))
    found = sample_points(rows, optics(), DISTRICT)
    counts = dict(zip(found.places, np.bincount(found.place).tolist(), strict=True))
    weights = dict(zip(found.places, np.bincount(found.place, found.weight), strict=True))
    assert "nothing" not in counts
    assert "draft" not in counts
    assert list(weights.values()) == pytest.approx([3.0] * len(weights))
    least, most = optics().area_points
    assert (counts["point"], counts["points"], counts["road"], counts["path"]) == (1, 3, 5, 1)
    assert 20 <= counts["square"] <= 30
    assert counts["kiosk"] >= least
    assert counts["ring"] >= least
    assert most * 0.8 < counts["desert"] <= most
    assert counts["sliver"] >= 1
    assert counts["crooked"] == 1
    assert counts["mixed"] == counts["square"] + 1
    for name, shape in geometries.items():
        if name in counts:
            mine = found.xy[found.place == found.places.index(PlaceId(name))]
            inside = shapely.distance(DISTRICT.shape_to_xy(shape), shapely.points(mine))
            assert (inside < 0.01).all(), name


def test_a_view_into_a_prohibited_area_is_an_intrusion() -> None:
    rooms = [
        ProhibitedArea("dormitory", "宿舍", "dormitory", box(-3, 30, 3, 35)),
        ProhibitedArea("behind", "浴室", "bathroom", box(-3, -35, 3, -30)),
        ProhibitedArea("a hair's breadth", "厕所", "toilet", box(-3, 49.95, 3, 60)),
        ProhibitedArea("broken", "", "", {"type": "Point"}),
    ]
    cameras = [camera("away", 500, 0, NORTH), camera("into", 0, 0, NORTH)]
    assert build(cameras, PlaceList.of(prohibited=rooms)).intrusions == ((1, "dormitory"),)


def test_the_reach_of_a_dome_is_kept_apart_from_its_home_view() -> None:
    places = PlaceList.of([place("ahead", point(0, 20)), place("behind", point(0, -20))])
    model = build([camera("dome", 0, 0, {**NORTH, "ptz_type": "1"}), camera("f", 300, 0)], places)
    assert seen_places(model) == {"ahead"}
    assert model.reach[0].contains(shapely.Point(0, -20))
    assert model.reach[1] is None


def test_a_panorama_without_a_direction_sees_all_round() -> None:
    dome = {"ptz_type": "6", "max_view_distance": "40", "resolution": "4K"}
    model = build([camera("p", 0, 0, dome)])
    radius = 3840 / 25 / (2 * math.pi)
    assert model.views[0].area == pytest.approx(math.pi * radius**2, rel=0.01)
    assert model.confidence[0] == Confidence.SURVEYED


def test_covered_areas_count_overlaps_once() -> None:
    rng = np.random.default_rng(3)
    xy = rng.uniform(0, 100, (60, 2))
    views = shapely.box(xy[:, 0], xy[:, 1], xy[:, 0] + 12, xy[:, 1] + 9)
    cells = shapely.box(
        *np.array([[0, 0, 50, 100], [50, 0, 80, 100], [80, 0, 99, 7], [300, 0, 301, 1]]).T
    )
    every = shapely.union_all(views)
    found = covered_m2(views, cells)
    assert found == pytest.approx([every.intersection(c).area for c in cells])
    assert covered_m2(views[:0], cells).tolist() == [0, 0, 0, 0]


# ---------------------------------------------------------------- a town, and an archive with holes

SIZE_M, ACROSS = 360.0, 6


def town_archive(seed: int) -> tuple[list[Camera], PlaceList]:
    """80 cameras among 144 houses, with the lenses of the virtual district; 150 places.

    600 cameras a square kilometre: over ten times as many as in the core of the district.
    """
    rng = np.random.default_rng(seed)
    town = houses(seed, 12)
    stood = stands(seed, 80, town, SIZE_M)
    lenses = [(102, 30), (82, 45), (53, 70), (40, 100)]
    cameras = []
    for number, (x, y) in enumerate(stood):
        field, distance = lenses[rng.integers(len(lenses))]
        degrees = float(rng.uniform(0, 360))
        fields = {
            "ptz_type": "3", "azimuth": f"{degrees:.1f}",
            "direction_type": "46153728"[int((degrees + 22.5) // 45) % 8],
            "horizontal_field_angle": str(field), "max_view_distance": str(distance),
            "resolution": str(rng.choice(["1920*1080", "2560*1440"])),
        }  # fmt: skip
        cameras.append(camera(f"{number:03d}", x, y, fields, model=f"M{field}"))
    at = rng.uniform(0, SIZE_M, (150, 2))
    levels = rng.choice(["detect", "observe"], 150)
    places = PlaceList.of(
        [place(str(i), point(*at[i]), level=str(levels[i])) for i in range(150)],
        [Footprint(str(i), DISTRICT.shape_to_geojson(house)) for i, house in enumerate(town)],
    )
    return cameras, places


def squares() -> list[Any]:
    step = SIZE_M / ACROSS
    return [
        cell(f"{i}-{j}", i * step, j * step, (i + 1) * step, (j + 1) * step)
        for i in range(ACROSS)
        for j in range(ACROSS)
    ]


def scene_of(cameras: Sequence[Camera], places: PlaceList) -> Scene:
    return make_scene(cameras, squares(), places, optics())


def with_holes(cameras: Sequence[Camera], seed: int, share: float = 0.2) -> list[Camera]:
    rng = np.random.default_rng(seed)
    return [
        dataclasses.replace(
            c, archive={k: v for k, v in c.archive.items() if rng.random() >= share}
        )
        for c in cameras
    ]


@pytest.mark.parametrize("town", [11, 15])
def test_bounds_hold_the_truth_when_a_fifth_of_the_archive_is_missing(town: int) -> None:
    """The bars of docs/design/coverage.md for the generated town: of each archive, and of their mean."""
    cameras, places = town_archive(town)
    truth = coverage_bounds(scene_of(cameras, places))
    held, widths, drift, place_drift = [], [], [], []
    for seed in range(3):
        told = coverage_bounds(scene_of(with_holes(cameras, seed), places))
        held.append((told.lower_m2 <= truth.expected_m2) & (truth.expected_m2 <= told.upper_m2))
        widths.append((told.upper_m2 - told.lower_m2) / told.cell_m2)
        drift.append((told.district_m2.expected - truth.district_m2.expected) / SIZE_M**2)
        seen = told.place_weight.expected - truth.place_weight.expected
        place_drift.append(seen / told.listed_weight)
        assert told.place_weight.lower <= truth.place_weight.expected <= told.place_weight.upper
        assert sum(told.cameras.values()) == len(cameras)
        assert told.cameras[Confidence.DEFAULT] > 0
        assert np.mean(held[-1]) >= 0.95
        assert np.mean(widths[-1]) <= 0.38
        assert abs(drift[-1]) <= 0.03
        assert abs(place_drift[-1]) <= 0.06
    assert np.mean(widths) <= 0.35
    assert abs(float(np.mean(drift))) <= 0.03
    assert abs(float(np.mean(place_drift))) <= 0.03


def test_a_full_archive_has_narrow_bounds_around_what_the_model_says() -> None:
    cameras, places = town_archive(12)
    scene = scene_of(cameras, places)
    told = coverage_bounds(scene)
    model = build_model(cameras, squares(), places, optics())
    assert told.grids == model.grids
    assert told.expected_m2 == pytest.approx(covered_m2(model.views, model.cells))
    seen = np.diff(model.seen_by.start) > 0
    assert told.place_weight.expected == pytest.approx(model.point_weight[seen].sum())
    assert told.district_m2.lower < told.district_m2.expected < told.district_m2.upper


def test_the_survey_starts_where_most_weight_hangs_on_a_missing_field() -> None:
    no_direction = {k: v for k, v in NORTH.items() if k != "azimuth"}
    no_distance = {k: v for k, v in NORTH.items() if k not in ("max_view_distance", "resolution")}
    cameras = [
        camera("known", 0, 0, NORTH),
        camera("turned", 1000, 0, {**no_direction, "direction_type": "4"}),
        camera("aimless", 2000, 0, no_direction),
        camera("far", 3000, 0, no_distance),
        camera("lonely", 4000, 0, {}),
        camera("held", 0, 1, no_direction),
    ]
    places = PlaceList.of(
        [
            place("sure", point(0, 20), weight=50.0),
            place("at the side", point(1020, 15), weight=2.0),
            place("round the corner", point(1990, 20), weight=5.0),
            place("far out", point(3000, 70), weight=3.0),
        ]
    )
    order = survey_order(make_scene(cameras, [], places, optics()))
    assert [item.channel for item in order.items][:3] == ["aimless", "far", "turned"]
    assert {item.channel for item in order.items[3:]} == {"held", "lonely"}
    aimless, far, turned = order.items[:3]
    assert aimless.weight == pytest.approx(5.0)
    assert aimless.fields[0][0] is Missing.AZIMUTH
    assert 3.0 < aimless.fields[0][1] < 5.0
    assert dict(far.fields)[Missing.DISTANCE] == pytest.approx(3.0)
    assert dict(turned.fields) == {Missing.AZIMUTH: pytest.approx(2.0)}
    held = next(item for item in order.items if item.channel == "held")
    assert held.weight == 0  # another camera holds that place for certain
    assert held.area_m2 > 0
    assert order.by_field[Missing.AZIMUTH] == pytest.approx(aimless.fields[0][1] + 2.0)


def test_measuring_the_first_of_the_order_leaves_less_at_stake() -> None:
    full, places = town_archive(13)
    cameras = with_holes(full, 1)
    before = survey_order(scene_of(cameras, places))
    first = before.items[0].channel
    mended = [good if good.id == first else told for good, told in zip(full, cameras, strict=True)]
    after = survey_order(scene_of(mended, places))
    assert sum(i.weight for i in after.items) < sum(i.weight for i in before.items)
    assert all(item.channel != first or not item.fields for item in after.items)
