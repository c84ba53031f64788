"""Each rule of the repair list, by a file that breaks it."""

import pytest
from archive_files import FOLDER, PLACES, codes, good, plan, raw

from gateway.domain.archive import Repair, Severity
from gateway.domain.archive_fields import detect_kind
from gateway.domain.archive_rules import CATALOGUE, VALUE_SHOWN, Findings, chinese
from gateway.domain.camera import ChannelId, NodeId, NodeKind
from gateway.inventory import Inventory

THIRD = ChannelId("61080200001320000003")
"""The camera in row 4, which most bad files spoil."""

CAMERA_RULES = {  # by code: file, row, column and value of its one finding
    "missing_id": ("bad-missing_id.csv", 4, "device_id", ""),
    "missing_address": ("bad-missing_address.csv", 4, "ip_address", ""),
    "bad_address": ("bad-address.csv", 4, "ip_address", "10.8.0.256"),
    "bad_port": ("bad-port.csv", 4, "port", "99999"),
    "refused_address": ("bad-refused_address.csv", 4, "ip_address", "127.0.0.1"),
    "duplicate_endpoint": ("bad-duplicate_endpoint.csv", 4, "ip_address", "10.8.0.11"),
    "destroyed_code": ("bad-destroyed_code.csv", 4, "device_id", "6.10802E+19"),
    "bad_code": ("bad-code.csv", 4, "device_id", "6108020000132000003"),
    "duplicate_code": ("bad-duplicate_code.csv", 4, "device_id", "61080200001320000001"),
    "missing_required": ("bad-missing_required.csv", 4, "direction_type", ""),
    "missing_column": ("bad-missing_column.csv", 0, "record_save_days", ""),
    "outside_district": ("bad-outside_district.csv", 4, "longitude", "108.940000"),
    "swapped_lon_lat": ("bad-swapped_lon_lat.csv", 4, "longitude", "38.287121"),
    "bad_coordinate": ("bad-coordinate.csv", 4, "longitude", "东经109"),
    "zero_position": ("bad-zero_position.csv", 4, "longitude", "0"),
    "public_address": ("bad-public_address.csv", 4, "ip_address", "114.114.114.114"),
    "unlikely_port": ("bad-unlikely_port.csv", 4, "port", "80"),
    "destroyed_coordinate": ("bad-destroyed_coordinate.csv", 4, "longitude", "1.09702E+02"),
    "suspected_datum": ("bad-suspected_datum.csv", 0, "longitude,latitude", "海康"),
    "bad_datum": ("bad-datum.csv", 4, "datum", "北京54"),
    "direction_out_of_range": ("bad-direction_out_of_range.csv", 4, "direction_type", "9"),
    "angle_out_of_range": ("bad-angle_out_of_range.csv", 4, "horizontal_field_angle", "0"),
    "distance_out_of_range": ("bad-distance_out_of_range.csv", 4, "max_view_distance", "-5"),
    "bad_choice": ("bad-choice.csv", 4, "point_type", "7"),
    "bad_number": ("bad-number.csv", 4, "azimuth", "北偏东"),
    "retention_under_30_days": (
        "bad-retention_under_30_days.csv", 4, "record_save_days", "15",
    ),
    "bad_mac": ("bad-mac.csv", 4, "mac", "02:00:00:00"),
    "destroyed_number": ("bad-destroyed_number.csv", 4, "serial_number", "1.23457E+17"),
    "bad_path": ("bad-path.csv", 4, "path", "onvif/device_service"),
    "unknown_division": ("bad-unknown_division.csv", 4, "village_code", "610802001999"),
    "ambiguous_division": ("bad-ambiguous_division.csv", 4, "village_code", "东门"),
    "division_mismatch": ("bad-division_mismatch.csv", 4, "township_code", "610802100"),
    "unknown_grid": ("bad-unknown_grid.csv", 4, "grid_id", "610802001001999"),
    "unknown_node": ("bad-unknown_node.csv", 4, "node_id", "acc-9"),
    "device_conflict": ("bad-device_conflict.csv", 4, "path", "/onvif/other"),
    "identity_conflict": ("bad-identity_conflict.csv", 4, "serial_number", "SN00003"),
    "shifted_row": ("bad-shifted_row.csv", 4, "", ""),
    "secret_column": ("bad-secret_column.csv", 0, "登录密码", ""),
    "secret_in_text": ("bad-secret_in_text.csv", 4, "address", "***"),
    "foreign_code": ("bad-foreign_code.csv", 4, "device_id", "61080300001320000003"),
    "coarse_coordinate": ("bad-coarse_coordinate.csv", 4, "longitude", "109.701"),
    "unknown_credential_set": (
        "bad-unknown_credential_set.csv", 4, "credential_set", "nobody",
    ),
    "formula_text": (
        "bad-formula_text.csv", 4, "address", '=HYPERLINK("http://evil","x")',
    ),
    "control_characters": ("bad-control_characters.csv", 4, "address", ""),
    "unknown_column": ("bad-unknown_column.csv", 0, "立杆编号", ""),
    "repeated_column": ("bad-repeated_column.csv", 0, "设备名称", ""),
}  # fmt: skip

