"""A lean HTTP/1.1 server protocol: one per connection of a virtual device.

It frames requests and replies, and knows how a device falls silent or resets a connection. What is
answered is the device's business (`device.py`). One request at a time: what is sent ahead waits.
"""

import asyncio
import socket
import struct
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Final, Protocol, cast

MAX_HEAD: Final = 16 * 1024
MAX_BODY: Final = 256 * 1024
_NO_LINGER: Final = struct.pack("ii", 1, 0)
_PIECES: Final = 3
_DRIP_S: Final = 0.4

REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
}


class Framing(Enum):
    """How the end of a reply's body is told."""

    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()
    TRUNCATED = auto()
    """Half of what Content-Length promised, then the end of the connection."""
    DRIP = auto()
    """A byte now and then, for ever."""


@dataclass(slots=True)
class HttpRequest:
    """One request; header names in lower case."""

    method: str
    target: str
    version: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@dataclass(slots=True)
class Reply:
    """What a device answers. `date` is the device's own clock, epoch seconds (None: no header)."""

    status: int
    body: bytes
    content_type: str = "application/soap+xml; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False
    framing: Framing = Framing.LENGTH
    date: float | None = None
    protocol: str = "HTTP/1.1"


@dataclass(slots=True)
class Network:
    """What all connections of the district share.

    Attributes:
        blind: nothing answers at all (the scripted blindness of the gateway).
        counts: requests, replies, connections, ... since the start.
    """

    blind: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        self.counts[name] = self.counts.get(name, 0) + by


class Answering(Protocol):
    """A device as its connections see it."""

    connections: set["HttpConnection"]
    server_name: str

    @property
    def mute(self) -> bool:
        """It hears and says nothing now."""
        ...

    def handle(self, request: HttpRequest, connection: "HttpConnection") -> None:
        """Answer one request, now or later, by `connection.reply` or `connection.reset`."""
        ...


@lru_cache(maxsize=512)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


class HttpConnection(asyncio.Protocol):
    """One connection to one device.

    Attributes:
        missed: something was asked while the device was mute: the answer will never come, so the
            connection is reset when the device comes back.
    """

    __slots__ = (
        "_ahead",
        "_busy",
        "_device",
        "_keep",
        "_network",
        "_timer",
        "_transport",
        "missed",
    )

    def __init__(self, device: Answering, network: Network) -> None:
        self._device = device
        self._network = network
        self._transport: asyncio.Transport | None = None
        self._ahead = b""
        self._busy = False
        self._keep = True
        self._timer: asyncio.TimerHandle | None = None
        self.missed = False

    @property
    def silent(self) -> bool:
        """Nothing may be said on this connection now."""
        return self._device.mute or self._network.blind

    @property
    def is_open(self) -> bool:
        """The client has not gone."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._device.connections.add(self)
        self._network.count("connections")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """Called by the loop."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._device.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._device.mute or self._network.blind:
            self.missed = True
            return
        self._ahead = self._ahead + data if self._ahead else data
        if not self._busy:
            self._next_request()

    def _next_request(self) -> None:
        head_end = self._ahead.find(b"\r\n\r\n")
        if head_end < 0:
            if len(self._ahead) > MAX_HEAD:
                self._refuse(431)
            return
        lines = self._ahead[:head_end].decode("latin-1").split("\r\n")
        method, _, rest = lines[0].partition(" ")
        target, _, version = rest.rpartition(" ")
        if not (method and target and version.startswith(("HTTP/1.", "RTSP/"))):
            self._refuse(400)
            return
        first = (method, target, version)
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit():
            self._refuse(411)
        elif int(length) > MAX_BODY:
            self._refuse(413)
        else:
            self._with_body(first, headers, head_end + 4, int(length))

    def _with_body(
        self, first: tuple[str, str, str], headers: dict[str, str], start: int, length: int
    ) -> None:
        end = start + length
        if len(self._ahead) < end:
            if headers.get("expect", "").lower() == "100-continue" and len(self._ahead) == start:
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body = self._ahead[start:end]
        self._ahead = self._ahead[end:]
        self._busy = True
        wish = headers.get("connection", "").lower()
        self._keep = wish == "keep-alive" if first[2] == "HTTP/1.0" else wish != "close"
        self._network.count("requests")
        self._device.handle(HttpRequest(first[0], first[1], first[2], headers, body), self)

    def _refuse(self, status: int) -> None:
        self._busy = True
        self.reply(Reply(status, b"", "text/plain", close=True))

    def later(self, seconds: float, reply: Reply) -> None:
        """Answer after some time, unless the device falls silent or the client leaves before."""
        if seconds <= 0:
            self.reply(reply)
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self.reply, reply)

    def reply(self, reply: Reply) -> None:
        """Write an answer, unless the device fell silent meanwhile."""
        if self._transport is None:
            return
        if self.silent:
            self.missed = True
            return
        self._network.count("replies")
        close = reply.close or not self._keep or reply.framing is not Framing.LENGTH
        if reply.framing is Framing.CHUNKED:
            close = reply.close or not self._keep
        head = self._head(reply, close=close)
        if reply.framing is Framing.DRIP:
            self.write(head + reply.body)
            self._drip()
            return
        if reply.framing is Framing.CHUNKED:
            self._write_chunks(head, reply.body)
        elif reply.framing is Framing.TRUNCATED:
            self.write(head + reply.body[: len(reply.body) // 2])
        else:
            self.write(head + reply.body)
        self._done(close=close)

    def _head(self, reply: Reply, *, close: bool) -> bytes:
        lines = [f"{reply.protocol} {reply.status} {REASONS[reply.status]}"]
        lines.append(f"Server: {self._device.server_name}")
        lines.append(f"Date: {_date(int(time.time() if reply.date is None else reply.date))}")
        if reply.content_type:
            lines.append(f"Content-Type: {reply.content_type}")
        if reply.framing is Framing.CHUNKED:
            lines.append("Transfer-Encoding: chunked")
        elif reply.framing in {Framing.LENGTH, Framing.TRUNCATED}:
            lines.append(f"Content-Length: {len(reply.body)}")
        lines.extend(f"{name}: {value}" for name, value in reply.headers)
        lines.append("Connection: close" if close else "Connection: keep-alive")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _write_chunks(self, head: bytes, body: bytes) -> None:
        """The head and the pieces of the body go out as packets of their own."""
        self.write(head)
        step = max(1, -(-len(body) // _PIECES))
        for at in range(0, len(body), step):
            piece = body[at : at + step]
            self.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.write(b"0\r\n\r\n")

    def _drip(self) -> None:
        if self._transport is None or self.silent:
            return
        self._transport.write(b" ")
        self._timer = asyncio.get_running_loop().call_later(_DRIP_S, self._drip)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._transport is not None:
            self._transport.write(data)

    def _done(self, *, close: bool) -> None:
        self._busy = False
        if self._transport is None:
            return
        if close:
            self._transport.close()
        elif self._ahead:
            self._next_request()

    def hang_up(self) -> None:
        """Close without an answer."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Cut the connection with a RST, dropping what was not yet sent."""
        transport, self._transport = self._transport, None
        self._device.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if transport is None:
            return
        self._network.count("resets")
        raw: Any = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
