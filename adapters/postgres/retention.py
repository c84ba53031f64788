"""What goes when its time is over."""

from datetime import datetime, timedelta, timezone

from adapters.postgres.database import LONG_S, Connection, Database
from adapters.postgres.queries import SQL

AUDIT_DAYS_AT_LEAST = 183
"""The law asks for six months of network logs (Cybersecurity Law, Art. 21)."""

_DAYS_OF = timezone(timedelta(hours=8))
"""Asia/Shanghai; no summer time since 1991, so no time-zone database is needed."""

_PORTION = 5000
"""Rows removed in one transaction: whoever writes meanwhile waits for none of them."""

_AS_LONG_AS_ROLLUPS = (
    "blind_spots",
    "place_intervals",
    "event_incidents",
    "alerts",
    "receipts",  # after the alerts: they stay as long
    "work_orders",
    "postures",
    "mutes",
)
"""Closed or settled rows of these tables."""


async def prune(
    database: Database, now: datetime, audit_days: int, rollup_days: int, event_days: int
) -> None:
    """Remove what is past its retention, audit lines never under 183 days.

    Args:
        database: open.
        now: UTC.
        audit_days: of the audit log.
        rollup_days: of roll-ups, and of everything about coverage and incidents that is closed.
        event_days: of single events.
    """
    lines_before = now - timedelta(days=max(audit_days, AUDIT_DAYS_AT_LEAST))
    first_day = now.astimezone(_DAYS_OF).date() - timedelta(days=rollup_days)
    async with database.connection(LONG_S) as connection:
        await connection.fetchval(SQL["prune_audit"], lines_before, timeout=LONG_S)
        await connection.execute(SQL["prune_rollups"], first_day, timeout=LONG_S)
    await _remove(database, "events", now - timedelta(days=event_days))
    for table in _AS_LONG_AS_ROLLUPS:
        await _remove(database, table, now - timedelta(days=rollup_days))
    await _clip_bases(database, now - timedelta(days=rollup_days))


async def _clip_bases(database: Database, before: datetime) -> None:
    """Without its rows a time would read as seen throughout: nothing was counted then."""
    async with database.connection(LONG_S) as connection, connection.transaction():
        await connection.execute(SQL["prune_coverage_bases"], before, timeout=LONG_S)
        await connection.execute(SQL["clip_coverage_bases"], before, timeout=LONG_S)


async def _remove(database: Database, table: str, before: datetime) -> None:
    while True:
        async with database.connection(LONG_S) as connection:
            if await _remove_some(connection, table, before) < _PORTION:
                return


async def _remove_some(connection: Connection, table: str, before: datetime) -> int:
    """How many rows went."""
    status = await connection.execute(SQL[f"prune_{table}"], before, _PORTION, timeout=LONG_S)
    return int(status.split()[-1])
