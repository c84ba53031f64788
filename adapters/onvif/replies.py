"""Reading a reply: is it SOAP, is it whole, is it a fault. Strict, with the known quirks mended.

HTTP status comes before SOAP: see `verdict.py`. Nothing here depends on the HTTP client.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from lxml import etree

from adapters.onvif.transport import Flaw, Reply
from gateway.domain.observation import FaultCause, Finding

SOAP = (
    "{http://www.w3.org/2003/05/soap-envelope}Envelope",
    "{http://schemas.xmlsoap.org/soap/envelope/}Envelope",
)
_PARSER = etree.XMLParser(
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    dtd_validation=False,
    huge_tree=False,
    recover=False,
    remove_comments=True,
    remove_pis=True,
)
_HTML = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_DOCTYPE = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_OPENS = re.compile(rb"<(?:[\w.-]+:)?Envelope[\s>]")
_CLOSES = re.compile(rb"</(?:[\w.-]+:)?Envelope\s*>\Z")
_CUT_START = re.compile(rb"\s*(?:<\?xml\b|<[\w.-]*:?(?:E|$))")
_PREFIX = re.compile(r"</?([A-Za-z_][\w.-]*):[\w.-]+|\s([A-Za-z_][\w.-]*):[\w.-]+\s*=")
_ROOT = re.compile(r"<(?:[\w.-]+:)?Envelope")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


class FaultKind(StrEnum):
    """What a SOAP fault is about."""

    LOCKED = "locked"
    CLOCK = "clock"
    AUTH = "auth"
    UNSUPPORTED = "unsupported"
    OTHER = "other"


FAULT_WORDS: tuple[tuple[FaultKind, re.Pattern[str]], ...] = (
    # "You still have 26 attempt(s)" (Dahua, quirk 8) is a bad password, "0 attempt(s)" a lock.
    (
        FaultKind.LOCKED,
        re.compile(
            r"(?<!un)lock(?:ed|out)\b|too many (?!pull|subscri|notif|consum)|\b0 attempt|blocked|banned|锁定"
        ),
    ),
    (
        FaultKind.CLOCK,
        re.compile(r"messageexpired|time ?stamp|not synchroni[sz]ed|clock|created (?:is|in)"),
    ),
    (
        FaultKind.AUTH,
        re.compile(
            r"not ?authori[sz]ed|unauthori[sz]ed|failedauthentication|invalidsecurity"
            r"|authenticat|operationprohibited|password|authority failure|attempt"
        ),
    ),
    (
        FaultKind.UNSUPPORTED,
        re.compile(
            r"notsupported|not ?supported|not ?implemented|unknownaction|nosuchservice|not found"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A SOAP fault: its kind, and its own words for people."""

    kind: FaultKind
    text: str


@dataclass(frozen=True, slots=True)
class Soap:
    """A whole, well-formed envelope.

    Attributes:
        content: the first element of the body (the fault, if it is one).
        fault: set when the content is a fault.
        mended: what had to be mended before it was XML, empty if nothing.
    """

    content: etree._Element
    fault: Fault | None = None
    mended: str = ""

    @property
    def name(self) -> str:
        """The local name of the content."""
        return local(self.content)


def local(element: etree._Element) -> str:
    """Local name of an element."""
    return str(element.tag).rpartition("}")[2]


def fault_kind(text: str) -> FaultKind:
    """The kind of fault that a text speaks of; devices agree on no code, so by words."""
    lowered = text.lower()
    for kind, words in FAULT_WORDS:
        if words.search(lowered):
            return kind
    return FaultKind.OTHER


def read(reply: Reply) -> Soap | Finding:
    """The envelope of a reply, or what is wrong with it (`not_onvif` or `bad_response`)."""
    body = reply.body
    if reply.flaw is Flaw.TOO_LARGE or reply.flaw is Flaw.ENDLESS:
        return _bad(f"the body {_FLAW_TEXT[reply.flaw]}")
    whole = body.rstrip(b" \t\r\n\0")
    if not whole:
        return _bad("the body is empty")
    if _HTML.match(body):
        return Finding(FaultCause.NOT_ONVIF, "a web page, not SOAP")
    if _DOCTYPE.search(body) or b"\0" in whole:
        # NUL bytes: UTF-16, in which a DOCTYPE would not be seen.
        return _bad("a DOCTYPE is refused" if b"\0" not in whole else "NUL bytes in the body")
    opens = _OPENS.search(whole, 0, 4096) is not None
    closes = _CLOSES.search(whole, max(0, len(whole) - 128)) is not None
    if opens and closes:
        return _envelope(whole)
    if opens or (_CUT_START.match(whole) and not whole.endswith(b">")):
        return _bad("truncated")
    return Finding(FaultCause.NOT_ONVIF, f"not SOAP: {_kind_of(reply)}")


_FLAW_TEXT = {Flaw.TOO_LARGE: "is over 256 kB", Flaw.ENDLESS: "did not end in time"}


def _bad(detail: str) -> Finding:
    return Finding(FaultCause.BAD_RESPONSE, detail)


def _kind_of(reply: Reply) -> str:
    kind = reply.headers.get("content-type", "").partition(";")[0].strip()
    return kind[:60] if kind.isprintable() and kind else "no content type"


def _envelope(whole: bytes) -> Soap | Finding:
    mended = ""
    try:
        root = etree.fromstring(whole, _PARSER)
    except (etree.XMLSyntaxError, ValueError):
        text, mended = mend(whole)
        try:
            root = etree.fromstring(text.encode(), _PARSER)
        except (etree.XMLSyntaxError, ValueError) as error:
            return _bad(f"not well-formed XML: {str(error)[:120]}")
    if root.getroottree().docinfo.internalDTD is not None:
        return _bad("a DOCTYPE is refused")
    if root.tag not in SOAP:
        return Finding(FaultCause.NOT_ONVIF, "XML, but not a SOAP envelope")
    body = next((child for child in root if local(child) == "Body"), None)
    content = None if body is None else next(iter(body), None)
    if content is None:
        return _bad("an envelope without content")
    fault = _fault(content) if local(content) == "Fault" else None
    return Soap(content, fault, mended)


def _fault(content: etree._Element) -> Fault:
    words: list[str] = []
    for part in content.itertext():
        text = " ".join(str(part).split())
        if text and text not in words:
            words.append(text)
    text = " | ".join(words)[:300]
    return Fault(fault_kind(text), text)


def mend(whole: bytes) -> tuple[str, str]:
    """What devices get wrong about XML, put right: (text, what was mended).

    GBK or broken UTF-8 in a model name (quirk 32: CamHipro and others), control characters, and
    prefixes used without being declared (quirk 31: `ter:`, `wsrf-rw:`, `wsa:`; ESCAM, Wanscam).
    """
    mended: list[str] = []
    try:
        text = whole.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = whole.decode("gb18030")
            mended.append("GBK bytes")
        except UnicodeDecodeError:
            text = whole.decode("utf-8", "replace")
            mended.append("bytes that are no text")
    text = _DECLARATION.sub("", text, count=1)
    clean = _CONTROL.sub("", text)
    if clean != text:
        mended.append("control characters")
    used = {a or b for a, b in _PREFIX.findall(clean)} - {"xml", "xmlns"}
    missing = sorted(prefix for prefix in used if f"xmlns:{prefix}=" not in clean)
    if missing:
        mended.append(f"undeclared prefix {' '.join(missing)}")
        names = "".join(f' xmlns:{p}="urn:undeclared:{p}"' for p in missing)
        clean = _ROOT.sub(lambda match: match[0] + names, clean, count=1)
    return clean, ", ".join(mended)
