"""The rows of linking and alerting. Times are aware UTC; rows are whole snapshots keyed by `id`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from gateway.domain.camera import ChannelId, DivisionCode, GridId
from gateway.domain.event import EventKind, Severity


class LinkReason(StrEnum):
    """Why a grid cell is linked."""

    CONTAINS = "contains"
    NEAR = "near"
    IN_VIEW = "in_view"


@dataclass(frozen=True, slots=True)
class GridLink:
    """One linked grid cell (网格).

    `distance_m` is to the polygon (0 inside); `bearing_deg` clockwise from north, from the event to the
    cell's nearest point (None inside).
    """

    grid: GridId
    reason: LinkReason
    distance_m: float
    bearing_deg: float | None
    village: DivisionCode = DivisionCode("")
    township: DivisionCode = DivisionCode("")


@dataclass(frozen=True, slots=True)
class CameraInView:
    """A camera whose view contains the place, and whether it sees now (a `ViewState`)."""

    channel: ChannelId
    distance_m: float
    view: str


@dataclass(frozen=True, slots=True)
class EventIncident:
    """An incident (事件): signals of one kind, place and window.

    Attributes:
        id: the incident key of its alerts.
        signals: how many events it took, repeats included.
        first_event / last_event: ids of its first and its newest event row.
        links: containing cell first, then by distance, then by grid code.
        caused_by: an earlier incident (tamper before signal loss) or outage incident.
    """

    id: str
    kind: EventKind
    severity: Severity
    began_at: datetime
    last_at: datetime
    ended_at: datetime | None = None
    signals: int = 1
    channel: ChannelId | None = None
    sensor: str | None = None
    longitude: float | None = None
    latitude: float | None = None
    links: tuple[GridLink, ...] = ()
    cameras: tuple[CameraInView, ...] = ()
    first_event: str = ""
    last_event: str = ""
    caused_by: str | None = None
    note: str = ""


class AlertPhase(StrEnum):
    """What a message says about its incident."""

    OPEN = "open"
    UPDATE = "update"
    CLOSE = "close"


class AlertState(StrEnum):
    """Where a message stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    SUPERSEDED = "superseded"
    """Compacted away: a newer revision of its incident says more. Settled."""
    DEAD = "dead"
    """The center refused it for good, or retries ran out: dead letter, can be replayed."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One message to one recipient about one incident: row of the outbox.

    Attributes:
        id: message id; the same over retries (`webhook-id`).
        key: incident key: an outage incident, an event incident or a blind spot.
        revision: 1 = open, then counted up without holes by recipient and key.
        recipient: name of a configured recipient (the center).
        body: the CloudEvents 1.0 event as JSON object, built when it was planned.
        attempts / next_at: deliveries tried, and when the next is due.
        cursor: place in the pull feed, set by the store (0 = not yet written).
    """

    id: str
    key: str
    revision: int
    phase: AlertPhase
    recipient: str
    created_at: datetime
    body: Mapping[str, Any]
    state: AlertState = AlertState.PENDING
    attempts: int = 0
    next_at: datetime | None = None
    delivered_at: datetime | None = None
    superseded_by: str | None = None
    reason: str = ""
    cursor: int = 0


class ReceiptStep(StrEnum):
    """What the center did with an incident."""

    RECEIVED = "received"
    DISPATCHED = "dispatched"
    IN_PROGRESS = "in_progress"
    CLOSED = "closed"
    FALSE_ALARM = "false_alarm"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One step of the loop back: receipt (签收), dispatch (派单), handling (处置), closing (办结)."""

    id: str
    key: str
    step: ReceiptStep
    at: datetime
    actor: str
    text: str = ""
    grid: GridId | None = None


class WorkOrderState(StrEnum):
    """Where a repair stands."""

    OPEN = "open"
    ASSIGNED = "assigned"
    DONE = "done"
    """Said to be repaired; not believed until the device is seen healthy."""
    CLOSED = "closed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """A work order (工单) for a repair."""

    id: str
    key: str
    channels: tuple[ChannelId, ...]
    state: WorkOrderState
    created_at: datetime
    created_by: str
    assignee: str = ""
    due_at: datetime | None = None
    done_at: datetime | None = None
    closed_at: datetime | None = None
    text: str = ""


class PostureLevel(StrEnum):
    """Posture (平战联控)."""

    ROUTINE = "routine"
    HEIGHTENED = "heightened"


@dataclass(frozen=True, slots=True)
class Posture:
    """A posture for an area (division code prefix, "" = the district) and time window."""

    id: str
    level: PostureLevel
    area: str
    from_at: datetime
    until_at: datetime | None
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mute:
    """Silence (who, why, until) for alerts that match all given fields; "" matches all."""

    id: str
    actor: str
    reason: str
    from_at: datetime
    until_at: datetime
    kind: str = ""
    area: str = ""
    key: str = ""


Body = Mapping[str, Any]
NOTHING: Body = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Planned:
    """What planning alerts decided for one incident, with its reason, and when to ask again."""

    alerts: tuple[Alert, ...] = ()
    reason: str = ""
    due_at: datetime | None = None
    detail: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
