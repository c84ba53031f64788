"""What a message says: a CloudEvents 1.0 event in structured JSON, always below 20 kB.

Schemas: `config/schemas/<family>.v1.schema.json`. Lists are cut where they are long, and a count beside each
says how long it was. Posts are roles with references to contacts, never persons.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from gateway.domain.alerting.rows import AlertPhase, CameraInView, GridLink
from gateway.domain.camera import DivisionCode, GridCell, GridId
from gateway.domain.event import EventKind, Severity
from gateway.domain.linking import posts

BYTES_MOST = 20_000
"""Of the JSON text: what receivers of webhooks take without asking."""
LISTS: Mapping[str, int] = MappingProxyType(
    {"links": 12, "cameras": 20, "lost_places": 20, "channels": 50, "reasons": 10, "items": 40}
)
"""How long each list of `data` may be."""
TEXT_MOST = 300
SOURCE = "sightline://610802"
PHASES: Mapping[AlertPhase, str] = MappingProxyType(
    {AlertPhase.OPEN: "opened", AlertPhase.UPDATE: "updated", AlertPhase.CLOSE: "closed"}
)


class Family(StrEnum):
    """What a message is about."""

    INCIDENT = "incident"
    """An event incident (事件)."""
    OUTAGE = "outage"
    """An incident of the ledger (故障单)."""
    BLIND_SPOT = "blind_spot"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that is known about one incident now.

    Attributes:
        key: incident key.
        area: division code of its place.
        grid: the cell of its place, where it is one.
        noticed_at: when it was known to us: hold-down counts from here.
        began_after_at / began_at: the true start lies in between (both included for events).
        ended_at: None while it stands.
        title: one line for people, Chinese.
        data: what else is told, by the names of the schema.
        mark: changes of it are worth an update.
        urgent: changes of it are worth an update that does not wait for its turn (lost places).
    """

    key: str
    family: Family
    kind: EventKind
    severity: Severity
    area: str
    noticed_at: datetime
    began_at: datetime
    began_after_at: datetime | None = None
    last_at: datetime | None = None
    ended_at: datetime | None = None
    title: str = ""
    data: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    mark: str = ""
    urgent: str = ""
    grid: str = ""


def message_id(recipient: str, key: str, revision: int) -> str:
    """The id of a message: the same whenever it is planned again."""
    content = f"{recipient}\n{key}\n{revision}".encode()
    return f"msg_{blake2b(content, digest_size=16).hexdigest()}"


def iso(at: datetime | None) -> str | None:
    """RFC 3339, UTC."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def body(
    subject: Subject,
    *,
    recipient: str,
    revision: int,
    phase: AlertPhase,
    now: datetime,
    source: str = SOURCE,
    told: Mapping[str, Any] = MappingProxyType({}),
) -> Mapping[str, Any]:
    """The message as JSON object.

    Args:
        subject: the incident.
        recipient: by name; only its id depends on it.
        revision: of this recipient and incident.
        phase: open, update or close.
        now: when it is planned.
        source: names the gateway.
        told: rule, reason, posture and the like, added to `data`.
    """
    data: dict[str, Any] = {
        "key": subject.key,
        "revision": revision,
        "phase": str(phase),
        "kind": str(subject.kind),
        "severity": str(subject.severity),
        "title": subject.title,
        "noticed_at": iso(subject.noticed_at),
        "began_after_at": iso(subject.began_after_at),
        "began_at": iso(subject.began_at),
        "last_at": iso(subject.last_at),
        "ended_at": iso(subject.ended_at),
        **subject.data,
        **told,
    }
    event = {
        "specversion": "1.0",
        "id": message_id(recipient, subject.key, revision),
        "source": source,
        "type": f"cn.sightline.{subject.family}.{PHASES[phase]}.v1",
        "subject": subject.key,
        "time": iso(now),
        "datacontenttype": "application/json",
        "data": data,
    }
    return _cut(event)


def _cut(event: dict[str, Any]) -> dict[str, Any]:
    """Shorten texts and lists until it fits; the longest lists lose first."""
    data: dict[str, Any] = _short(event["data"])
    event["data"] = data
    for name, most in LISTS.items():
        if name in data:
            data[f"{name}_total"] = len(data[name])
            data[name] = data[name][:most]
    while size(event) > BYTES_MOST:
        longest = max(
            (name for name in LISTS if data.get(name)),
            key=lambda name: size(data[name]),
            default="",
        )
        if not longest:
            break
        data[longest] = data[longest][: len(data[longest]) // 2]
    return event


def _short(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return value if len(value) <= TEXT_MOST else value[: TEXT_MOST - 1] + "…"
    if isinstance(value, Mapping):
        return {str(name): _short(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_short(one) for one in value]
    return value


def size(value: Any) -> int:  # noqa: ANN401 - JSON
    """Bytes of the JSON text."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


# --- parts of `data`


def links_of(
    links: Sequence[GridLink],
    names: Mapping[str, str] = MappingProxyType({}),
    cells: Mapping[GridId, GridCell] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Linked cells with their police beat and the posts to inform.

    Args:
        links: in order.
        names: of cells and divisions, by code.
        cells: of the archive: their beats, and references to their posts where it has them.
    """
    return [
        {
            "grid": link.grid,
            "grid_name": names.get(link.grid, ""),
            "reason": str(link.reason),
            "distance_m": link.distance_m,
            "bearing_deg": link.bearing_deg,
            "village": link.village,
            "village_name": names.get(link.village, ""),
            "township": link.township,
            "township_name": names.get(link.township, ""),
            "beat": "" if (cell := cells.get(link.grid)) is None else cell.beat,
            "posts": [
                {"role": post.role, "title": post.title, "contact": post.contact}
                for post in posts(link.grid, MappingProxyType({}) if cell is None else cell.posts)
            ],
        }
        for link in links
    ]


def cameras_of(cameras: Sequence[CameraInView]) -> list[dict[str, Any]]:
    """Cameras that can see the place, and what each sees now."""
    return [
        {"channel": one.channel, "distance_m": one.distance_m, "view": one.view} for one in cameras
    ]


def place_of(
    longitude: float | None,
    latitude: float | None,
    *,
    township: DivisionCode = DivisionCode(""),
    village: DivisionCode = DivisionCode(""),
    grid: GridId = GridId(""),
    names: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Where it is."""
    return {
        "longitude": longitude,
        "latitude": latitude,
        "township": township,
        "township_name": names.get(township, ""),
        "village": village,
        "village_name": names.get(village, ""),
        "grid": grid,
    }
