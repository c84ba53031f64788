"""The ONVIF operations of a virtual device, as a table: operation -> the body of the reply.

Only facts that stay the same while a device is well, and how its time is written; events and troubles
are in `device.py`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from adapters.virtual.model import EventQuirk, Quirk, VirtualDevice
from adapters.virtual.soap import (
    CAPABILITIES_FAILED,
    DEVICE,
    EVENTS,
    MEDIA,
    MEDIA2,
    NO_PROFILE,
    NOT_SUPPORTED,
    FaultCode,
    SoapCall,
)

DEVICE_PATH: Final = "/onvif/device_service"
MEDIA_PATH: Final = "/onvif/media_service"
MEDIA2_PATH: Final = "/onvif/media2_service"
EVENT_PATH: Final = "/onvif/event_service"
PULL_PATH: Final = "/onvif/subscription/"
SNAPSHOT_PATH: Final = "/onvif/snapshot/"
SOAP_PATHS: Final = frozenset({DEVICE_PATH, MEDIA_PATH, MEDIA2_PATH, EVENT_PATH})

PRE_AUTH: Final = frozenset(
    {
        (DEVICE, "GetSystemDateAndTime"),
        (DEVICE, "GetCapabilities"),
        (DEVICE, "GetServices"),
        (DEVICE, "GetServiceCapabilities"),
        (MEDIA, "GetServiceCapabilities"),
        (MEDIA2, "GetServiceCapabilities"),
        (EVENTS, "GetServiceCapabilities"),
    }
)
"""Access class PRE_AUTH of the ONVIF core specification: no login needed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says it is."""

    serial: str
    mac: str
    model: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything a reply's body depends on."""

    device: VirtualDevice
    identity: Identity
    base: str
    """Scheme, host and port of the addresses that the device gives out."""
    stream_base: str
    call: SoapCall

    @property
    def quirk(self) -> Quirk | None:
        """The quirk of the device."""
        return self.device.personality.quirk

    @property
    def tokens(self) -> tuple[str, ...]:
        """Video source tokens, one a channel."""
        return tuple(
            camera.source_token or f"VideoSource_{number}"
            for number, camera in enumerate(self.device.channels, 1)
        )


_LOCAL_ZONE_S: Final = 8 * 3600


