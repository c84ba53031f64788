"""How much an archive file may hold: far above a district, far below what would hurt us."""

from collections.abc import Mapping, Sequence

from gateway.domain.archive_fields import holds_shapes
from gateway.domain.archive_table import TOO_LONG_GEOMETRY
from gateway.errors import ArchiveError
from gateway.ports import RawTable

MAX_BYTES = 64 * 1024 * 1024
MAX_ROWS = 200_000
MAX_COLUMNS = 256
MAX_CELL = 32_767
"""Characters in a cell: what a spreadsheet allows."""
MAX_GEOMETRY = 4 * 1024 * 1024
"""Characters of one geometry: far above what the most vertices that are used can take."""

HEADER_WITHIN = 20
"""Rows above the header (titles, remarks) at most."""


def check_size(content: bytes, file: str) -> None:
    """Refuse files that are empty or too large.

    Raises:
        ArchiveError: with the size and the limit.
    """
    if not content.strip():
        raise ArchiveError(f"{file}: the file is empty")
    if len(content) > MAX_BYTES:
        raise ArchiveError(
            f"{file}: {len(content):,} bytes; at most {MAX_BYTES:,} are read: split the file"
        )


def fitting(geometry: str) -> str:
    """A geometry, or what stands for one that nobody should read: its row is refused, not the file."""
    return geometry if len(geometry) <= MAX_GEOMETRY else TOO_LONG_GEOMETRY


def table_of(file: str, rows: Sequence[tuple[int, Sequence[str]]], encoding: str) -> RawTable:
    """A table whose header is the first row with at least two cells.

    Cells beyond the header get the name `#<column number>`, so that nothing vanishes silently: also
    empty ones where the header has no such cell, for they may be all that tells of a lost comma.

    Args:
        file: name for errors and the report.
        rows: (row number as a person sees it, cells), all rows from the top.
        encoding: for the report.

    Raises:
        ArchiveError: there is no header, or a limit is passed; says where.
    """
    start = next(
        (i for i, (_, cells) in enumerate(rows[:HEADER_WITHIN]) if sum(map(bool, cells)) > 1), None
    )
    if start is None:
        raise ArchiveError(
            f"{file}: no header found: none of the first {HEADER_WITHIN} rows has two names in it"
        )
    number, header = rows[start]
    columns = _columns(file, number, header)
    body = rows[start + 1 :]
    if len(body) > MAX_ROWS:
        raise ArchiveError(f"{file}: {len(body):,} rows; at most {MAX_ROWS:,} are read")
    filled: list[tuple[int, Mapping[str, str]]] = []
    shapes = [column for column in columns if holds_shapes(column)]
    for number, cells in body:
        values = dict(zip(columns, cells, strict=False))
        values |= {column: fitting(values[column]) for column in shapes if column in values}
        for extra in range(len(columns), len(cells)):
            if cells[extra] or extra >= len(header):
                values[f"#{extra + 1}"] = cells[extra]
        longest = max((len(text) for name, text in values.items() if name not in shapes), default=0)
        if longest > MAX_CELL:
            raise ArchiveError(
                f"{file}: row {number}: a cell of {longest:,} characters; at most {MAX_CELL:,}"
            )
        filled.append((number, values))
    return RawTable(file, columns, tuple(filled), encoding)


def _columns(file: str, row: int, header: Sequence[str]) -> tuple[str, ...]:
    names = [name.strip() for name in header]
    while names and not names[-1]:
        names.pop()
    if len(names) > MAX_COLUMNS:
        raise ArchiveError(f"{file}: row {row}: {len(names)} columns; at most {MAX_COLUMNS}")
    columns: list[str] = []
    for place, name in enumerate(names, start=1):
        unique = name or f"column {place}"
        columns.append(f"{unique} ({place})" if unique in columns else unique)
    return tuple(columns)
