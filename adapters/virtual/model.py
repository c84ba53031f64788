"""What the virtual district is made of: plain data, shared by its generator, servers and scenario.

The network, on loopback only (sockets are bound to the loopback device):

- every device has its own address 127.x.y.z;
- *steady* devices share one wildcard listener a port (plain, and one for TLS): they cannot die;
- *killable* devices listen on a second port, one listener each: they can refuse, drop SYNs, hang;
- canaries are plain TCP listeners on addresses of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.camera import (
    Camera,
    ChannelId,
    Device,
    DeviceId,
    Division,
    GridCell,
    Node,
    Window,
)


class Signing(StrEnum):
    """What a device accepts as a signature."""

    WSSE = "wsse"
    DIGEST_MD5 = "digest_md5"
    DIGEST_SHA256 = "digest_sha256"


class Quirk(StrEnum):
    """What a device gets wrong, harmlessly: none of these may open a row.

    The numbers are those of the quirk list in tests/data/onvif/README.md.
    """

    CLOCK_SKEW = "clock_skew"
    """Clock off by 2-8 s: below the limit of a fault, enough to break a signature (1)."""
    TIME_NEEDS_AUTH = "time_needs_auth"
    """GetSystemDateAndTime demands a signature: 401 unsigned; HTTP `Date` is right (2)."""
    LOCAL_TIME_ONLY = "local_time_only"
    """No UTCDateTime in the reply (2)."""
    ZULU_ONLY = "zulu_only"
    """Refuses Created without Z (3)."""
    NONCE_PER_URL = "nonce_per_url"
    """Digest nonce is bound to the URL (6)."""
    BUSY = "busy"
    """Now and then 401 and `Connection: close` for a good credential: its users are full (7)."""
    LOCKOUT = "lockout"
    """Locks for 30 min after 5 refused logins; counts them (8)."""
    WRONG_XADDR = "wrong_xaddr"
    """Returned addresses name 192.168.1.64 or 127.0.0.1 (11)."""
    WRONG_SERVICE_FAULT = "wrong_service_fault"
    """500 ActionNotSupported for a media call on the device service (16)."""
    MEDIA2_ONLY = "media2_only"
    """Profiles only through media2 (34)."""
    UNDECLARED_PREFIX = "undeclared_prefix"
    """Faults use `ter:` without declaring it (31)."""
    BAD_UTF8 = "bad_utf8"
    """GBK bytes in the model name (32)."""
    NO_CAPABILITIES = "no_capabilities"
    """GetCapabilities answers 500, GetServices works (33)."""
    NO_INTERFACES = "no_interfaces"
    """GetNetworkInterfaces "not implemented" (36)."""
    CHUNKED = "chunked"
    """Answers chunked, in several writes."""
    CLOSE_DELIMITED = "close_delimited"
    """No Content-Length: the end of the connection ends the body."""


class EventQuirk(StrEnum):
    """What a device gets wrong about events. The numbers are those of the quirk list."""

    URN_REFERENCE = "urn_reference"
    """The subscription's address is `urn:uuid:...`; it is asked at the event service (13)."""
    REFERENCE_PARAMETERS = "reference_parameters"
    """One address for all subscriptions; `SubscriptionId` must be echoed in the header (14)."""
    NEEDS_ADDRESSING = "needs_addressing"
    """400 for event calls without WS-Addressing headers (15)."""
    NO_RENEW = "no_renew"
    """Renew "not implemented" (21)."""
    ABSOLUTE_TIME = "absolute_time"
    """Refuses durations, wants times of its own clock (22)."""
    SHORT_LIFE = "short_life"
    """Misreads durations: a tenth of what was asked (22)."""
    ENDS_ALL = "ends_all"
    """Unsubscribe ends every subscription (23)."""
    HANGS_UP = "hangs_up"
    """Closes the connection of a pull after 10 s at most (24)."""
    NO_SYNCHRONIZATION = "no_synchronization"
    """SetSynchronizationPoint is not authorized, for anybody (27)."""
    ODD_TIMES = "odd_times"
    """`2024-08-17-12:30:45Z` or `0000-00-00T00:00:00Z` in messages (28)."""
    NEVER_OVER = "never_over"
    """Motion never returns to false (29)."""
    ODD_TOPICS = "odd_topics"
    """Topics end in `//.`, values are 1 and 0, the token is `vsconf` (30)."""
    IMPATIENT = "impatient"
    """Answers every pull at once, with nothing."""
    NO_EVENTS = "no_events"
    """No event service at all."""
    PUSH_ONLY = "push_only"
    """Refuses pull points, takes Subscribe only (20)."""


