"""One connection of the HTTP client, and the reply that is being read on it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httptools

from adapters.dial import Trouble
from adapters.onvif.transport import BODY_LIMIT, Flaw

HEADERS_LIMIT: Final = 64
"""Header lines of one reply; more is no camera."""
_INTERIM: Final = range(100, 200)


class Line(asyncio.Protocol):
    """One connection to one device, and the reply that is being read on it.

    Invariant: at most one request is under way (`on_end`); bytes without a request close the line. What
    reads the reply is made with its first byte: thousands of long polls wait for theirs.
    """

    __slots__ = (
        "body",
        "challenges",
        "complete",
        "first",
        "flaw",
        "framed",
        "headed_at",
        "headers",
        "lost",
        "on_end",
        "parser",
        "rests_since",
        "size",
        "status",
        "stays",
        "transport",
        "trouble",
    )

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.on_end: Callable[[], object] | None = None
        self.rests_since = 0.0
        self.lost = False

    def begin(self, on_end: Callable[[], object]) -> None:
        """A request is about to be sent; `on_end` is called once, when its reply is over."""
        self.on_end = on_end
        self.status = 0
        self.size = 0
        self.first = b""
        self.headed_at = 0.0
        self.framed = False
        self.stays = False
        self.complete = False
        self.flaw: Flaw | None = None
        self.trouble: Trouble | None = None

    def _listen(self, first: bytes) -> None:
        self.first = first
        self.parser = httptools.HttpResponseParser(self)
        self.headers: dict[str, str] = {}
        self.challenges: list[str] = []
        self.body: list[bytes] = []

    def rest(self, now: float) -> None:
        """Nothing is under way: hold no more than the connection (9,000 of them lie idle)."""
        self.rests_since = now
        del self.parser, self.headers, self.challenges, self.body

    def finish(self) -> None:
        """The reply is over, or nobody waits for it any longer."""
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()

    # --- asyncio

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's own type
        """Connected."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Some bytes of the reply."""
        if self.on_end is None:
            self.drop()
            return
        if not self.first:
            self._listen(bytes(data[:8]))
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            if self.complete or self.flaw is not None:
                self.stays = False  # bytes after the end: the reply stands, the line is not kept
                return
            self.flaw = Flaw.BROKEN if self.headed_at else None
            self.trouble = None if self.headed_at else Trouble.GARBLED
            self.drop()
            self.finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by the device, or by us."""
        self.lost = True
        if self.on_end is None:
            return
        if self.headed_at:
            # Without Content-Length and chunks, the end of the connection ends the body.
            self.complete = not self.framed and exc is None
            self.flaw = None if self.complete else Flaw.BROKEN
        else:
            self.trouble = Trouble.GARBLED if self.first else Trouble.CLOSED
        self.finish()

    def drop(self) -> None:
        """Close without waiting."""
        self.lost = True
        if self.transport is not None:
            self.transport.abort()

    # --- httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line; the first of a name counts, challenges are all kept."""
        if self.complete:
            return
        if len(self.headers) >= HEADERS_LIMIT:
            raise ValueError("too many header lines")
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self.headers.setdefault(key, text)
        if key == "www-authenticate":
            self.challenges.append(text)

    def on_headers_complete(self) -> None:
        """The status line and all headers are there."""
        if self.complete:
            self.stays = False  # a second reply to one request: the first one stands
            return
        self.status = self.parser.get_status_code()
        if self.status in _INTERIM:
            return
        loop = asyncio.get_running_loop()
        self.headed_at = loop.time()
        self.framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        # To be asked here: after the message is complete the parser has forgotten it.
        self.stays = self.framed and self.parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.complete:
            return
        self.size += len(data)
        if self.size > BODY_LIMIT:
            self.flaw = Flaw.TOO_LARGE
            self.drop()
            self.finish()
        elif self.flaw is None:
            self.body.append(data)

    def on_message_complete(self) -> None:
        """The reply is whole."""
        if self.status in _INTERIM:
            self.headers.clear()
            return
        if self.flaw is None:
            self.complete = True
        self.finish()
