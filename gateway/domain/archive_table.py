"""From raw cells to clean rows by key: the part that is the same for every kind of file."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.archive_fields import Header, Kind, read_header
from gateway.domain.archive_rules import Findings

Cells = dict[str, str]
"""One row: key, or an unknown column's own name -> text; empty cells are left out."""

EXTRA = "#"
"""Readers name cells beyond the header `#<column number>`."""

TOO_LONG_GEOMETRY = '{"type":"too long"}'
"""What a reader puts in the place of a geometry that is longer than any that could be used."""

_POINTED = frozenset({Kind.CAMERAS, Kind.CANDIDATES, Kind.SENSORS})
"""Files whose rows are points: a geometry is only another way to write a position."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
_URL_LOGIN = re.compile(r"(?<=://)\S*@|(?<!\S)[\w.-]+:\S+@(?=[\d\[])")
_NAMED_LOGIN = re.compile(
    r"(?i)((?<![a-z])(?:user(?:name)?|usr|pass)|passw(?:or)?d|passwd|pwd|密码|口令|用户名)"
    r"([\"']?\s*[=:：]\s*)[^\s&;,，；]+"
)
_SUSPICIOUS = re.compile(r"(?i)@|=|:|：")
_PLAIN_NUMBER = re.compile(r"[+-]?[\d\s().,-]+")


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose columns are recognized.

    Attributes:
        names: key -> column as written, to speak to people in their words.
        rows: (row number as a person sees it, cells).
    """

    file: str
    header: Header
    names: Mapping[str, str]
    rows: Sequence[tuple[int, Cells]]
    findings: Findings

    @property
    def kind(self) -> Kind:
        """What the file lists."""
        return self.header.kind

    def find(self, code: str, row: int, key: str, cells: Cells, seen: str = "") -> None:
        """Note a finding about one cell, in the words of the file."""
        self.findings.add(code, row, self.names.get(key, key), cells.get(key, ""), seen)


def read_table(
    file: str,
    kind: Kind,
    columns: Sequence[str],
    rows: Sequence[tuple[int, Mapping[str, str]]],
) -> Table:
    """Recognize the columns, clean the cells, take logins out, note what was odd."""
    if not all(column.isprintable() for column in columns):
        printable = {column: _CONTROL.sub(" ", column).strip() for column in columns}
        columns = list(printable.values())
        rows = [(n, {printable.get(c, c): text for c, text in raw.items()}) for n, raw in rows]
    header = read_header(kind, columns)
    findings = Findings(file)
    for column in header.unknown:
        rule = "repeated_column" if column in header.repeated else "unknown_column"
        findings.add(rule if kind is Kind.CAMERAS else "ignored_column", column=column)
    for column in header.secret:
        findings.add("secret_column", column=column)
    keys: dict[str, str | None] = {c: c for c in header.unknown}
    keys |= header.keys
    keys |= dict.fromkeys(header.secret)
    clean = [(number, _read_row(number, raw, keys, findings)) for number, raw in rows]
    pointed = kind in _POINTED and "geometry" in header.keys.values()
    if pointed:
        clean = [(n, point_of(cells.pop("geometry", "")) | cells) for n, cells in clean]
    names = {key: column for column, key in header.keys.items()}
    if pointed:
        names = {"longitude": "geometry", "latitude": "geometry"} | names
    return Table(file, header, names, [(n, cells) for n, cells in clean if cells], findings)


def _read_row(
    number: int, raw: Mapping[str, str], keys: Mapping[str, str | None], findings: Findings
) -> Cells:
    cells: Cells = {}
    shifted = 0
    for column, text in raw.items():
        key = keys.get(column, column)
        if key is None:
            continue
        shifted += bool(text) and column.startswith(EXTRA) and column not in keys
        value = text if key == "geometry" else _clean(text, number, column, findings)
        if value:
            cells[key] = value
    if shifted:
        findings.add("shifted_row", number, seen=f"{shifted} cells too many")
    return cells


def _clean(text: str, row: int, column: str, findings: Findings) -> str:
    value = text.strip()
    if not value:
        return ""
    if not value.isprintable() and _CONTROL.search(value):
        value = _CONTROL.sub(" ", value).strip()
        findings.add("control_characters", row, column)
    if _SUSPICIOUS.search(value):
        bare = _URL_LOGIN.sub("", value)
        bare = _NAMED_LOGIN.sub(r"\1\2***", bare)
        if bare != value:
            findings.add("secret_in_text", row, column, "***")
            value = bare
    if value[:1] in "=+-@" and not _PLAIN_NUMBER.fullmatch(value):
        findings.add("formula_text", row, column, value)
    return value


def point_of(geometry: str) -> Cells:
    """Longitude and latitude cells of a GeoJSON point; nothing for anything else."""
    try:
        shape = json.loads(geometry)
        if shape["type"] != "Point":
            return {}
        longitude, latitude, *_ = shape["coordinates"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return {"longitude": str(longitude), "latitude": str(latitude)}
