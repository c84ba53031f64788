"""The archive in PostgreSQL: versions of rows, of which the ones without an end are current."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from adapters.postgres.database import LONG_S, Connection, Database
from adapters.postgres.queries import SQL
from adapters.postgres.rows import ARCHIVE, CAMERAS, GRIDS, IMPORTS, Kind
from gateway.domain.archive import ImportRecord
from gateway.domain.camera import Camera
from gateway.inventory import Inventory

R = TypeVar("R")

_PORTION = 500
"""Rows fetched and decoded before other tasks of the loop get a turn (about 5 ms)."""


async def load(database: Database, at: datetime | None, *, shapes: bool) -> Inventory:
    """The archive valid at a time, or now."""
    async with (
        database.connection(LONG_S) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        same: dict[str, str] = {}
        rows = {
            kind.table: await versions(connection, kind, at, same, shapes=shapes)
            for kind in ARCHIVE
        }
    return Inventory.of(**rows)


async def save(database: Database, record: ImportRecord, inventory: Inventory) -> None:
    """Make `inventory` current, in one transaction, writing only what differs.

    A camera that is missing stays as decommissioned; older versions of every row stay.
    """
    async with database.connection(LONG_S) as connection, connection.transaction():
        await connection.execute(SQL["import_lock"], timeout=LONG_S)
        at = await valid_from(connection, record.at, "archive_latest")
        for kind in ARCHIVE:
            rows = _rows(inventory, kind)
            await save_versions(connection, kind, rows, at)
        await add_import(connection, record)


async def add_import(connection: Connection, record: ImportRecord) -> None:
    """Remember an import, once."""
    values = IMPORTS.encode(record)
    await connection.execute(SQL["add_import"], *(values[name] for name in IMPORTS.fields))


async def last_imports(database: Database, limit: int) -> Sequence[ImportRecord]:
    """The last imports, newest first."""
    return [IMPORTS.decode(row) for row in await database.fetch(SQL["imports"], limit)]


def _rows(inventory: Inventory, kind: Kind[Any]) -> dict[str, Any]:
    rows = getattr(inventory, kind.table)
    items: Iterable[Any] = rows.values() if isinstance(rows, Mapping) else rows
    return {getattr(row, kind.key): row for row in items}


async def versions(
    connection: Connection,
    kind: Kind[R],
    at: datetime | None,
    same: dict[str, str],
    *,
    shapes: bool = True,
) -> list[R]:
    """The rows valid at a time, decoded portion by portion: never all of them twice in memory."""
    wanted: tuple[Any, ...] = (at, shapes) if kind is GRIDS else (at,)
    cursor = await connection.cursor(SQL[f"archive_{kind.table}"], *wanted, timeout=LONG_S)
    rows: list[R] = []
    while records := await cursor.fetch(_PORTION, timeout=LONG_S):
        rows.extend(kind.decode(record, same) for record in records)
    return rows


async def valid_from(connection: Connection, at: datetime, latest_of: str) -> datetime:
    """When the new versions begin: at the import, but after everything that is there.

    Args:
        connection: in a transaction.
        at: the time of the import.
        latest_of: the statement that finds the newest version.
    """
    latest: datetime | None = await connection.fetchval(SQL[latest_of])
    return at if latest is None else max(at, latest + timedelta(microseconds=1))


async def save_versions(
    connection: Connection, kind: Kind[Any], rows: Mapping[str, Any], at: datetime
) -> None:
    """Make `rows` the current ones of a kind, from `at` on, writing only what differs."""
    there = {getattr(row, kind.key): row for row in await versions(connection, kind, None, {})}
    gone = there.keys() - rows.keys()
    if kind is CAMERAS:
        rows = {**rows, **_decommissioned([there[key] for key in there if key in gone])}
        gone = set()
    new: list[tuple[Any, ...]] = []
    retired = [*gone]
    for key, row in rows.items():
        old = there.get(key)
        if old == row:
            continue
        values = kind.encode(row)
        if old is not None:
            if kind.encode(old) == values:  # differs only in characters that cannot be kept
                continue
            retired.append(key)
        new.append((*(values[name] for name in kind.fields), at))
    if retired:
        await connection.execute(SQL[f"retire_{kind.table}"], retired, at, timeout=LONG_S)
    if new:
        await connection.copy_records_to_table(
            kind.table,
            schema_name="sightline",
            columns=[*kind.fields, "valid_from"],
            records=new,
            timeout=LONG_S,
        )
    await connection.execute(SQL["put_archive_order"], kind.table, list(rows))


def _decommissioned(cameras: Iterable[Camera]) -> dict[str, Camera]:
    return {c.id: dataclasses.replace(c, in_use=False) if c.in_use else c for c in cameras}
