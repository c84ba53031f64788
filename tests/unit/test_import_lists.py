"""Lists beside the archive: places, footprints, prohibited areas, candidate sites, sensors."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from archive_files import OPTIONS, good

from gateway.coverage_config import load_ladder, load_place_kinds
from gateway.domain.archive_fields import LISTS, Kind, detect_kind
from gateway.domain.archive_table import TOO_LONG_GEOMETRY
from gateway.domain.camera import Camera, ChannelId, DeviceId
from gateway.domain.coverage.place import PlaceList
from gateway.domain.coverage.suggest import suggest_places
from gateway.domain.event import EventKind
from gateway.list_plan import ListPlan, Lists, plan_acceptance, plan_drafts, plan_lists
from gateway.ports import RawTable

POINT = json.dumps({"type": "Point", "coordinates": [109.73, 38.28]})
SQUARE = json.dumps(
    {
        "type": "Polygon",
        "coordinates": [[[109.73, 38.28], [109.731, 38.28], [109.731, 38.281], [109.73, 38.28]]],
    }
)
LINE = json.dumps({"type": "LineString", "coordinates": [[109.73, 38.28], [109.74, 38.28]]})
PLACE = {"id": "p1", "name": "东门小学", "kind": "school", "weight": "2", "geometry": POINT}
SITE = {"id": "s1", "name": "杆1", "power": "1", "network": "无", "cost": "6800",
        "longitude": "109.73", "latitude": "38.28"}  # fmt: skip
SENSOR = {"id": "n1", "name": "烟感1", "kind": "烟感", "topic": "yy/smoke/1",
          "longitude": "109.73", "latitude": "38.28"}  # fmt: skip
GOOD: Mapping[Kind, dict[str, str]] = {
    Kind.PLACES: PLACE,
    Kind.FOOTPRINTS: {"id": "b1", "geometry": SQUARE},
    Kind.PROHIBITED: {"id": "d1", "name": "宿舍", "kind": "dormitory", "geometry": SQUARE},
    Kind.CANDIDATES: SITE,
    Kind.SENSORS: SENSOR,
}


def lists(places: PlaceList | None = None, **more: Any) -> Lists:
    old = Lists(places or PlaceList(), (), good().inventory, load_place_kinds(), load_ladder())
    return replace(old, **more)


def table(kind: Kind, *rows: Mapping[str, str]) -> RawTable:
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    return RawTable(f"{kind}.csv", columns, tuple(enumerate(rows, start=2)))


def plan(
    kind: Kind, *rows: Mapping[str, str], old: Lists | None = None, **options: Any
) -> ListPlan:
    raw = table(kind, *rows)
    return plan_lists(old or lists(), [raw], replace(OPTIONS, kinds={raw.file: kind}, **options))


def as_lists(found: ListPlan, old: Lists) -> Lists:
    return replace(old, places=found.places or old.places, sensors=found.sensors or old.sensors)


@pytest.mark.parametrize("kind", sorted(LISTS))
def test_a_good_row_is_taken_and_a_second_import_changes_nothing(kind: Kind) -> None:
    found = plan(kind, GOOD[kind])
    assert found.repairs == ()
    assert found.counts[kind] == 1
    assert found.counts["added"] == 1
    again = plan(kind, GOOD[kind], old=as_lists(found, lists()))
    assert again.changes == ()
    assert plan(kind, GOOD[kind], {**GOOD[kind], "topic": "x"}).counts["quarantined"] == 1, (
        "same id"
    )


def test_what_a_list_is_shows_in_its_columns() -> None:
    assert detect_kind(tuple(PLACE)) is Kind.PLACES
    assert detect_kind(tuple(SITE)) is Kind.CANDIDATES
    assert detect_kind(tuple(SENSOR)) is Kind.SENSORS
    assert detect_kind(("id", "geometry")) is None
    assert plan_lists(lists(), [table(Kind.PLACES, PLACE)], OPTIONS).counts["places"] == 1


LIST_RULES = {
    "unusable_geometry": (Kind.PLACES, {**PLACE, "geometry": '{"type": "Point"}'}, "geometry"),
    "missing_position": (Kind.CANDIDATES, {**SITE, "longitude": ""}, "longitude"),
    "missing_topic": (Kind.SENSORS, {**SENSOR, "topic": ""}, "topic"),
    "bad_sensor_kind": (Kind.SENSORS, {**SENSOR, "kind": "人脸"}, "kind"),
    "bad_place_kind": (Kind.PLACES, {**PLACE, "kind": "仙境"}, "kind"),
    "bad_weight": (Kind.PLACES, {**PLACE, "weight": "-1"}, "weight"),
    "bad_level": (Kind.PLACES, {**PLACE, "level": "超清"}, "level"),
    "bad_coordinate": (Kind.SENSORS, {**SENSOR, "longitude": "38.28", "latitude": "109.7"},
                       "longitude"),
    "bad_number": (Kind.CANDIDATES, {**SITE, "cost": "面议"}, "cost"),
    "unknown_division": (Kind.PLACES, {**PLACE, "village_code": "610802001999"}, "village_code"),
    "unknown_grid": (Kind.PLACES, {**PLACE, "grid_id": "nowhere"}, "grid_id"),
    "missing_id": (Kind.FOOTPRINTS, {"id": "", "geometry": SQUARE}, "id"),
}  # fmt: skip


@pytest.mark.parametrize("code", LIST_RULES)
def test_a_row_that_breaks_one_rule_is_reported_by_row_and_column(code: str) -> None:
    kind, row, column = LIST_RULES[code]
    (repair,) = plan(kind, row).repairs
    assert (repair.code, repair.row, repair.column) == (code, 2, column)


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        ("nonsense", "no GeoJSON"),
        ("[" * 100_000, "no GeoJSON"),
        (TOO_LONG_GEOMETRY, "more than 20000 vertices"),
        ('{"type":"Point","coordinates":[NaN,38.28]}', "not a finite number"),
        (json.dumps({"type": "Point", "coordinates": [38.28, 109.73]}), "swapped"),
        (
            json.dumps({"type": "LineString", "coordinates": [[109.7, 38.2], [109.7, 38.2]]}),
            "length",
        ),
        ("", "no GeoJSON"),
    ],
)
def test_a_geometry_that_cannot_be_used_is_told_why(geometry: str, said: str) -> None:
    (repair,) = plan(Kind.PLACES, {**PLACE, "geometry": geometry}).repairs
    assert said in repair.reason


def test_a_site_of_a_geometry_that_cannot_be_read_has_no_position() -> None:
    bare = {key: text for key, text in SITE.items() if key not in {"longitude", "latitude"}}
    for text in (TOO_LONG_GEOMETRY, "[" * 100_000):
        (repair,) = plan(Kind.CANDIDATES, {**bare, "geometry": text}).repairs
        assert repair.code == "missing_position"


def test_a_building_is_an_area() -> None:
    (repair,) = plan(Kind.FOOTPRINTS, {"id": "b1", "geometry": LINE}).repairs
    assert "must be a Polygon" in repair.reason
    assert plan(Kind.PROHIBITED, {"id": "b1", "geometry": LINE}).counts["quarantined"] == 1
    assert plan(Kind.PLACES, {**PLACE, "geometry": LINE}).counts["places"] == 1


def test_kinds_are_understood_in_chinese_by_code_and_by_key() -> None:
    names = ("school", "学校、幼儿园", "8", "SCHOOL")
    rows = [{**PLACE, "id": str(n), "kind": kind} for n, kind in enumerate(names)]
    found = plan(Kind.PLACES, *rows)
    assert found.places
    assert {place.kind for place in found.places.places.values()} == {"school"}


def test_what_a_row_does_not_say_comes_from_its_kind_and_its_village() -> None:
    village = next(c for c in lists().inventory.divisions if len(c) == 12)
    row = {**PLACE, "weight": "", "village_code": village}
    found = plan(Kind.PLACES, row)
    assert found.places
    (place,) = found.places.places.values()
    assert (place.weight, place.village, place.township) == (3.0, village, village[:9])
    assert place.accepted


def test_a_row_may_stand_in_columns_instead_of_a_geometry() -> None:
    row = {**PLACE, "geometry": "", "longitude": "109.73", "latitude": "38.28"}
    found = plan(Kind.PLACES, row)
    assert found.places
    (place,) = found.places.places.values()
    assert place.geometry == {"type": "Point", "coordinates": [109.73, 38.28]}


def test_what_nobody_knows_of_a_site_stays_unknown() -> None:
    found = plan(Kind.CANDIDATES, SITE, {**SITE, "id": "s2", "power": "", "cost": ""})
    assert found.places
    one, other = found.places.candidates.values()
    assert (one.power, one.network, one.cost) == (True, False, 6800.0)
    assert (other.power, other.cost) == (None, None)


def test_a_sensor_may_have_no_position_but_not_the_topic_of_another() -> None:
    bare = {**SENSOR, "id": "n2", "topic": "yy/smoke/2", "longitude": "", "in_use": "停用"}
    found = plan(Kind.SENSORS, SENSOR, bare, {**SENSOR, "id": "n3"})
    assert found.sensors
    assert [s.kind for s in found.sensors] == [EventKind.SMOKE, EventKind.SMOKE]
    assert found.sensors[1].longitude is None
    assert not found.sensors[1].in_use
    assert [r.code for r in found.repairs] == ["missing_topic"]


def test_the_guards_hold_until_somebody_says_yes() -> None:
    bad = {**PLACE, "geometry": "x"}
    assert [r.code for r in plan(Kind.PLACES, bad).refusals] == ["too_many_quarantined"]
    assert plan(Kind.PLACES, bad, yes=True).refusals == ()
    assert [r.code for r in plan(Kind.PLACES, bad, yes=True, strict=True).refusals] == ["strict"]
    assert plan(Kind.PLACES, PLACE, strict=True).refusals == ()
    before = as_lists(plan(Kind.PLACES, PLACE), lists())
    other = plan(Kind.PLACES, {**PLACE, "id": "p2"}, old=before)
    assert [r.code for r in other.refusals] == ["mass_disappearance"]


def camera(number: int, **archive: str) -> Camera:
    return Camera(
        ChannelId(f"c{number}"), DeviceId("d"), archive.pop("name", "路口"),
        longitude=109.7 + number * 0.01, latitude=38.2, archive=archive,
    )  # fmt: skip


def test_suggestions_come_from_position_types_and_village_entrances() -> None:
    cameras = [
        camera(1, position_type="8", direction_type="4", point_type="1"),
        camera(2, position_type="9", name="李家村口"),
        camera(3),
        replace(camera(4, position_type="8"), in_use=False),
        replace(camera(5, position_type="8"), longitude=None),
        replace(
            camera(1, position_type="8", azimuth="90", address="校园路1号"), id=ChannelId("c0")
        ),
    ]
    school, entrance = suggest_places(cameras, load_place_kinds())
    assert (school.kind, school.name, school.weight) == ("school", "校园路1号", 4.5)
    assert school.geometry["coordinates"][1] == 38.2, "before the camera, which looks east"
    assert (entrance.kind, entrance.accepted) == ("village_entrance", False)
    assert entrance.geometry["coordinates"] == [109.72, 38.2], "nobody knows where it looks"


@pytest.mark.parametrize(
    "archive", [{"direction_type": "1"}, {"direction_type": "东"}, {"direction_type": "90"}]
)
def test_a_suggested_place_lies_where_its_camera_looks_to_however_that_is_written(
    archive: dict[str, str],
) -> None:
    [measured] = suggest_places([camera(1, position_type="8", azimuth="90")], load_place_kinds())
    [written] = suggest_places([camera(1, position_type="8", **archive)], load_place_kinds())
    assert written.geometry == measured.geometry


def test_drafts_count_only_once_accepted_and_never_replace_a_listed_place() -> None:
    old = as_lists(plan(Kind.PLACES, PLACE), lists())
    drafts = suggest_places([camera(1, position_type="8")], old.kinds)
    listed = [replace(d, id=next(iter(old.places.places))) for d in drafts]
    found = plan_drafts(old, [*drafts, *listed], OPTIONS)
    assert (found.counts["places"], found.counts["drafts"]) == (1, 1)
    with_drafts = as_lists(found, old)
    kept = plan(Kind.PLACES, PLACE, old=with_drafts)
    assert kept.changes == (), "an imported list leaves drafts alone"
    accepted = plan_acceptance(with_drafts, OPTIONS)
    assert (accepted.counts["places"], accepted.counts["drafts"]) == (2, 0)
