"""What is inside the replies: device time, identity, services, profiles, stream address.

Elements are found by local name: namespaces are among the things devices get wrong.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

from lxml import etree

from adapters.onvif.replies import Soap, local

MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
_PARTS = ("Year", "Month", "Day", "Hour", "Minute", "Second")
_TEXT_LIMIT = 200
_PATH_LIMIT = 1024


def text_of(element: etree._Element, name: str) -> str:
    """The text of the first descendant with that local name, or an empty string."""
    found = element.find(f".//{{*}}{name}")
    if found is None or not found.text:
        return ""
    return " ".join(found.text.split())[:_TEXT_LIMIT]


def device_time(soap: Soap) -> datetime | None:
    """UTCDateTime of GetSystemDateAndTime; None if absent or impossible (quirk 2).

    LocalDateTime is not used: devices label their zones too freely.
    """
    element = soap.content.find(".//{*}UTCDateTime")
    if element is None:
        return None
    values: dict[str, int] = {}
    for part in element.iter():
        name = local(part)
        if name in _PARTS:
            try:
                values[name] = int(part.text or "")
            except ValueError:
                return None
    try:
        year, month, day, hour, minute, second = (values[name] for name in _PARTS)
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except (KeyError, ValueError):
        return None


def header_time(headers: Mapping[str, str]) -> datetime | None:
    """The HTTP `Date` header, the fallback when the service tells no time."""
    value = headers.get("date")
    if not value:
        return None
    try:
        stamp = parsedate_to_datetime(value)
    except (ValueError, IndexError):
        return None
    return stamp.replace(tzinfo=UTC) if stamp.tzinfo is None else stamp.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Identity:
    """GetDeviceInformation."""

    manufacturer: str
    model: str
    firmware: str
    serial: str


def identity(soap: Soap) -> Identity:
    """The device's own names; empty where absent."""
    return Identity(
        text_of(soap.content, "Manufacturer"),
        text_of(soap.content, "Model"),
        text_of(soap.content, "FirmwareVersion"),
        text_of(soap.content, "SerialNumber"),
    )


def macs(soap: Soap) -> tuple[str, ...]:
    """Hardware addresses of GetNetworkInterfaces, as 12 lower-case hex digits."""
    found = (plain_mac(e.text or "") for e in soap.content.iter("{*}HwAddress"))
    return tuple(mac for mac in found if mac)


def plain_mac(text: str) -> str:
    """12 lower-case hex digits, or an empty string if it is no hardware address."""
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    return digits if len(digits) == 12 else ""  # noqa: PLR2004 - a MAC has 48 bits


@dataclass(frozen=True, slots=True)
class Located:
    """Where a returned address leads *at the registered host and port*.

    Attributes:
        path: quoted path and query; empty when the address has none that can be used.
        foreign: the host and port that the device named, when they are not the registered ones.
    """

    path: str
    foreign: str = ""


def located(address: str, host: str, port: int, *, any_port: bool = False) -> Located:
    """Path and query of an address that a device returned; host and port are never followed.

    Quirk 11 (private, loopback or wrong addresses), quirk 13 (`urn:uuid:` is no URL).
    """
    try:
        parts = urlsplit(address.strip()[:_PATH_LIMIT])
        named_host, named_port = parts.hostname, parts.port
    except ValueError:
        return Located("")
    if parts.scheme not in ("", "http", "https", "rtsp", "rtsps"):
        return Located("")
    default = {"https": 443, "rtsp": 554, "rtsps": 322}.get(parts.scheme, 80)
    foreign = ""
    if named_host and (
        named_host != host.lower() or (not any_port and (named_port or default) != port)
    ):
        foreign = named_host if named_port is None else f"{named_host}:{named_port}"
    path = quote(parts.path, safe="/%:@!$&'()*+,;=-._~")
    if not path.startswith("/"):
        return Located("", foreign)
    query = quote(parts.query, safe="/%:@!$&'()*+,;=-._~?")
    return Located(f"{path}?{query}" if query else path, foreign)


def services(soap: Soap) -> dict[str, str]:
    """Namespace -> XAddr from GetServices, or the media XAddr from GetCapabilities (quirk 33)."""
    found: dict[str, str] = {}
    for service in soap.content.iter("{*}Service"):
        namespace, address = text_of(service, "Namespace"), text_of(service, "XAddr")
        if namespace and address:
            found.setdefault(namespace, address)
    media = soap.content.find(".//{*}Capabilities/{*}Media")
    if media is not None and (address := text_of(media, "XAddr")):
        found.setdefault(MEDIA, address)
    return found


def profile_tokens(soap: Soap) -> tuple[str, ...]:
    """Tokens of GetProfiles (media1 or media2)."""
    tokens = (e.get("token") or "" for e in soap.content.iter("{*}Profiles"))
    return tuple(token[:_TEXT_LIMIT] for token in tokens if token)


def snapshot_path(soap: Soap, host: str, port: int) -> str:
    """Path of GetSnapshotUri at the registered host and port, or empty: no snapshot (quirk 35).

    A user name and password inside the address are dropped (with an `Authorization` header beside
    them devices answer 401), and `rtsp://` is no snapshot. None of this is an outage.
    """
    address = stream_address(soap)
    return located(address, host, port).path if address.startswith("http") else ""


def stream_address(soap: Soap) -> str:
    """Uri of GetStreamUri, without a user name and password."""
    found = soap.content.find(".//{*}Uri")
    text = "" if found is None else (found.text or "").strip()[:_PATH_LIMIT]
    return re.sub(r"//[^/@]*@", "//", text)
