"""The words and units in which `sightline coverage` speaks to people; `--json` keeps the codes."""

from collections.abc import Mapping, Sequence

NONE = "-"
SQUARE_KM = 100_000
"""From so many square metres on, square kilometres are easier to read: as in the console."""
NAMES_SHOWN = 3

SURE = {"certain": "确定", "expected": "按档案", "possible": "可能", "no": "否"}
CONFIDENCE = {"surveyed": "实测", "derived": "推算", "default": "缺省"}
PLACE_STATE = {
    "seen": "可视",
    "partly": "部分失视",
    "unverified": "待核实",
    "unknown": "未观测",
    "blind": "失视",
    "never": "固有盲区",
}
FIELD = {
    "azimuth": "方位角",
    "horizontal_field_angle": "水平视场角",
    "max_view_distance": "可视距离",
    "resolution": "分辨率",
}
CAUSE = {
    "unreachable": "网络不可达",
    "refused": "连接被拒绝",
    "timeout": "超时无应答",
    "uplink": "上联链路中断",
    "power": "断电",
    "maintenance": "检修",
    "auth": "认证失败",
    "locked_out": "账号被锁定",
    "clock": "时钟偏差超限",
    "wrong_device": "设备与档案不符",
    "not_onvif": "非 ONVIF 应答",
    "bad_response": "应答内容错误",
    "tls": "TLS 握手失败",
    "stream": "取流失败",
    "picture": "图像异常",
    "storage": "存储异常",
}


def area(m2: float) -> str:
    """`1,959 m²`, `9.5 m²`, `12.35 km²`."""
    if m2 >= SQUARE_KM:
        return f"{m2 / 1e6:,.2f} km²"
    return f"{m2:.1f} m²" if 0 < m2 < 10 else f"{m2:,.0f} m²"  # noqa: PLR2004 - one digit


def figure(value: float | None) -> str:
    """A weight, or weighted hours; `-` where there is none."""
    return NONE if value is None else f"{value:,.2f}"


def percent(share: float | None) -> str:
    """A share; `-` where there is nothing to have a share of."""
    return NONE if share is None else f"{share:.2%}"


def weights(estimate: Mapping[str, float]) -> str:
    """Lower, expected and upper weight, in this order."""
    return " / ".join(figure(estimate[key]) for key in ("lower", "expected", "upper"))


def areas(estimate: Mapping[str, float]) -> str:
    """Lower, expected and upper area, in this order."""
    return " / ".join(area(estimate[key]) for key in ("lower", "expected", "upper"))


def some(names: Sequence[str], unit: str = "处") -> str:
    """The first of some names, and how many there are where that is not all."""
    if not names:
        return NONE
    more = f" 等 {len(names):,} {unit}" if len(names) > NAMES_SHOWN else ""
    return "、".join(names[:NAMES_SHOWN]) + more
