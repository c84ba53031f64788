"""What a scenario may kill: whole uplinks, whole access switches, single devices."""

from collections import defaultdict
from dataclasses import dataclass

from adapters.virtual.model import VirtualDevice, VirtualDistrict
from gateway.domain.camera import NodeId, NodeKind


@dataclass(frozen=True)
class Targets:
    """Killable devices by what dies with them; nobody is in two of the lists."""

    uplinks: dict[NodeId, tuple[VirtualDevice, ...]]
    """Township uplinks with all devices below them."""
    switches: dict[NodeId, tuple[VirtualDevice, ...]]
    """Access switches outside those uplinks with all their devices."""
    singles: tuple[VirtualDevice, ...]
    """All other killable devices: each has steady neighbours on its switch."""


def _mortal(virtual: VirtualDevice) -> bool:
    """It may be killed, and is alive."""
    return virtual.killable and virtual.personality.legacy is None


def find_targets(district: VirtualDistrict) -> Targets:
    """The nodes of a district below which every device is killable, and the devices between."""
    parents = {node.id: node.parent for node in district.nodes}
    kinds = {node.id: node.kind for node in district.nodes}
    below: dict[NodeId, list[VirtualDevice]] = defaultdict(list)
    for virtual in district.devices:
        at: NodeId | None = virtual.device.node
        while at is not None:
            below[at].append(virtual)
            at = parents[at]
    whole = {
        node: tuple(devices)
        for node, devices in below.items()
        if all(_mortal(virtual) for virtual in devices)
    }
    uplinks = {node: rows for node, rows in whole.items() if kinds[node] is NodeKind.UPLINK}
    under = {virtual.device.id for rows in uplinks.values() for virtual in rows}
    switches = {
        node: rows
        for node, rows in whole.items()
        if kinds[node] is NodeKind.ACCESS and rows[0].device.id not in under
    }
    under |= {virtual.device.id for rows in switches.values() for virtual in rows}
    singles = (v for v in district.devices if _mortal(v) and v.device.id not in under)
    return Targets(uplinks, switches, tuple(singles))
