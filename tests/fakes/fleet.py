"""Small archives: a core, townships, access switches, cameras, NVRs."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.domain.camera import (
    Camera,
    ChannelId,
    CheckBy,
    Device,
    DeviceId,
    DivisionCode,
    Node,
    NodeId,
    NodeKind,
    Window,
)
from gateway.inventory import Inventory

CORE = Node(NodeId("core"), NodeKind.CORE, "核心", None)


@dataclass
class Fleet:
    """Builds an archive piece by piece; device `a` answers at host `a`, port 80."""

    nodes: list[Node] = field(default_factory=lambda: [CORE])
    devices: list[Device] = field(default_factory=list)
    cameras: list[Camera] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)

    def uplink(self, name: str) -> NodeId:
        """A township uplink below the core."""
        return self.node(name, NodeKind.UPLINK, "core")

    def access(self, name: str, parent: str) -> NodeId:
        """An access switch."""
        return self.node(name, NodeKind.ACCESS, parent)

    def node(self, name: str, kind: NodeKind, parent: str | None) -> NodeId:
        """Any node."""
        self.nodes.append(
            Node(NodeId(name), kind, name, None if parent is None else NodeId(parent))
        )
        return NodeId(name)

    def cameras_at(
        self, node: str, names: Iterable[str], check_by: CheckBy = CheckBy.ONVIF
    ) -> list[ChannelId]:
        """Cameras of one channel each; the channel has the name of its device."""
        return [self.device(name, node, [name], check_by=check_by)[0] for name in names]

    def device(
        self, name: str, node: str, channels: Iterable[str], check_by: CheckBy = CheckBy.ONVIF
    ) -> list[ChannelId]:
        """A device; one with several channels is a node of its own (an NVR)."""
        device = DeviceId(f"{name}:80")
        made = [ChannelId(c) for c in channels]
        self.devices.append(Device(device, name, 80, NodeId(node), check_by=check_by))
        if len(made) > 1:
            self.node(device, NodeKind.DEVICE, node)
        for channel in made:
            self.cameras.append(
                Camera(
                    channel,
                    device,
                    name=f"camera {channel}",
                    township=DivisionCode("610802001"),
                    village=DivisionCode("610802001001"),
                    manufacturer="Hikvision" if len(made) == 1 else "Dahua",
                )
            )
        return made

    def build(self) -> Inventory:
        """The archive."""
        return Inventory.of(self.cameras, self.devices, self.nodes, windows=self.windows)


def two_townships(cameras: int = 4, switches: int = 1) -> Fleet:
    """Townships `east` and `west`, each with switches and cameras (`e0` ..., `w0` ...)."""
    fleet = Fleet()
    for town in ("east", "west"):
        fleet.uplink(town)
        for s in range(switches):
            fleet.access(f"{town}-{s}", town)
            names = [f"{town[0]}{s * cameras + i}" for i in range(cameras)]
            fleet.cameras_at(f"{town}-{s}", names)
    return fleet
