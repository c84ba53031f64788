"""The archive files of the virtual district hold what the district holds."""

import csv
import json
import stat
from pathlib import Path

import pytest

from adapters.virtual.files import CAMERA_COLUMNS, write_archive
from adapters.virtual.fleet import build_district
from adapters.virtual.model import VirtualDistrict


@pytest.fixture(scope="module")
def district() -> VirtualDistrict:
    return build_district(5, 120, port=8000, tls_port=8443, killable_port=8001, canary_port=8002)


@pytest.fixture(scope="module")
def files(district: VirtualDistrict, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_archive(district, tmp_path_factory.mktemp("archive") / "new")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_every_channel_is_one_row_with_the_fields_of_its_device(
    district: VirtualDistrict, files: dict[str, Path]
) -> None:
    found = rows(files["cameras"])
    assert tuple(found[0]) == CAMERA_COLUMNS
    by_id = {row["device_id"]: row for row in found}
    assert len(by_id) == len(found) == 120
    for virtual in district.devices:
        for camera in virtual.channels:
            row = by_id[camera.id]
            assert f"{row['ip_address']}:{row['port']}" == virtual.device.id
            assert row["tls"] == str(int(virtual.device.tls))
            assert row["serial_number"] == virtual.device.serial
            assert row["node_id"] == virtual.device.node
            assert (float(row["longitude"]), float(row["latitude"])) == (
                camera.longitude,
                camera.latitude,
            )
            assert {key: row[key] for key in camera.archive} == dict(camera.archive)


def test_cameras_start_with_a_byte_order_mark_as_spreadsheets_write_it(
    files: dict[str, Path],
) -> None:
    assert files["cameras"].read_bytes().startswith(b"\xef\xbb\xbfdevice_id,")


def test_nodes_name_parents_that_are_listed(
    district: VirtualDistrict, files: dict[str, Path]
) -> None:
    found = {row["id"]: row for row in rows(files["nodes"])}
    assert list(found) == [node.id for node in district.nodes]
    assert [row["id"] for row in found.values() if not row["parent_id"]] == ["core-610802"]
    assert all(row["parent_id"] in found for row in found.values() if row["parent_id"])
    assert {row["node_id"] for row in rows(files["cameras"])} <= set(found)


def test_divisions_say_where_each_name_comes_from(files: dict[str, Path]) -> None:
    found = rows(files["divisions"])
    assert len(found) == 440
    assert sum(row["source"] == "synthetic" for row in found) == 4


def test_windows_keep_their_daily_hours(files: dict[str, Path]) -> None:
    found = rows(files["windows"])
    assert [(row["daily_from"], row["daily_to"]) for row in found] == [
        ("", ""), ("", ""), ("01:00", "05:00"), ("01:00", "05:00"), ("01:00", "05:00"),
    ]  # fmt: skip
    assert all(row["starts_at"].endswith("+00:00") for row in found)


def test_grids_and_places_are_geojson_and_labelled_synthetic(
    district: VirtualDistrict, files: dict[str, Path]
) -> None:
    grids = json.loads(files["grids"].read_text(encoding="utf-8"))["features"]
    assert [feature["id"] for feature in grids] == [cell.id for cell in district.grids]
    places = json.loads(files["places"].read_text(encoding="utf-8"))["features"]
    assert len(places) == len(district.places)
    for feature in grids + places:
        assert feature["properties"]["synthetic"] is True
        assert feature["geometry"]["coordinates"]


def test_the_password_is_only_in_a_file_that_only_its_owner_reads(
    district: VirtualDistrict, files: dict[str, Path]
) -> None:
    assert stat.S_IMODE(files["credentials"].stat().st_mode) == 0o600
    assert rows(files["credentials"]) == [
        {"name": "district", "username": "sightline", "password": district.password}
    ]
    for name, path in files.items():
        if name != "credentials":
            assert district.password.encode() not in path.read_bytes()


def test_writing_again_over_loosely_kept_files_gives_the_same_bytes_and_tight_rights(
    district: VirtualDistrict, tmp_path: Path
) -> None:
    first = write_archive(district, tmp_path)
    before = {name: path.read_bytes() for name, path in first.items()}
    first["credentials"].chmod(0o644)
    second = write_archive(district, tmp_path)
    assert {name: path.read_bytes() for name, path in second.items()} == before
    assert stat.S_IMODE(second["credentials"].stat().st_mode) == 0o600
