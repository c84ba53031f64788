"""One living virtual device: its clock, its troubles, and how it answers a request."""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from adapters.virtual.bad_replies import BAD_VARIANTS, bad_reply, login_page
from adapters.virtual.event_service import EventService
from adapters.virtual.events import PullPoints
from adapters.virtual.http_server import (
    Framing,
    HttpConnection,
    HttpRequest,
    Network,
    Reply,
)
from adapters.virtual.login import Login, LoginGuard, LoginRules
from adapters.virtual.model import Quirk, Signing, Trouble, VirtualDevice
from adapters.virtual.operations import (
    DEVICE_PATH,
    OPERATIONS,
    PRE_AUTH,
    PULL_PATH,
    SNAPSHOT_PATH,
    SOAP_PATHS,
    Asked,
    Identity,
    system_time_xml,
)
from adapters.virtual.pictures import picture
from adapters.virtual.soap import (
    DEVICE,
    EVENTS,
    LOCKED,
    MEDIA,
    MEDIA2,
    NOT_AUTHORIZED,
    NOT_SUPPORTED,
    SOAP12,
    WSNT,
    FaultCode,
    NotSoap,
    SoapCall,
    content_type,
    malformed,
    read_call,
    write_fault,
    write_reply,
)

DEAD: Final = frozenset({Trouble.REFUSE, Trouble.DROP_SYN, Trouble.HANG})
"""Troubles that stop a device from answering at all."""
_WRONG_BASES: Final = ("http://192.168.1.64", "http://127.0.0.1")
_SERVERS: Final = ("App-webs/", "gSOAP/2.8", "Webs", "Linux/2.x UPnP/1.0 Avtech/1.0")
_BUSY_EVERY: Final = 4
_GBK_MODEL: Final = "高清网络摄像机".encode("gbk")
_HTML: Final = "text/html; charset=utf-8"


