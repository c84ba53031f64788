"""Plan an import of the archive: as it would be, what differs, what is wrong, what forbids it.

Pure: the same old archive, tables and options give the same plan. Writing it is the command's job.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.domain.archive import Severity
from gateway.domain.archive_cameras import read_cameras
from gateway.domain.archive_context import ArchiveContext
from gateway.domain.archive_diff import Change, ChangeKind, compare
from gateway.domain.archive_fields import Kind
from gateway.domain.archive_places import (
    read_divisions,
    read_grids,
    read_nodes,
    read_windows,
)
from gateway.domain.archive_rules import Findings
from gateway.domain.archive_table import Table
from gateway.domain.camera import (
    Camera,
    ChannelId,
    Device,
    DeviceId,
    Division,
    DivisionCode,
    GridCell,
    GridId,
    Node,
    NodeId,
    NodeKind,
)
from gateway.importing import (
    Files,
    ImportOptions,
    Plan,
    Refusal,
    mass_disappearance,
    read_files,
    serious_findings,
    too_many_quarantined,
)
from gateway.inventory import Inventory
from gateway.ports import RawTable


@dataclass(frozen=True, kw_only=True)
class ImportPlan(Plan):
    """What an import of the archive would do.

    Attributes:
        inventory: the archive after it.
        unmapped: cameras in use without a usable position.
    """

    inventory: Inventory
    unmapped: int


def plan_import(old: Inventory, tables: Sequence[RawTable], options: ImportOptions) -> ImportPlan:
    """Work out what importing `tables` over `old` does.

    Only the kinds of tables that are given replace their part of the archive; several files of one
    kind count as one. Cameras that are missing stay, decommissioned.

    Raises:
        ArchiveError: it cannot be told what a file lists.
    """
    files = read_files(tables, options)
    new = _new_inventory(old, files.by_kind, options)
    changes = _changes(old, new)
    return ImportPlan(
        inventory=new,
        record=files.record(options, _counts(new, changes, files)),
        changes=tuple(changes),
        tables=files.listed(),
        refusals=tuple(_refusals(old, new, files, options)),
        unmapped=sum(c.in_use and c.longitude is None for c in new.cameras.values()),
    )


# --- the archive after the import


def _new_inventory(
    old: Inventory, by_kind: Mapping[Kind, Sequence[Table]], options: ImportOptions
) -> Inventory:
    divisions: Mapping[DivisionCode, Division] = old.divisions
    if Kind.DIVISIONS in by_kind:
        divisions = {d.code: d for d in read_divisions(by_kind[Kind.DIVISIONS])}
    context = ArchiveContext(
        divisions=divisions,
        nodes=_archive_nodes(old),
        district=options.district,
        bounds=options.bounds,
        virtual=options.virtual,
        own_addresses=options.own_addresses,
        datum=options.datum,
        credential_sets=options.credential_sets,
        known={c.id: c.device for c in old.cameras.values()},
    )
    grids: Mapping[GridId, GridCell] = old.grids
    if Kind.GRIDS in by_kind:
        grids = {g.id: g for g in read_grids(by_kind[Kind.GRIDS], context)}
    if Kind.NODES in by_kind:
        context = replace(context, nodes={n.id: n for n in read_nodes(by_kind[Kind.NODES])})
    context = replace(context, grids=grids)
    cameras, devices = old.cameras, old.devices
    if Kind.CAMERAS in by_kind:
        cameras, devices = _new_cameras(old, by_kind[Kind.CAMERAS], context)
    elif Kind.NODES in by_kind:
        _check_kept_devices(devices.values(), by_kind[Kind.NODES][0].findings, context.nodes)
    nodes = _with_device_nodes(context.nodes, cameras.values(), devices)
    windows = old.windows
    if Kind.WINDOWS in by_kind:
        targets = {*map(str, cameras), *map(str, nodes), *map(str, grids)}
        windows = tuple(read_windows(by_kind[Kind.WINDOWS], targets))
    return Inventory(cameras, devices, nodes, divisions, grids, windows)


def _new_cameras(
    old: Inventory, tables: Sequence[Table], context: ArchiveContext
) -> tuple[Mapping[ChannelId, Camera], Mapping[DeviceId, Device]]:
    read, found = read_cameras(tables, context)
    cameras = {c.id: c for c in read}
    devices = {d.id: d for d in found}
    for camera in old.cameras.values():
        if camera.id not in cameras:
            cameras[camera.id] = replace(camera, in_use=False)
            if camera.device in old.devices:
                devices.setdefault(camera.device, old.devices[camera.device])
    return cameras, devices


def _archive_nodes(old: Inventory) -> dict[NodeId, Node]:
    """The nodes that came from a file: without those made for devices with several channels."""
    return {n.id: n for n in old.nodes.values() if not _is_made(n)}


def _is_made(node: Node) -> bool:
    return node.kind is NodeKind.DEVICE and node.name == node.id


def _with_device_nodes(
    nodes: Mapping[NodeId, Node], cameras: Iterable[Camera], devices: Mapping[DeviceId, Device]
) -> dict[NodeId, Node]:
    """A node for each device with several channels, where the archive has none for it."""
    channels = Counter(camera.device for camera in cameras if camera.in_use)
    every = dict(nodes)
    for device in devices.values():
        if channels[device.id] < 2:  # noqa: PLR2004 - several
            continue
        above = nodes.get(device.node)
        node = NodeId(device.id)
        if node not in every and not (above and above.kind is NodeKind.DEVICE):
            every[node] = Node(node, NodeKind.DEVICE, str(node), device.node or None)
    return every


def _check_kept_devices(
    devices: Iterable[Device], findings: Findings, nodes: Mapping[NodeId, Node]
) -> None:
    lost = Counter(d.node for d in devices if d.node and d.node not in nodes)
    for node, count in lost.items():
        findings.add("unknown_node", 0, "node_id", node, f"{count} devices hang on it")


# --- what differs


def _changes(old: Inventory, new: Inventory) -> list[Change]:
    return [
        *compare("camera", old.cameras, new.cameras),
        *compare("device", old.devices, new.devices),
        *compare("node", old.nodes, new.nodes),
        *compare("division", old.divisions, new.divisions),
        *compare("grid", old.grids, new.grids),
        *compare("window", {w.id: w for w in old.windows}, {w.id: w for w in new.windows}),
    ]


def _counts(new: Inventory, changes: Sequence[Change], files: Files) -> tuple[tuple[str, int], ...]:
    cameras = Counter(c.kind for c in changes if c.entry == "camera")
    severities = Counter(r.severity for r in files.repairs())
    touched = sum(cameras.values())
    counts = {
        "cameras": sum(c.in_use for c in new.cameras.values()),
        "devices": len(new.watched),
        **{str(kind): cameras[kind] for kind in ChangeKind if kind is not ChangeKind.REMOVED},
        "unchanged": len(new.cameras) - touched,
        "quarantined": severities[Severity.QUARANTINE],
        "defects": severities[Severity.DEFECT],
        "notes": severities[Severity.NOTE],
        "unmapped": sum(c.in_use and c.longitude is None for c in new.cameras.values()),
    }
    for kind, size, entry in (
        (Kind.NODES, len(new.nodes), "node"),
        (Kind.DIVISIONS, len(new.divisions), "division"),
        (Kind.GRIDS, len(new.grids), "grid"),
        (Kind.WINDOWS, len(new.windows), "window"),
    ):
        counts[str(kind)] = size
        if kind in files.by_kind:
            counts[f"{kind}_differing"] = sum(c.entry == entry for c in changes)
    return tuple(counts.items())


# --- what forbids it


def _refusals(
    old: Inventory, new: Inventory, files: Files, options: ImportOptions
) -> Iterable[Refusal]:
    if not options.yes:
        yield from too_many_quarantined(files)
        in_use = [c.id for c in old.cameras.values() if c.in_use]
        gone = sum(not new.cameras[id_].in_use for id_ in in_use)
        reason = (
            f"{gone:,} of {len(in_use):,} cameras would be decommissioned; "
            "repeat with --yes if that is meant"
        )
        yield from mass_disappearance(gone, len(in_use), reason)
    if options.strict:
        yield from serious_findings(files)
