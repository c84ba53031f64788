"""Rows of the other archive files: divisions, network nodes, grid cells, windows."""

import json
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import shapely

from gateway.domain.archive_context import ArchiveContext
from gateway.domain.archive_positions import MOST_EAST_DEG, MOST_NORTH_DEG, cell_shape
from gateway.domain.archive_table import Cells, Table
from gateway.domain.archive_values import narrow
from gateway.domain.camera import (
    ChannelId,
    Division,
    DivisionCode,
    GridCell,
    GridId,
    Node,
    NodeId,
    NodeKind,
    Window,
)
from gateway.domain.linking import ROLES

LOCAL = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China has one time zone and no summer time: times without an offset are meant so."""

VILLAGE_DIGITS = 12
_PARENT_DIGITS = {6: 0, 9: 6, 12: 9}
_RING_POINTS = 4
DAY_S = 86_400
_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?")

REFERENCE_MOST = 64
PERSONAL = re.compile(
    r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)|(?<!\d)\d{17}[\dXx](?!\d)"
)
"""A mobile number or an identity number: it belongs to a person, not to a post."""

NODE_KINDS: dict[str, NodeKind] = {
    **{kind.value: kind for kind in NodeKind},
    "核心": NodeKind.CORE, "核心层": NodeKind.CORE, "核心交换机": NodeKind.CORE,
    "上联": NodeKind.UPLINK, "上联链路": NodeKind.UPLINK, "乡镇上联": NodeKind.UPLINK,
    "汇聚": NodeKind.AGGREGATION, "汇聚层": NodeKind.AGGREGATION,
    "汇聚交换机": NodeKind.AGGREGATION,
    "接入": NodeKind.ACCESS, "接入层": NodeKind.ACCESS, "接入交换机": NodeKind.ACCESS,
    "设备": NodeKind.DEVICE, "录像机": NodeKind.DEVICE, "nvr": NodeKind.DEVICE,
    "硬盘录像机": NodeKind.DEVICE, "多目摄像机": NodeKind.DEVICE,
}  # fmt: skip

Polygons = tuple[tuple[tuple[tuple[float, float], ...], ...], ...]


def _new_id(table: Table, row: int, key: str, cells: Cells, taken: Collection[str]) -> str | None:
    """The id of a row, or None when it has none or another row has it."""
    text = narrow(cells.get(key, ""))
    if not text or text in taken:
        table.find("duplicate_id" if text else "missing_id", row, key, cells)
        return None
    return text


def read_divisions(tables: Sequence[Table]) -> list[Division]:
    """The divisions; a parent that is not given is the code's own beginning."""
    found: dict[str, Division] = {}
    for table in tables:
        for row, cells in table.rows:
            text = _new_id(table, row, "code", cells, found)
            if text is None:
                continue
            code = _short_code(text)
            if code is None:
                table.find("bad_division_code", row, "code", cells)
                continue
            if code in found:
                table.find("duplicate_id", row, "code", cells)
                continue
            above = (
                _short_code(narrow(cells.get("parent", ""))) or code[: _PARENT_DIGITS[len(code)]]
            )
            found[code] = Division(
                DivisionCode(code), cells.get("name", ""), DivisionCode(above) if above else None
            )
    return list(found.values())


def _short_code(text: str) -> str | None:
    """A division code without the zeros that fill it up to 12 digits."""
    if not (text.isascii() and text.isdigit()):
        return None
    for digits in _PARENT_DIGITS:
        if len(text) == digits or (len(text) == VILLAGE_DIGITS and not text[digits:].strip("0")):
            return text[:digits]
    return None


def read_nodes(tables: Sequence[Table]) -> list[Node]:
    """The network nodes. A parent that is unknown or leads in a circle is set aside."""
    found: dict[str, tuple[Table, int, Cells, Node]] = {}
    for table in tables:
        for row, cells in table.rows:
            text = _new_id(table, row, "id", cells, found)
            if text is None:
                continue
            kind = NODE_KINDS.get(narrow(cells.get("kind", "")).casefold())
            if kind is None:
                table.find("bad_node_kind", row, "kind", cells)
            node = Node(
                id=NodeId(text),
                kind=kind or NodeKind.ACCESS,
                name=cells.get("name", ""),
                parent=NodeId(narrow(cells.get("parent_id", ""))) or None,
                maintainer=cells.get("maintainer", ""),
                carrier=cells.get("carrier", ""),
                contact=cells.get("contact", ""),
            )
            found[text] = (table, row, cells, node)
    parents = {node.id: node.parent for _, _, _, node in found.values()}
    nodes: list[Node] = []
    for table, row, cells, node in found.values():
        problem = _parent_problem(node.id, parents)
        if problem:
            table.find(problem, row, "parent_id", cells)
            parents[node.id] = None
        nodes.append(_with_parent(node, parents[node.id]))
    return nodes


def _with_parent(node: Node, parent: NodeId | None) -> Node:
    return Node(node.id, node.kind, node.name, parent, node.maintainer, node.carrier, node.contact)


