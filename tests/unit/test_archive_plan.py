"""Planning an import: what is replaced, what differs, what forbids it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from archive_files import PLACES, codes, good, plan, raw

from gateway.archive_plan import ImportPlan
from gateway.domain.archive_diff import Change, ChangeKind, FieldChange
from gateway.domain.archive_fields import Kind
from gateway.domain.camera import (
    ChannelId,
    CheckBy,
    DeviceId,
    GridId,
    Node,
    NodeId,
    NodeKind,
)
from gateway.errors import ArchiveError
from gateway.inventory import Inventory
from gateway.ports import RawTable

FIRST = ChannelId("61080200001320000001")
CAMERAS = "good-cameras.csv"


def edited(name: str, changes: Mapping[int, Mapping[str, str]], *, drop: int = 0) -> RawTable:
    """A file of the folder with some cells changed by row, and its last rows dropped."""
    table = raw(name)
    kept = table.rows[: len(table.rows) - drop]
    columns = dict.fromkeys([*table.columns, *(c for new in changes.values() for c in new)])
    rows = tuple((n, {**cells, **changes.get(n, {})}) for n, cells in kept)
    return replace(table, columns=tuple(columns), rows=rows)


def cameras_with(
    changes: Mapping[str, str], row: int = 2, old: Inventory | None = None
) -> ImportPlan:
    return plan(*PLACES, old=old, tables=[edited(CAMERAS, {row: changes})])


def first_of(found: ImportPlan) -> tuple[str, ...]:
    return tuple(f"{c.entry} {c.kind}" for c in found.changes)


# --- what is replaced


def test_a_second_import_of_the_same_files_changes_nothing() -> None:
    once = good()
    again = plan(*PLACES, CAMERAS, "good-windows.csv", old=once.inventory)
    assert again.changes == ()
    assert again.inventory == once.inventory
    assert again.counts["unchanged"] == 12


@pytest.mark.parametrize("name", [*PLACES, CAMERAS, "good-windows.csv"])
def test_one_file_alone_changes_nothing_of_the_other_kinds(name: str) -> None:
    once = good()
    again = plan(name, old=once.inventory)
    assert again.changes == ()
    assert again.repairs == ()


def test_several_files_of_one_kind_count_as_one() -> None:
    table = raw(CAMERAS)
    halves = [
        replace(table, file=f"half-{i}.csv", rows=table.rows[i * 6 : i * 6 + 6]) for i in range(2)
    ]
    found = plan(*PLACES, tables=halves)
    assert found.inventory.cameras == plan(*PLACES, CAMERAS).inventory.cameras
    assert found.counts["cameras"] == 12


def test_an_endpoint_is_a_duplicate_across_files_too() -> None:
    twin = replace(raw(CAMERAS), file="twin.csv")
    found = plan(*PLACES, CAMERAS, tables=[twin], yes=True)
    assert [r.file for r in found.repairs] == ["twin.csv"] * 12
    assert codes(found) == {"duplicate_endpoint"}


def test_the_record_holds_counts_files_and_unknown_columns() -> None:
    record = plan(*PLACES, "bad-unknown_column.csv").record
    assert (record.id, record.actor) == ("import-1", "test")
    assert record.files == (*PLACES, "bad-unknown_column.csv")
    assert record.unknown_columns == ("立杆编号",)
    assert dict(record.counts)["added"] == 12


def test_an_unknown_column_is_kept_with_the_camera() -> None:
    found = plan(*PLACES, "bad-unknown_column.csv").inventory
    assert found.cameras[FIRST].archive["立杆编号"] == "P1"


# --- what differs


def test_a_changed_field_is_shown_with_old_and_new() -> None:
    found = cameras_with({"name": "西门", "direction_type": "2"}, old=good().inventory)
    fields = (FieldChange("name", "东门1号", "西门"), FieldChange("direction_type", "1", "2"))
    assert found.changes == (Change("camera", str(FIRST), ChangeKind.CHANGED, fields),)
    assert (found.counts["changed"], found.counts["unchanged"]) == (1, 11)


def test_a_new_address_is_a_readdressed_camera_and_another_device() -> None:
    found = cameras_with({"ip_address": "10.8.9.9"}, old=good().inventory)
    assert first_of(found) == ("camera readdressed", "device added", "device removed")
    assert found.counts["readdressed"] == 1


def test_a_missing_camera_is_decommissioned_and_kept() -> None:
    once = good().inventory
    found = plan(tables=[edited(CAMERAS, {}, drop=1)], old=once, yes=True)
    last = ChannelId("61080200001320000012")
    assert not found.inventory.cameras[last].in_use
    assert found.inventory.cameras[last].device in found.inventory.devices
    assert first_of(found) == ("camera decommissioned",)
    again = plan(tables=[edited(CAMERAS, {}, drop=1)], old=found.inventory)
    assert again.changes == ()
    assert again.refusals == ()
    back = plan(CAMERAS, old=found.inventory)
    assert back.changes[0].fields == (FieldChange("in_use", "False", "True"),)


def test_a_camera_without_a_known_device_is_decommissioned_too() -> None:
    once = good().inventory
    bare = replace(once, devices={})
    found = plan(tables=[edited(CAMERAS, {}, drop=1)], old=bare, yes=True)
    assert DeviceId("10.8.0.22:80") not in found.inventory.devices


def test_a_changed_shape_and_a_long_text_are_shown_shortly() -> None:
    once = good().inventory
    grid = GridId("610802001001001")
    old = replace(
        once,
        grids={**once.grids, grid: replace(once.grids[grid], polygons=(), name="x" * 99)},
    )
    (change,) = plan("good-grids.geojson", old=old).changes
    assert change.fields == (
        FieldChange("name", "x" * 59 + "…", "第1网格"),
        FieldChange("polygons", "0 shapes", "1 shapes"),
    )


def test_a_set_aside_position_is_shown_as_nothing() -> None:
    found = cameras_with({"longitude": "x"}, old=good().inventory)
    names = {field.name: field.new for field in found.changes[0].fields}
    assert names["longitude"] == names["latitude"] == ""
    assert found.unmapped == found.counts["unmapped"] == 1


# --- what forbids it


def test_up_to_a_twentieth_quarantined_goes_through() -> None:
    table = raw(CAMERAS)
    rows = tuple(
        (n, {**cells, "device_id": f"61080200001320{n:06d}", "ip_address": f"10.9.0.{n}"})
        for n, cells in ((i, table.rows[0][1]) for i in range(1, 21))
    )
    nineteen = (*rows[:-1], (20, {**rows[-1][1], "ip_address": ""}))
    assert plan(*PLACES, tables=[replace(table, rows=nineteen)]).refusals == ()
    eighteen = (*nineteen[:-2], (19, {**rows[-2][1], "ip_address": ""}), nineteen[-1])
    refused = plan(*PLACES, tables=[replace(table, rows=eighteen)])
    assert [r.code for r in refused.refusals] == ["too_many_quarantined"]
    assert "2 of 20 rows of cameras" in refused.refusals[0].reason
    assert plan(*PLACES, tables=[replace(table, rows=eighteen)], yes=True).refusals == ()


def test_more_than_a_twentieth_disappearing_needs_a_yes() -> None:
    once = good().inventory
    half = edited(CAMERAS, {}, drop=6)
    assert [r.code for r in plan(tables=[half], old=once).refusals] == ["mass_disappearance"]
    assert plan(tables=[half], old=once, yes=True).refusals == ()


def test_marking_cameras_as_not_in_use_counts_as_disappearing() -> None:
    gone = edited(CAMERAS, {n: {"in_use": "停用"} for n in range(2, 8)})
    assert [r.code for r in plan(tables=[gone], old=good().inventory).refusals] == [
        "mass_disappearance"
    ]


def test_strict_refuses_defects_even_with_a_yes_but_not_notes() -> None:
    refused = plan(*PLACES, "bad-mac.csv", strict=True, yes=True)
    assert [r.code for r in refused.refusals] == ["strict"]
    assert plan(*PLACES, "bad-formula_text.csv", strict=True).refusals == ()


# --- what a file lists


def test_a_file_of_no_kind_names_only_what_was_recognized() -> None:
    secret = RawTable("x.csv", ("district", "admin", "canary"), ())
    with pytest.raises(ArchiveError, match=r"x\.csv: its 3 columns fit no kind") as error:
        plan(tables=[secret])
    assert "canary" not in str(error.value)


def test_a_credentials_file_among_the_archive_is_pointed_at() -> None:
    with pytest.raises(ArchiveError, match="--credentials"):
        plan(tables=[RawTable("x.csv", ("name", "username", "password"), ())])


def test_the_kind_can_be_given() -> None:
    table = RawTable("x.csv", ("节点编码", "名称"), ((2, {"节点编码": "core", "名称": "核心"}),))
    found = plan(tables=[table], kinds={"x.csv": Kind.NODES})
    assert found.inventory.nodes[NodeId("core")].name == "核心"


# --- places and devices


def test_a_village_gives_the_township_and_a_grid_cell_gives_the_village() -> None:
    found = cameras_with({"township_code": "", "village_code": ""})
    assert codes(found) == set()
    camera = found.inventory.cameras[FIRST]
    assert (camera.township, camera.village) == ("610802001", "610802001001")


def test_a_camera_that_names_no_place_lacks_its_township() -> None:
    found = cameras_with({"township_code": "", "village_code": "", "grid_id": ""})
    assert [(r.code, r.column) for r in found.repairs] == [("missing_required", "township_code")]


def test_grid_cells_are_believed_while_none_are_known() -> None:
    found = plan("good-divisions.csv", "good-nodes.csv", CAMERAS)
    assert codes(found) == set()
    assert found.inventory.cameras[FIRST].grid == "610802001001001"


def test_a_file_without_any_place_column_lacks_the_township() -> None:
    table = raw(CAMERAS)
    columns = tuple(
        c for c in table.columns if c not in {"township_code", "village_code", "grid_id"}
    )
    rows = tuple((n, {c: cells[c] for c in columns}) for n, cells in table.rows)
    found = plan(*PLACES, tables=[replace(table, columns=columns, rows=rows)])
    assert [(r.code, r.column, r.row) for r in found.repairs] == [
        ("missing_column", "township_code", 0)
    ]


def test_a_camera_outside_everything_is_found_without_grid_cells_too() -> None:
    found = plan("good-divisions.csv", "good-nodes.csv", "bad-outside_district.csv")
    assert codes(found) == {"outside_district"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"in_use": "也许"}, "bad_choice"),
        ({"tls": "也许"}, "bad_choice"),
        ({"check_by": "snmp"}, "bad_choice"),
        ({"longitude": "209.7", "latitude": "38.285"}, "bad_coordinate"),
        ({"longitude": "0", "latitude": "0"}, "zero_position"),
        ({"longitude": "0.0", "latitude": "0.0"}, "zero_position"),
        ({"longitude": "109", "latitude": "38"}, "destroyed_coordinate"),
        ({"ip_address": "8.8.8.8"}, "public_address"),
        ({"check_by": "RTSP", "port": "80"}, "unlikely_port"),
        ({"longitude": "109.701111", "latitude": ""}, "missing_required"),
        ({"record_save_days": "x"}, "bad_number"),
        ({"port": "x"}, "bad_port"),
    ],
)
def test_other_bad_cells_are_found(changes: Mapping[str, str], code: str) -> None:
    assert codes(cameras_with(changes)) == {code}


def test_a_direction_stands_for_its_code_and_units_are_taken_off() -> None:
    found = cameras_with({"direction_type": "西北", "max_view_distance": "50米", "tls": "是"})
    camera = found.inventory.cameras[FIRST]
    assert camera.archive["direction_type"] == "8"
    assert camera.archive["max_view_distance"] == "50"
    assert found.inventory.devices[camera.device].tls


@pytest.mark.parametrize(
    ("changes", "port"),
    [
        ({}, 80),
        ({"tls": "1"}, 443),
        ({"check_by": "RTSP"}, 554),
        ({"ip_address": "10.8.0.99:88"}, 88),
    ],
)
def test_a_port_that_is_not_given_follows_from_the_check(
    changes: Mapping[str, str], port: int
) -> None:
    found = cameras_with({"port": "", **changes})
    device = found.inventory.devices[found.inventory.cameras[FIRST].device]
    assert device.port == port
    assert device.check_by in {CheckBy.ONVIF, CheckBy.RTSP}


def test_bare_rows_become_devices_with_defaults() -> None:
    bare = {
        "device_id": str(FIRST), "ip_address": "10.8.0.1", "name": "a", "township_code": "610802001",
        "longitude": "109.701234", "latitude": "38.281234", "in_use": "", "check_by": "", "mac": "",
    }  # fmt: skip
    table = RawTable("x.csv", tuple(bare), ((2, bare),))
    found = plan(*PLACES, tables=[table])
    device = found.inventory.devices[DeviceId("10.8.0.1:80")]
    assert (device.check_by, device.tls, device.node, device.mac) == (CheckBy.ONVIF, False, "", "")
    assert codes(found) == set(), "a camera of no given class needs no more"


def test_several_codes_that_end_in_five_zeros_were_rounded_by_a_spreadsheet() -> None:
    rounded = {n: {"device_id": "61080200001320000000"} for n in (2, 3)}
    found = plan(*PLACES, tables=[edited(CAMERAS, rounded)], yes=True)
    assert [(r.code, r.row) for r in found.repairs] == [
        ("destroyed_code", 2),
        ("destroyed_code", 3),
    ]


def test_twins_by_code_and_token_keep_different_ids() -> None:
    found = cameras_with({"device_id": str(FIRST), "source_token": "tok"}, row=3)
    assert ChannelId(f"{FIRST}@10.8.0.12:80/tok") in found.inventory.cameras


def test_rows_of_one_device_with_the_same_columns_have_no_finding() -> None:
    one = dict(raw(CAMERAS).rows[0][1])
    twin = {**one, "device_id": "61080200001320000099", "source_token": "2"}
    third = {**one, "device_id": "61080200001320000098", "source_token": "3"}
    rows = ((2, one), (3, twin), (4, third))
    found = plan(*PLACES, tables=[replace(raw(CAMERAS), rows=rows)])
    assert codes(found) == set()
    assert len(found.inventory.watched) == 1


def recorder(node: str, extra: tuple[Mapping[str, str], ...]) -> ImportPlan:
    one = dict(raw(CAMERAS).rows[0][1]) | {"node_id": node}
    twin = {**one, "device_id": "61080200001320000099", "source_token": "2"}
    nodes = raw("good-nodes.csv")
    rows = (*nodes.rows, *((9 + i, cells) for i, cells in enumerate(extra)))
    return plan(
        "good-divisions.csv",
        "good-grids.geojson",
        tables=[replace(nodes, rows=rows), replace(raw(CAMERAS), rows=((2, one), (3, twin)))],
    )


def test_a_recorder_that_the_archive_lists_gets_no_second_node() -> None:
    listed = {"id": "NVR-1", "kind": "录像机", "name": "录像机一", "parent_id": "acc-1"}
    found = recorder("NVR-1", (listed,)).inventory
    assert set(found.nodes) == {"core", "up-1", "acc-1", "NVR-1"}
    assert found.devices[DeviceId("10.8.0.11:80")].node == "NVR-1"


@pytest.mark.parametrize(("parent", "above"), [("acc-1", "acc-1"), ("", "")])
def test_a_device_named_as_its_own_node_hangs_on_the_node_above(parent: str, above: str) -> None:
    listed = {"id": "10.8.0.11:80", "kind": "device", "name": "NVR", "parent_id": parent}
    found = recorder("10.8.0.11:80", (listed,)).inventory
    assert found.devices[DeviceId("10.8.0.11:80")].node == above


def test_the_node_made_for_a_device_goes_when_it_has_one_channel_again() -> None:
    made = recorder("acc-1", ()).inventory
    node = NodeId("10.8.0.11:80")
    assert made.nodes[node] == Node(node, NodeKind.DEVICE, str(node), NodeId("acc-1"))
    again = plan(CAMERAS, old=made, yes=True).inventory
    assert node not in again.nodes


def test_devices_that_hang_on_a_node_which_is_gone_are_counted() -> None:
    nodes = raw("good-nodes.csv")
    found = plan(tables=[replace(nodes, rows=nodes.rows[:2])], old=good().inventory)
    assert [(r.code, r.value, r.reason) for r in found.repairs] == [
        ("unknown_node", "acc-1", "no such network node is known: 12 devices hang on it")
    ]


def divisions(*rows: tuple[str, str]) -> ImportPlan:
    columns = ("code", "name", "parent")
    cells = tuple(
        (i, {"code": c, "name": "x", "parent": p}) for i, (c, p) in enumerate(rows, start=2)
    )
    return plan(tables=[RawTable("d.csv", columns, cells)], yes=True)


def test_division_codes_are_shortened_and_parents_follow_from_them() -> None:
    found = divisions(("610802000000", ""), ("610802001000", ""), ("610802001001", "610802001000"))
    above = {str(d.code): d.parent for d in found.inventory.divisions.values()}
    assert above == {"610802": None, "610802001": "610802", "610802001001": "610802001"}


def test_a_division_without_code_or_twice_or_of_letters_is_quarantined() -> None:
    found = divisions(("", ""), ("610802001", ""), ("610802001000", ""), ("abc", ""))
    assert [r.code for r in found.repairs] == ["missing_id", "duplicate_id", "bad_division_code"]


def test_grid_cells_without_a_known_village_stay_with_a_finding() -> None:
    table = RawTable(
        "g.geojson",
        ("grid_id", "village_code", "geometry"),
        (
            (1, {"grid_id": "g1", "village_code": "610802009009", "geometry": ""}),
            (2, {"grid_id": "g2", "geometry": raw("good-grids.geojson").rows[0][1]["geometry"]}),
            (3, {"geometry": "{}"}),
        ),
    )
    found = plan("good-divisions.csv", tables=[table], yes=True)
    assert [(r.row, r.code) for r in found.repairs] == [
        (1, "unknown_division"), (1, "bad_geometry"), (3, "missing_id"),
    ]  # fmt: skip
    assert set(found.inventory.grids) == {"g1", "g2"}


@pytest.mark.parametrize(
    "names",
    [
        ("beat", "grid_worker", "beat_officer", "village_chief", "volunteers"),
        ("警务区", "网格员岗位", "社区民警岗位", "村社区长岗位", "驼城义警"),
    ],
)
def test_a_grid_cell_has_its_police_beat_and_the_posts_to_inform(names: tuple[str, ...]) -> None:
    told = ("新楼警务区", "GW-1", "ＢＯ－１２", "", "TC-61 (驼城义警一队)")
    cells = dict(raw("good-grids.geojson").rows[0][1])
    table = RawTable(
        "g.geojson",
        (*cells, *names),
        ((1, cells | dict(zip(names, told, strict=True))),),
    )
    found = plan("good-divisions.csv", tables=[table], yes=True)
    (cell,) = found.inventory.grids.values()
    assert cell.beat == "新楼警务区"
    assert cell.posts == {
        "grid_worker": "GW-1",
        "beat_officer": "BO-12",
        "volunteers": "TC-61 (驼城义警一队)",
    }
    assert codes(found) == set()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("0912-3524110", True),
        ("post:610802001001003", True),
        ("13912345678", False),
        ("+86 139-1234-5678", False),
        ("610802198001011234", False),
        ("61080219800101123X", False),
        ("x" * 65, False),
    ],
)
def test_a_post_is_never_named_by_a_number_of_a_person(text: str, *, kept: bool) -> None:
    cells = dict(raw("good-grids.geojson").rows[0][1])
    table = RawTable("g.geojson", (*cells, "beat_officer"), ((1, cells | {"beat_officer": text}),))
    found = plan("good-divisions.csv", tables=[table], yes=True)
    (cell,) = found.inventory.grids.values()
    assert cell.posts == ({"beat_officer": text} if kept else {})
    assert codes(found) == (set() if kept else {"personal_contact"})
    assert not any(text in repair.value for repair in found.repairs)


def test_a_grid_cell_of_two_polygons_holds_the_cameras_of_both() -> None:
    cells = [dict(cells) for _, cells in raw("good-grids.geojson").rows]
    shapes = [cell["geometry"].removeprefix('{"type":"Polygon","coordinates":').removesuffix("}")
              for cell in cells[::3]]  # fmt: skip
    both = f'{{"type":"MultiPolygon","coordinates":[{",".join(shapes)}]}}'
    rows = ((1, cells[0] | {"geometry": both}), *((i, c) for i, c in enumerate(cells[1:], start=2)))
    table = replace(raw("good-grids.geojson"), rows=tuple(rows))
    found = plan("good-divisions.csv", "good-nodes.csv", CAMERAS, tables=[table])
    assert codes(found) == set()


def test_an_inventory_of_nothing_has_no_mass_to_disappear() -> None:
    assert plan("good-nodes.csv").refusals == ()


def test_a_window_without_an_id_is_quarantined_and_a_cell_without_a_village_is_land() -> None:
    grids = raw("good-grids.geojson")
    rows = tuple((n, {**cells, "village_code": ""}) for n, cells in grids.rows)
    windows = RawTable("w.csv", ("id", "target", "starts_at"), ((2, {"target": "acc-1"}),))
    found = plan("good-nodes.csv", CAMERAS, tables=[replace(grids, rows=rows), windows], yes=True)
    assert codes(found) == {"missing_id"}
    assert found.unmapped == 0


def test_a_grid_cell_without_a_shape_takes_no_camera_off_the_map() -> None:
    found = plan("good-divisions.csv", "good-nodes.csv", "bad-geometry.geojson", CAMERAS)
    assert codes(found) == {"bad_geometry"}
    assert found.unmapped == 0
