"""Single cells: addresses, codes, numbers, choices, times, shapes."""

import ipaddress
import json
from datetime import UTC, datetime

import pytest
from archive_files import PLACES, codes, plan
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.archive_context import ArchiveContext, short_name
from gateway.domain.archive_fields import Kind
from gateway.domain.archive_places import read_polygons
from gateway.domain.archive_table import point_of, read_table
from gateway.domain.archive_values import (
    address_refusal,
    code_problem,
    decimals,
    endpoint,
    is_destroyed_coordinate,
    parse_address,
    parse_choice,
    parse_mac,
    parse_number,
    parse_port,
    parse_yes,
)
from gateway.domain.camera import Division, DivisionCode
from gateway.ports import RawTable

OWN = frozenset({"10.0.0.1"})


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.8.0.1", "10.8.0.1", ""),
        ("10.8.0.1:8000", "10.8.0.1", "8000"),
        ("[fd00::1]:8000", "fd00::1", "8000"),
        ("fd00::1", "fd00::1", ""),
        ("::ffff:10.8.0.1", "10.8.0.1", ""),
    ],
)
def test_addresses_are_read_with_or_without_a_port(text: str, host: str, port: str) -> None:
    assert parse_address(text) == (ipaddress.ip_address(host), port)


@pytest.mark.parametrize("text", ["", "10.8.0", "010.8.0.1", "camera-1", "10.8.0.1/24", "1 2"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("text", "virtual", "why"),
    [
        ("127.0.0.1", False, "loopback (network.virtual is false)"),
        ("127.1.2.3", True, None),
        ("::1", False, "loopback (network.virtual is false)"),
        ("::ffff:127.0.0.1", False, "loopback (network.virtual is false)"),
        ("169.254.169.254", True, "link-local"),
        ("fe80::1", True, "link-local"),
        ("224.0.0.251", True, "multicast"),
        ("ff02::1", True, "multicast"),
        ("0.0.0.0", True, "unspecified"),  # noqa: S104 - it must be refused
        ("255.255.255.255", True, "reserved"),
        ("240.0.0.1", True, "reserved"),
        ("10.0.0.1", True, "the gateway's own address"),
        ("10.0.0.2", False, None),
        ("fd00::2", False, None),
    ],
)
def test_addresses_that_must_never_be_polled_are_refused(
    text: str, virtual: bool, why: str | None
) -> None:
    parsed = parse_address(text)
    assert parsed is not None
    assert address_refusal(parsed[0], OWN, virtual=virtual) == why


def test_an_endpoint_puts_brackets_around_ipv6() -> None:
    assert endpoint(ipaddress.ip_address("fd00::1"), 80) == "[fd00::1]:80"
    assert endpoint(ipaddress.ip_address("10.0.0.1"), 80) == "10.0.0.1:80"


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("61080200001320000001", None),
        ("61080200001310000001", None),
        ("61080300001320000001", "foreign_code"),
        ("61080200001180000001", "bad_code"),
        ("6108020000132000000", "bad_code"),
        ("6108020000132000000X", "bad_code"),
        ("6108020000132000000٣", "bad_code"),
        ("6.10802E+19", "destroyed_code"),
        ("6.10802000013200e+19", "destroyed_code"),
    ],
)
def test_a_camera_code_has_twenty_digits_of_this_district(code: str, rule: str | None) -> None:
    problem = code_problem(code, "610802")
    assert (problem[0] if problem else None) == rule


@pytest.mark.parametrize(
    ("text", "port"), [("1", 1), ("65535", 65535), ("0", None), ("65536", None), ("８", None),
                       ("80.0", None), ("", None), ("999999", None)],
)  # fmt: skip
def test_a_port_lies_between_1_and_65535(text: str, port: int | None) -> None:
    assert parse_port(text) == port


@given(st.decimals(-1000, 1000, places=6))
def test_decimal_numbers_are_read_exactly(number: object) -> None:
    assert parse_number(str(f"{number:f}")) == float(str(number))


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e5", "1_000", "1,5", "abc", "--1", "."])
def test_other_spellings_are_no_numbers(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    "text", ["1.09702E+02", "109", "38", "2024-01-09", "2024/1/9", "1月9日", "09:30:00",
             "2024年1月9日", "2024-01-09T00:00:00"],
)  # fmt: skip
def test_what_a_spreadsheet_leaves_of_a_coordinate_is_seen(text: str) -> None:
    assert is_destroyed_coordinate(text)


