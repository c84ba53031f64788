"""What a broken device answers instead of SOAP."""

from typing import Final

from adapters.virtual.http_server import Framing, Reply
from adapters.virtual.soap import SOAP12

HUGE_BYTES: Final = 300_000
"""More than the 256 kB that the gateway accepts."""
_START: Final = b'<?xml version="1.0"?><s:Envelope xmlns:s="%b"><s:Body>' % SOAP12.encode()
_END: Final = b"</s:Body></s:Envelope>"
_FILLING: Final = b"<x>0123456789abcdef</x>"
_ENTITIES: Final = b"".join(
    b'<!ENTITY %c "%b">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(8)
)
_BOMB: Final = (
    b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "aaaaaaaaaaaaaaaa">'
    + _ENTITIES
    + b']><s:Envelope xmlns:s="%b"><s:Body>&i;' % SOAP12.encode()
    + _END
)
_LOGIN_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>WEB SERVICE</title></head>"
    b"<body><form action='/doc/page/login.asp'>User name</form></body></html>"
)
NON_XML: Final = "non_xml"
BAD_VARIANTS: Final = ("truncated", "huge", "endless", "entity_bomb")


def bad_reply(variant: str) -> Reply:
    """One of `BAD_VARIANTS`, or `NON_XML`."""
    if variant == NON_XML:
        return Reply(200, b"OK\r\n", "text/plain")
    if variant == "truncated":
        return Reply(200, _START + b" " * 400, framing=Framing.TRUNCATED)
    if variant == "huge":
        return Reply(200, _START + _FILLING * (HUGE_BYTES // len(_FILLING)) + _END)
    if variant == "endless":
        return Reply(200, _START, framing=Framing.DRIP)
    return Reply(200, _BOMB)


def login_page() -> Reply:
    """A web page where SOAP was expected."""
    return Reply(200, _LOGIN_PAGE, "text/html; charset=utf-8")
