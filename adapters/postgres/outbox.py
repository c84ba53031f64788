"""The outbox in PostgreSQL: alerts are written with what caused them, and settled afterwards."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from adapters.postgres.batch import put_rows
from adapters.postgres.database import Connection, Database
from adapters.postgres.queries import SQL
from adapters.postgres.rows import ALERTS, clean
from gateway.domain.alerting.rows import Alert


async def put_alerts(connection: Connection, alerts: Iterable[Alert]) -> None:
    """Add alerts to the outbox; those that are there stay as they are.

    Must be the last statement of its transaction: from here to the commit all others that add
    alerts wait, so that cursors become visible in their order.
    """
    waiting = tuple(alerts)
    if waiting:
        await connection.execute(SQL["alerts_lock"])
        await put_rows(connection, ALERTS, waiting)


async def due(database: Database, recipient: str, now: datetime, limit: int) -> Sequence[Alert]:
    """Of each incident the first pending revision, if it is due; oldest first."""
    records = await database.fetch(SQL["due_alerts"], recipient, now, limit)
    return [ALERTS.decode(record) for record in records]


async def settle(database: Database, alerts: Sequence[Alert]) -> None:
    """Write how deliveries went; what is delivered or superseded stays so."""
    if not alerts:
        return
    last = list({alert.id: alert for alert in alerts}.values())
    await database.execute(
        SQL["settle_alerts"],
        [clean(a.id) for a in last],
        [a.state.value for a in last],
        [a.attempts for a in last],
        [a.next_at for a in last],
        [a.delivered_at for a in last],
        [None if a.superseded_by is None else clean(a.superseded_by) for a in last],
        [clean(a.reason) for a in last],
    )


async def listed(
    database: Database, after_cursor: int, limit: int, key: str, state: str, recipient: str
) -> Sequence[Alert]:
    """Alerts in order of cursor."""
    records = await database.fetch(
        SQL["list_alerts"], after_cursor, clean(key), state, limit, clean(recipient)
    )
    return [ALERTS.decode(record) for record in records]


async def gathered(database: Database, keys: Sequence[str]) -> Sequence[Alert]:
    """What digests gather: pending ones, and those of some incidents."""
    records = await database.fetch(SQL["gathered"], [clean(key) for key in keys])
    return [ALERTS.decode(record) for record in records]


async def pending(database: Database, recipient: str) -> tuple[int, datetime | None]:
    """How many are pending, and when the oldest of them was planned."""
    (record,) = await database.fetch(SQL["pending_alerts"], recipient)
    return record["number"], record["oldest_at"]


async def pending_recipients(database: Database) -> Mapping[str, int]:
    """How many are pending of each recipient that has any; not what digests gather."""
    records = await database.fetch(SQL["pending_recipients"])
    return {record["recipient"]: record["number"] for record in records}


async def one(database: Database, alert_id: str) -> Alert | None:
    """One message."""
    records = await database.fetch(SQL["one_alert"], clean(alert_id))
    return ALERTS.decode(records[0]) if records else None