@pytest.mark.parametrize("text", ["109.7", "38.285123", "109.70000001"])
def test_a_coordinate_is_not_taken_for_destroyed(text: str) -> None:
    assert not is_destroyed_coordinate(text)
    assert decimals(text) == len(text.split(".")[1])


@pytest.mark.parametrize(
    ("key", "text", "code"),
    [
        ("direction_type", "东", "1"), ("direction_type", "8", "8"), ("direction_type", "9", None),
        ("point_type", "一类", "1"), ("point_type", "01", "1"), ("ptz_type", "3-固定枪机", "3"),
        ("ptz_type", "球机", "1"), ("room_type", "Outdoor 室外", "1"), ("ptz_type", "", None),
        ("direction_type", "00", None),
    ],
)  # fmt: skip
def test_choices_are_read_by_code_and_by_name(key: str, text: str, code: str | None) -> None:
    assert parse_choice(key, text) == code


@pytest.mark.parametrize(
    ("text", "said"), [("是", True), ("1", True), ("停用", False), ("No", False), ("?", None)]
)
def test_yes_and_no_are_read_in_the_words_of_archives(text: str, said: bool | None) -> None:
    assert parse_yes(text) is said


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("aa-bb-cc-00-11-22", "AA:BB:CC:00:11:22"),
        ("aabbcc001122", "AA:BB:CC:00:11:22"),
        ("AA:BB:CC:00:11", None),
        ("00:00:00:00:00:00", None),
        ("FF:FF:FF:FF:FF:FF", None),
        ("AA:BB:CC:00:11:22 or another", None),
    ],
)
def test_a_mac_has_twelve_hex_digits(text: str, mac: str | None) -> None:
    assert parse_mac(text) == mac


# --- text


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:canary@10.0.0.1/1",
        "rtsp://admin:ca/na@ry?canary@10.0.0.1/1",
        "admin:canary@10.0.0.1",
        "用户名：admin 登录密码：canary",
        "http://10.0.0.1/?user=admin&password=canary",
        '{"password": "canary"}',
        "pwd=canary",
    ],
)
def test_logins_inside_texts_are_removed(text: str) -> None:
    table = read_table("f", Kind.CAMERAS, ["name"], [(2, {"name": text})])
    assert "canary" not in repr(table)
    assert [r.code for r in table.findings.repairs] == ["secret_in_text"]


@pytest.mark.parametrize("text", ["-5.5", "+86 912 123", "- 12"])
def test_numbers_with_a_sign_are_no_formulas(text: str) -> None:
    table = read_table("f", Kind.CAMERAS, ["name"], [(2, {"name": text})])
    assert table.findings.repairs == []


def test_control_characters_in_a_header_are_replaced() -> None:
    table = read_table(
        "f", Kind.CAMERAS, ["na\x1bme", "x\x00y"], [(2, {"na\x1bme": "a", "x\x00y": "b"})]
    )
    assert table.rows == [(2, {"name": "a", "x y": "b"})]
    assert table.header.unknown == ("x y",)


@pytest.mark.parametrize(
    "geometry",
    ["", "[]", "{", '{"type":"Point"}', '{"type":"LineString","coordinates":[[1,2]]}',
     '{"type":"Point","coordinates":[1]}', '{"type":"Point","coordinates":null}'],
)  # fmt: skip
def test_only_a_point_is_a_position(geometry: str) -> None:
    assert point_of(geometry) == {}


def square(*corners: tuple[float, float], kind: str = "Polygon") -> str:
    ring = [list(c) for c in corners]
    return json.dumps({"type": kind, "coordinates": [ring] if kind == "Polygon" else [[ring]]})


GOOD = ((109.0, 38.0), (109.1, 38.0), (109.1, 38.1), (109.0, 38.0))


