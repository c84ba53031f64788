"""The ledger in PostgreSQL: judged batches in, pages and the live state out."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

import asyncpg

from adapters.postgres.batch import PORTION, all_rows, put, put_rows
from adapters.postgres.database import LONG_S, Connection, Database
from adapters.postgres.outbox import put_alerts
from adapters.postgres.queries import SQL
from adapters.postgres.rows import (
    ACCEPTED,
    CHANNELS,
    CLOCK_STEPS,
    EVENT_INCIDENTS,
    FAULTS,
    GAPS,
    INCIDENTS,
    MEMORIES,
    OUTAGES,
    ROLLUPS,
    Kind,
)
from gateway.domain.camera import ChannelId, DeviceId
from gateway.domain.ledger import Changes, DaySeconds, Incident, Outage, RollUp
from gateway.domain.observation import DeviceMemory
from gateway.ports import LedgerKind, LedgerQuery, LiveState, Page

R = TypeVar("R")

_PAGES: dict[LedgerKind, tuple[Kind[Any], str]] = {
    LedgerKind.OUTAGES: (OUTAGES, "failed_at"),
    LedgerKind.FAULTS: (FAULTS, "failed_at"),
    LedgerKind.INCIDENTS: (INCIDENTS, "began_at"),
    LedgerKind.GAPS: (GAPS, "started_at"),
}


async def commit(database: Database, changes: Changes[datetime]) -> None:
    """Write one batch in one transaction; written twice it changes nothing."""
    batch: tuple[tuple[Kind[Any], Iterable[Any]], ...] = (
        (INCIDENTS, changes.incidents),
        # closed rows first: one channel's next row may open in the same batch
        (OUTAGES, sorted(changes.outages, key=lambda row: row.ended_at is None)),
        (FAULTS, sorted(changes.faults, key=lambda row: row.ended_at is None)),
        (GAPS, changes.gaps),
        (CHANNELS, changes.channels),
        (CLOCK_STEPS, changes.clock_steps),
        (ROLLUPS, changes.rollups),
        (EVENT_INCIDENTS, changes.event_incidents),
    )
    async with database.batch() as connection:
        await connection.execute(SQL["put_sequence"], changes.sequence)
        for kind, rows in batch:
            await put_rows(connection, kind, rows)
        memories = list(dict(changes.memories).items())
        await put(connection, MEMORIES.table, memories, _encode_memory)
        if changes.watched_until_at is not None:
            await connection.execute(SQL["put_watched_until"], changes.watched_until_at)
        await put_alerts(connection, changes.alerts)  # last, see there


async def load_live(database: Database) -> LiveState:
    """What is open, the states and the memories, as of one moment."""
    async with (
        database.connection(LONG_S) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return LiveState(
            outages=await all_rows(connection, OUTAGES, "open_outages"),
            faults=await all_rows(connection, FAULTS, "open_faults"),
            incidents=await all_rows(connection, INCIDENTS, "open_incidents"),
            gaps=await all_rows(connection, GAPS, "open_gateway_gaps"),
            channels=await all_rows(connection, CHANNELS, "channel_state"),
            memories=await _all_memories(connection),
            accepted=await all_rows(connection, ACCEPTED, "accepted"),
            watched_until_at=await connection.fetchval(SQL["watched_until"]),
            sequence=await connection.fetchval(SQL["sequence"]) or 0,
        )


async def page(database: Database, kind: LedgerKind, query: LedgerQuery) -> Page[Any]:
    """A page of one table, newest first."""
    rows_of, sort_key = _PAGES[kind]
    after_at, after_id = query.after or (None, None)
    records = await database.fetch(
        SQL[f"list_{kind.value}"],
        query.since,
        query.until,
        query.open_only,
        query.channel,
        query.township,
        query.cause,
        query.incident,
        query.include_merged,
        after_at,
        after_id,
        query.limit + 1,
        query.channels,
    )
    rows = tuple(rows_of.decode(record) for record in records[: query.limit])
    more = len(records) > query.limit and bool(rows)
    return Page(rows, (getattr(rows[-1], sort_key), rows[-1].id) if more else None)


async def outage(database: Database, outage_id: str) -> Outage[datetime] | None:
    """One outage."""
    records = await database.fetch(SQL["outage"], outage_id)
    return OUTAGES.decode(records[0]) if records else None


async def incident(database: Database, incident_id: str) -> Incident[datetime] | None:
    """One incident."""
    records = await database.fetch(SQL["incident"], incident_id)
    return INCIDENTS.decode(records[0]) if records else None


async def rollups(
    database: Database, first_day: str, last_day: str, channel: ChannelId | None
) -> Sequence[RollUp]:
    """Roll-ups of the days, both included."""
    days = (date.fromisoformat(first_day), date.fromisoformat(last_day))
    async with database.connection(LONG_S) as connection, connection.transaction(readonly=True):
        return await all_rows(connection, ROLLUPS, "rollups", *days, channel)


async def rollup_portions(database: Database, day: str) -> AsyncIterator[Sequence[RollUp]]:
    """All roll-ups of a day, by channel."""
    async for rows in _portions(database, ROLLUPS.decode, "rollup_portion", day):
        yield rows


async def day_seconds(database: Database, day: str) -> AsyncIterator[Sequence[DaySeconds]]:
    """The roll-ups of a day added up, by channel."""
    async for rows in _portions(database, _day_seconds, "day_seconds", day):
        yield rows


async def _portions(
    database: Database, decode: Callable[[asyncpg.Record], R], query: str, day: str
) -> AsyncIterator[list[R]]:
    """The rows of a day; each portion is a statement of its own that goes on behind the last."""
    at, after = date.fromisoformat(day), ""
    while records := await database.fetch(SQL[query], at, after, PORTION):
        after = records[-1]["channel"]
        yield [decode(record) for record in records]
        if len(records) < PORTION:
            return


def _day_seconds(record: asyncpg.Record) -> DaySeconds:
    channel, day, *seconds = record
    return DaySeconds(channel, day.isoformat(), *seconds)


def _encode_memory(item: tuple[DeviceId, DeviceMemory]) -> dict[str, Any]:
    device, memory = item
    return {"device": device, **MEMORIES.encode(memory)}


async def _all_memories(connection: Connection) -> tuple[tuple[DeviceId, DeviceMemory], ...]:
    cursor = connection.cursor(SQL["device_memory"], prefetch=PORTION, timeout=LONG_S)
    return tuple([(DeviceId(m["device"]), MEMORIES.decode(m)) async for m in cursor])
