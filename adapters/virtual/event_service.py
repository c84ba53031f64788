"""How a virtual device answers the calls of its event service, and what it gets wrong about it."""

from functools import partial
from typing import Final, Protocol

from adapters.virtual.bad_replies import bad_reply, login_page
from adapters.virtual.events import (
    DEFAULT_LIFE_S,
    MAX_PULL_S,
    PullPoint,
    PullPoints,
    read_duration,
    times_xml,
)
from adapters.virtual.http_server import HttpConnection, HttpRequest, Reply
from adapters.virtual.model import EventQuirk, Trouble, VirtualDevice
from adapters.virtual.operations import EVENT_PATH, PULL_PATH
from adapters.virtual.signals import SIGNALS, Message
from adapters.virtual.soap import (
    AXIS,
    BAD_TIME,
    EVENTS,
    NO_ADDRESSING,
    NO_SUBSCRIPTION,
    NOT_AUTHORIZED,
    NOT_SUPPORTED,
    TOO_MANY,
    FaultCode,
    SoapCall,
)

HANGS_UP_S: Final = 10.0
_SHORT: Final = 0.1
_NOTIFICATIONS: Final = "http://docs.oasis-open.org/wsn/bw-2"
_WSNT_ACTION: Final = f"{_NOTIFICATIONS}/SubscriptionManager/"
_OPERATIONS: Final = frozenset(
    {
        "CreatePullPointSubscription",
        "PullMessages",
        "Renew",
        "SetSynchronizationPoint",
        "Subscribe",
        "Unsubscribe",
    }
)
_PULLING: Final = frozenset({"CreatePullPointSubscription", "PullMessages"})
_ODD_TIMES: Final = ("2024-08-17-12:30:45Z", "0000-00-00T00:00:00Z")


class Host(Protocol):
    """The device around its event service."""

    soft: Trouble | None
    hash: int

    @property
    def clock(self) -> float:
        """The device's own clock, epoch seconds."""
        ...

    @property
    def base(self) -> str:
        """Scheme, host and port of the addresses that it gives out."""
        ...

    @property
    def bad_variant(self) -> str:
        """How it breaks its replies when it does."""
        ...

    @property
    def steady(self) -> "Steady":
        """A clock that never steps."""
        ...

    def answer_with(self, call: SoapCall, body: str, action: str = "") -> Reply:
        """A good answer."""
        ...

    def fault(self, fault: FaultCode, envelope: str) -> Reply:
        """A fault."""
        ...

    def send(self, reply: Reply, connection: HttpConnection, delay: float) -> None:
        """Send a reply after a while."""
        ...


class Steady(Protocol):
    """`time.monotonic`."""

    def __call__(self) -> float:
        """Seconds."""
        ...


