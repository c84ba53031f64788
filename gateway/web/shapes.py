"""Rows as the API shows them: the fields of the dataclasses, with names of places beside the codes."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any

from gateway.domain.camera import Camera, ChannelId, DivisionCode, GridId, NodeId
from gateway.domain.coverage.figures import Headline
from gateway.domain.coverage.rows import BlindSpot
from gateway.domain.ledger import Fault, GatewayGap, Incident, Outage, State
from gateway.domain.observation import Answer, Instant
from gateway.inventory import Inventory
from gateway.ports import IncidentNote
from gateway.projection import ChannelView, Projection

Json = dict[str, Any]

STATE_CODES: Mapping[State, str] = {
    State.ONLINE: "o",
    State.DEGRADED: "d",
    State.OFFLINE: "f",
    State.UNKNOWN: "u",
    State.MAINTENANCE: "m",
    State.DECOMMISSIONED: "x",
}
"""One letter a state, for the wall and the stream."""

UNASSIGNED = "未归属"
"""The name of the group without a value (no township, no grid, no vendor in the archive)."""

_SECRET_FIELD = re.compile(r"passw|pwd|secret|密码|口令", re.IGNORECASE)
"""An unknown column of an archive may hold what should never have been in it."""

_CAMERA_FIELDS = tuple(
    f.name for f in dataclasses.fields(Camera) if f.name not in {"archive", "contact"}
)
_NAMES: dict[type, tuple[str, ...]] = {}
"""The fields of each kind of row, looked up once."""

_camera_values = attrgetter(*_CAMERA_FIELDS)


def row(item: Any) -> Json:  # noqa: ANN401 - any dataclass
    """The fields of a row, exactly; slots dataclasses have no `__dict__`."""
    kind = type(item)
    names = _NAMES.get(kind)
    if names is None:
        names = _NAMES[kind] = tuple(field.name for field in dataclasses.fields(kind))
    return {name: getattr(item, name) for name in names}


def division_name(inventory: Inventory, code: str) -> str:
    """The name of a division, "" when it is not known."""
    division = inventory.divisions.get(DivisionCode(code))
    return division.name if division else ""


def grid_name(inventory: Inventory, grid: str) -> str:
    """The name of a grid cell, "" when it is not known."""
    cell = inventory.grids.get(GridId(grid))
    return cell.name if cell else ""


def places(inventory: Inventory, camera: Camera) -> Json:
    """Names beside the codes of a camera."""
    return {
        "township_name": division_name(inventory, camera.township),
        "village_name": division_name(inventory, camera.village),
        "grid_name": grid_name(inventory, camera.grid),
    }


def camera_item(view: ChannelView, inventory: Inventory) -> Json:
    """A camera in a list: who, where, and its present."""
    camera = view.camera
    item: Json = dict(zip(_CAMERA_FIELDS, _camera_values(camera), strict=True))
    item.update(places(inventory, camera))
    item["index"] = view.index
    item["state"] = view.state
    item["since_at"] = view.since_at
    item["first_good_at"] = view.first_good_at
    item["takeover"] = is_takeover(view)
    item["suspect"] = view.suspect
    item["outage"] = None if view.outage is None else row(view.outage)
    item["fault_causes"] = list(view.faults)
    return item


def is_takeover(view: ChannelView) -> bool:
    """On the takeover list (存量故障): never seen good since the import, nor accepted as work."""
    return view.outage is not None and view.outage.unaccepted and view.camera.in_use


def camera_detail(view: ChannelView, inventory: Inventory) -> Json:
    """One camera with its archive, its way through the network, and its open rows."""
    item = camera_item(view, inventory)
    archive = view.camera.archive
    item["contact"] = view.camera.contact
    item["archive"] = {k: v for k, v in archive.items() if not _SECRET_FIELD.search(k)}
    item["faults"] = [row(fault) for fault in view.faults.values()]
    item["path"] = [row(node) for node in inventory.path(view.device)]
    device = view.device
    item["device_detail"] = {
        "id": device.id,
        "host": device.host,
        "port": device.port,
        "tls": device.tls,
        "check_by": device.check_by,
        "manufacturer": device.manufacturer,
        "model": device.model,
    }
    return item


def answer_item(answer: Answer | None, utc: Callable[[Instant], datetime]) -> Json | None:
    """What one check found. What was learned for signing stays inside."""
    if answer is None:
        return None
    return {
        "step": answer.step.name.lower(),
        "started_at": utc(answer.started),
        "ended_at": utc(answer.ended),
        "verdict": answer.verdict,
        "cause": answer.cause,
        "tested": sorted(answer.tested),
        "found": [row(finding) for finding in answer.found],
        "chain": [row(step) for step in answer.chain],
        "rtt_s": answer.rtt_s,
        "clock_offset_s": answer.clock_offset_s,
    }


def channel_row(
    item: Outage[datetime] | Fault[datetime] | BlindSpot, projection: Projection
) -> Json:
    """An outage, fault or blind spot with the camera's name and places."""
    shown = row(item)
    view = projection.channels.get(item.channel)
    camera = view.camera if view else None
    shown["camera_name"] = camera.name if camera else ""
    shown["township"] = camera.township if camera else ""
    shown["village"] = camera.village if camera else ""
    inventory = projection.inventory
    shown["township_name"] = division_name(inventory, shown["township"])
    shown["village_name"] = division_name(inventory, shown["village"])
    return shown


