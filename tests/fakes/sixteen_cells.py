"""A town of sixteen cells whose coverage model and archive agree; two of its three cameras see one spot."""

import numpy as np
import shapely
from fakes.small_model import model_of

from gateway.domain.camera import (
    Camera,
    Device,
    DeviceId,
    DivisionCode,
    GridCell,
    GridId,
    Node,
    NodeId,
    NodeKind,
)
from gateway.domain.coverage.plane import DISTRICT
from gateway.inventory import Inventory

VILLAGE = DivisionCode("610802001001")
MODEL = model_of(
    [
        shapely.box(5, 5, 95, 20),  # c0000 looks along g0 and into g4, 50 m east of it
        shapely.box(10, 10, 20, 20),  # c0001 stands nearer to what happens, and sees little
        shapely.box(160, 160, 190, 190),  # c0002 is far away
    ]
)
SPOT = tuple(DISTRICT.to_lonlat(np.array([(14.0, 14.0)]))[0].tolist())
"""In cell g0, in view of the first two cameras."""


def grid_cell(number: int) -> GridCell:
    """A cell of the model as the archive draws it."""
    ring = DISTRICT.to_lonlat(shapely.get_coordinates(MODEL.cells[number])).tolist()
    corners = tuple((x, y) for x, y in ring)
    return GridCell(MODEL.grids[number], f"网格{number}", VILLAGE, ((corners,),))


GRIDS = [grid_cell(number) for number in range(len(MODEL.grids))]


def archive() -> Inventory:
    """All cameras stand at the spot; an uplink is above them."""
    nodes = [
        Node(NodeId("core"), NodeKind.CORE, "核心", None),
        Node(NodeId("up"), NodeKind.UPLINK, "上联", NodeId("core")),
    ]
    devices = [Device(DeviceId(f"d{n}"), "192.0.2.1", 80 + n, NodeId("up")) for n in range(3)]
    cameras = [
        Camera(
            channel, DeviceId(f"d{n}"), f"村口{n}", village=VILLAGE, grid=GridId("g0"),
            longitude=SPOT[0], latitude=SPOT[1],
        )
        for n, channel in enumerate(MODEL.channels)
    ]  # fmt: skip
    return Inventory.of(cameras, devices, nodes, (), GRIDS)