OTHER_RULES = {
    "unknown_parent": ("bad-unknown_parent.csv", 4, "parent_id", "gone"),
    "node_loop": ("bad-node_loop.csv", 3, "parent_id", "acc-1"),
    "bad_node_kind": ("bad-node_kind.csv", 4, "kind", "魔法"),
    "duplicate_id": ("bad-duplicate_id.csv", 5, "id", "acc-1"),
    "ignored_column": ("bad-ignored_column.csv", 0, "备注", ""),
    "bad_division_code": ("bad-division_code.csv", 8, "code", "6108020"),
    "personal_contact": ("bad-personal_contact.geojson", 3, "社区民警岗位", ""),
    "bad_geometry": ("bad-geometry.geojson", 3, "geometry", "610802001002003"),
    "bad_window": ("bad-window.csv", 2, "ends_at", "2026-01-01"),
    "unknown_target": ("bad-unknown_target.csv", 2, "target", "nobody"),
}


LIST_RULES = {
    "unusable_geometry", "missing_position", "missing_topic", "bad_sensor_kind", "bad_place_kind",
    "bad_weight", "bad_level",
}  # fmt: skip
"""Rules of the lists beside the archive: tests/unit/test_import_lists.py."""


def places_for(name: str) -> list[str]:
    """The good files beside a bad one: those of other kinds."""
    return [p for p in PLACES if detect_kind(raw(p).columns) != detect_kind(raw(name).columns)]


def spoken(code: str, repairs: tuple[Repair, ...]) -> list[tuple[str, int, str, str]]:
    return [(r.file, r.row, r.column, r.value) for r in repairs if r.code == code]


@pytest.mark.parametrize("code", CAMERA_RULES)
def test_a_camera_file_that_breaks_one_rule_is_reported_by_row_column_and_value(code: str) -> None:
    expected = CAMERA_RULES[code]
    found = plan(*PLACES, expected[0])
    assert spoken(code, found.repairs) == [expected]
    assert codes(found) == {code}, "one defect, one finding"


@pytest.mark.parametrize("code", OTHER_RULES)
def test_another_file_that_breaks_one_rule_is_reported_by_row_column_and_value(code: str) -> None:
    expected = OTHER_RULES[code]
    found = plan(*places_for(expected[0]), expected[0])
    assert spoken(code, found.repairs) == [expected]
    assert codes(found) == {code}


def test_every_rule_has_a_bad_file_and_every_bad_file_a_rule() -> None:
    assert CAMERA_RULES.keys() | OTHER_RULES.keys() | LIST_RULES == CATALOGUE.keys()
    used = {row[0] for row in (*CAMERA_RULES.values(), *OTHER_RULES.values())}
    there = {path.name for path in FOLDER.glob("bad-*")}
    assert used | {"bad-suspected_datum-bd09.csv"} == there


def test_the_good_archive_has_an_empty_repair_list() -> None:
    assert good().repairs == ()
    assert len(good().inventory.cameras) == 12


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_rule_says_why_in_english_and_chinese(code: str) -> None:
    rule = CATALOGUE[code]
    assert rule.english.isascii()
    assert rule.english
    assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese(code))


@pytest.mark.parametrize("code", CAMERA_RULES)
def test_only_quarantine_takes_the_camera_away(code: str) -> None:
    found = plan(*PLACES, CAMERA_RULES[code][0])
    quarantined = CATALOGUE[code].severity is Severity.QUARANTINE
    assert len(found.inventory.cameras) == (11 if quarantined else 12)
    assert found.counts["quarantined"] == quarantined


