"""`/api/v1/alerts/stream`: the feed of alerts as server-sent events, for centers that cannot receive.

The id of an event is the cursor of its message: it stands in the store, so it means the same after a restart.
"""

from datetime import datetime

from aiohttp import web

from gateway.errors import StoreUnavailable
from gateway.web.access import Access, Route
from gateway.web.alert_watch import WATCH
from gateway.web.auth import CONTEXT
from gateway.web.params import NUMBER_DIGITS, Params
from gateway.web.reply import encode, iso
from gateway.web.shapes import row
from gateway.web.stream import EventStream, counted, event

PAGE = 100
"""Messages of one read of the store, and of one write to the reader."""
WAIT_S = 1.0
"""Token and comments are looked at so often, and the store, while it is away or the reader far behind."""
FEED = "feed"


async def get_alert_stream(request: web.Request) -> web.StreamResponse:
    """GET /api/v1/alerts/stream: hello or reset, then every message in order of its cursor."""
    params = Params(request, {"last_event_id", "recipient"})
    recipient = params.text("recipient") or FEED
    params.check()
    asked = request.headers.get("Last-Event-ID", params.given.get("last_event_id", ""))
    async with counted(request):
        return await AlertStream(request, recipient).run(asked)


class AlertStream(EventStream):
    """One open stream of alerts.

    Args:
        request: of the reader.
        recipient: whose messages.
    """

    def __init__(self, request: web.Request, recipient: str) -> None:
        super().__init__(request)
        self._recipient = recipient
        self._watch = request.app[WATCH]
        self._after = 0
        """Nothing of this recipient up to this cursor is missing."""

    async def run(self, asked: str) -> web.StreamResponse:
        """Send until the reader goes, is too slow, or its token ends.

        Raises:
            StoreUnavailable: before the first byte; later the stream waits for the store.
        """
        known = await self._knows(asked)
        self._after = int(asked) if known and asked else 0
        await self.open()
        name = "hello" if known else "reset"
        content = {"after": self._after, "as_of": iso(self._now())}
        try:
            if await self.send(b"retry: 3000\n\n" + event(name, encode(content))):
                async with self._watch.following():
                    await self._follow()
        except ConnectionResetError:
            pass  # the reader went away
        return self.response

    async def _knows(self, asked: str) -> bool:
        """Whether to go on behind this id: a message of this store that is still there."""
        cursor = int(asked or 0) if _is_cursor(asked or "0") else -1
        found = await self._read(max(0, cursor - 1), 1)  # also shows that the store is there
        return cursor == 0 or (bool(found) and found[0][0] == cursor)

    async def _read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Messages behind a cursor, encoded."""
        store = self.request.app[CONTEXT].store
        found = await store.events.alerts(
            after_cursor=after, limit=limit, recipient=self._recipient
        )
        return [(one.cursor, encode(row(one))) for one in found]

    async def _follow(self) -> None:
        limits = self.limits
        clock = self.request.app[CONTEXT].clock
        told = commented = clock.now()
        while True:
            page, upto = await self._page()
            out = b"".join(event("alert", data, str(cursor)) for cursor, data in page)
            now = clock.now()
            if now - told >= limits.as_of_s:
                told = now
                if not await self.still_allowed():
                    return
            if now - commented >= limits.comment_s:
                commented = now
                out += b": still here\n\n"
            if out and not await self.send(out):
                return
            self._after = upto
            if len(page) < PAGE:
                await self._watch.wait(upto, WAIT_S)

    async def _page(self) -> tuple[list[tuple[int, bytes]], int]:
        """The next messages, and up to which cursor none is missing with them."""
        head = self._watch.head
        found = self._watch.after(self._after, self._recipient, PAGE)
        if found is not None:
            page = [(one.alert.cursor, one.data()) for one in found]
        else:  # far behind, or nothing was read yet
            try:
                page = await self._read(self._after, PAGE)
            except StoreUnavailable:
                return [], self._after  # looked for again; what stands there waits
        # A short page is all there is; it was read no earlier than the head that was known before.
        known = head if head is not None and len(page) < PAGE else self._after
        return page, max([self._after, known, *(cursor for cursor, _ in page[-1:])])

    def _now(self) -> datetime:
        clock = self.request.app[CONTEXT].clock
        return clock.utc(clock.now())


def _is_cursor(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS


ROUTES = (Route("GET", "/api/v1/alerts/stream", get_alert_stream, Access.CENTER),)
