"""The requests of the event services: subscribe, pull, renew, end. Written here, held against zeep by a test.

They carry WS-Addressing headers, always (quirk 15), and echo the reference parameters of a subscription
(quirk 14). zeep puts the headers on one of them only, and costs 258 us for what is sent 500 times a
second.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Final
from xml.sax.saxutils import escape

from adapters.onvif.addressing import header
from adapters.onvif.codec import Template, headers
from adapters.onvif.templates import MARKS

TEV: Final = "http://www.onvif.org/ver10/events/wsdl"
TDS: Final = "http://www.onvif.org/ver10/device/wsdl"
WSNT: Final = "http://docs.oasis-open.org/wsn/b-2"
WSA: Final = "http://www.w3.org/2005/08/addressing"
_BW2: Final = "http://docs.oasis-open.org/wsn/bw-2"
ACTIONS: Final[Mapping[str, str]] = {
    "CreatePullPointSubscription": f"{TEV}/EventPortType/CreatePullPointSubscriptionRequest",
    "PullMessages": f"{TEV}/PullPointSubscription/PullMessagesRequest",
    "SetSynchronizationPoint": f"{TEV}/PullPointSubscription/SetSynchronizationPointRequest",
    "Renew": f"{_BW2}/SubscriptionManager/RenewRequest",
    "Unsubscribe": f"{_BW2}/SubscriptionManager/UnsubscribeRequest",
    "Subscribe": f"{_BW2}/NotificationProducer/SubscribeRequest",
    "GetServices": f"{TDS}/GetServices",
}
HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    name: headers(action) for name, action in ACTIONS.items()
}
"""HTTP headers by operation; the same objects each time."""
_WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_PROFILE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_TOKEN: Final = (
    f'<wsse:Security xmlns:wsse="{_WSSE}"><wsse:UsernameToken>'
    f"<wsse:Username>{MARKS['username']}</wsse:Username>"
    f'<wsse:Password Type="{_PROFILE}-username-token-profile-1.0#PasswordDigest">'
    f"{MARKS['digest']}</wsse:Password>"
    f'<wsse:Nonce EncodingType="{_PROFILE}-soap-message-security-1.0#Base64Binary">'
    f"{MARKS['nonce']}</wsse:Nonce>"
    f'<wsu:Created xmlns:wsu="{_WSU}">{MARKS["created"]}</wsu:Created>'
    "</wsse:UsernameToken></wsse:Security>"
)
"""A minimal UsernameToken: no Timestamp, no mustUnderstand (quirk 5)."""
_ENVELOPE: Final = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>',
    "</s:Header><s:Body>",
    "</s:Body></s:Envelope>",
)


def duration(seconds: float) -> str:
    """An xs:duration; with a fraction only where there is one: some devices cannot read it."""
    return f"PT{seconds:.0f}S" if seconds == int(seconds) else f"PT{seconds:.3f}S"


def moment(at: datetime) -> str:
    """An xs:dateTime in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def create(life: str) -> str:
    """Body of CreatePullPointSubscription; `life` is a duration, or a time of the device's clock."""
    return (
        f'<CreatePullPointSubscription xmlns="{TEV}"><InitialTerminationTime>{life}'
        "</InitialTerminationTime></CreatePullPointSubscription>"
    )


def pull(timeout_s: float, limit: int) -> str:
    """Body of PullMessages."""
    return (
        f'<PullMessages xmlns="{TEV}"><Timeout>{duration(timeout_s)}</Timeout>'
        f"<MessageLimit>{limit}</MessageLimit></PullMessages>"
    )


def renew(life: str) -> str:
    """Body of Renew; `life` as in `create`."""
    return f'<Renew xmlns="{WSNT}"><TerminationTime>{life}</TerminationTime></Renew>'


def subscribe(consumer: str, life: str) -> str:
    """Body of Subscribe (WS-BaseNotification); `consumer` is where the device is to send."""
    return (
        f'<Subscribe xmlns="{WSNT}"><ConsumerReference><Address xmlns="{WSA}">{escape(consumer)}'
        f"</Address></ConsumerReference><InitialTerminationTime>{life}</InitialTerminationTime>"
        "</Subscribe>"
    )


SYNCHRONIZE: Final = f'<SetSynchronizationPoint xmlns="{TEV}"/>'
UNSUBSCRIBE: Final = f'<Unsubscribe xmlns="{WSNT}"/>'
GET_SERVICES: Final = (
    f'<GetServices xmlns="{TDS}"><IncludeCapability>false</IncludeCapability></GetServices>'
)


def message_ids() -> Callable[[], str]:
    """A source of ids for `wsa:MessageID`: unique without a random number each."""
    lead = secrets.token_hex(10)
    lead = f"urn:uuid:{lead[:8]}-{lead[8:12]}-4{lead[12:15]}-8{lead[15:18]}-"
    numbers = count()
    return lambda: f"{lead}{next(numbers) & 0xFFFFFFFFFFFF:012x}"


def template(
    operation: str, body: str, to: str, message_id: str, parameters: Sequence[bytes] = ()
) -> Template:
    """The request as `Signer` takes it: unsigned, and with marks for a UsernameToken."""
    before, between, after = _ENVELOPE
    head = header(ACTIONS[operation], to, message_id, parameters)
    return Template(
        HEADERS[operation],
        f"{before}{head}{between}{body}{after}",
        f"{before}{head}{_TOKEN}{between}{body}{after}",
    )
