"""Rows of the domain to columns and back. A column has the name of its dataclass field."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar

import asyncpg
import orjson

from gateway.domain import event
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
from gateway.domain.archive import ImportRecord, Repair, Severity
from gateway.domain.camera import (
    Camera,
    CheckBy,
    Device,
    Division,
    GridCell,
    Node,
    NodeKind,
    Window,
)
from gateway.domain.coverage.place import CandidateSite, Footprint, Place, ProhibitedArea
from gateway.domain.coverage.rows import BlindSpot, CoverageBasis, PlaceInterval, PlaceState
from gateway.domain.ledger import (
    ChannelRecord,
    ClockStep,
    Ending,
    Fault,
    GapReason,
    GatewayGap,
    Incident,
    Outage,
    RollUp,
    State,
)
from gateway.domain.observation import AuthScheme, DeviceMemory, FaultCause, OutageCause
from gateway.domain.packed import PackedText
from gateway.ports import Accepted, AuditEntry, IncidentNote, NoteKind, Role, Token
from gateway.ports.coverage import PlanRecord, PlanStatus

R = TypeVar("R")
Convert = Callable[[Any], Any]


def clean(text: str) -> str:
    """Text as PostgreSQL can keep it.

    Devices and broken files send NUL bytes, and lone surrogates come from careless decoding; one
    such character must not stop a batch, so each becomes U+FFFD.
    """
    if text.isascii():
        return text.replace("\x00", "�") if "\x00" in text else text
    return text.replace("\x00", "�").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def to_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """JSON text of a value whose strings are clean."""
    return orjson.dumps(value).decode()


def _plain(value: Any) -> Any:  # noqa: ANN401 - any column value
    """What the driver takes: clean text, lists instead of tuples."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, tuple):
        return [clean(v) if isinstance(v, str) else v for v in value]
    return value


def _json_text_map(value: Mapping[str, str]) -> str:
    return to_json({clean(k): clean(v) for k, v in value.items()})


def _packed(text: str) -> PackedText:
    return PackedText(orjson.loads(text))


def _rings(text: str) -> Any:  # noqa: ANN401 - nested tuples of GridCell.polygons
    return tuple(
        tuple(tuple((lon, lat) for lon, lat in ring) for ring in polygon)
        for polygon in orjson.loads(text)
    )


_SAME_FLOATS: dict[float, float] = {}


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    """Slots of a roll-up; the usual values are shared, a day of the fleet holds 2.6 million."""
    return tuple(_SAME_FLOATS.get(v, v) for v in values)


_SAME_FLOATS.update({v: v for v in (0.0, 300.0, 1800.0, 3600.0)})


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """One kind of row: its table, its dataclass and how its columns become fields.

    Attributes:
        table: name in the schema `sightline`.
        key: the field that names a row.
        read: converters by field; a field without one is taken as it is, null stays None.
        write: converters by field, instead of the usual cleaning.
        repeats: fields of text that many rows have in common.
    """

    table: str
    row: Callable[..., R]
    fields: tuple[str, ...]
    key: str
    read: Mapping[str, Convert]
    write: Mapping[str, Convert]
    repeats: tuple[str, ...] = ()

    def decode(
        self, record: Mapping[str, Any] | asyncpg.Record, same: dict[str, str] | None = None
    ) -> R:
        """The row of a record.

        Args:
            record: one with the columns of the kind.
            same: text seen so far; equal text of the fields that repeat becomes one object.
        """
        values = {name: record[name] for name in self.fields}
        if same is not None:
            for name in self.repeats:
                values[name] = same.setdefault(values[name], values[name])
        for name, convert in self.read.items():
            if values[name] is not None:
                values[name] = convert(values[name])
        return self.row(**values)

    def encode(self, row: R) -> dict[str, Any]:
        """The columns of a row."""
        values: dict[str, Any] = {}
        for name in self.fields:
            value = getattr(row, name)
            convert = self.write.get(name)
            values[name] = convert(value) if convert and value is not None else _plain(value)
        return values


def _kind(
    table: str,
    row: type[R],
    key: str = "id",
    write: Mapping[str, Convert] | None = None,
    repeats: str = "",
    **read: Convert,
) -> Kind[R]:
    fields = tuple(f.name for f in dataclasses.fields(row))  # type: ignore[arg-type]
    return Kind(table, row, fields, key, read, write or {}, tuple(repeats.split()))


DIVISIONS = _kind("divisions", Division, key="code", repeats="code parent")
NODES = _kind("nodes", Node, repeats="id parent maintainer carrier contact", kind=NodeKind)
DEVICES = _kind(
    "devices",
    Device,
    repeats="id node path credential_set manufacturer model",
    check_by=CheckBy,
)
CAMERAS = _kind(
    "cameras",
    Camera,
    write={"archive": _json_text_map},
    repeats="device source_token township village grid manufacturer model maintainer carrier contact",
    archive=_packed,
)
GRIDS = _kind(
    "grids",
    GridCell,
    write={"polygons": to_json, "posts": _json_text_map},
    repeats="id village beat",
    polygons=_rings,
    posts=orjson.loads,
)
WINDOWS = _kind("windows", Window)
ARCHIVE: tuple[Kind[Any], ...] = (DIVISIONS, NODES, DEVICES, CAMERAS, GRIDS, WINDOWS)
"""The versioned tables of the archive; the names are also the fields of `Inventory`."""

