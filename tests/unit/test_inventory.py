"""The archive as a snapshot."""

from dataclasses import replace

from fakes.fleet import Fleet, two_townships

from gateway.domain.camera import ChannelId, Device, DeviceId, Node, NodeId, NodeKind
from gateway.inventory import Inventory


def test_channels_of_a_device_in_use() -> None:
    fleet = Fleet()
    fleet.uplink("t")
    fleet.device("nvr", "t", ["a", "b", "c"])
    inventory = fleet.build()
    cameras = [replace(c, in_use=c.id != "b") for c in inventory.cameras.values()]
    inventory = Inventory.of(cameras, inventory.devices.values(), inventory.nodes.values())
    assert [c.id for c in inventory.channels_of[DeviceId("nvr:80")]] == ["a", "c"]
    assert set(inventory.cameras) == {"a", "b", "c"}


def test_a_device_without_a_channel_in_use_is_not_watched() -> None:
    inventory = two_townships(1).build()
    cameras = [replace(c, in_use=c.id != "e0") for c in inventory.cameras.values()]
    inventory = Inventory.of(cameras, inventory.devices.values(), inventory.nodes.values())
    assert [d.host for d in inventory.watched] == ["w0"]


def test_the_path_goes_from_the_nearest_node_to_the_core() -> None:
    inventory = two_townships(1).build()
    device = inventory.devices[DeviceId("e0:80")]
    assert [n.id for n in inventory.path(device)] == ["east-0", "east", "core"]


def test_the_branch_is_the_child_of_the_core() -> None:
    inventory = two_townships(1).build()
    assert inventory.branch(inventory.devices[DeviceId("e0:80")]) == "east"
    at_core = Device(DeviceId("x:80"), "x", 80, NodeId("core"))
    assert inventory.branch(at_core) == "core"
    nowhere = Device(DeviceId("x:80"), "x", 80, NodeId("nowhere"))
    assert inventory.branch(nowhere) == ""


def test_a_loop_or_a_missing_parent_ends_the_path() -> None:
    a = Node(NodeId("a"), NodeKind.ACCESS, "a", NodeId("b"))
    b = Node(NodeId("b"), NodeKind.ACCESS, "b", NodeId("a"))
    c = Node(NodeId("c"), NodeKind.ACCESS, "c", NodeId("missing"))
    inventory = Inventory.of(nodes=[a, b, c])
    assert [n.id for n in inventory.ancestors(NodeId("a"))] == ["a", "b"]
    assert [n.id for n in inventory.ancestors(NodeId("c"))] == ["c"]


def test_the_order_of_the_archive_is_kept() -> None:
    inventory = two_townships(3).build()
    assert list(inventory.cameras) == [ChannelId(n) for n in ("e0", "e1", "e2", "w0", "w1", "w2")]
