"""WS-Addressing for event calls, and where a subscription is to be asked.

Pure, and used by nothing that checks a device: no check ever creates a subscription.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from lxml import etree

from adapters.onvif.content import located
from adapters.onvif.replies import Soap

WSA = "http://www.w3.org/2005/08/addressing"


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where pulls, renewals and the end of a subscription go: our host and port, this path.

    Attributes:
        parameters: elements to be echoed in each SOAP header (quirk 14: Axis has one pull URL for
            all and tells subscriptions apart by `SubscriptionId`).
    """

    path: str
    parameters: tuple[bytes, ...] = ()


def subscription(soap: Soap, host: str, port: int, event_path: str) -> Subscription:
    """The reference in a CreatePullPointSubscription or Subscribe reply.

    `event_path` is used when the reference is no URL (quirk 13: `urn:uuid:...`).
    """
    reference = soap.content.find(".//{*}SubscriptionReference")
    if reference is None:
        return Subscription(event_path)
    address = reference.find("{*}Address")
    place = located("" if address is None else address.text or "", host, port)
    held = reference.find("{*}ReferenceParameters")
    parameters = () if held is None else tuple(etree.tostring(e, with_tail=False) for e in held)
    return Subscription(place.path or event_path, parameters)


def header(action: str, to: str, message_id: str, parameters: Sequence[bytes] = ()) -> str:
    """The addressing part of a SOAP header; some devices refuse event calls without (quirk 15)."""
    echoed = b"".join(parameters).decode()
    return (
        f'<wsa:Action xmlns:wsa="{WSA}">{escape(action)}</wsa:Action>'
        f'<wsa:To xmlns:wsa="{WSA}">{escape(to)}</wsa:To>'
        f'<wsa:MessageID xmlns:wsa="{WSA}">{escape(message_id)}</wsa:MessageID>{echoed}'
    )