def test_polygons_and_multipolygons_are_read() -> None:
    assert read_polygons(square(*GOOD)) == ((GOOD,),)
    assert read_polygons(square(*GOOD, kind="MultiPolygon")) == ((GOOD,),)


@pytest.mark.parametrize(
    "text",
    ["", "null", "{}", square(*GOOD[:3]), square((109, 38), (109, 38)), square((500, 38), *GOOD[1:]),
     '{"type":"Polygon","coordinates":[]}', '{"type":"MultiPolygon","coordinates":[]}',
     '{"type":"Point","coordinates":[1,2]}', '{"type":"Polygon","coordinates":[["a"]]}',
     square((109, 38), (109.1, 38.1), (109.1, 38), (109, 38.1), (109, 38))],
)  # fmt: skip
def test_what_is_no_valid_polygon_is_none(text: str) -> None:
    assert read_polygons(text) is None


# --- divisions by name


def context(*names: tuple[str, str]) -> ArchiveContext:
    return ArchiveContext(
        divisions={DivisionCode(c): Division(DivisionCode(c), n, None) for c, n in names}
    )


KNOWN = context(
    ("610802001", "鼓楼街道"), ("610802001001", "东门社区居委会"), ("610802100201", "东门村委会"),
    ("610802100202", "西门村"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "digits", "within", "found"),
    [
        ("610802001", 9, "", ("610802001", "")),
        ("610802001000", 9, "", ("610802001", "")),
        ("鼓楼街道", 9, "", ("610802001", "")),
        ("鼓楼", 9, "", ("610802001", "")),
        ("鼓楼街道办事处", 9, "", ("610802001", "")),
        ("东门", 12, "", (None, "ambiguous_division")),
        ("东门", 12, "610802100", ("610802100201", "")),
        ("东门社区居委会", 12, "", ("610802001001", "")),
        ("610802001009", 12, "", (None, "unknown_division")),
        ("6108", 9, "", (None, "unknown_division")),
        ("北门", 12, "", (None, "unknown_division")),
    ],
)
def test_divisions_are_found_by_code_and_by_name(
    text: str, digits: int, within: str, found: tuple[str | None, str]
) -> None:
    assert KNOWN.find_division(text, digits, within) == found


def test_codes_are_believed_while_no_divisions_are_known() -> None:
    assert ArchiveContext().find_division("610802001", 9) == ("610802001", "")
    assert ArchiveContext().find_division("6108020", 9) == (None, "unknown_division")


def test_a_short_name_keeps_at_least_two_signs() -> None:
    assert short_name("东门村") == "东门"
    assert short_name("东村") == "东村"


# --- windows


def windows(**cells: str) -> RawTable:
    row = {"id": "w", "target": "acc-1", "starts_at": "2026-01-01"} | cells
    return RawTable("w.csv", tuple(row), ((2, row),))


def test_times_without_an_offset_are_those_of_asia_shanghai() -> None:
    (window,) = plan(
        *PLACES, tables=[windows(daily_from="22:30", daily_to="24:00")]
    ).inventory.windows
    assert window.starts_at == datetime(2025, 12, 31, 16, tzinfo=UTC)
    assert (window.daily_from_s, window.daily_to_s, window.ends_at) == (81_000, 86_400, None)


def test_a_window_is_of_a_camera_a_node_or_a_grid_cell() -> None:
    (window,) = plan(*PLACES, tables=[windows(target="610802001001001")]).inventory.windows
    assert window.target == "610802001001001"


@pytest.mark.parametrize(
    "cells",
    [{"starts_at": "soon"}, {"starts_at": "", "daily_from": "08:00", "daily_to": "09:00"},
     {"ends_at": "2025-01-01"}, {"ends_at": "x"}, {"daily_from": "25:00", "daily_to": "01:00"},
     {"daily_from": "24:30", "daily_to": "01:00"}, {"daily_from": "08:00"}],
)  # fmt: skip
def test_a_window_that_makes_no_sense_is_quarantined(cells: dict[str, str]) -> None:
    found = plan(*PLACES, tables=[windows(**cells)])
    assert codes(found) == {"bad_window"}
    assert found.inventory.windows == ()
