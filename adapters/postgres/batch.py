"""Many rows of one kind at once, in portions: a batch may concern the whole fleet."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from adapters.postgres.database import LONG_S, Connection
from adapters.postgres.queries import SQL
from adapters.postgres.rows import Kind, clean
from gateway.domain.ledger import RollUp

R = TypeVar("R")

PORTION = 500
"""Rows read or written at once: memory stays flat, the loop alive."""


async def put(
    connection: Connection, table: str, rows: Sequence[R], encode: Callable[[R], dict[str, Any]]
) -> None:
    """Write rows by the statement `put_<table>`, encoded portion by portion."""
    for start in range(0, len(rows), PORTION):
        encoded = [encode(row) for row in rows[start : start + PORTION]]
        await connection.execute(SQL[f"put_{table}"], encoded)


async def put_rows(connection: Connection, kind: Kind[R], rows: Iterable[R]) -> None:
    """Write rows of a kind; of two with one key the later one counts."""
    await put(connection, kind.table, last_of_each(kind, rows), kind.encode)


def last_of_each(kind: Kind[R], rows: Iterable[R]) -> list[R]:
    """Of two rows with one key in a batch the later one counts."""
    last: dict[Any, R] = {}
    for row in rows:
        key = clean(getattr(row, kind.key))
        if isinstance(row, RollUp):
            key += row.day
        last.pop(key, None)
        last[key] = row
    return list(last.values())


async def all_rows(
    connection: Connection,
    kind: Kind[R],
    query: str,
    *args: Any,  # noqa: ANN401 - arguments of the query
) -> tuple[R, ...]:
    """Everything that a query finds, inside a transaction."""
    cursor = connection.cursor(SQL[query], *args, prefetch=PORTION, timeout=LONG_S)
    return tuple([kind.decode(record) async for record in cursor])