class Legacy(StrEnum):
    """What was never well, from the first day on (存量故障)."""

    TRUNCATED = "truncated"
    """Every reply ends in the middle."""
    NON_XML = "non_xml"
    """Every reply is plain text."""
    HUGE = "huge"
    """Every reply is larger than anybody should read."""
    ENDLESS = "endless"
    """Every reply drips and never ends."""
    REFUSES = "refuses"
    """Never alive: refuses connections."""
    DROPS_SYN = "drops_syn"
    """Never alive: nothing answers a SYN."""
    HANGS = "hangs"
    """Never alive: accepts and stays silent."""


class Trouble(StrEnum):
    """What the scenario can do to a device. The first three stop it from answering."""

    REFUSE = "refuse"
    DROP_SYN = "drop_syn"
    HANG = "hang"
    AUTH = "auth"
    """Its password is another one now."""
    LOCKED_OUT = "locked_out"
    """It refuses every login with "locked" until the trouble ends."""
    CLOCK = "clock"
    """Its clock is minutes off."""
    WRONG_DEVICE = "wrong_device"
    """Another serial number and MAC answer at the address."""
    NOT_ONVIF = "not_onvif"
    """A web page answers instead of SOAP."""
    BAD_RESPONSE = "bad_response"
    """Truncated, huge, never-ending or entity-bomb replies, by device."""
    TLS = "tls"
    """The handshake fails (only devices that use TLS)."""


@dataclass(frozen=True, slots=True)
class Personality:
    """How a device behaves when it is well."""

    signing: Signing = Signing.WSSE
    closes: bool = False
    """Closes the connection after each answer."""
    slow_s: float = 0.0
    """Thinks so long before each answer."""
    quirk: Quirk | None = None
    events: EventQuirk | None = None
    legacy: Legacy | None = None
    """It has never been well: the script leaves it alone."""


@dataclass(frozen=True, slots=True)
class VirtualDevice:
    """One device: what the archive says about it, how it behaves, what it really is."""

    device: Device
    channels: tuple[Camera, ...]
    personality: Personality
    killable: bool
    firmware: str
    township: str


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """The network of one township: how it treats answers."""

    latency_s: float = 0.003
    stall_rate: float = 0.0
    """Share of answers that come 0.2-3 s late."""
    reset_rate: float = 0.0
    """Share of answers replaced by a reset of the connection."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place that matters: school, square, station, village entrance, road."""

    id: str
    name: str
    kind: str
    geometry: Mapping[str, object]
    """GeoJSON geometry, WGS-84."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Building:
    """A building's footprint; `geometry` is a GeoJSON polygon, WGS-84."""

    id: str
    geometry: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PrivateArea:
    """Where no camera may look: a dormitory, a bathroom, a ward."""

    id: str
    name: str
    kind: str
    geometry: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Pole:
    """A pole or wall without a camera: where one could be added. None = nobody knows."""

    id: str
    name: str
    kind: str
    longitude: float
    latitude: float
    power: bool | None
    network: bool | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class VirtualDistrict:
    """The whole district; the same seed and size give the same one."""

    seed: int
    devices: tuple[VirtualDevice, ...]
    nodes: tuple[Node, ...]
    divisions: tuple[Division, ...]
    grids: tuple[GridCell, ...]
    places: tuple[Place, ...]
    links: Mapping[str, LinkQuality]
    """By township code."""
    canaries: tuple[tuple[str, int], ...]
    username: str
    password: str = field(repr=False)
    """Made from the seed at run time; the credential set is called `district`."""
    windows: tuple[Window, ...] = ()
    buildings: tuple[Building, ...] = ()
    private_areas: tuple[PrivateArea, ...] = ()
    poles: tuple[Pole, ...] = ()

    @property
    def channels(self) -> tuple[Camera, ...]:
        """All channels, device by device."""
        return tuple(camera for device in self.devices for camera in device.channels)


@dataclass(frozen=True, slots=True)
class TruthRow:
    """One interval of the truth log (JSON lines; times are aware UTC, ISO 8601).

    `began` and `ended` are stamped when the *last* path stops answering / the first answers again.
    """

    kind: str
    """`outage`, `fault`, `dip`, `flapping`, `uplink`, `switch`, `blind`, `takeover`, `standing`."""
    cause: str
    """The trouble (`refuse`, `drop_syn`, `hang`, or the cause of the fault)."""
    channels: tuple[ChannelId, ...]
    device: DeviceId | None
    node: str | None
    began: str
    ended: str | None = None
    id: str = ""
    """The same at the begin and at the end of an interval: the later line replaces the earlier."""
    below: tuple[str, ...] = ()
    """Nodes and devices below `node` (uplink, switch): where no other incident may be rooted."""
