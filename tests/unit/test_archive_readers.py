"""Readers of archive files: encodings, delimiters, spreadsheets, limits, and clear refusals."""

import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time

import pytest
import xlsxwriter
from archive_files import FOLDER, raw

from adapters.archive import geojson, limits, tables
from adapters.archive.geojson import read_geojson
from adapters.archive.tables import cell_text, read_csv, read_xlsx
from gateway.domain.archive_table import TOO_LONG_GEOMETRY
from gateway.errors import ArchiveError

TEXT = "设备编码,设备名称\n61080200001320000001,东门\n"


def sheet(*rows: Sequence[object], hidden: bool = False) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        first = book.add_worksheet("数据")
        for number, row in enumerate(rows):
            first.write_row(number, 0, row)
        if hidden:
            book.add_worksheet("其他").activate()
            first.hide()
    return content.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_the_encodings_of_the_field_are_told_apart(encoding: str) -> None:
    table = read_csv(TEXT.encode(encoding), "a.csv")
    assert table.columns == ("设备编码", "设备名称")
    assert table.rows == ((2, {"设备编码": "61080200001320000001", "设备名称": "东门"}),)
    assert table.encoding == f"{encoding}, comma"


@pytest.mark.parametrize(("delimiter", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab")])
def test_the_delimiter_is_found_even_when_others_stand_in_quotes(delimiter: str, name: str) -> None:
    text = f'"a,;x"{delimiter}b\n1{delimiter}2\n'
    table = read_csv(text.encode(), "a.csv")
    assert table.columns == ("a,;x", "b")
    assert table.encoding.endswith(name)


def test_row_numbers_are_those_of_a_spreadsheet() -> None:
    text = '标题\n\na,b\n\n1,"two\nlines"\n3,4\n'
    assert read_csv(text.encode(), "a.csv").rows == (
        (5, {"a": "1", "b": "two\nlines"}),
        (6, {"a": "3", "b": "4"}),
    )


def test_unnamed_repeated_and_extra_columns_keep_their_cells() -> None:
    table = read_csv(b"a,,a,\n1,2,3,4,5\n", "a.csv")
    assert table.columns == ("a", "column 2", "a (3)")
    assert table.rows[0][1] == {"a": "1", "column 2": "2", "a (3)": "3", "#4": "4", "#5": "5"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken-encoding.csv", "line 2: not UTF-8 or GB18030 text"),
        ("broken-quotes.csv", "line 3: "),
        ("broken-header.csv", "no header found"),
        ("broken-geojson.geojson", "line 2: not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(name: str, reason: str) -> None:
    with pytest.raises(ArchiveError) as error:
        raw(name)
    assert str(error.value).startswith(f"{name}: ")
    assert reason in str(error.value)


def test_a_broken_mark_is_not_guessed_around() -> None:
    with pytest.raises(ArchiveError, match="not utf-8-sig text"):
        read_csv(b"\xef\xbb\xbfa,b\n\xff,1\n", "a.csv")


@pytest.mark.parametrize("reader", [read_csv, read_xlsx, read_geojson])
def test_empty_and_huge_files_are_refused(reader: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(reader)
    with pytest.raises(ArchiveError, match="the file is empty"):
        reader(b"  \n", "a")
    monkeypatch.setattr(limits, "MAX_BYTES", 10)
    with pytest.raises(ArchiveError, match="at most 10"):
        reader(b"x" * 11, "a")


def test_too_many_rows_columns_and_characters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ROWS", 3)
    with pytest.raises(ArchiveError, match="4 rows; at most 3"):
        read_csv(b"a,b\n" + b"1,2\n" * 4, "a.csv")
    monkeypatch.setattr(tables, "MAX_ROWS", 3)
    with pytest.raises(ArchiveError, match="more than 3 rows"):
        read_csv(b"a,b\n" + b"1,2\n" * 40, "a.csv")
    with pytest.raises(ArchiveError, match=r"row 1: 300 columns; at most 256"):
        read_csv(",".join(map(str, range(300))).encode() + b"\n", "a.csv")
    with pytest.raises(ArchiveError, match=r"row 2: a cell of 40,000 characters"):
        read_csv(b"a,b\n" + b"x" * 40_000 + b",1\n", "a.csv")


# --- XLSX


def test_numbers_lose_no_digits_and_rounded_ones_show_it() -> None:
    content = sheet(
        ["id", "lon", "port", "code", "when", "text"],
        ["61080200001320000001", 109.7345678901, 80, 61080200001320000001, 1e-7, "x"],
    )
    table = read_xlsx(content, "a.xlsx")
    assert table.rows[0][1] == {
        "id": "61080200001320000001",
        "lon": "109.7345678901",
        "port": "80",
        "code": "6.10802000013200e+19",
        "when": "0.0000001",
        "text": "x",
    }
    assert table.encoding == "xlsx, sheet 数据"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (10**15, "1.00000000000000e+15"),
        (-1.5, "-1.5"),
        (datetime(2024, 1, 9), "2024-01-09"),  # noqa: DTZ001 - a spreadsheet has no zones
        (datetime(2024, 1, 9, 8, 30), "2024-01-09T08:30:00"),  # noqa: DTZ001
        (date(2024, 1, 9), "2024-01-09"),
        (time(8, 30), "08:30:00"),
    ],
)
def test_cells_become_the_text_that_stands_for_them(value: tables.Cell, text: str) -> None:
    assert cell_text(value) == text


def test_a_title_above_the_header_and_a_second_sheet_are_no_trouble() -> None:
    table = raw("good-chinese.xlsx")
    assert table.columns[0] == "设备编码"
    assert table.rows[0][0] == 3
    assert table.encoding == "xlsx, sheet 一机一档, 1 more sheets not read"


def test_a_hidden_sheet_is_not_read() -> None:
    with pytest.raises(ArchiveError, match="no visible sheet holds anything"):
        read_xlsx(sheet(["a", "b"], hidden=True), "a.xlsx")


def package(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xd0\xcf\x11\xe0 an old workbook", r"old \.xls"),
        (package(a=b"x"), "a ZIP archive, but not an XLSX file"),
        (package(**{"[Content_Types].xml": b"<x/>"}), "not a readable XLSX file"),
    ],
)
def test_what_is_no_xlsx_file_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        read_xlsx(content, "a.xlsx")


def test_a_bomb_is_refused_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_UNPACKED", 1_000_000)
    with pytest.raises(ArchiveError, match="2,000,000 bytes when unpacked"):
        read_xlsx(package(a=b"0" * 2_000_000), "a.xlsx")


# --- GeoJSON


def test_a_feature_is_a_row_with_its_geometry_as_text() -> None:
    content = (
        b'{"type":"FeatureCollection","features":[{"type":"Feature","id":7,"properties":'
        b'{"a":"x","b":1.5,"c":null,"d":true,"e":[1]},"geometry":{"type":"Point","coordinates":[1,2]}},'
        b'{"type":"Feature","properties":null,"geometry":null}]}'
    )
    table = read_geojson(content, "a.geojson")
    assert table.columns == ("a", "b", "c", "d", "e", "id", "geometry")
    assert table.rows[0] == (
        1,
        {"a": "x", "b": "1.5", "c": "", "d": "true", "e": "[1]", "id": "7",
         "geometry": '{"type":"Point","coordinates":[1,2]}'},
    )  # fmt: skip
    assert table.rows[1] == (2, {"geometry": ""})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[]", "not a GeoJSON FeatureCollection"),
        (b'{"features":{}}', "not a GeoJSON FeatureCollection"),
        (b'{"features":[1]}', "feature 1: not a Feature"),
        (b'{"features":[{"type":"Feature","properties":[1]}]}', "feature 1: its properties"),
        (
            b'{"features":[{"type":"Feature","properties":{"a":"' + b"x" * 40_000 + b'"}}]}',
            "feature 1: a has 40,000 characters",
        ),
    ],
)
def test_what_is_no_geojson_is_refused_with_its_place(content: bytes, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        read_geojson(content, "a.geojson")


def test_too_many_features_and_properties_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = ",".join(f'"p{i}":1' for i in range(300))
    with pytest.raises(ArchiveError, match="301 properties; at most 256"):
        read_geojson(
            b'{"features":[{"type":"Feature","properties":{%b}}]}' % wide.encode(), "a.geojson"
        )
    monkeypatch.setattr(geojson, "MAX_ROWS", 1)
    with pytest.raises(ArchiveError, match="2 features; at most 1"):
        read_geojson(b'{"features":[{},{}]}', "a.geojson")


def test_a_deeply_nested_document_is_refused() -> None:
    with pytest.raises(ArchiveError, match="not JSON"):
        read_geojson(b'{"features":' + b"[" * 5000 + b"]" * 5000 + b"}", "a.geojson")


HUGE = b"[" + b"[109.73,38.28]," * 300_000 + b"[109.73,38.28]]"


def test_a_geometry_of_any_length_leaves_the_other_rows_alone() -> None:
    feature = b'{"type":"Feature","id":%d,"geometry":{"type":"LineString","coordinates":%s}}'
    content = (
        b'{"features":[' + feature % (1, HUGE) + b"," + feature % (2, b"[[1,2],[3,4]]") + b"]}"
    )
    first, second = read_geojson(content, "a.geojson").rows
    assert first == (1, {"id": "1", "geometry": TOO_LONG_GEOMETRY})
    assert second[1]["geometry"] == '{"type":"LineString","coordinates":[[1,2],[3,4]]}'


@pytest.mark.parametrize("column", ["geometry", "图形"])
def test_a_shape_in_a_table_may_be_longer_than_any_other_cell(column: str) -> None:
    long = "[" + "[109.73,38.28]," * 20_000 + "[1,2]]"
    text = f'id,{column}\n1,"{long}"\n2,"{HUGE.decode()}"\n3,x\n4\n'
    rows = read_csv(text.encode(), "a.csv").rows
    assert [cells.get(column) for _, cells in rows] == [long, TOO_LONG_GEOMETRY, "x", None]


def test_numbers_that_json_does_not_have_are_read_and_kept() -> None:
    feature = '{"type":"Feature","id":"%s","geometry":{"type":"Point","coordinates":[%s,38.28]}}'
    text = ",".join(feature % row for row in (("门", "NaN"), ("b", "-Infinity"), ("c", "109.73")))
    rows = read_geojson(('{"features":[' + text + "]}").encode(), "a.geojson").rows
    assert [cells["geometry"] for _, cells in rows] == [
        '{"type":"Point","coordinates":[NaN,38.28]}',
        '{"type":"Point","coordinates":[-Infinity,38.28]}',
        '{"type":"Point","coordinates":[109.73,38.28]}',
    ]
    assert rows[0][1]["id"] == "门"


def test_half_of_a_character_is_refused_with_and_without_such_numbers() -> None:
    for number in ("1", "NaN"):
        with pytest.raises(ArchiveError, match="not JSON"):
            read_geojson(b'{"features":[],"a":"\\ud800","b":%b}' % number.encode(), "a.geojson")


def test_the_fixture_files_are_in_the_encodings_they_claim() -> None:
    assert raw("good-chinese-gb18030.csv").encoding == "gb18030, semicolon"
    assert raw("good-chinese-bom-tab.csv").encoding == "utf-8-sig, tab"
    assert not (FOLDER / "good-chinese-gb18030.csv").read_bytes().startswith(b"\xef\xbb\xbf")
