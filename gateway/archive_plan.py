"""Plan an import: the archive as it would be, what differs, what is wrong, what forbids it.

Pure: the same old archive, tables and options give the same plan. Writing it is the command's job.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from gateway.domain.archive import ImportRecord, Repair, Severity
from gateway.domain.archive_cameras import read_cameras
from gateway.domain.archive_context import DISTRICT_BOUNDS, ArchiveContext
from gateway.domain.archive_diff import Change, ChangeKind, compare
from gateway.domain.archive_fields import Kind, detect_kind, read_header
from gateway.domain.archive_places import (
    read_divisions,
    read_grids,
    read_nodes,
    read_windows,
)
from gateway.domain.archive_rules import Findings
from gateway.domain.archive_table import Table, read_table
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
from gateway.domain.datum import Datum
from gateway.errors import ArchiveError
from gateway.inventory import Inventory
from gateway.ports import RawTable

GUARD_SHARE = 0.05
"""More than this share quarantined, or disappearing, needs somebody's yes."""


@dataclass(frozen=True)
class ImportOptions:
    """How an import is done.

    Attributes:
        import_id / at / actor: for the record.
        yes: quarantine and disappearance beyond 5 % are meant.
        strict: any finding above a note refuses the whole import.
        kinds: what a file lists, where its columns do not tell.
        datum: of coordinates that declare none.
        virtual: loopback addresses are allowed.
        own_addresses: the gateway's own addresses.
        credential_sets: existing names, or None when unknown.
        district / bounds: who is served, and where that lies while no grid cells are known.
    """

    import_id: str
    at: datetime
    actor: str
    yes: bool = False
    strict: bool = False
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    datum: Datum = Datum.WGS84
    virtual: bool = False
    own_addresses: frozenset[str] = frozenset()
    credential_sets: frozenset[str] | None = None
    district: str = "610802"
    bounds: tuple[float, float, float, float] = DISTRICT_BOUNDS


@dataclass(frozen=True)
class Refusal:
    """Why a plan must not be carried out as it is."""

    code: str
    """`too_many_quarantined`, `mass_disappearance`, `strict`."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What any import would do.

    Attributes:
        record: what is kept of the import, with counts and repair list.
        changes: everything that differs.
        tables: file -> (kind, rows, encoding).
        refusals: what forbids it; empty = go.
    """

    record: ImportRecord
    changes: tuple[Change, ...]
    tables: Mapping[str, tuple[Kind, int, str]]
    refusals: tuple[Refusal, ...]

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """The repair list (问题清单)."""
        return self.record.repairs

    @property
    def counts(self) -> Mapping[str, int]:
        """Counts by name, in display order."""
        return dict(self.record.counts)


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
    by_kind: dict[Kind, list[Table]] = defaultdict(list)
    order: list[Table] = []
    for raw in tables:
        kind = options.kinds.get(raw.file) or kind_of(raw)
        table = read_table(raw.file, kind, raw.columns, raw.rows)
        by_kind[kind].append(table)
        order.append(table)
    new = _new_inventory(old, by_kind, options)
    changes = _changes(old, new)
    repairs = tuple(r for t in order for r in sorted(t.findings.repairs, key=lambda r: r.row))
    return ImportPlan(
        inventory=new,
        record=ImportRecord(
            id=options.import_id,
            at=options.at,
            actor=options.actor,
            files=tuple(raw.file for raw in tables),
            counts=_counts(new, changes, repairs, by_kind),
            repairs=repairs,
            unknown_columns=tuple(
                dict.fromkeys(column for t in order for column in t.header.unknown)
            ),
        ),
        changes=tuple(changes),
        tables={
            t.file: (t.kind, len(t.rows), raw.encoding)
            for t, raw in zip(order, tables, strict=True)
        },
        refusals=tuple(_refusals(old, new, order, options)),
        unmapped=sum(c.in_use and c.longitude is None for c in new.cameras.values()),
    )


def kind_of(raw: RawTable) -> Kind:
    """What a file lists, by its columns.

    Raises:
        ArchiveError: they do not tell.
    """
    kind = detect_kind(raw.columns)
    if kind is None:
        raise ArchiveError(_unknown_kind(raw))
    return kind


def _unknown_kind(raw: RawTable) -> str:
    """Names only what was recognized: the first row of a wrong file may hold anything."""
    best = max((read_header(kind, raw.columns) for kind in Kind), key=lambda h: len(h.keys))
    seen = ", ".join(best.keys.values()) or "none"
    hint = "; logins are read with --credentials" if best.secret else ""
    return (
        f"{raw.file}: its {len(raw.columns)} columns fit no kind of archive file (recognized: "
        f"{seen}){hint}; name the kind with --kind, one of {', '.join(Kind)}"
    )


# --- the archive after the import


def _new_inventory(
    old: Inventory, by_kind: Mapping[Kind, list[Table]], options: ImportOptions
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
        targets = {*map(str, cameras), *map(str, nodes)}
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


def _counts(
    new: Inventory,
    changes: Sequence[Change],
    repairs: Sequence[Repair],
    by_kind: Mapping[Kind, list[Table]],
) -> tuple[tuple[str, int], ...]:
    cameras = Counter(c.kind for c in changes if c.entry == "camera")
    severities = Counter(r.severity for r in repairs)
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
        if kind in by_kind:
            counts[f"{kind}_differing"] = sum(c.entry == entry for c in changes)
    return tuple(counts.items())


# --- what forbids it


def _refusals(
    old: Inventory, new: Inventory, tables: Sequence[Table], options: ImportOptions
) -> Iterable[Refusal]:
    if not options.yes:
        for kind in Kind:
            yield from too_many_quarantined(kind, [t for t in tables if t.kind is kind])
        in_use = [c.id for c in old.cameras.values() if c.in_use]
        gone = sum(not new.cameras[id_].in_use for id_ in in_use)
        if gone > GUARD_SHARE * len(in_use):
            yield Refusal(
                "mass_disappearance",
                f"{gone:,} of {len(in_use):,} cameras would be decommissioned; "
                "repeat with --yes if that is meant",
            )
    if options.strict:
        serious = sum(r.severity is not Severity.NOTE for t in tables for r in t.findings.repairs)
        if serious:
            yield Refusal("strict", f"{serious:,} findings, and --strict allows none")


def too_many_quarantined(kind: Kind, tables: Sequence[Table]) -> Iterable[Refusal]:
    """The refusal of a kind of file most of whose rows, or too many, cannot be taken."""
    rows = sum(len(t.rows) for t in tables)
    bad = sum(
        len({r.row for r in t.findings.repairs if r.severity is Severity.QUARANTINE})
        for t in tables
    )
    if bad > GUARD_SHARE * rows:
        yield Refusal(
            "too_many_quarantined",
            f"{bad:,} of {rows:,} rows of {kind} cannot be taken; "
            "mend the file, or repeat with --yes to leave them out",
        )
