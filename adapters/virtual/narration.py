"""Says in English and Chinese what the script just did, for the notable steps only."""

from collections.abc import Mapping
from dataclasses import dataclass
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
        return Sentence(f"Camera {first} {en} ({told.seen}. fault)", f"摄像机 {first} {zh}")
    if row.kind == "outage" and begins and told.seen % EVERY == 1:
        en, zh = _DEATHS[row.cause]
        return Sentence(
            f"Camera {first} {en} (death {told.seen})",
            f"摄像机 {first} {zh}（第 {told.seen} 路离线）",
        )
    return None
