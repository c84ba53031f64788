"""Events (报警信号): what a device, a sensor or our own judging tells, at one time and place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from gateway.domain.camera import ChannelId, DeviceId, DivisionCode, GridId

SensorId = NewType("SensorId", str)


class EventSource(StrEnum):
    """How we learned of it."""

    ONVIF_PULL = "onvif_pull"
    ONVIF_PUSH = "onvif_push"
    MQTT = "mqtt"
    HTTP = "http"
    HEALTH = "health"
    """Our own ledger: an outage, a lost uplink, a blind spot at a key place."""


class EventKind(StrEnum):
    """What happened. There is no kind for people, faces, plates or visitors: they are dropped at the door."""

    DIGITAL_INPUT = "digital_input"
    RELAY = "relay"
    TAMPER = "tamper"
    SIGNAL_LOSS = "signal_loss"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    TOO_BLURRY = "too_blurry"
    SCENE_CHANGE = "scene_change"
    HARDWARE_FAILURE = "hardware_failure"
    STORAGE_FAILURE = "storage_failure"
    TEMPERATURE = "temperature"
    MOTION = "motion"
    FIELD_DETECTION = "field_detection"
    LINE_CROSSING = "line_crossing"
    SMOKE = "smoke"
    WATER_LEVEL = "water_level"
    DOOR = "door"
    GAS = "gas"
    SOS = "sos"
    POLE_TILT = "pole_tilt"
    CABINET_POWER = "cabinet_power"
    CABINET_TEMPERATURE = "cabinet_temperature"
    OUTAGE = "outage"
    UPLINK_LOST = "uplink_lost"
    BLIND_SPOT = "blind_spot"


class Severity(StrEnum):
    """How urgent, from the least."""

    INFO = "info"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor in the registry: a thing at a place, like a camera.

    `topic` is where it publishes (MQTT) or its name in the HTTP intake.
    """

    id: SensorId
    name: str
    kind: EventKind
    topic: str
    longitude: float | None = None
    latitude: float | None = None
    township: DivisionCode = DivisionCode("")
    village: DivisionCode = DivisionCode("")
    grid: GridId = GridId("")
    maintainer: str = ""
    contact: str = ""
    in_use: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """One signal, as received.

    Attributes:
        id: stable over repeats of the same message (source, origin, message id or counter): repeats
            are dropped by it.
        received_at: our own time (UTC); what everything is judged by.
        device_at: what the device said: an untrusted extra (quirk 28).
        active: True = began or stands, False = over, None = a moment without an end.
        token: which input, rule or value of the source (digital input 2, `cabinet/1`).
        value / unit: the reading, where there is one.
        topic: as it came, for the record.
        count: how many repeats were coalesced into this row.
    """

    id: str
    source: EventSource
    kind: EventKind
    received_at: datetime
    channel: ChannelId | None = None
    device: DeviceId | None = None
    sensor: SensorId | None = None
    device_at: datetime | None = None
    active: bool | None = None
    token: str = ""
    value: float | None = None
    unit: str = ""
    topic: str = ""
    count: int = 1
    last_at: datetime | None = None
    extra: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