OUTAGES = _kind("outages", Outage, cause=OutageCause, ending=Ending, reason=tuple)
FAULTS = _kind("faults", Fault, cause=FaultCause, ending=Ending, reason=tuple)
INCIDENTS = _kind("incidents", Incident, cause=OutageCause, ending=Ending)
GAPS = _kind("gateway_gaps", GatewayGap, reason=GapReason)
CHANNELS = _kind("channel_state", ChannelRecord, key="channel", state=State)
CLOCK_STEPS = _kind("clock_steps", ClockStep)
_SLOTS = (
    "good_s",
    "bad_s",
    "bad_upstream_s",
    "maintenance_s",
    "unobserved_s",
    "degraded_s",
    "rtt_p50_ms",
    "rtt_p95_ms",
)
ROLLUPS = _kind(
    "rollups",
    RollUp,
    key="channel",
    write={"day": date.fromisoformat},
    repeats="",
    day=date.isoformat,
    probes=tuple,
    **dict.fromkeys(_SLOTS, _floats),
)
MEMORIES = _kind("device_memory", DeviceMemory, key="device", scheme=AuthScheme, refused_at=tuple)

NOTES = _kind("incident_notes", IncidentNote, kind=NoteKind)
ACCEPTED = _kind("takeover_accepted", Accepted, key="channel")
TOKENS = _kind("tokens", Token, role=Role)
AUDIT = _kind("audit", AuditEntry)


def _counts(text: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, count) for name, count in orjson.loads(text))


def _repairs(text: str) -> tuple[Repair, ...]:
    return tuple(
        Repair(**{**repair, "severity": Severity(repair["severity"])})
        for repair in orjson.loads(text)
    )


def _repairs_text(repairs: Iterable[Repair]) -> str:
    return to_json(
        [
            {name: _plain(getattr(repair, name)) for name in Repair.__dataclass_fields__}
            for repair in repairs
        ]
    )


IMPORTS = _kind(
    "imports",
    ImportRecord,
    write={
        "counts": lambda pairs: to_json([list(pair) for pair in pairs]),
        "repairs": _repairs_text,
    },
    files=tuple,
    counts=_counts,
    repairs=_repairs,
    unknown_columns=tuple,
)

# --- coverage


def _geometry_text(value: Any) -> str:  # noqa: ANN401 - a GeoJSON object
    """Sorted, so that equal geometries have equal text; coordinates are not walked here."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=_as_dict).decode()


def _object_text(value: Any) -> str:  # noqa: ANN401 - a JSON object
    """JSON text of an object with text from outside in it, in the order it came."""
    return to_json(_clean_json(value))


def _clean_json(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): _clean_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_json(item) for item in value]
    return value


def _as_dict(value: Any) -> Any:  # noqa: ANN401 - what orjson does not know
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


_GEOMETRY: Mapping[str, Convert] = {"geometry": _geometry_text}
PLACES = _kind(
    "places",
    Place,
    write=_GEOMETRY,
    repeats="kind level township village grid source",
    geometry=orjson.loads,
)
FOOTPRINTS = _kind("footprints", Footprint, write=_GEOMETRY, geometry=orjson.loads)
PROHIBITED = _kind("prohibited", ProhibitedArea, write=_GEOMETRY, geometry=orjson.loads)
CANDIDATES = _kind("candidates", CandidateSite, repeats="kind")
PLACE_LIST: tuple[Kind[Any], ...] = (PLACES, FOOTPRINTS, PROHIBITED, CANDIDATES)
"""The versioned tables of coverage; the names are also the fields of `PlaceList`."""

BLIND_SPOTS = _kind(
    "blind_spots",
    BlindSpot,
    write={"polygon": _geometry_text},
    joint=tuple,
    polygon=orjson.loads,
    places=tuple,
    grids=tuple,
)
INTERVALS = _kind("place_intervals", PlaceInterval, state=PlaceState, causes=tuple)
BASES = _kind("coverage_bases", CoverageBasis, key="valid_from")
PLANS = _kind(
    "plans",
    PlanRecord,
    write={"request": _object_text, "result": _object_text},
    status=PlanStatus,
    request=orjson.loads,
    result=orjson.loads,
)

# --- events


def _finite(value: float) -> float | None:
    """A reading; what a broken sensor sends instead of a number is none."""
    return value if math.isfinite(value) else None


def _links(text: str) -> tuple[GridLink, ...]:
    return tuple(
        GridLink(**{**link, "reason": LinkReason(link["reason"])}) for link in orjson.loads(text)
    )


def _cameras(text: str) -> tuple[CameraInView, ...]:
    return tuple(CameraInView(**camera) for camera in orjson.loads(text))


def _objects_text(rows: Iterable[Any]) -> str:
    """A list of flat dataclasses as JSON objects."""
    return to_json(
        [{f.name: _plain(getattr(row, f.name)) for f in dataclasses.fields(row)} for row in rows]
    )


SENSORS = _kind("sensors", event.Sensor, kind=event.EventKind)
EVENTS = _kind(
    "events",
    event.Event,
    write={"value": _finite, "extra": _json_text_map},
    source=event.EventSource,
    kind=event.EventKind,
    extra=orjson.loads,
)
EVENT_INCIDENTS = _kind(
    "event_incidents",
    EventIncident,
    write={"links": _objects_text, "cameras": _objects_text},
    kind=event.EventKind,
    severity=event.Severity,
    links=_links,
    cameras=_cameras,
)
ALERTS = _kind(
    "alerts",
    Alert,
    write={"body": _object_text},
    phase=AlertPhase,
    state=AlertState,
    body=orjson.loads,
)
RECEIPTS = _kind("receipts", Receipt, step=ReceiptStep)
WORK_ORDERS = _kind("work_orders", WorkOrder, channels=tuple, state=WorkOrderState)
POSTURES = _kind("postures", Posture, level=PostureLevel)
MUTES = _kind("mutes", Mute)
