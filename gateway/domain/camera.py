"""Who is watched: channels, the devices that answer for them, and their place in the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import NewType

ChannelId = NewType("ChannelId", str)
"""Archive id of one channel (路): the 20-digit GB/T 28181 code wherever it is valid."""
DeviceId = NewType("DeviceId", str)
"""What answers at an address: `host:port`."""
NodeId = NewType("NodeId", str)
"""A place in the network tree."""
DivisionCode = NewType("DivisionCode", str)
"""Statistical code: 6 digits district, 9 township/street, 12 village/community."""
GridId = NewType("GridId", str)


class CheckBy(StrEnum):
    """How a device is asked whether it lives (`check_by` in the archive)."""

    ONVIF = "onvif"
    RTSP = "rtsp"
    TCP = "tcp"


class NodeKind(StrEnum):
    """Kinds of network node, from the center outwards."""

    CORE = "core"
    UPLINK = "uplink"
    AGGREGATION = "aggregation"
    ACCESS = "access"
    DEVICE = "device"
    """A device with several channels: an NVR or a multi-lens camera."""


class StructureType(IntEnum):
    """摄像机结构类型 of GB/T 28181-2022 (`ptz_type`)."""

    DOME_PTZ = 1
    HALF_DOME = 2
    FIXED = 3
    REMOTE_FIXED = 4
    REMOTE_HALF_DOME = 5
    PANORAMIC = 6
    MULTI_LENS = 7


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the network tree; the root has no parent."""

    id: NodeId
    kind: NodeKind
    name: str
    parent: NodeId | None
    maintainer: str = ""
    carrier: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """What answers at one address: a camera, a multi-lens camera or an NVR.

    `serial` and `mac` are what the archive expects; empty = not known, so not compared.
    """

    id: DeviceId
    host: str
    port: int
    node: NodeId
    """The node it hangs on. A device with several channels is itself a node, with `id` as name."""
    tls: bool = False
    check_by: CheckBy = CheckBy.ONVIF
    path: str = "/onvif/device_service"
    credential_set: str = ""
    serial: str = ""
    mac: str = ""
    manufacturer: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Camera:
    """One channel (路). Coordinates are WGS-84 degrees, or None when the archive has none."""

    id: ChannelId
    device: DeviceId
    name: str
    source_token: str = ""
    township: DivisionCode = DivisionCode("")
    village: DivisionCode = DivisionCode("")
    grid: GridId = GridId("")
    manufacturer: str = ""
    model: str = ""
    longitude: float | None = None
    latitude: float | None = None
    in_use: bool = True
    """False = decommissioned: not polled, in no denominator."""
    maintainer: str = ""
    carrier: str = ""
    contact: str = ""
    archive: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Every other archive field by its GB/T 28181-2022 English key, unknown columns included."""


@dataclass(frozen=True, slots=True)
class Division:
    """A district, township/street or village/community."""

    code: DivisionCode
    name: str
    parent: DivisionCode | None


@dataclass(frozen=True, slots=True)
class GridCell:
    """One grid cell (网格).

    Attributes:
        polygons: a list of polygons, each a list of rings, WGS-84 as in GeoJSON.
        beat: the police beat (警务区) it belongs to, as the archive names it.
        posts: by role (`gateway.domain.linking.ROLES`) what the center's directory is asked by: a
            reference to a post, never a person.
    """

    id: GridId
    name: str
    village: DivisionCode
    polygons: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = ()
    beat: str = ""
    posts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window (检修) or repeating scheduled-off hours (solar, 4G).

    Of a camera, or of a node with all below it; that of a grid cell is for the sensors in it.

    A window without `daily_from_s` holds between its bounds. One with it repeats every day between
    the bounds, from `daily_from_s` to `daily_to_s` seconds after midnight Asia/Shanghai; a `to`
    below `from` runs past midnight.
    """

    id: str
    target: ChannelId | NodeId | GridId
    starts_at: datetime
    ends_at: datetime | None
    reason: str = ""
    daily_from_s: int | None = None
    daily_to_s: int | None = None
