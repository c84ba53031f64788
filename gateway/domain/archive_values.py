"""Single cells of the archive: what a code, an address, a number, a choice must look like."""

import ipaddress
import re
import unicodedata
from collections.abc import Collection

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

CODE_DIGITS = 20
CAMERA_TYPES = frozenset({"131", "132"})
"""Digits 11-13 of a GB/T 28181 code: camera, network camera."""

HIGHEST_PORT = 65_535
MAC_CHARACTERS = len("AA:BB:CC:DD:EE:FF")

ROUNDED = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d+")
"""What a spreadsheet makes of a long number."""

_DATE = re.compile(
    r"\d{2,4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?(?:[ T]\d.*)?|\d{1,2}[-/月]\d{1,2}日?|\d{1,2}:\d{2}.*"
)
_MAC = re.compile(r"[0-9A-F]{12}")
_NOT_HEX = re.compile(r"[^0-9A-Fa-f]")

CHOICES: dict[str, dict[str, str]] = {
    "point_type": {
        "1": "1", "2": "2", "3": "3", "4": "4", "9": "9", "一类": "1", "二类": "2", "三类": "3",
        "一类点": "1", "二类点": "2", "三类点": "3", "公安内部": "4", "其他": "9",
    },
    "ptz_type": {
        **{str(n): str(n) for n in range(1, 8)}, "球机": "1", "半球": "2", "固定枪机": "3",
        "枪机": "3", "遥控枪机": "4", "遥控半球": "5", "全景拼接": "6", "多目分割": "7",
    },
    "supply_light": {
        "1": "1", "2": "2", "3": "3", "4": "4", "9": "9", "无": "1", "无补光": "1", "红外": "2",
        "红外补光": "2", "白光": "3", "白光补光": "3", "激光": "4", "激光补光": "4", "其他": "9",
    },
    "events": {
        "pull": "pull", "push": "push", "none": "none", "拉取": "pull", "订阅": "pull",
        "推送": "push", "不接": "none", "不接入": "none", "无": "none",
    },
    "room_type": {"1": "1", "2": "2", "室外": "1", "室内": "2", "outdoor": "1", "indoor": "2"},
    "direction_type": {
        **{str(n): str(n) for n in range(1, 9)}, "东": "1", "西": "2", "南": "3", "北": "4",
        "东南": "5", "东北": "6", "西南": "7", "西北": "8", "西向东": "1", "东向西": "2",
        "北向南": "3", "南向北": "4", "西北到东南": "5", "西南到东北": "6", "东北到西南": "7",
        "东南到西北": "8",
    },
}  # fmt: skip
"""Code tables of GB/T 28181-2022 (direction: where the camera looks to), how events come; text -> code."""

_YES = frozenset(
    {"1", "true", "yes", "y", "是", "在用", "启用", "使用", "正常", "https", "on", "有"}
)
_NO = frozenset(
    {"0", "false", "no", "n", "否", "停用", "拆除", "已拆除", "报废", "未启用", "http", "off", "无"}
)


def narrow(text: str) -> str:
    """Full-width letters, digits and signs as plain ones, without blanks around."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text).strip()


def code_problem(code: str, district: str) -> tuple[str, str] | None:
    """The rule that a camera's id breaks and what was seen, or None."""
    if ROUNDED.fullmatch(code):
        return "destroyed_code", ""
    if len(code) != CODE_DIGITS:
        return "bad_code", f"it has {len(code)} characters"
    if not (code.isascii() and code.isdigit()):
        return "bad_code", "it has other signs than digits"
    if code[10:13] not in CAMERA_TYPES:
        return "bad_code", f"type {code[10:13]} is not 131 or 132"
    if code[:6] != district:
        return "foreign_code", f"{code[:6]} is not {district}"
    return None


def parse_address(text: str) -> tuple[IpAddress, str] | None:
    """An IP address and the port written behind it (or ""); None when it is no IP address.

    An IPv4 address inside an IPv6 one counts as what it is.
    """
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address, port


def address_refusal(address: IpAddress, own: Collection[str], *, virtual: bool) -> str | None:
    """Why an address must never be polled, or None.

    Args:
        address: of the device.
        own: the gateway's own addresses.
        virtual: loopback is allowed: the virtual district lives there.
    """
    if address.is_loopback:
        return None if virtual else "loopback (network.virtual is false)"
    for refused, name in (
        (address.is_link_local, "link-local"),
        (address.is_multicast, "multicast"),
        (address.is_unspecified, "unspecified"),
        (address.is_reserved or str(address) == "255.255.255.255", "reserved"),
        (str(address) in own, "the gateway's own address"),
    ):
        if refused:
            return name
    return None


def endpoint(address: IpAddress, port: int) -> str:
    """`host:port`, with brackets around IPv6."""
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def parse_port(text: str) -> int | None:
    """A port number, or None."""
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= len("65535") else 0
    return port if 1 <= port <= HIGHEST_PORT else None


def parse_number(text: str) -> float | None:
    """A finite decimal number, or None. No exponents: a spreadsheet made those."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if text.strip("+-").replace(".", "", 1).isdecimal() else None


def parse_yes(text: str) -> bool | None:
    """Yes or no in the words of archives, or None."""
    word = text.casefold()
    return True if word in _YES else False if word in _NO else None


def parse_choice(key: str, text: str) -> str | None:
    """The code of a value of a code table, or None; `03` and `3-固定枪机` count as `3`."""
    table = CHOICES[key]
    if text in table:
        return table[text]
    head = re.split(r"[-\s、.:_]", text.casefold(), maxsplit=1)[0]
    return table.get(head.lstrip("0") if head.isdigit() else head)


def parse_mac(text: str) -> str | None:
    """A MAC address as `AA:BB:CC:DD:EE:FF`, or None."""
    bare = _NOT_HEX.sub("", text).upper()
    if not _MAC.fullmatch(bare) or len(text) > MAC_CHARACTERS or bare in ("0" * 12, "F" * 12):
        return None
    return ":".join(bare[i : i + 2] for i in range(0, 12, 2))


def is_destroyed_coordinate(text: str) -> bool:
    """True for what a spreadsheet leaves of a coordinate: a date, an exponent, whole degrees."""
    return bool(ROUNDED.fullmatch(text) or _DATE.fullmatch(text)) or (
        text.isdecimal() and len(text) <= len("109")
    )


def decimals(text: str) -> int:
    """Digits behind the point."""
    return len(text.partition(".")[2])
