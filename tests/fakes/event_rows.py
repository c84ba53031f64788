"""Rows of events and alerts with every field set, and builders; times as in `ledger_rows`."""

from typing import Any

from fakes.ledger_rows import at, channel

from gateway.domain.alerting.rows import (
    Alert,
    AlertPhase,
    AlertState,
    CameraInView,
    EventIncident,
    GridLink,
    LinkReason,
    Mute,
    Posture,
    PostureLevel,
    Receipt,
    ReceiptStep,
    WorkOrder,
    WorkOrderState,
)
from gateway.domain.camera import DeviceId, DivisionCode, GridId
from gateway.domain.event import Event, EventKind, EventSource, Sensor, SensorId, Severity

SENSORS = (
    Sensor(
        SensorId("s2"),
        "烟感二号",
        EventKind.SMOKE,
        "yuyang/s2/smoke",
        109.7,
        38.2,
        DivisionCode("610802101"),
        DivisionCode("610802101201"),
        GridId("g1"),
        "运维甲",
        "0912-0000000",
        in_use=False,
    ),
    Sensor(SensorId("s1"), "水位一号", EventKind.WATER_LEVEL, "yuyang/s1"),
)


def event(row_id: str, received: float, **more: Any) -> Event:
    """A smoke signal, `received` minutes after T0."""
    values: dict[str, Any] = {"source": EventSource.MQTT, "kind": EventKind.SMOKE}
    return Event(id=row_id, received_at=at(received), **{**values, **more})


def event_incident(
    row_id: str, began: float, ended: float | None = None, **more: Any
) -> EventIncident:
    """A smoke incident from `began` to `ended`, in minutes."""
    values: dict[str, Any] = {
        "kind": EventKind.SMOKE,
        "severity": Severity.MAJOR,
        "last_at": at(began),
        "ended_at": None if ended is None else at(ended),
    }
    return EventIncident(id=row_id, began_at=at(began), **{**values, **more})


def alert(row_id: str, key: str, revision: int = 1, created: float = 0, **more: Any) -> Alert:
    """An alert for the recipient `center`."""
    values: dict[str, Any] = {
        "phase": AlertPhase.OPEN if revision == 1 else AlertPhase.UPDATE,
        "recipient": "center",
        "body": {"specversion": "1.0", "id": row_id},
    }
    return Alert(
        id=row_id, key=key, revision=revision, created_at=at(created), **{**values, **more}
    )


def work_order(
    row_id: str, created: float, state: WorkOrderState = WorkOrderState.OPEN, **more: Any
) -> WorkOrder:
    """A work order of one channel."""
    return WorkOrder(row_id, "i", (channel(1),), state, at(created), "值班员", **more)


FULL_EVENT = Event(
    id="e-full",
    source=EventSource.ONVIF_PULL,
    kind=EventKind.CABINET_TEMPERATURE,
    received_at=at(1),
    channel=channel(1),
    device=DeviceId("10.1.0.9:8443"),
    sensor=SensorId("s2"),
    device_at=at(-100_000),
    active=True,
    token="cabinet/1",
    value=61.5,
    unit="°C",
    topic="tns1:Device/Trigger/“门”",
    count=57,
    last_at=at(2),
    extra={"原因": "过热", "raw": "<a/>"},
)
BARE_EVENT = event("e-bare", 3)
FULL_INCIDENT = EventIncident(
    id="x-full",
    kind=EventKind.TAMPER,
    severity=Severity.CRITICAL,
    began_at=at(1),
    last_at=at(2),
    ended_at=at(4),
    signals=57,
    channel=channel(1),
    sensor="s2",
    longitude=109.734512345678,
    latitude=38.285,
    links=(
        GridLink(
            GridId("g1"),
            LinkReason.CONTAINS,
            0.0,
            None,
            DivisionCode("610802101201"),
            DivisionCode("610802101"),
        ),
        GridLink(GridId("g2"), LinkReason.NEAR, 12.25, 359.5),
    ),
    cameras=(CameraInView(channel(1), 30.5, "seeing"),),
    first_event="e-full",
    last_event="e-bare",
    caused_by="i-full",
    note="先断电，后失联",
)
BARE_INCIDENT = event_incident("x-bare", 5)
FULL_ALERT = Alert(
    id="a-full",
    key="x-full",
    revision=2,
    phase=AlertPhase.CLOSE,
    recipient="综治中心",
    created_at=at(1),
    body={"z": 1.0, "a": [{"格": "g1", "n": None, "ok": True}], "m": {"big": 1e16}},
    state=AlertState.DEAD,
    attempts=9,
    next_at=at(2),
    delivered_at=at(3),
    superseded_by="a-later",
    reason="410 Gone",
)
RECEIPT = Receipt("r1", "x-full", ReceiptStep.RECEIVED, at(2), "中心值班", "收到", GridId("g1"))
FULL_ORDER = WorkOrder(
    "w-full",
    "x-full",
    (channel(1), channel(2)),
    WorkOrderState.CLOSED,
    at(1),
    "值班员",
    "运维甲",
    at(60),
    at(30),
    at(31),
    "换电源",
)
POSTURE = Posture("t1", PostureLevel.HEIGHTENED, "610802101", at(0), at(60), "指挥", "春节安保")
MUTE = Mute("m1", "值班员", "施工", at(0), at(60), "smoke", "610802101", "x-full")