def _parent_problem(start: NodeId, parents: dict[NodeId, NodeId | None]) -> str:
    parent = parents[start]
    if parent is not None and parent not in parents:
        return "unknown_parent"
    at, steps = parent, 0
    while at is not None and steps <= len(parents):
        if at == start:
            return "node_loop"
        at, steps = parents.get(at), steps + 1
    return ""


def read_grids(tables: Sequence[Table], context: ArchiveContext) -> list[GridCell]:
    """The grid cells; a shape that is not valid is set aside, the cell stays."""
    found: dict[str, GridCell] = {}
    for table in tables:
        for row, cells in table.rows:
            text = _new_id(table, row, "grid_id", cells, found)
            if text is None:
                continue
            village = DivisionCode("")
            if named := cells.get("village_code"):
                code, problem = context.find_division(narrow(named), VILLAGE_DIGITS)
                village = code or village
                if code is None:
                    table.find(problem, row, "village_code", cells)
            polygons = read_polygons(cells.get("geometry", ""))
            if polygons is None:
                table.findings.add(
                    "bad_geometry", row, table.names.get("geometry", "geometry"), text
                )
            found[text] = GridCell(
                GridId(text),
                cells.get("name", ""),
                village,
                polygons or (),
                cells.get("beat", ""),
                _posts(table, row, cells),
            )
    return list(found.values())


def _posts(table: Table, row: int, cells: Cells) -> dict[str, str]:
    """What each post of a cell is reached by; what points to a person is set aside."""
    found = {}
    for role in ROLES:
        text = narrow(cells.get(role, ""))
        if len(text) > REFERENCE_MOST or PERSONAL.search(text):
            # What it was is not repeated: the repair list is read by many.
            table.findings.add("personal_contact", row, table.names.get(role, role), "")
        elif text:
            found[role] = text
    return found


def read_polygons(text: str) -> Polygons | None:
    """A GeoJSON Polygon or MultiPolygon in WGS-84 degrees, or None when it is not a valid one."""
    try:
        shape = json.loads(text)
        kind, coordinates = shape["type"], shape["coordinates"]
        if kind not in {"Polygon", "MultiPolygon"}:
            return None
        polygons = tuple(
            tuple(tuple(_point(p) for p in ring) for ring in polygon)
            for polygon in ([coordinates] if kind == "Polygon" else coordinates)
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    rings = [ring for polygon in polygons for ring in polygon]
    closed = all(len(ring) >= _RING_POINTS and ring[0] == ring[-1] for ring in rings)
    if not closed or not all(polygons) or not polygons:
        return None
    cell = GridCell(GridId(""), "", DivisionCode(""), polygons)
    return polygons if shapely.is_valid(cell_shape(cell)) else None


def _point(position: Any) -> tuple[float, float]:  # noqa: ANN401 - JSON
    longitude, latitude = float(position[0]), float(position[1])
    if not (abs(longitude) <= MOST_EAST_DEG and abs(latitude) <= MOST_NORTH_DEG):
        msg = "not degrees"
        raise ValueError(msg)
    return longitude, latitude


def read_windows(tables: Sequence[Table], targets: Collection[str]) -> list[Window]:
    """The maintenance and scheduled-off windows of known cameras, nodes and grid cells."""
    found: dict[str, Window] = {}
    for table in tables:
        for row, cells in table.rows:
            text = _new_id(table, row, "id", cells, found)
            if text is None:
                continue
            target = narrow(cells.get("target", ""))
            if target not in targets:
                table.find("unknown_target", row, "target", cells)
                continue
            window = _read_window(table, row, cells, text, target)
            if window is not None:
                found[text] = window
    return list(found.values())


def _read_window(
    table: Table, row: int, cells: Cells, window_id: str, target: str
) -> Window | None:
    times: dict[str, datetime | None] = {}
    for key in ("starts_at", "ends_at"):
        times[key] = _read_time(cells.get(key, ""))
        if key in cells and times[key] is None:
            table.find("bad_window", row, key, cells, "not a date and time")
            return None
    clocks: dict[str, int | None] = {}
    for key in ("daily_from", "daily_to"):
        clocks[key] = _read_clock(cells.get(key, ""))
        if key in cells and clocks[key] is None:
            table.find("bad_window", row, key, cells, "not a time of day")
            return None
    starts_at, ends_at = times["starts_at"], times["ends_at"]
    if starts_at is None:
        table.find("bad_window", row, "starts_at", cells, "it has no start")
        return None
    if ends_at is not None and ends_at <= starts_at:
        table.find("bad_window", row, "ends_at", cells, "it ends before it starts")
        return None
    if (clocks["daily_from"] is None) != (clocks["daily_to"] is None):
        table.find("bad_window", row, "daily_from", cells, "daily hours need a start and an end")
        return None
    return Window(
        id=window_id,
        target=ChannelId(target),
        starts_at=starts_at,
        ends_at=ends_at,
        reason=cells.get("reason", ""),
        daily_from_s=clocks["daily_from"],
        daily_to_s=clocks["daily_to"],
    )


def _read_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(narrow(text).replace("/", "-"))
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=LOCAL)).astimezone(UTC)


def _read_clock(text: str) -> int | None:
    match = _CLOCK.fullmatch(narrow(text))
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    return total if total <= DAY_S else None