class EventService:
    """CreatePullPointSubscription, PullMessages, Renew, Unsubscribe, SetSynchronizationPoint.

    Attributes:
        hangs_up_s: how long a device with that quirk lets a pull wait.
        creations / renewals / pulls_asked: what was asked so far.
        refusals: calls that it has no answer to.
    """

    __slots__ = (
        "_device",
        "_host",
        "_points",
        "creations",
        "hangs_up_s",
        "pulls_asked",
        "refusals",
        "renewals",
    )

    def __init__(self, host: Host, device: VirtualDevice, points: PullPoints) -> None:
        self._host = host
        self._device = device
        self._points = points
        self.hangs_up_s = HANGS_UP_S
        self.creations = self.renewals = self.pulls_asked = self.refusals = 0

    @property
    def quirk(self) -> EventQuirk | None:
        """What it gets wrong."""
        return self._device.personality.events

    def signal(self, name: str, *, active: bool, token: str = "", value: str = "") -> None:
        """Tell every subscriber of one of `SIGNALS`."""
        signal = SIGNALS[name]
        odd = self.quirk is EventQuirk.ODD_TOPICS
        if self.quirk is EventQuirk.NEVER_OVER and not active:
            return
        told_at = _ODD_TIMES[self._host.hash & 1] if self.quirk is EventQuirk.ODD_TIMES else ""
        plain = ("1" if active else "0") if odd else ("true" if active else "false")
        video = "VideoSource" in signal.token
        token = "vsconf" if odd and video else token or signal.token
        self._points.emit(
            Message(signal, token, value or plain, self._host.clock, told_at=told_at, odd_topic=odd)
        )

    def answer(
        self, request: HttpRequest, call: SoapCall, connection: HttpConnection, delay: float
    ) -> Reply | None:
        """Answer one call; None = later, when there is something to tell."""
        now = self._host.steady()
        refusal = self._refusal(call)
        if refusal is not None:
            self.refusals += 1
            return self._host.fault(refusal, call.envelope)
        if call.operation in ("CreatePullPointSubscription", "Subscribe"):
            return self._create(call, now)
        point = self._point(request, call, now)
        if point is None:
            return self._host.fault(NO_SUBSCRIPTION, call.envelope)
        if call.operation == "PullMessages":
            self._pull(point, call, connection, delay)
            return None
        if call.operation == "Renew":
            return self._renew(point, call, now)
        if call.operation == "Unsubscribe":
            return self._unsubscribe(point, call)
        return self._synchronize(point, call)

    def _refusal(self, call: SoapCall) -> FaultCode | None:
        """What keeps the call from being looked at, if anything does."""
        if self.quirk is EventQuirk.NO_EVENTS or call.operation not in _OPERATIONS:
            return NOT_SUPPORTED
        if self.quirk is EventQuirk.PUSH_ONLY and call.operation in _PULLING:
            return NOT_SUPPORTED
        if self.quirk is EventQuirk.NEEDS_ADDRESSING and not call.action:
            return NO_ADDRESSING
        return None

    def _unsubscribe(self, point: PullPoint, call: SoapCall) -> Reply:
        if self.quirk is EventQuirk.ENDS_ALL:
            self._points.remove_all()
        self._points.remove(point.number)
        action = f"{_WSNT_ACTION}UnsubscribeResponse"
        return self._host.answer_with(call, "<wsnt:UnsubscribeResponse/>", action)

    def _synchronize(self, point: PullPoint, call: SoapCall) -> Reply:
        if self.quirk is EventQuirk.NO_SYNCHRONIZATION:
            return self._host.fault(NOT_AUTHORIZED, call.envelope)
        self._points.tell_again(point)
        action = f"{EVENTS}/PullPointSubscription/SetSynchronizationPointResponse"
        return self._host.answer_with(call, "<tev:SetSynchronizationPointResponse/>", action)

    def _point(self, request: HttpRequest, call: SoapCall, now: float) -> PullPoint | None:
        """The subscription that a call is about."""
        number = request.path.removeprefix(PULL_PATH)
        if self.quirk is EventQuirk.REFERENCE_PARAMETERS:
            number = call.subscription_id
        elif self.quirk is EventQuirk.URN_REFERENCE and request.path == EVENT_PATH:
            newest = self._points.newest
            number = "" if newest is None else str(newest.number)
        return self._points.find(int(number), now) if number.isdigit() else None

    def _reference(self, number: int) -> str:
        base = self._host.base
        if self.quirk is EventQuirk.URN_REFERENCE:
            return f"<wsa5:Address>urn:uuid:0000-{number}</wsa5:Address>"
        if self.quirk is EventQuirk.REFERENCE_PARAMETERS:
            return (
                f"<wsa5:Address>{base}{EVENT_PATH}</wsa5:Address><wsa5:ReferenceParameters>"
                f'<dom0:SubscriptionId xmlns:dom0="{AXIS}">{number}</dom0:SubscriptionId>'
                "</wsa5:ReferenceParameters>"
            )
        return f"<wsa5:Address>{base}{PULL_PATH}{number}</wsa5:Address>"

    def _life(self, text: str) -> float | None:
        """Seconds of life for what was asked; None = refused."""
        relative = text.startswith("P")
        if relative and self.quirk is EventQuirk.ABSOLUTE_TIME:
            return None
        asked = read_duration(text, self._host.clock) or DEFAULT_LIFE_S
        return asked * _SHORT if relative and self.quirk is EventQuirk.SHORT_LIFE else asked

    def _create(self, call: SoapCall, now: float) -> Reply:
        self.creations += 1
        life = self._life(call.text("InitialTerminationTime"))
        if life is None:
            return self._host.fault(BAD_TIME, call.envelope)
        pushed = call.operation == "Subscribe"
        point = self._points.create(
            life, now, call.text("Address") if pushed else "", self._device.device.host
        )
        if point is None:
            return self._host.fault(TOO_MANY, call.envelope)
        times = times_xml("tev", self._host.clock, life).replace("tev:", "wsnt:")
        prefix = "wsnt" if pushed else "tev"
        name = f"{prefix}:{call.operation}Response"
        body = (
            f"<{name}><{prefix}:SubscriptionReference>{self._reference(point.number)}"
            f"</{prefix}:SubscriptionReference>{times}</{name}>"
        )
        port = f"{_NOTIFICATIONS}/NotificationProducer" if pushed else f"{EVENTS}/EventPortType"
        action = f"{port}/{call.operation}Response"
        return self._host.answer_with(call, body, action)

    def _renew(self, point: PullPoint, call: SoapCall, now: float) -> Reply:
        self.renewals += 1
        life = self._life(call.text("TerminationTime"))
        if self.quirk is EventQuirk.NO_RENEW:
            return self._host.fault(NOT_SUPPORTED, call.envelope)
        if life is None:
            return self._host.fault(BAD_TIME, call.envelope)
        point.until = now + life
        times = times_xml("wsnt", self._host.clock, life)
        body = f"<wsnt:RenewResponse>{times}</wsnt:RenewResponse>"
        return self._host.answer_with(call, body, f"{_WSNT_ACTION}RenewResponse")

    def _pull(
        self, point: PullPoint, call: SoapCall, connection: HttpConnection, delay: float
    ) -> None:
        self.pulls_asked += 1
        asked_s = read_duration(call.text("Timeout"), self._host.clock)
        wait_s = min(MAX_PULL_S, MAX_PULL_S if asked_s is None else asked_s)
        if self.quirk is EventQuirk.IMPATIENT:
            wait_s = 0.0
        hangs_up = self.quirk is EventQuirk.HANGS_UP and wait_s > self.hangs_up_s
        if hangs_up:
            wait_s = self.hangs_up_s
        wake = partial(self._pulled, call, connection, point.number, delay, hangs_up=hangs_up)
        point.wait(wait_s, wake)

    def _pulled(
        self,
        call: SoapCall,
        connection: HttpConnection,
        number: int,
        delay: float,
        *,
        hangs_up: bool,
    ) -> None:
        """End a pull: with what is there, maybe nothing. Messages are kept for a lost client."""
        if not connection.is_open:
            return
        if self._host.soft is Trouble.NOT_ONVIF:
            self._host.send(login_page(), connection, delay)
            return
        if self._host.soft is Trouble.BAD_RESPONSE:
            self._host.send(bad_reply(self._host.bad_variant), connection, delay)
            return
        now = self._host.steady()
        point = self._points.find(number, now)
        limit = call.text("MessageLimit")
        taken = [] if point is None else point.take(int(limit) if limit.isdigit() else 10)
        if hangs_up and not taken:
            connection.hang_up()
            return
        life = DEFAULT_LIFE_S if point is None else max(0.0, point.until - now)
        address = f"{self._host.base}{PULL_PATH}{number}"
        messages = "".join(message.xml(address) for message in taken)
        times = times_xml("tev", self._host.clock, life)
        body = f"<tev:PullMessagesResponse>{times}{messages}</tev:PullMessagesResponse>"
        action = f"{EVENTS}/PullPointSubscription/PullMessagesResponse"
        self._host.send(self._host.answer_with(call, body, action), connection, delay)
