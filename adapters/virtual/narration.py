"""Says in English and Chinese what the script just did, for the notable steps only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from adapters.virtual.runner import BEGIN, Told
from gateway.domain.camera import NodeId

EVERY: Final = 50
"""Every so manieth death and dip is told."""

FAULT_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "auth": ("comes back with another password", "重启后口令已变更"),
    "locked_out": ("comes back and refuses every login as locked", "重启后账号被锁定"),
    "clock": ("has a clock that is minutes off", "时钟偏差数分钟"),
    "wrong_device": ("comes back as another device", "重启后地址上已是另一台设备"),
    "not_onvif": ("answers with a web page instead of ONVIF", "返回网页而非 ONVIF 应答"),
    "bad_response": ("answers with broken replies", "应答内容损坏"),
    "tls": ("fails the TLS handshake", "TLS 握手失败"),
}
_DEATHS: Final[Mapping[str, tuple[str, str]]] = {
    "refuse": ("refuses connections", "拒绝连接"),
    "drop_syn": ("no longer answers SYNs", "不再响应 SYN"),
    "hang": ("accepts and stays silent", "接受连接但无应答"),
}


_KINDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "outage": ("single death", "single deaths", "路单机离线"),
    "fault": ("fault", "faults", "个故障"),
    "dip": ("short dip", "short dips", "次短暂中断"),
    "flapping": ("camera that flaps", "cameras that flap", "路频繁掉线"),
    "switch": ("access switch cut", "access switches cut", "台接入交换机中断"),
    "uplink": ("uplink cut", "uplinks cut", "条上联链路中断"),
    "blind": ("blindness of the gateway", "blindnesses of the gateway", "次网关失联"),
}
"""Kinds of the script: one, several, Chinese."""

_ARCHIVE: Final[Mapping[str, tuple[str, str]]] = {
    "cameras": ("cameras", "路摄像机"),
    "devices": ("devices", "台设备"),
    "nodes": ("network nodes", "个网络节点"),
    "divisions": ("divisions", "个行政区划"),
    "grids": ("grid cells", "个网格"),
    "windows": ("maintenance windows", "项检修计划"),
}
"""Counts of an import that the demo tells."""

ZONE: Final = timezone(timedelta(hours=8), "Asia/Shanghai")


def clock_text(at: datetime) -> str:
    """The time of day with its offset: `08:00:00+08:00`."""
    return f"{at.astimezone(ZONE):%H:%M:%S}+08:00"


def script_told(kinds: Mapping[str, int]) -> "Sentence":
    """What the script holds."""
    named = [(count, _KINDS.get(kind, (kind, kind, f" {kind}"))) for kind, count in kinds.items()]
    return Sentence(
        ", ".join(f"{count} {words[count != 1]}" for count, words in named),
        "，".join(f"{count} {words[2]}" for count, words in named),
    )


def archive_told(counts: Mapping[str, int]) -> "Sentence":
    """What was imported."""
    named = [(counts[key], words) for key, words in _ARCHIVE.items() if counts.get(key)]
    return Sentence(
        ", ".join(f"{count:,} {words[0]}" for count, words in named),
        "，".join(f"{count:,} {words[1]}" for count, words in named),
    )


@dataclass(frozen=True, slots=True)
class Sentence:
    """One line for people."""

    en: str
    zh: str


def narrate(told: Told, names: Mapping[NodeId, str]) -> Sentence | None:
    """The sentence for a step of the script, or None when it is not worth one.

    Args:
        told: what happened.
        names: names of the network nodes.
    """
    row, begins = told.row, told.state == BEGIN
    count, first = len(row.channels), row.channels[0] if row.channels else ""
    name = names.get(NodeId(row.node), row.node) if row.node else ""
    if row.kind in {"uplink", "switch"}:
        what, zh = (
            ("uplink", "上联链路") if row.kind == "uplink" else ("access switch", "接入交换机")
        )
        if begins:
            return Sentence(
                f"The {what} {name} is cut: {count} channels behind it fall silent",
                f"{zh}“{name}”中断：其下 {count} 路视频无应答",
            )
        return Sentence(f"The {what} {name} is back", f"{zh}“{name}”恢复")
    if row.kind == "blind":
        if begins:
            return Sentence(
                "The gateway itself goes blind: nothing answers, canaries included",
                "网关自身失联：所有设备与探针点均无应答",
            )
        return Sentence("The gateway can see again", "网关恢复观测")
    if row.kind == "flapping" and begins:
        en, zh = _DEATHS[row.cause]
        return Sentence(f"Camera {first} flaps: {en}", f"摄像机 {first} 频繁掉线：{zh}")
    if row.kind == "fault" and begins and told.seen % (EVERY // 5) == 1:
        en, zh = FAULT_WORDS[row.cause]
        return Sentence(
            f"Camera {first} {en} (fault {told.seen})",
            f"摄像机 {first} {zh}（第 {told.seen} 个故障）",
        )
    if row.kind == "outage" and begins and told.seen % EVERY == 1:
        en, zh = _DEATHS[row.cause]
        return Sentence(
            f"Camera {first} {en} (death {told.seen})",
            f"摄像机 {first} {zh}（第 {told.seen} 路离线）",
        )
    return None