@dataclass(slots=True)
class LiveDevice:
    """A device of the district while it runs.

    Attributes:
        delay: asks the network how late this answer is; None = reset the connection instead.
        dead: the trouble that stops it from answering, if there is one.
        soft: the other trouble it has, if there is one; both may hold at once.
        requests: how many it was asked.
    """

    facts: VirtualDevice
    network: Network
    delay: Callable[[], float | None]
    guard: LoginGuard
    utc: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    dead: Trouble | None = None
    soft: Trouble | None = None
    requests: int = 0
    busy_refusals: int = 0
    logins: int = 0
    pulls: PullPoints = field(default_factory=PullPoints)
    events: EventService = field(init=False)
    connections: set[HttpConnection] = field(default_factory=set)
    hash: int = 0
    skew_s: float = 0.0
    server_name: str = ""

    @classmethod
    def of(
        cls,
        facts: VirtualDevice,
        network: Network,
        delay: Callable[[], float | None],
        rules: LoginRules,
    ) -> "LiveDevice":
        """A device as the district describes it; its oddities follow from its id."""
        quirk = facts.personality.quirk
        guard = LoginGuard(
            rules,
            zulu_only=quirk is Quirk.ZULU_ONLY,
            nonce_per_url=quirk is Quirk.NONCE_PER_URL,
            locks_itself=quirk is Quirk.LOCKOUT,
        )
        found = zlib.crc32(facts.device.id.encode())
        sign = 1 if found & 1 else -1
        skew = sign * (
            2.5 + (found >> 8) % 5 if quirk is Quirk.CLOCK_SKEW else (found >> 8) % 400 / 1000
        )
        return cls(
            facts, network, delay, guard,
            hash=found, skew_s=skew, server_name=_SERVERS[(found >> 4) % len(_SERVERS)],
        )  # fmt: skip

    def __post_init__(self) -> None:
        self.events = EventService(self, self.facts, self.pulls)

    @property
    def mute(self) -> bool:
        """It hears and says nothing: hung, or its kept connections lead nowhere."""
        return self.dead is not None

    @property
    def refused_logins(self) -> int:
        """Logins refused since the start."""
        return len(self.guard.refusals)

    @property
    def clock(self) -> float:
        """The device's own clock, epoch seconds."""
        wrong = 120.0 + (self.hash >> 3) % 480 if self.soft is Trouble.CLOCK else 0.0
        return self.utc() + self.skew_s + wrong

    @property
    def bad_variant(self) -> str:
        """Which of `BAD_VARIANTS` this device shows under the trouble `bad_response`."""
        return BAD_VARIANTS[(self.hash >> 5) % len(BAD_VARIANTS)]

    @property
    def identity(self) -> Identity:
        """Serial number, MAC and model that the device tells now."""
        device = self.facts.device
        serial = device.serial or f"DS{self.hash:010d}"
        mac = device.mac or ":".join(f"{b:02x}" for b in b"\x02\x00" + self.hash.to_bytes(4))
        if self.soft is Trouble.WRONG_DEVICE:
            return Identity(f"X{serial[::-1]}", f"02:ff{mac[5:]}", device.model)
        return Identity(serial, mac, device.model)

    def set_soft(self, trouble: Trouble | None) -> None:
        """Begin or end a trouble that lets the device answer."""
        self.soft = trouble
        self.guard.changed_password = trouble is Trouble.AUTH
        self.guard.locked = trouble is Trouble.LOCKED_OUT

    def reboot(self) -> None:
        """What a restart forgets: subscriptions."""
        self.pulls.reboot()

    # --- answering
    def handle(self, request: HttpRequest, connection: HttpConnection) -> None:
        """Answer one request."""
        self.requests += 1
        delay = self.delay()
        if delay is None:
            connection.reset()
            return
        reply = self._answer(request, connection, delay)
        if reply is not None:
            self.send(reply, connection, delay)

    def send(self, reply: Reply, connection: HttpConnection, delay: float) -> None:
        """Send a reply after a while, framed as this device frames."""
        personality = self.facts.personality
        reply.date = self.clock
        reply.close = reply.close or personality.closes
        if reply.framing is Framing.LENGTH and personality.quirk is Quirk.CHUNKED:
            reply.framing = Framing.CHUNKED
        elif reply.framing is Framing.LENGTH and personality.quirk is Quirk.CLOSE_DELIMITED:
            reply.framing = Framing.CLOSE
        connection.later(delay + personality.slow_s, reply)

    def _answer(
        self, request: HttpRequest, connection: HttpConnection, delay: float
    ) -> Reply | None:
        if request.version.startswith("RTSP/"):
            return self._rtsp(request)
        if self.soft is Trouble.NOT_ONVIF:
            return login_page()
        nonsense = self._nonsense()
        if nonsense is not None:
            return bad_reply(nonsense)
        if request.path.startswith(SNAPSHOT_PATH):
            return self._snapshot(request)
        if request.path not in SOAP_PATHS and not request.path.startswith(PULL_PATH):
            return Reply(404, b"<html><body>404 Not Found</body></html>", _HTML)
        if request.method != "POST":
            return Reply(405, b"", "", (("Allow", "POST"),))
        try:
            call = read_call(request.body)
        except NotSoap as error:
            return self.fault(malformed(str(error)), SOAP12)
        refusal = self._login(request, call)
        return refusal or self._perform(request, call, connection, delay)

    def _nonsense(self) -> str | None:
        """What it answers instead of SOAP, now or ever since it was hung up."""
        return (
            self.bad_variant if self.soft is Trouble.BAD_RESPONSE else self.facts.personality.legacy
        )

    def _login(self, request: HttpRequest, call: SoapCall) -> Reply | None:
        """None when the call may go on, else how it is refused."""
        key = (call.namespace, call.operation)
        needs_login = key not in PRE_AUTH or (
            call.operation == "GetSystemDateAndTime"
            and self.facts.personality.quirk is Quirk.TIME_NEEDS_AUTH
        )
        if not needs_login:
            return None
        signing, now = self.facts.personality.signing, self.steady()
        if signing is Signing.WSSE:
            outcome = self.guard.check_token(call.token, now, self.clock)
        else:
            outcome = self.guard.check_digest(request, signing, now)
        if outcome is Login.GOOD:
            self.logins += 1
            return self._busy()
        if outcome is Login.LOCKED:
            return self.fault(LOCKED, call.envelope)
        if signing is Signing.WSSE:
            # Standard says 400 for a Sender fault; half of the makers answer 401.
            reply = self.fault(NOT_AUTHORIZED, call.envelope)
            reply.status = 401 if self.hash & 2 else 400
            return reply
        return self._challenge(request, stale=outcome is Login.STALE)

    def _busy(self) -> Reply | None:
        """Its users are full: 401 for a right password, now and then (quirk 7)."""
        if self.facts.personality.quirk is not Quirk.BUSY or self.logins % _BUSY_EVERY:
            return None
        self.busy_refusals += 1
        return Reply(401, b"<html><body>401 Unauthorized</body></html>", _HTML, close=True)

    def _challenge(self, request: HttpRequest, *, stale: bool = False) -> Reply:
        signing = self.facts.personality.signing
        value = self.guard.challenge(signing, request.path, self.steady(), stale=stale)
        return Reply(
            401,
            b"<html><head><title>Document Error: Unauthorized</title></head></html>",
            _HTML,
            (("WWW-Authenticate", value),),
        )

    def fault(self, fault: FaultCode, envelope: str) -> Reply:
        """A fault, in the words of this device."""
        declare = self.facts.personality.quirk is not Quirk.UNDECLARED_PREFIX
        body = write_fault(fault, envelope, declare=declare)
        return Reply(fault.status, body, content_type(envelope))

    def _rtsp(self, request: HttpRequest) -> Reply:
        """OPTIONS only: enough for `check_by = rtsp`."""
        sequence = ("CSeq", request.headers.get("cseq", "0"))
        if request.method != "OPTIONS":
            return Reply(405, b"", "", (sequence,), protocol="RTSP/1.0")
        methods = ("Public", "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        return Reply(200, b"", "", (sequence, methods), protocol="RTSP/1.0")

    def _snapshot(self, request: HttpRequest) -> Reply:
        """A small picture, behind HTTP Digest whatever SOAP is signed with (quirk 35)."""
        number = request.path.removeprefix(SNAPSHOT_PATH)
        if not (number.isdigit() and 1 <= int(number) <= len(self.facts.channels)):
            return Reply(404, b"", "text/plain")
        outcome = self.guard.check_digest(request, self.facts.personality.signing, self.steady())
        if outcome is Login.LOCKED:
            return Reply(403, b"locked", "text/plain")
        if outcome is not Login.GOOD:
            return self._challenge(request, stale=outcome is Login.STALE)
        return Reply(200, picture(self.hash + int(number)), "image/jpeg")

    def _perform(
        self, request: HttpRequest, call: SoapCall, connection: HttpConnection, delay: float
    ) -> Reply | None:
        key = (call.namespace, call.operation)
        quirk = self.facts.personality.quirk
        if key == (DEVICE, "GetSystemDateAndTime"):
            only_local = quirk is Quirk.LOCAL_TIME_ONLY
            return self.answer_with(call, system_time_xml(self.clock, only_local=only_local))
        if call.namespace in {EVENTS, WSNT} and call.operation != "GetServiceCapabilities":
            return self.events.answer(request, call, connection, delay)
        misplaced = (
            quirk is Quirk.WRONG_SERVICE_FAULT
            and call.namespace in {MEDIA, MEDIA2}
            and request.path == DEVICE_PATH
        )
        unknown = key not in OPERATIONS or (quirk is Quirk.MEDIA2_ONLY and call.namespace == MEDIA)
        if misplaced or unknown:
            return self.fault(NOT_SUPPORTED, call.envelope)
        body = OPERATIONS[key](self._asked(call))
        if isinstance(body, FaultCode):
            return self.fault(body, call.envelope)
        reply = self.answer_with(call, body)
        if quirk is Quirk.BAD_UTF8 and call.operation == "GetDeviceInformation":
            model = b"<tds:Model>"
            reply.body = reply.body.replace(model, model + _GBK_MODEL)
        return reply

    def answer_with(self, call: SoapCall, body: str, action: str = "") -> Reply:
        """A good answer."""
        return Reply(200, write_reply(call, body, action), content_type(call.envelope))

    @property
    def base(self) -> str:
        """Scheme, host and port of the addresses that it gives out: not always its own."""
        device = self.facts.device
        if self.facts.personality.quirk is Quirk.WRONG_XADDR:
            return _WRONG_BASES[(self.hash >> 6) & 1]
        return f"{'https' if device.tls else 'http'}://{device.host}:{device.port}"

    def _asked(self, call: SoapCall) -> Asked:
        base = self.base
        stream = f"rtsp://{base.partition('://')[2]}"
        return Asked(self.facts, self.identity, base, stream, call)

    # --- events
    def emit(self, token: str, *, active: bool) -> None:
        """A digital input changed: tell every subscriber."""
        self.signal("digital_input", active=active, token=token)

    def signal(self, name: str, *, active: bool, token: str = "", value: str = "") -> None:
        """Tell every subscriber of one of `SIGNALS`.

        Args:
            name: which.
            active: it begins, or is over.
            token: which input, source or part; empty = the first.
            value: what to say instead of true or false.
        """
        self.events.signal(name, active=active, token=token, value=value)
