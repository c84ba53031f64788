"""Rows of the desk that wait for the store, and its bounds: a newer row of an id replaces an older one."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.domain.alerting.rows import Alert, EventIncident, Receipt, WorkOrder
from gateway.domain.event import Event
from gateway.ports.events import EventChanges


@dataclass(frozen=True, slots=True)
class DeskLimits:
    """Bounds of the desk.

    Attributes:
        rows_most: rows that may wait for the store before sources have to wait.
        deliver_s: how long a source waits for its events to be stored.
        storm_rows: rows of one source and minute before its signals are only counted.
    """

    rows_most: int = 5_000
    deliver_s: float = 30.0
    storm_rows: int = 20


DEFAULT_LIMITS = DeskLimits()


@dataclass(slots=True)
class Waiting:
    """The next batch of the desk."""

    events: dict[str, Event] = field(default_factory=dict)
    incidents: dict[str, EventIncident] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    orders: dict[str, WorkOrder] = field(default_factory=dict)
    settled: list[Alert] = field(default_factory=list)
    """Rows of the outbox that are settled by what is written before them."""

    def __len__(self) -> int:
        return (
            len(self.events)
            + len(self.incidents)
            + len(self.alerts)
            + len(self.receipts)
            + len(self.orders)
        )

    def tell(self, alerts: Iterable[Alert]) -> None:
        """Add alerts."""
        self.alerts.update((alert.id, alert) for alert in alerts)

    def take(self) -> EventChanges:
        """The batch; nothing waits any more."""
        changes = EventChanges(
            tuple(self.events.values()),
            tuple(self.incidents.values()),
            tuple(self.alerts.values()),
            tuple(self.receipts.values()),
            tuple(self.orders.values()),
        )
        self.events, self.incidents, self.alerts = {}, {}, {}
        self.receipts, self.orders = {}, {}
        return changes

    def keep(self, changes: EventChanges) -> None:
        """Put a batch back that could not be written, below what came in meanwhile."""
        self.events = {**{row.id: row for row in changes.events}, **self.events}
        self.incidents = {**{row.id: row for row in changes.incidents}, **self.incidents}
        self.alerts = {**{row.id: row for row in changes.alerts}, **self.alerts}
        self.receipts = {**{row.id: row for row in changes.receipts}, **self.receipts}
        self.orders = {**{row.id: row for row in changes.work_orders}, **self.orders}
