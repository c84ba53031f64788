"""Events, the outbox and the loop back in PostgreSQL: `PostgresEvents` implements `EventStore`."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson

from adapters.postgres import outbox
from adapters.postgres.batch import all_rows, put_rows
from adapters.postgres.database import LONG_S, Database
from adapters.postgres.queries import SQL
from adapters.postgres.rows import (
    EVENT_INCIDENTS,
    EVENTS,
    MUTES,
    POSTURES,
    RECEIPTS,
    SENSORS,
    WORK_ORDERS,
    clean,
)
from gateway.domain.alerting.marks import SAID
from gateway.domain.alerting.rows import (
    Alert,
    EventIncident,
    Mute,
    Posture,
    Receipt,
    WorkOrder,
)
from gateway.domain.camera import DeviceId
from gateway.domain.event import Event, Sensor
from gateway.ports.events import (
    NOTHING_FOLLOWS,
    EventChanges,
    EventLive,
    EventQuery,
    Follows,
    may_stand,
)

RECENT = timedelta(hours=1)
"""How long back the ids of events are kept against repeats."""


class PostgresEvents:
    """Sensors, events, event incidents, alerts and what the center did with them.

    Args:
        database: of the store.
        check_claim: raises `StoreUnavailable` for a service that lost the store to another one.
    """

    def __init__(self, database: Database, check_claim: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._check_claim = check_claim

    # --- the registry
    async def load_sensors(self) -> Sequence[Sensor]:
        """The sensor registry, by id."""
        return [SENSORS.decode(row) for row in await self._database.fetch(SQL["sensors"])]

    async def save_sensors(self, sensors: Sequence[Sensor]) -> None:
        """Make the registry so, in one transaction: others are forgotten."""
        async with self._database.connection(LONG_S) as connection, connection.transaction():
            await connection.execute(SQL["import_lock"], timeout=LONG_S)
            ids = [clean(sensor.id) for sensor in sensors]
            await connection.execute(SQL["remove_other_sensors"], ids)
            await put_rows(connection, SENSORS, sensors)

    # --- batches
    async def load(self, now: datetime, follows: Follows = NOTHING_FOLLOWS) -> EventLive:
        """What a restart needs, as of one moment."""
        async with (
            self._database.connection(LONG_S) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            recent = await connection.fetch(SQL["recent_events"], now - RECENT, timeout=LONG_S)
            revisions = await connection.fetch(SQL["revisions"], [*SAID], timeout=LONG_S)
            pull_points = await connection.fetch(SQL["pull_points"], timeout=LONG_S)
            incidents = await all_rows(connection, EVENT_INCIDENTS, "open_event_incidents")
            since = may_stand(incidents, follows)
            firsts = [clean(row.first_event) for row in incidents]
            return EventLive(
                incidents=incidents,
                recent=tuple(row["id"] for row in recent),
                revisions={(r["recipient"], r["key"]): r["revision"] for r in revisions},
                told={
                    (r["recipient"], r["key"]): (r["opened_at"], r["told_at"]) for r in revisions
                },
                said={(r["recipient"], r["key"]): orjson.loads(r["said"]) for r in revisions},
                signals=await all_rows(
                    connection, EVENTS, "signals_of_open", [*since], [*since.values()], firsts
                ),
                postures=await all_rows(connection, POSTURES, "postures", now),
                mutes=await all_rows(connection, MUTES, "mutes", now),
                work_orders=await all_rows(connection, WORK_ORDERS, "open_work_orders"),
                subscriptions=tuple((DeviceId(p["device"]), p["reference"]) for p in pull_points),
            )

    async def commit(self, changes: EventChanges) -> None:
        """Write one batch in one transaction; twice changes nothing. New alerts get their cursor."""
        await self._check_claim()
        async with self._database.batch() as connection:
            await put_rows(connection, EVENTS, changes.events)
            await put_rows(connection, EVENT_INCIDENTS, changes.incidents)
            await put_rows(connection, RECEIPTS, changes.receipts)
            await put_rows(connection, WORK_ORDERS, changes.work_orders)
            await outbox.put_alerts(connection, changes.alerts)  # last, see there

    # --- reading
    async def events(
        self, query: EventQuery
    ) -> tuple[Sequence[Event], tuple[datetime, str] | None]:
        """A page of events and the key to go on after."""
        records = await self._page("list_events", query)
        rows = [EVENTS.decode(record) for record in records[: query.limit]]
        more = len(records) > query.limit and bool(rows)
        return rows, (rows[-1].received_at, rows[-1].id) if more else None

    async def incidents(
        self, query: EventQuery
    ) -> tuple[Sequence[EventIncident], tuple[datetime, str] | None]:
        """A page of event incidents and the key to go on after."""
        records = await self._page("list_event_incidents", query)
        rows = [EVENT_INCIDENTS.decode(record) for record in records[: query.limit]]
        more = len(records) > query.limit and bool(rows)
        return rows, (rows[-1].began_at, rows[-1].id) if more else None

    async def incident(self, incident_id: str) -> EventIncident | None:
        """One event incident."""
        records = await self._database.fetch(SQL["event_incident"], incident_id)
        return EVENT_INCIDENTS.decode(records[0]) if records else None

    # --- the outbox
    async def due_alerts(self, recipient: str, now: datetime, limit: int) -> Sequence[Alert]:
        """Of each incident the first pending revision, if it is due; oldest first."""
        return await outbox.due(self._database, recipient, now, limit)

    async def pending_alerts(self, recipient: str) -> tuple[int, datetime | None]:
        """How many are pending, and when the oldest of them was planned."""
        return await outbox.pending(self._database, recipient)

    async def pending_recipients(self) -> Mapping[str, int]:
        """How many are pending of each recipient that has any; not what digests gather."""
        return await outbox.pending_recipients(self._database)

    async def alert(self, alert_id: str) -> Alert | None:
        """One message."""
        return await outbox.one(self._database, alert_id)

    async def settle_alerts(self, alerts: Sequence[Alert]) -> None:
        """Write how deliveries went; what is delivered or superseded stays so."""
        await self._check_claim()
        await outbox.settle(self._database, alerts)

    async def alerts(
        self,
        *,
        after_cursor: int = 0,
        limit: int = 100,
        key: str = "",
        state: str = "",
        recipient: str = "",
    ) -> Sequence[Alert]:
        """Alerts in order of cursor: who has seen one has seen all smaller ones."""
        return await outbox.listed(self._database, after_cursor, limit, key, state, recipient)

    async def last_cursor(self) -> int:
        """Cursor of the newest alert that is still there; 0 = there is none."""
        return int(await self._database.value(SQL["last_cursor"]))

    async def gathered(self, keys: Sequence[str]) -> Sequence[Alert]:
        """What digests gather, oldest first: pending ones, and those of `keys`."""
        return await outbox.gathered(self._database, keys)

    # --- the loop back
    async def receipts(self, key: str) -> Sequence[Receipt]:
        """The loop back of one incident, oldest first."""
        return [RECEIPTS.decode(row) for row in await self._database.fetch(SQL["receipts"], key)]

    async def receipts_of(self, keys: Collection[str]) -> Mapping[str, Sequence[Receipt]]:
        """The loop back of each of these incidents that has one, oldest first."""
        async with self._database.connection(LONG_S) as connection, connection.transaction():
            wanted = [clean(key) for key in keys]
            found: dict[str, list[Receipt]] = {}
            for row in await all_rows(connection, RECEIPTS, "receipts_of", wanted):
                found.setdefault(row.key, []).append(row)
            return found

    async def work_orders(
        self, *, open_only: bool = False, limit: int = 100
    ) -> Sequence[WorkOrder]:
        """Work orders, newest first."""
        records = await self._database.fetch(SQL["work_orders"], open_only, limit)
        return [WORK_ORDERS.decode(record) for record in records]

    async def postures(self, now: datetime) -> Sequence[Posture]:
        """Those that hold at `now` or will, in order of their beginning."""
        return [POSTURES.decode(row) for row in await self._database.fetch(SQL["postures"], now)]

    async def save_posture(self, posture: Posture) -> None:
        """Add or replace a posture."""
        values: dict[str, Any] = POSTURES.encode(posture)
        await self._database.execute(SQL["put_posture"], *(values[n] for n in POSTURES.fields))

    async def mutes(self, now: datetime) -> Sequence[Mute]:
        """Those that hold at `now` or will, in order of their beginning."""
        return [MUTES.decode(row) for row in await self._database.fetch(SQL["mutes"], now)]

    async def save_mute(self, mute: Mute) -> None:
        """Add or replace a mute."""
        values: dict[str, Any] = MUTES.encode(mute)
        await self._database.execute(SQL["put_mute"], *(values[name] for name in MUTES.fields))

    async def save_subscription(self, device: DeviceId, reference: str) -> None:
        """Remember a pull point ("" = forget it)."""
        if reference:
            await self._database.execute(SQL["put_pull_point"], device, clean(reference))
        else:
            await self._database.execute(SQL["forget_pull_point"], device)

    async def _page(self, name: str, query: EventQuery) -> list[asyncpg.Record]:
        return await self._database.fetch(
            SQL[name],
            query.since,
            query.until,
            query.open_only,
            query.channel,
            query.sensor,
            query.kind,
            query.grid,
            *(query.after or (None, None)),
            query.limit + 1,
        )