def camera_of(code: str) -> tuple[Inventory, ChannelId]:
    found = plan(*PLACES, CAMERA_RULES[code][0])
    return found.inventory, THIRD


@pytest.mark.parametrize(
    "code",
    ["outside_district", "swapped_lon_lat", "bad_coordinate", "destroyed_coordinate", "bad_datum",
     "suspected_datum", "zero_position"],
)  # fmt: skip
def test_a_doubtful_position_is_off_the_map_and_kept_as_written(code: str) -> None:
    inventory, camera_id = camera_of(code)
    camera = inventory.cameras[camera_id]
    assert (camera.longitude, camera.latitude) == (None, None)
    rows = dict(raw(CAMERA_RULES[code][0]).rows)
    assert camera.archive["source_longitude"] == rows[4]["longitude"]
    assert camera.archive["source_latitude"] == rows[4]["latitude"]


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("direction_out_of_range", "direction_type"),
        ("angle_out_of_range", "horizontal_field_angle"),
        ("distance_out_of_range", "max_view_distance"),
        ("bad_choice", "point_type"),
        ("bad_number", "azimuth"),
    ],
)
def test_a_bad_field_is_set_aside(code: str, key: str) -> None:
    inventory, camera_id = camera_of(code)
    assert key not in inventory.cameras[camera_id].archive


def test_a_short_retention_is_reported_and_kept_because_it_is_true() -> None:
    inventory, camera_id = camera_of("retention_under_30_days")
    assert inventory.cameras[camera_id].archive["record_save_days"] == "15"


def test_a_duplicate_code_keeps_both_cameras_polled() -> None:
    found = plan(*PLACES, "bad-duplicate_code.csv")
    twin = found.inventory.cameras[ChannelId("61080200001320000001@10.8.0.13:80")]
    assert twin.device == "10.8.0.13:80"
    assert found.inventory.cameras[ChannelId("61080200001320000001")].device == "10.8.0.11:80"


def test_of_two_rows_with_one_code_the_one_at_the_known_address_keeps_it() -> None:
    old = plan(*PLACES, "good-cameras.csv").inventory
    first = ChannelId("61080200001320000001")
    moved = old.cameras[first].__class__(first, old.cameras[THIRD].device, "x")
    found = plan(*PLACES, "bad-duplicate_code.csv", old=Inventory.of([moved], old.devices.values()))
    assert found.inventory.cameras[first].device == "10.8.0.13:80"


def test_one_address_with_two_tokens_is_one_device_with_two_channels() -> None:
    found = plan(*PLACES, "bad-device_conflict.csv").inventory
    device = found.cameras[THIRD].device
    assert [c.source_token for c in found.channels_of[device]] == ["", "2"]
    node = found.nodes[NodeId(device)]
    assert (node.kind, node.parent) == (NodeKind.DEVICE, "acc-1")
    assert found.devices[device].node == "acc-1"
    assert found.devices[device].path == "/onvif/device_service", "the first row counts"


def test_a_device_whose_rows_disagree_on_the_serial_number_is_not_compared_with_any() -> None:
    found = plan(*PLACES, "bad-identity_conflict.csv").inventory
    assert found.devices[found.cameras[THIRD].device].serial == ""
    assert found.cameras[THIRD].archive["serial_number"] == "SN00003"


def test_logins_in_an_archive_never_reach_the_inventory() -> None:
    for name in ("bad-secret_column.csv", "bad-secret_in_text.csv"):
        assert "canary" not in repr(plan(*PLACES, name))


@pytest.mark.parametrize(
    ("name", "best"),
    [("bad-suspected_datum.csv", "GCJ-02"), ("bad-suspected_datum-bd09.csv", "BD-09")],
)
def test_a_batch_in_another_datum_is_named_with_the_evidence(name: str, best: str) -> None:
    (repair,) = plan(*PLACES, name).repairs
    assert f"best {best}, taken as WGS-84; 12 cameras of 海康" in repair.reason
    assert f"100% as {best}" in repair.reason


def test_a_long_value_is_cut_in_the_repair_list() -> None:
    findings = Findings("f")
    findings.add("bad_number", 1, "c", "9" * 500)
    assert len(findings.repairs[0].value) == VALUE_SHOWN