def system_time_xml(clock: float, *, only_local: bool) -> str:
    """The body of the reply to GetSystemDateAndTime.

    Args:
        clock: the device's own, epoch seconds.
        only_local: leave UTCDateTime out, as some devices do.
    """

    def written(name: str, epoch_s: float) -> str:
        t = time.gmtime(epoch_s)
        return (
            f"<tt:{name}><tt:Time><tt:Hour>{t.tm_hour}</tt:Hour>"
            f"<tt:Minute>{t.tm_min}</tt:Minute><tt:Second>{t.tm_sec}</tt:Second></tt:Time>"
            f"<tt:Date><tt:Year>{t.tm_year}</tt:Year><tt:Month>{t.tm_mon}</tt:Month>"
            f"<tt:Day>{t.tm_mday}</tt:Day></tt:Date></tt:{name}>"
        )

    return (
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime>"
        "<tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
        "<tt:TimeZone><tt:TZ>CST-8</tt:TZ></tt:TimeZone>"
        f"{'' if only_local else written('UTCDateTime', clock)}"
        f"{written('LocalDateTime', clock + _LOCAL_ZONE_S)}"
        "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


Body = str | FaultCode
Operation = Callable[[Asked], Body]


def _device_information(asked: Asked) -> Body:
    device, identity = asked.device.device, asked.identity
    return (
        "<tds:GetDeviceInformationResponse>"
        f"<tds:Manufacturer>{escape(device.manufacturer)}</tds:Manufacturer>"
        f"<tds:Model>{escape(identity.model)}</tds:Model>"
        f"<tds:FirmwareVersion>{escape(asked.device.firmware)}</tds:FirmwareVersion>"
        f"<tds:SerialNumber>{escape(identity.serial)}</tds:SerialNumber>"
        "<tds:HardwareId>88</tds:HardwareId></tds:GetDeviceInformationResponse>"
    )


def _network_interfaces(asked: Asked) -> Body:
    if asked.quirk is Quirk.NO_INTERFACES:
        return NOT_SUPPORTED
    return (
        '<tds:GetNetworkInterfacesResponse><tds:NetworkInterfaces token="eth0">'
        "<tt:Enabled>true</tt:Enabled><tt:Info><tt:Name>eth0</tt:Name>"
        f"<tt:HwAddress>{asked.identity.mac}</tt:HwAddress><tt:MTU>1500</tt:MTU></tt:Info>"
        "<tt:IPv4><tt:Enabled>true</tt:Enabled><tt:Config><tt:Manual>"
        f"<tt:Address>{asked.device.device.host}</tt:Address>"
        "<tt:PrefixLength>24</tt:PrefixLength></tt:Manual><tt:DHCP>false</tt:DHCP></tt:Config>"
        "</tt:IPv4></tds:NetworkInterfaces></tds:GetNetworkInterfacesResponse>"
    )


def _capabilities(asked: Asked) -> Body:
    if asked.quirk is Quirk.NO_CAPABILITIES:
        return CAPABILITIES_FAILED
    media = (
        ""
        if asked.quirk is Quirk.MEDIA2_ONLY
        else f"<tt:Media><tt:XAddr>{asked.base}{MEDIA_PATH}</tt:XAddr><tt:StreamingCapabilities>"
        "<tt:RTPMulticast>false</tt:RTPMulticast><tt:RTP_TCP>true</tt:RTP_TCP>"
        "<tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities></tt:Media>"
    )
    return (
        "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Device>"
        f"<tt:XAddr>{asked.base}{DEVICE_PATH}</tt:XAddr></tt:Device>"
        f"<tt:Events><tt:XAddr>{asked.base}{EVENT_PATH}</tt:XAddr>"
        "<tt:WSSubscriptionPolicySupport>false</tt:WSSubscriptionPolicySupport>"
        "<tt:WSPullPointSupport>true</tt:WSPullPointSupport>"
        "<tt:WSPausableSubscriptionManagerInterfaceSupport>false"
        "</tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>"
        f"{media}</tds:Capabilities></tds:GetCapabilitiesResponse>"
    )


def _services(asked: Asked) -> Body:
    services = [(DEVICE, DEVICE_PATH), (EVENTS, EVENT_PATH), (MEDIA2, MEDIA2_PATH)]
    if asked.device.personality.events is EventQuirk.NO_EVENTS:
        services.remove((EVENTS, EVENT_PATH))
    if asked.quirk is not Quirk.MEDIA2_ONLY:
        services.insert(1, (MEDIA, MEDIA_PATH))
    listed = "".join(
        f"<tds:Service><tds:Namespace>{namespace}</tds:Namespace>"
        f"<tds:XAddr>{asked.base}{path}</tds:XAddr><tds:Version><tt:Major>2</tt:Major>"
        "<tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
        for namespace, path in services
    )
    return f"<tds:GetServicesResponse>{listed}</tds:GetServicesResponse>"


def _event_capabilities(_asked: Asked) -> Body:
    return (
        "<tev:GetServiceCapabilitiesResponse>"
        '<tev:Capabilities WSSubscriptionPolicySupport="false" MaxPullPoints="5"'
        ' WSPausableSubscriptionManagerInterfaceSupport="false" MaxNotificationProducers="0"/>'
        "</tev:GetServiceCapabilitiesResponse>"
    )


def _configurations(token: str, number: int) -> tuple[str, str]:
    """Video source and encoder configuration of one channel, shared by both media services."""
    source = (
        f"<tt:Name>VideoSourceConfig_{number}</tt:Name><tt:UseCount>1</tt:UseCount>"
        f"<tt:SourceToken>{escape(token)}</tt:SourceToken>"
        '<tt:Bounds x="0" y="0" width="1920" height="1080"/>'
    )
    encoder = f"<tt:Name>VideoEncoder_{number}</tt:Name><tt:UseCount>1</tt:UseCount>"
    return source, encoder


_MULTICAST: Final = (
    "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address>"
    "</tt:Address><tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart>"
    "</tt:Multicast>"
)
_RESOLUTION: Final = (
    "<tt:Resolution><tt:Width>1920</tt:Width><tt:Height>1080</tt:Height></tt:Resolution>"
)


def _profiles(asked: Asked) -> Body:
    listed = ""
    for number, token in enumerate(asked.tokens, 1):
        source, encoder = _configurations(token, number)
        listed += (
            f'<trt:Profiles fixed="true" token="Profile_{number}">'
            f"<tt:Name>mainStream_{number}</tt:Name>"
            f'<tt:VideoSourceConfiguration token="VideoSourceConfig_{number}">{source}'
            "</tt:VideoSourceConfiguration>"
            f'<tt:VideoEncoderConfiguration token="VideoEncoder_{number}">{encoder}'
            f"<tt:Encoding>H264</tt:Encoding>{_RESOLUTION}<tt:Quality>4</tt:Quality>"
            "<tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit>"
            "<tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>4096</tt:BitrateLimit>"
            "</tt:RateControl><tt:H264><tt:GovLength>50</tt:GovLength>"
            f"<tt:H264Profile>Main</tt:H264Profile></tt:H264>{_MULTICAST}"
            "<tt:SessionTimeout>PT60S</tt:SessionTimeout>"
            "</tt:VideoEncoderConfiguration></trt:Profiles>"
        )
    return f"<trt:GetProfilesResponse>{listed}</trt:GetProfilesResponse>"


def _profiles2(asked: Asked) -> Body:
    listed = ""
    for number, token in enumerate(asked.tokens, 1):
        source, encoder = _configurations(token, number)
        listed += (
            f'<tr2:Profiles token="Profile_{number}" fixed="true">'
            f"<tr2:Name>mainStream_{number}</tr2:Name><tr2:Configurations>"
            f'<tr2:VideoSource token="VideoSourceConfig_{number}">{source}</tr2:VideoSource>'
            f'<tr2:VideoEncoder token="VideoEncoder_{number}" GovLength="50" Profile="Main">'
            f"{encoder}<tt:Encoding>H265</tt:Encoding>{_RESOLUTION}{_MULTICAST}"
            '<tt:RateControl ConstantBitRate="false"><tt:FrameRateLimit>25</tt:FrameRateLimit>'
            "<tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl><tt:Quality>4</tt:Quality>"
            "</tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>"
        )
    return f"<tr2:GetProfilesResponse>{listed}</tr2:GetProfilesResponse>"


def _video_sources(asked: Asked) -> Body:
    listed = "".join(
        f'<trt:VideoSources token="{escape(token)}"><tt:Framerate>25</tt:Framerate>{_RESOLUTION}'
        "</trt:VideoSources>"
        for token in asked.tokens
    )
    return f"<trt:GetVideoSourcesResponse>{listed}</trt:GetVideoSourcesResponse>"


def _video_source_configurations2(asked: Asked) -> Body:
    listed = "".join(
        f'<tr2:Configurations token="VideoSourceConfig_{number}">'
        f"{_configurations(token, number)[0]}</tr2:Configurations>"
        for number, token in enumerate(asked.tokens, 1)
    )
    return (
        "<tr2:GetVideoSourceConfigurationsResponse>"
        f"{listed}</tr2:GetVideoSourceConfigurationsResponse>"
    )


def _profile_number(asked: Asked) -> int | None:
    """The channel that the call's ProfileToken names, from 1."""
    _, _, number = asked.call.text("ProfileToken").partition("Profile_")
    if number.isdigit() and 1 <= int(number) <= len(asked.device.channels):
        return int(number)
    return None


_VALIDITY: Final = (
    "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
    "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout>"
)


def _address(kind: str, prefix: str) -> Operation:
    """GetStreamUri or GetSnapshotUri of media (`trt`) or media2 (`tr2`)."""

    def answer(asked: Asked) -> Body:
        number = _profile_number(asked)
        if number is None:
            return NO_PROFILE
        if kind == "Stream":
            uri = f"{asked.stream_base}/Streaming/Channels/{number}01"
        else:
            uri = f"{asked.base}{SNAPSHOT_PATH}{number}"
        inner = (
            f"<trt:MediaUri><tt:Uri>{uri}</tt:Uri>{_VALIDITY}</trt:MediaUri>"
            if prefix == "trt"
            else f"<tr2:Uri>{uri}</tr2:Uri>"
        )
        return f"<{prefix}:Get{kind}UriResponse>{inner}</{prefix}:Get{kind}UriResponse>"

    return answer


OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    (DEVICE, "GetDeviceInformation"): _device_information,
    (DEVICE, "GetNetworkInterfaces"): _network_interfaces,
    (DEVICE, "GetCapabilities"): _capabilities,
    (DEVICE, "GetServices"): _services,
    (EVENTS, "GetServiceCapabilities"): _event_capabilities,
    (MEDIA, "GetProfiles"): _profiles,
    (MEDIA2, "GetProfiles"): _profiles2,
    (MEDIA, "GetVideoSources"): _video_sources,
    (MEDIA2, "GetVideoSourceConfigurations"): _video_source_configurations2,
    (MEDIA, "GetStreamUri"): _address("Stream", "trt"),
    (MEDIA2, "GetStreamUri"): _address("Stream", "tr2"),
    (MEDIA, "GetSnapshotUri"): _address("Snapshot", "trt"),
    (MEDIA2, "GetSnapshotUri"): _address("Snapshot", "tr2"),
}
