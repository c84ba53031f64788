"""The devices behind camera rows: what answers at an address, for one channel or for many."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from gateway.domain.archive_context import ArchiveContext
from gateway.domain.archive_endpoints import Row
from gateway.domain.archive_values import ROUNDED, narrow, parse_mac, parse_yes
from gateway.domain.camera import Camera, CheckBy, Device, DeviceId, NodeId, NodeKind

DEFAULT_PATH = "/onvif/device_service"

DEVICE_KEYS = (
    "tls", "check_by", "path", "credential_set", "serial_number", "mac", "node_id",
)  # fmt: skip
"""Columns that speak of the device: its rows must agree."""

IDENTITY_KEYS = frozenset({"serial_number", "mac"})


def read_devices(
    rows: Sequence[Row], cameras: Sequence[Camera], context: ArchiveContext
) -> tuple[list[Device], list[Camera]]:
    """One device an address, and the cameras, which keep serial numbers that are not the device's."""
    by_device: dict[DeviceId, list[Row]] = defaultdict(list)
    for row in rows:
        by_device[row.device].append(row)
    split: set[DeviceId] = set()
    devices: list[Device] = []
    for same in by_device.values():
        conflicts = _conflicts(same) if len(same) > 1 else frozenset()
        devices.append(_device(same[0], conflicts, context))
        if conflicts & IDENTITY_KEYS:
            split.add(same[0].device)
    kept = [
        _with_own_identity(camera, row) if row.device in split else camera
        for camera, row in zip(cameras, rows, strict=True)
    ]
    return devices, kept


def _conflicts(rows: Sequence[Row]) -> frozenset[str]:
    """The device columns in which rows of one device disagree, noted at the first that does."""
    first = rows[0]
    found: set[str] = set()
    for row in rows[1:]:
        for key in DEVICE_KEYS:
            mine, theirs = row.cells.get(key, ""), first.cells.get(key, "")
            if mine == theirs or key in found:
                continue
            found.add(key)
            rule = "identity_conflict" if key in IDENTITY_KEYS else "device_conflict"
            seen = f"row {first.number} has {theirs or 'nothing'}"
            row.table.find(rule, row.number, key, row.cells, seen)
    return frozenset(found)


def _with_own_identity(camera: Camera, row: Row) -> Camera:
    own: dict[str, str] = {key: row.cells[key] for key in IDENTITY_KEYS if key in row.cells}
    return replace(camera, archive=MappingProxyType({**camera.archive, **own}))


def _device(row: Row, conflicts: frozenset[str], context: ArchiveContext) -> Device:
    cells = row.cells
    serial, mac = _identity(row)
    return Device(
        id=row.device,
        host=row.host,
        port=row.port,
        node=_node(row, context),
        tls=_tls(row),
        check_by=_check_by(row),
        path=_path(row),
        credential_set=_credential_set(row, context),
        serial="" if "serial_number" in conflicts else serial,
        mac="" if "mac" in conflicts else mac,
        manufacturer=cells.get("manufacturer", ""),
        model=cells.get("model", ""),
    )


def _identity(row: Row) -> tuple[str, str]:
    serial, mac = row.cells.get("serial_number", ""), row.cells.get("mac", "")
    if ROUNDED.fullmatch(serial):
        row.table.find("destroyed_number", row.number, "serial_number", row.cells)
        serial = ""
    if mac:
        parsed = parse_mac(narrow(mac))
        if parsed is None:
            row.table.find("bad_mac", row.number, "mac", row.cells)
        mac = parsed or ""
    return serial, mac


def _tls(row: Row) -> bool:
    text = row.cells.get("tls")
    if not text:
        return False
    said = parse_yes(narrow(text))
    if said is None:
        row.table.find("bad_choice", row.number, "tls", row.cells)
    return bool(said)


def _check_by(row: Row) -> CheckBy:
    text = narrow(row.cells.get("check_by", "")).casefold()
    if not text:
        return CheckBy.ONVIF
    try:
        return CheckBy(text)
    except ValueError:
        row.table.find("bad_choice", row.number, "check_by", row.cells, "onvif, rtsp or tcp")
        return CheckBy.ONVIF


def _path(row: Row) -> str:
    path = row.cells.get("path", DEFAULT_PATH)
    if path.startswith("/") and path.isascii() and not set(path) & set(" @#\\"):
        return path
    row.table.find("bad_path", row.number, "path", row.cells)
    return DEFAULT_PATH


def _credential_set(row: Row, context: ArchiveContext) -> str:
    name = row.cells.get("credential_set", "")
    if name and context.credential_sets is not None and name not in context.credential_sets:
        row.table.find("unknown_credential_set", row.number, "credential_set", row.cells)
    return name


def _node(row: Row, context: ArchiveContext) -> NodeId:
    """The node that the device hangs on: never the device's own."""
    node = NodeId(row.cells.get("node_id", ""))
    if not node:
        return node
    found = context.nodes.get(node)
    if found is None:
        row.table.find("unknown_node", row.number, "node_id", row.cells)
        return NodeId("")
    if found.kind is NodeKind.DEVICE and str(node) == row.device:
        return found.parent or NodeId("")
    return node
