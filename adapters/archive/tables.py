"""Readers of tables: CSV as spreadsheets and platforms write it, and XLSX by calamine."""

import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

from adapters.archive.limits import HEADER_WITHIN, MAX_BYTES, MAX_ROWS, check_size, table_of
from gateway.errors import ArchiveError
from gateway.ports import RawTable

MAX_UNPACKED = 512 * 1024 * 1024
"""Bytes of an XLSX file when unpacked: a bomb is refused before it is opened."""

EXACT_DIGITS = 10**15
"""Whole numbers below this survive a spreadsheet (15 digits); above they are rounded."""

_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_DELIMITERS = ",;\t"


Cell = str | int | float | bool | time | date | datetime | timedelta
"""What calamine makes of a cell."""


def read_csv(content: bytes, file: str) -> RawTable:
    """Read CSV: UTF-8 with or without mark, UTF-16 with mark, GB18030; `,` `;` or tab.

    Row numbers count records from 1, blank ones included, as a spreadsheet shows them.

    Raises:
        ArchiveError: no such encoding, broken quotes, too large; says where.
    """
    check_size(content, file)
    text, encoding = decode(content, file)
    delimiter = _delimiter(text)
    csv.field_size_limit(MAX_BYTES)  # of this process; `table_of` says how long which cell may be
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, Sequence[str]]] = []
    try:
        for number, cells in enumerate(reader, start=1):
            if any(cells):
                rows.append((number, cells))
            if number > MAX_ROWS + HEADER_WITHIN:
                raise ArchiveError(f"{file}: more than {MAX_ROWS:,} rows; split the file")
    except csv.Error as error:
        raise ArchiveError(f"{file}: line {reader.line_num}: {error}") from None
    named = {",": "comma", ";": "semicolon", "\t": "tab"}[delimiter]
    return table_of(file, rows, f"{encoding}, {named}")


def decode(content: bytes, file: str) -> tuple[str, str]:
    """The text and the name of its encoding.

    UTF-8 is tried first: GB18030 text is practically never valid UTF-8, the other way it often is.

    Raises:
        ArchiveError: neither fits; names the line that does not.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            try:
                return content.decode(name), name
            except UnicodeDecodeError as error:
                raise ArchiveError(_not_text(content, file, name, error.start)) from None
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as utf8_error:
        try:
            return content.decode("gb18030"), "gb18030"
        except UnicodeDecodeError as error:
            at = max(error.start, utf8_error.start)
            raise ArchiveError(_not_text(content, file, "UTF-8 or GB18030", at)) from None


def _not_text(content: bytes, file: str, name: str, at: int) -> str:
    line = content.count(b"\n", 0, at) + 1
    return f"{file}: line {line}: not {name} text (byte {at:,}); save it as CSV UTF-8"


def _delimiter(text: str) -> str:
    """The sign that splits the first line with any into the most cells, quotes respected."""
    for line in text.splitlines()[:HEADER_WITHIN]:
        bare = "".join(line.split('"')[::2])
        counts = {sign: bare.count(sign) for sign in _DELIMITERS}
        if any(counts.values()):
            return max(_DELIMITERS, key=lambda sign: counts[sign])
    return ","


def read_xlsx(content: bytes, file: str) -> RawTable:
    """Read the first visible sheet of an XLSX file that holds anything.

    Numbers become text without losing digits; those that the spreadsheet has rounded already
    (more than 15 digits) come out in exponent form, so that the rules can tell.

    Raises:
        ArchiveError: not an XLSX file, protected, a bomb, or too large.
    """
    check_size(content, file)
    _check_package(content, file)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        visible = [
            sheet.name
            for sheet in workbook.sheets_metadata
            if sheet.visible is SheetVisibleEnum.Visible
        ]
        for place, name in enumerate(visible):
            sheet = workbook.get_sheet_by_name(name)
            first = sheet.start[0] + 1 if sheet.start else 1
            rows = [
                (number, [cell_text(value) for value in values])
                for number, values in enumerate(sheet.to_python(), start=first)
            ]
            filled = [(number, cells) for number, cells in rows if any(cells)]
            if filled:
                rest = len(visible) - place - 1
                note = f", {rest} more sheets not read" if rest else ""
                return table_of(file, filled, f"xlsx, sheet {name}{note}")
    except (CalamineError, ValueError, zipfile.BadZipFile) as error:
        raise ArchiveError(f"{file}: not a readable XLSX file: {error}") from None
    raise ArchiveError(f"{file}: no visible sheet holds anything")


def _check_package(content: bytes, file: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            unpacked = sum(entry.file_size for entry in package.infolist())
            names = set(package.namelist())
    except zipfile.BadZipFile:
        raise ArchiveError(
            f"{file}: not an XLSX file (old .xls, protected, or damaged): save it as .xlsx"
        ) from None
    if unpacked > MAX_UNPACKED:
        raise ArchiveError(
            f"{file}: {unpacked:,} bytes when unpacked; at most {MAX_UNPACKED:,} are read"
        )
    if "[Content_Types].xml" not in names:
        raise ArchiveError(f"{file}: a ZIP archive, but not an XLSX file")


def cell_text(value: Cell) -> str:
    """A cell of a sheet as the text that stands for it."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < EXACT_DIGITS:
            return str(int(value))
        return f"{value:.14e}" if abs(value) >= EXACT_DIGITS else _plain(value)
    if isinstance(value, int):
        return str(value) if abs(value) < EXACT_DIGITS else f"{value:.14e}"
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _plain(value: float) -> str:
    text = repr(value)
    return f"{value:.15f}".rstrip("0") if "e" in text else text
