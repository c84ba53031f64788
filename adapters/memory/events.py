"""Events, the outbox and the loop back in memory: `MemoryEvents` implements `EventStore`."""

import dataclasses
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from adapters.memory.home import Home, overlaps, page
from gateway.domain.alerting.rows import (
    Alert,
    AlertPhase,
    AlertState,
    EventIncident,
    Mute,
    Posture,
    Receipt,
    WorkOrder,
    WorkOrderState,
)
from gateway.domain.camera import ChannelId, DeviceId
from gateway.domain.event import Event, Sensor
from gateway.errors import Conflict
from gateway.ports.events import (
    GATHERED,
    NOTHING_FOLLOWS,
    EventChanges,
    EventLive,
    EventQuery,
    Follows,
    may_stand,
)

_RECENT = timedelta(hours=1)
_FINAL = frozenset({AlertState.DELIVERED, AlertState.SUPERSEDED})
_OVER = frozenset({WorkOrderState.CLOSED, WorkOrderState.CANCELLED})


class MemoryEvents:
    """Sensors, events, event incidents, alerts and what the center did with them."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._sensors: dict[str, Sensor] = {}
        self._events: dict[str, Event] = {}
        self._incidents: dict[str, EventIncident] = {}
        self._alerts: dict[str, Alert] = {}
        """In order of cursor."""
        self._of_key: dict[tuple[str, str], dict[int, str]] = {}
        """Alert ids by (recipient, key) and revision."""
        self._receipts: dict[str, Receipt] = {}
        self._work_orders: dict[str, WorkOrder] = {}
        self._postures: dict[str, Posture] = {}
        self._mutes: dict[str, Mute] = {}
        self._subscriptions: dict[DeviceId, str] = {}
        self._cursor = 0

    # --- the registry
    async def load_sensors(self) -> Sequence[Sensor]:
        """The sensor registry, by id."""
        self._home.check_open()
        return [self._sensors[key] for key in sorted(self._sensors)]

    async def save_sensors(self, sensors: Sequence[Sensor]) -> None:
        """Make the registry so: others are forgotten."""
        self._home.check_open()
        self._sensors = {sensor.id: sensor for sensor in sensors}

    # --- batches
    async def load(self, now: datetime, follows: Follows = NOTHING_FOLLOWS) -> EventLive:
        """What a restart needs."""
        self._home.check_open()
        recent = [row for row in self._events.values() if row.received_at > now - _RECENT]
        threads = self._open_threads()
        still_open = [row for row in self._incidents.values() if row.ended_at is None]
        return EventLive(
            incidents=tuple(sorted(still_open, key=lambda row: (row.began_at, row.id))),
            recent=tuple(r.id for r in sorted(recent, key=lambda row: (row.received_at, row.id))),
            revisions={key: rows[-1].revision for key, rows in threads.items()},
            told={key: (rows[0].created_at, rows[-1].created_at) for key, rows in threads.items()},
            said={key: rows[-1].body for key, rows in threads.items()},
            signals=self._signals_of(still_open, follows),
            postures=tuple(await self.postures(now)),
            mutes=tuple(await self.mutes(now)),
            work_orders=tuple(self._newest_orders(open_only=True)),
            subscriptions=tuple(sorted(self._subscriptions.items())),
        )

    def _open_threads(self) -> dict[tuple[str, str], list[Alert]]:
        """The messages of each thread that was opened and not closed, in order of revision."""
        found = {}
        for key, ids in self._of_key.items():
            rows = [self._alerts[ids[revision]] for revision in sorted(ids)]
            phases = {row.phase for row in rows}
            if AlertPhase.OPEN in phases and AlertPhase.CLOSE not in phases:
                found[key] = rows
        return found

    def _signals_of(
        self, still_open: Sequence[EventIncident], follows: Follows
    ) -> tuple[Event, ...]:
        """The first signal of each open incident, and the newest of each source that may stand."""

        def at(row: Event) -> tuple[datetime, datetime, str]:
            return row.last_at or row.received_at, row.received_at, row.id

        since = may_stand(still_open, follows)
        newest: dict[tuple[str, str | None, str], Event] = {}
        for row in sorted(self._events.values(), key=at):
            if row.kind in since and row.received_at >= since[row.kind]:
                newest[row.kind, row.sensor or row.channel or row.device, row.token] = row
        found = {row.id: row for row in newest.values()}
        for one in still_open:
            if one.first_event in self._events:
                found[one.first_event] = self._events[one.first_event]
        return tuple(sorted(found.values(), key=at))

    async def commit(self, changes: EventChanges) -> None:
        """Write one batch, whole or not at all; twice changes nothing. New alerts get a cursor."""
        self._home.check_open()
        for event in changes.events:
            if event.count < 1:
                raise ValueError(f"{event.id}: a row stands for at least one event")
        self.check_alerts(changes.alerts)
        for event in changes.events:
            old = self._events.get(event.id)
            if old is None or event.count >= old.count:
                finite = event.value is None or math.isfinite(event.value)
                self._events[event.id] = event if finite else dataclasses.replace(event, value=None)
        self.put_incidents(changes.incidents)
        for receipt in changes.receipts:
            self._receipts.setdefault(receipt.id, receipt)
        for order in changes.work_orders:
            known = self._work_orders.get(order.id)
            if known is None or known.state not in _OVER or order.state in _OVER:
                self._work_orders[order.id] = order
        self.put_alerts(changes.alerts)

    def put_incidents(self, incidents: Iterable[EventIncident]) -> None:
        """Write event incidents of a batch that was checked."""
        self._incidents.update((row.id, row) for row in incidents)

    def check_alerts(self, alerts: Iterable[Alert]) -> None:
        """See whether alerts may be added.

        Raises:
            Conflict: another alert has this recipient, key and revision.
            ValueError: a number is out of range.
        """
        new: dict[tuple[str, str, int], str] = {}
        for alert in {alert.id: alert for alert in alerts}.values():
            if alert.id in self._alerts:
                continue
            if alert.revision < 1 or alert.attempts < 0:
                raise ValueError(f"{alert.id}: revisions count from 1, attempts from 0")
            name = (alert.recipient, alert.key, alert.revision)
            there = self._of_key.get(name[:2], {}).get(alert.revision) or new.get(name)
            if there is not None:
                raise Conflict(f"alerts: alerts_revision: {name} is that of {there}")
            new[name] = alert.id

    def put_alerts(self, alerts: Iterable[Alert]) -> None:
        """Add alerts that were checked; those that are there stay as they are."""
        for alert in {alert.id: alert for alert in alerts}.values():
            if alert.id not in self._alerts:
                self._cursor += 1
                self._alerts[alert.id] = dataclasses.replace(alert, cursor=self._cursor)
                of_key = self._of_key.setdefault((alert.recipient, alert.key), {})
                of_key[alert.revision] = alert.id

    # --- reading
    async def events(
        self, query: EventQuery
    ) -> tuple[Sequence[Event], tuple[datetime, str] | None]:
        """A page of events and the key to go on after."""
        self._home.check_open()
        found = [
            row
            for row in self._events.values()
            if (query.until is None or row.received_at < query.until)
            and (query.since is None or (row.last_at or row.received_at) >= query.since)
            and (not query.open_only or row.active is True)
            and query.channel in (None, row.channel)
            and query.sensor in (None, row.sensor)
            and query.kind in (None, row.kind)
            and query.grid in (None, *self._grids_of(row))
        ]
        return page(found, lambda row: (row.received_at, row.id), query.limit, query.after)

    async def incidents(
        self, query: EventQuery
    ) -> tuple[Sequence[EventIncident], tuple[datetime, str] | None]:
        """A page of event incidents and the key to go on after."""
        self._home.check_open()
        found = [
            row
            for row in self._incidents.values()
            if overlaps(row.began_at, row.ended_at, query.since, query.until)
            and (not query.open_only or row.ended_at is None)
            and query.channel in (None, row.channel)
            and query.sensor in (None, row.sensor)
            and query.kind in (None, row.kind)
            and query.grid in (None, *(link.grid for link in row.links))
        ]
        return page(found, lambda row: (row.began_at, row.id), query.limit, query.after)

    async def incident(self, incident_id: str) -> EventIncident | None:
        """One event incident."""
        self._home.check_open()
        return self._incidents.get(incident_id)

    # --- the outbox
    async def due_alerts(self, recipient: str, now: datetime, limit: int) -> Sequence[Alert]:
        """Of each incident the first pending revision, if it is due; oldest first."""
        self._home.check_open()
        first: dict[str, Alert] = {}
        for alert in self._alerts.values():
            if alert.recipient == recipient and alert.state is AlertState.PENDING:
                known = first.get(alert.key)
                if known is None or alert.revision < known.revision:
                    first[alert.key] = alert
        due = [a for a in first.values() if a.next_at is None or a.next_at <= now]
        return sorted(due, key=lambda alert: alert.cursor)[:limit]

    async def pending_alerts(self, recipient: str) -> tuple[int, datetime | None]:
        """How many are pending, and when the oldest of them was planned."""
        self._home.check_open()
        at = [
            alert.created_at
            for alert in self._alerts.values()
            if alert.recipient == recipient and alert.state is AlertState.PENDING
        ]
        return len(at), min(at, default=None)

    async def pending_recipients(self) -> Mapping[str, int]:
        """How many are pending of each recipient that has any; not what digests gather."""
        self._home.check_open()
        return Counter(
            alert.recipient
            for alert in self._alerts.values()
            if alert.state is AlertState.PENDING and not alert.recipient.startswith(GATHERED)
        )

    async def alert(self, alert_id: str) -> Alert | None:
        """One message."""
        self._home.check_open()
        return self._alerts.get(alert_id)

    async def settle_alerts(self, alerts: Sequence[Alert]) -> None:
        """Write how deliveries went; what is delivered or superseded stays so."""
        self._home.check_open()
        for alert in {alert.id: alert for alert in alerts}.values():
            known = self._alerts.get(alert.id)
            if known is not None and known.state not in _FINAL:
                self._alerts[alert.id] = dataclasses.replace(
                    known,
                    state=alert.state,
                    attempts=alert.attempts,
                    next_at=alert.next_at,
                    delivered_at=alert.delivered_at,
                    superseded_by=alert.superseded_by,
                    reason=alert.reason,
                )

    async def alerts(
        self,
        *,
        after_cursor: int = 0,
        limit: int = 100,
        key: str = "",
        state: str = "",
        recipient: str = "",
    ) -> Sequence[Alert]:
        """Alerts in order of cursor."""
        self._home.check_open()
        found = [
            alert
            for alert in self._alerts.values()
            if alert.cursor > after_cursor
            and key in ("", alert.key)
            and state in ("", alert.state)
            and recipient in ("", alert.recipient)
        ]
        return found[:limit]

    async def last_cursor(self) -> int:
        """Cursor of the newest alert that is still there; 0 = there is none."""
        self._home.check_open()
        return max((alert.cursor for alert in self._alerts.values()), default=0)

    # --- the loop back
    async def gathered(self, keys: Sequence[str]) -> Sequence[Alert]:
        """What digests gather, oldest first: pending ones, and those of `keys`."""
        self._home.check_open()
        wanted = set(keys)
        return [
            row
            for row in self._alerts.values()
            if row.recipient.startswith(GATHERED)
            and (row.state is AlertState.PENDING or row.key in wanted)
        ]

    async def receipts(self, key: str) -> Sequence[Receipt]:
        """The loop back of one incident, oldest first."""
        self._home.check_open()
        found = (row for row in self._receipts.values() if row.key == key)
        return sorted(found, key=lambda row: (row.at, row.id))

    async def receipts_of(self, keys: Collection[str]) -> Mapping[str, Sequence[Receipt]]:
        """The loop back of each of these incidents that has one, oldest first."""
        return {key: found for key in {*keys} if (found := await self.receipts(key))}

    async def work_orders(
        self, *, open_only: bool = False, limit: int = 100
    ) -> Sequence[WorkOrder]:
        """Work orders, newest first."""
        self._home.check_open()
        return self._newest_orders(open_only=open_only)[:limit]

    async def postures(self, now: datetime) -> Sequence[Posture]:
        """Those that hold at `now` or will, in order of their beginning."""
        self._home.check_open()
        rows = self._postures.values()
        found = [row for row in rows if row.until_at is None or row.until_at > now]
        return sorted(found, key=lambda row: (row.from_at, row.id))

    async def save_posture(self, posture: Posture) -> None:
        """Add or replace a posture."""
        self._home.check_open()
        self._postures[posture.id] = posture

    async def mutes(self, now: datetime) -> Sequence[Mute]:
        """Those that hold at `now` or will, in order of their beginning."""
        self._home.check_open()
        found = [row for row in self._mutes.values() if row.until_at > now]
        return sorted(found, key=lambda row: (row.from_at, row.id))

    async def save_mute(self, mute: Mute) -> None:
        """Add or replace a mute."""
        self._home.check_open()
        self._mutes[mute.id] = mute

    async def save_subscription(self, device: DeviceId, reference: str) -> None:
        """Remember a pull point ("" = forget it)."""
        self._home.check_open()
        self._subscriptions.pop(device, None)
        if reference:
            self._subscriptions[device] = reference

    def prune(self, events_before: datetime, others_before: datetime) -> None:
        """Remove events that old, and everything else that was over before a time."""
        still_open = [row for row in self._incidents.values() if row.ended_at is None]
        needed = {one for row in still_open for one in (row.first_event, row.last_event)}
        self._events = {
            key: row
            for key, row in self._events.items()
            if key in needed
            or max(row.received_at, row.last_at or row.received_at) >= events_before
        }
        self._incidents = {
            key: row
            for key, row in self._incidents.items()
            if row.ended_at is None or row.ended_at >= others_before
        }
        self._prune_alerts(others_before)
        answered = {alert.key for alert in self._alerts.values()}
        self._receipts = {
            key: row
            for key, row in self._receipts.items()
            if row.at >= others_before or row.key in answered
        }
        self._work_orders = {
            key: row
            for key, row in self._work_orders.items()
            if row.state not in _OVER or (row.closed_at or row.created_at) >= others_before
        }
        self._postures = {
            key: row
            for key, row in self._postures.items()
            if row.until_at is None or row.until_at >= others_before
        }
        self._mutes = {
            key: row for key, row in self._mutes.items() if row.until_at >= others_before
        }

    def _prune_alerts(self, before: datetime) -> None:
        """Only whole conversations that ended: of an open incident the newest is still needed."""
        for name, ids in list(self._of_key.items()):
            alerts = [self._alerts[alert_id] for alert_id in ids.values()]
            last = max(alerts, key=lambda alert: alert.revision)
            if last.phase is AlertPhase.CLOSE and all(
                a.created_at < before and a.state is not AlertState.PENDING for a in alerts
            ):
                del self._of_key[name]
                for alert in alerts:
                    del self._alerts[alert.id]

    def _newest_orders(self, *, open_only: bool) -> list[WorkOrder]:
        found = (o for o in self._work_orders.values() if not open_only or o.state not in _OVER)
        return sorted(found, key=lambda row: (row.created_at, row.id), reverse=True)

    def _grids_of(self, event: Event) -> tuple[str, ...]:
        """The grid cells of its sensor and of its camera."""
        sensor = self._sensors.get(event.sensor or "")
        camera = self._home.cameras().get(event.channel or ChannelId(""))
        return tuple(found.grid for found in (sensor, camera) if found is not None)