def incident_item(
    incident: Incident[datetime], projection: Projection, notes: list[IncidentNote]
) -> Json:
    """An incident with the name and kind of what is blamed, and what people did with it."""
    shown = row(incident)
    inventory = projection.inventory
    node = inventory.nodes.get(NodeId(incident.root))
    view = projection.channels.get(ChannelId(incident.root))
    if node is not None:
        shown["root_name"], shown["root_kind"] = node.name, node.kind
        shown["maintainer"], shown["carrier"] = node.maintainer, node.carrier
    elif view is not None:
        shown["root_name"], shown["root_kind"] = view.camera.name, "channel"
        shown["maintainer"], shown["carrier"] = view.camera.maintainer, view.camera.carrier
    else:
        shown["root_name"], shown["root_kind"] = incident.root, "gone"
        shown["maintainer"] = shown["carrier"] = ""
    township = view.camera.township if view and node is None else ""
    shown["township"] = township
    shown["township_name"] = division_name(inventory, township)
    shown["notes"] = [row(note) for note in notes]
    return shown


def headline_item(told: Headline) -> Json:
    """The headline of coverage: weights, and their shares of all that is listed."""
    weights = told.weights
    names = ("designed", "seen", "unverified", "unknown", "blind", "never")
    return {
        "listed": told.places > 0,
        "places": told.places,
        "drafts": told.drafts,
        "cameras": told.cameras,
        "weight": weights.total,
        **{f"{name}_share": weights.share(getattr(weights, name)) for name in names},
        "blind_spots": told.blind_spots,
        "lost_area_m2": round(told.lost_m2, 1),
        "places_by_state": dict(told.states),
        "ladder": told.ladder,
    }


def feed_item(event: str, data: Any, projection: Projection) -> Json:  # noqa: ANN401 - any row
    """A ledger row as the stream sends it: the same fields as in the API."""
    match data:
        case Outage() | Fault():
            return channel_row(data, projection)
        case Incident():
            shown = incident_item(data, projection, [])
            del shown["notes"]  # the stream does not know them: absent, not empty
            return shown
        case GatewayGap():
            return row(data)
        case BlindSpot():
            return channel_row(data, projection)
        case (Headline() as told, datetime() as at):
            return {**headline_item(told), "as_of": at}
        case _:
            raise TypeError(f"{event}: {type(data).__name__} is no row of the ledger")
