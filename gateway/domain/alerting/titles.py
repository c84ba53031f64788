"""What each kind is called on the screen and in the first line of a message."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.domain.camera import NodeKind
from gateway.domain.event import EventKind

CABINET_OPENED = "机箱门被打开"
"""A tamper that a sensor tells of: it watches the door of a cabinet, not a picture."""

NODE_DOWN: Mapping[NodeKind, str] = MappingProxyType(
    {
        NodeKind.CORE: "核心交换机中断",
        NodeKind.UPLINK: "上联链路中断",
        NodeKind.AGGREGATION: "汇聚交换机中断",
        NodeKind.ACCESS: "接入交换机中断",
    }
)
"""What a lost network node is called; a device is an outage of its own."""

TITLES: Mapping[EventKind, str] = MappingProxyType(
    {
        EventKind.DIGITAL_INPUT: "报警输入",
        EventKind.RELAY: "继电器动作",
        EventKind.TAMPER: "视频遮挡或破坏",
        EventKind.SIGNAL_LOSS: "视频信号丢失",
        EventKind.TOO_DARK: "画面过暗",
        EventKind.TOO_BRIGHT: "画面过亮",
        EventKind.TOO_BLURRY: "画面模糊",
        EventKind.SCENE_CHANGE: "场景变换",
        EventKind.HARDWARE_FAILURE: "设备硬件故障",
        EventKind.STORAGE_FAILURE: "存储故障",
        EventKind.TEMPERATURE: "温度异常",
        EventKind.MOTION: "移动侦测",
        EventKind.FIELD_DETECTION: "区域入侵",
        EventKind.LINE_CROSSING: "越界侦测",
        EventKind.SMOKE: "烟雾报警",
        EventKind.WATER_LEVEL: "水位报警",
        EventKind.DOOR: "门磁报警",
        EventKind.GAS: "燃气报警",
        EventKind.SOS: "紧急求助",
        EventKind.POLE_TILT: "立杆倾斜",
        EventKind.CABINET_POWER: "机箱断电",
        EventKind.CABINET_TEMPERATURE: "机箱温度异常",
        EventKind.OUTAGE: "监控离线",
        EventKind.UPLINK_LOST: "上联链路中断",
        EventKind.BLIND_SPOT: "监控盲区",
    }
)
