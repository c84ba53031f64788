"""Who is watched and how they hang together: one immutable snapshot, replaced by an import."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

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
    Window,
)


@dataclass(frozen=True)
class Inventory:
    """The archive as the service uses it.

    All mappings keep the order of the archive. `cameras` includes the decommissioned ones.
    """

    cameras: Mapping[ChannelId, Camera] = field(default_factory=dict)
    devices: Mapping[DeviceId, Device] = field(default_factory=dict)
    nodes: Mapping[NodeId, Node] = field(default_factory=dict)
    divisions: Mapping[DivisionCode, Division] = field(default_factory=dict)
    grids: Mapping[GridId, GridCell] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()

    @classmethod
    def of(
        cls,
        cameras: Iterable[Camera] = (),
        devices: Iterable[Device] = (),
        nodes: Iterable[Node] = (),
        divisions: Iterable[Division] = (),
        grids: Iterable[GridCell] = (),
        windows: Iterable[Window] = (),
    ) -> "Inventory":
        """Build a snapshot from plain rows."""
        return cls(
            {c.id: c for c in cameras},
            {d.id: d for d in devices},
            {n.id: n for n in nodes},
            {d.code: d for d in divisions},
            {g.id: g for g in grids},
            tuple(windows),
        )

    @cached_property
    def channels_of(self) -> Mapping[DeviceId, tuple[Camera, ...]]:
        """The channels in use of each device that has any."""
        found: dict[DeviceId, list[Camera]] = defaultdict(list)
        for camera in self.cameras.values():
            if camera.in_use:
                found[camera.device].append(camera)
        return {device: tuple(cameras) for device, cameras in found.items()}

    @cached_property
    def watched(self) -> tuple[Device, ...]:
        """The devices to poll: those with at least one channel in use."""
        return tuple(d for d in self.devices.values() if d.id in self.channels_of)

    def area_codes(self) -> frozenset[str]:
        """Codes of divisions, those that only cameras name included."""
        named = (code for one in self.cameras.values() for code in (one.township, one.village))
        return frozenset({*self.divisions, *named} - {""})

    def ancestors(self, node: NodeId) -> tuple[Node, ...]:
        """`node` and the nodes above it, nearest first; stops at a loop or a missing parent."""
        chain: list[Node] = []
        seen: set[NodeId] = set()
        at: NodeId | None = node
        while at is not None and at not in seen and at in self.nodes:
            seen.add(at)
            chain.append(self.nodes[at])
            at = self.nodes[at].parent
        return tuple(chain)

    def path(self, device: Device) -> tuple[Node, ...]:
        """The network nodes above a device, nearest first, without the device itself."""
        return self.ancestors(device.node)

    def branch(self, device: Device) -> NodeId:
        """The top-level branch (the child of the core) that a device hangs on."""
        chain = self.path(device)
        if not chain:
            return NodeId("")
        return chain[-2].id if len(chain) > 1 else chain[-1].id
