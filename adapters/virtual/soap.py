"""SOAP as the virtual devices speak it: reading a call strictly, writing replies and faults.

SOAP 1.2 first, 1.1 accepted and answered in kind. No schema library: a device's firmware has none
either, and the replies of a device must not come from the same codec as the client's requests.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

SOAP12: Final = "http://www.w3.org/2003/05/soap-envelope"
SOAP11: Final = "http://schemas.xmlsoap.org/soap/envelope/"
WSA: Final = "http://www.w3.org/2005/08/addressing"
WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
MEDIA: Final = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2: Final = "http://www.onvif.org/ver20/media/wsdl"
EVENTS: Final = "http://www.onvif.org/ver10/events/wsdl"
WSNT: Final = "http://docs.oasis-open.org/wsn/b-2"
AXIS: Final = "http://www.axis.com/2009/event"

PREFIXES: Final = {
    "tds": DEVICE,
    "trt": MEDIA,
    "tr2": MEDIA2,
    "tev": EVENTS,
    "wsnt": WSNT,
    "wsa5": WSA,
    "tt": "http://www.onvif.org/ver10/schema",
    "tns1": "http://www.onvif.org/ver10/topics",
    "wsrf-rw": "http://docs.oasis-open.org/wsrf/rw-2",
}
_TER: Final = ' xmlns:ter="http://www.onvif.org/ver10/error"'
_DECLARED: Final = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in PREFIXES.items())
_CONTENT_TYPES: Final = {
    SOAP12: "application/soap+xml; charset=utf-8",
    SOAP11: "text/xml; charset=utf-8",
}


class NotSoap(Exception):
    """The request body is not a SOAP envelope with one call in it."""


@dataclass(frozen=True, slots=True)
class UsernameToken:
    """A WS-UsernameToken with a digest, as it stood in the request."""

    username: str
    digest: str
    nonce: str
    created: str


@dataclass(frozen=True, slots=True)
class SoapCall:
    """One call: which operation of which service, and what it carries."""

    envelope: str
    """Namespace of the envelope: which version of SOAP to answer in."""
    namespace: str
    operation: str
    parameters: etree._Element
    token: UsernameToken | None
    message_id: str
    action: str = ""
    subscription_id: str = ""
    """The reference parameter that devices with one URL for all subscriptions give out."""

    def text(self, name: str) -> str:
        """The text of the first parameter with this local name, or the empty string."""
        for element in self.parameters.iter():
            if etree.QName(element).localname == name:
                return (element.text or "").strip()
        return ""


@dataclass(frozen=True, slots=True)
class FaultCode:
    """A SOAP fault: codes from the outermost inwards, e.g. `("Sender", "ter:NotAuthorized")`."""

    codes: tuple[str, ...]
    reason: str
    status: int


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def read_call(body: bytes) -> SoapCall:
    """Read a request body.

    Raises:
        NotSoap: not XML, a document type in it, no envelope, or no call in its body.
    """
    return _read_signed(body) if b"UsernameToken" in body else _read_plain(body)


@lru_cache(maxsize=64)
def _read_plain(body: bytes) -> SoapCall:
    """Unsigned calls repeat byte for byte, signed ones never do (nonce)."""
    return _read_signed(body)


def _read_signed(body: bytes) -> SoapCall:
    try:
        root = etree.fromstring(body, _parser())
    except etree.XMLSyntaxError as error:
        raise NotSoap(str(error)) from error
    if b"<!DOCTYPE" in body:
        raise NotSoap("a document type is not allowed in SOAP")
    name = etree.QName(root)
    if name.localname != "Envelope" or name.namespace not in _CONTENT_TYPES:
        raise NotSoap("not a SOAP envelope")
    content = root.find(f"{{{name.namespace}}}Body")
    if content is None or len(content) != 1:
        raise NotSoap("not exactly one element in the body")
    call = etree.QName(content[0])
    header = root.find(f"{{{name.namespace}}}Header")
    return SoapCall(
        envelope=name.namespace,
        namespace=call.namespace or "",
        operation=call.localname,
        parameters=content[0],
        token=None if header is None else _token(header),
        message_id=_said(header, f"{{{WSA}}}MessageID"),
        action=_said(header, f"{{{WSA}}}Action"),
        subscription_id=_said(header, f"{{{AXIS}}}SubscriptionId"),
    )


def _said(header: etree._Element | None, name: str) -> str:
    return "" if header is None else (header.findtext(name) or "").strip()


def _token(header: etree._Element) -> UsernameToken | None:
    token = header.find(f"{{{WSSE}}}Security/{{{WSSE}}}UsernameToken")
    if token is None:
        return None

    def text(namespace: str, name: str) -> str:
        return (token.findtext(f"{{{namespace}}}{name}") or "").strip()

    return UsernameToken(
        text(WSSE, "Username"), text(WSSE, "Password"), text(WSSE, "Nonce"), text(WSU, "Created")
    )


def content_type(envelope: str) -> str:
    """The media type of a version of SOAP."""
    return _CONTENT_TYPES[envelope]


@lru_cache(maxsize=8)
def _frame(envelope: str, *, error_prefix: bool) -> str:
    declared = _DECLARED + (_TER if error_prefix else "")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope xmlns:s="{envelope}"{declared}>'


def write_reply(call: SoapCall, body: str, action: str = "") -> bytes:
    """An envelope around `body`; with WS-Addressing headers where `action` is given."""
    header = ""
    if action:
        relates = f"<wsa5:RelatesTo>{escape(call.message_id)}</wsa5:RelatesTo>"
        header = (
            f"<s:Header>{relates if call.message_id else ''}"
            f'<wsa5:Action s:mustUnderstand="1">{action}</wsa5:Action></s:Header>'
        )
    frame = _frame(call.envelope, error_prefix=True)
    return f"{frame}{header}<s:Body>{body}</s:Body></s:Envelope>".encode()


def write_fault(fault: FaultCode, envelope: str = SOAP12, *, declare: bool = True) -> bytes:
    """An envelope with a fault.

    Args:
        fault: what to say.
        envelope: the version of SOAP.
        declare: False leaves the prefix `ter:` undeclared, as ESCAM and Wanscam do (quirk 31).
    """
    reason = escape(fault.reason)
    if envelope == SOAP11:
        outer = {"Sender": "Client", "Receiver": "Server"}[fault.codes[0]]
        body = (
            f"<s:Fault><faultcode>s:{outer}</faultcode><faultstring>{reason}</faultstring>"
            f"<detail><Code>{' '.join(fault.codes[1:])}</Code></detail></s:Fault>"
        )
    else:
        codes = ""
        for code in reversed(fault.codes[1:]):
            codes = f"<s:Subcode><s:Value>{code}</s:Value>{codes}</s:Subcode>"
        body = (
            f"<s:Fault><s:Code><s:Value>s:{fault.codes[0]}</s:Value>{codes}</s:Code>"
            f'<s:Reason><s:Text xml:lang="en">{reason}</s:Text></s:Reason></s:Fault>'
        )
    frame = _frame(envelope, error_prefix=declare)
    return f"{frame}<s:Body>{body}</s:Body></s:Envelope>".encode()


NOT_AUTHORIZED: Final = FaultCode(("Sender", "ter:NotAuthorized"), "Sender not Authorized", 400)
LOCKED: Final = FaultCode(
    ("Sender", "ter:NotAuthorized"),
    "The account is locked after too many failed logins, try again in 30 minutes",
    401,
)
NOT_SUPPORTED: Final = FaultCode(
    ("Receiver", "ter:ActionNotSupported"), "Optional Action Not Implemented", 500
)
NO_PROFILE: Final = FaultCode(
    ("Sender", "ter:InvalidArgVal", "ter:NoProfile"), "Profile Not Exist", 400
)
NO_SUBSCRIPTION: Final = FaultCode(
    ("Sender", "wsrf-rw:ResourceUnknownFault"), "The subscription is not known", 400
)
BAD_TIME: Final = FaultCode(
    ("Sender", "wsnt:UnacceptableInitialTerminationTimeFault"), "Give an absolute time", 400
)
NO_ADDRESSING: Final = FaultCode(
    ("Sender", "ter:InvalidArgVal"), "A required header is missing: wsa:Action", 400
)
TOO_MANY: Final = FaultCode(
    ("Receiver", "ter:Action", "ter:MaxNotificationProducers"), "Too many pull points", 500
)
CAPABILITIES_FAILED: Final = FaultCode(("Receiver", "ter:Action"), "Internal error", 500)


def malformed(reason: str) -> FaultCode:
    """The fault for a request that is no SOAP call."""
    return FaultCode(("Sender", "ter:WellFormed"), reason, 400)
