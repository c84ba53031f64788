"""`/api/v1/stream`: the feed as server-sent events, with replay, bounds and coalescing.

The events of one wake-up go out in one write. Ledger rows come first, in order; the state changes
follow as one `states` event, the last value of each channel. Only the last event carries an id: a
client that lost its connection in between gets the whole batch again, and rows are whole snapshots.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
from aiohttp import hdrs, web

from gateway.feed import Feed, Item
from gateway.inventory import Inventory
from gateway.metrics import STREAMS
from gateway.projection import Projection
from gateway.web import problems
from gateway.web.access import Access, Route
from gateway.web.auth import CONTEXT, IDENTITY, find_token, secret_of
from gateway.web.params import Params
from gateway.web.problems import Problem
from gateway.web.reply import encode, iso
from gateway.web.shapes import STATE_CODES, Json, feed_item, row

BATCHES_KEPT = 64
RUN_MAX = 64


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds of the streams.

    Attributes:
        streams: open at the same time.
        as_of_s: an `as_of` event so often, when nothing else happens too.
        comment_s: a comment so often, for proxies that cut silent connections.
        pause_s: changes are gathered for so long before they are sent.
        write_s: a reader that takes nothing for so long is disconnected.
        buffer_bytes: what may wait for one reader in the socket buffer of ours.
    """

    streams: int = 50
    as_of_s: float = 5.0
    comment_s: float = 15.0
    pause_s: float = 0.2
    write_s: float = 10.0
    buffer_bytes: int = 64 * 1024


def event(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """One event of the stream; JSON has no line breaks."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {name}\ndata: ".encode() + data + b"\n\n"


class Streams:
    """What all open streams share: batches encoded once, and the bounds.

    Attributes:
        tasks: the handlers of the open streams, ended on shutdown.
    """

    def __init__(self, projection: Projection, limits: StreamLimits) -> None:
        self.projection = projection
        self.limits = limits
        self.tasks: set[asyncio.Task[object]] = set()
        self._batches: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._inventory: Inventory = projection.inventory
        self._layout_from = 0

    @property
    def feed(self) -> Feed:
        """The feed of this run."""
        return self.projection.feed

    def layout_from(self) -> int:
        """The oldest id whose reader still knows the channels' numbers; an import moves it."""
        if self.projection.inventory is not self._inventory:
            self._inventory = self.projection.inventory
            self._layout_from = self.feed.last_id
            self._batches.clear()
        return self._layout_from

    def name(self, number: int) -> str:
        """The id of an event, as sent."""
        return f"{self.feed.run}-{number}"

    def number(self, event_id: str) -> int | None:
        """The number in an id of this run; None for another run or nonsense."""
        run, _, number = event_id.rpartition("-")
        known = run == self.feed.run and number.isascii() and number.isdigit()
        return int(number) if known and len(number) <= RUN_MAX else None

    def batch(self, last_id: int) -> tuple[int, bytes] | None:
        """What came after `last_id`, encoded; None when some of it left the ring."""
        if last_id < self.layout_from():
            return None
        newest = self.feed.last_id
        key = (last_id, newest)
        if key not in self._batches:
            items = self.feed.after(last_id)
            if items is None:
                return None
            self._batches[key] = self._encode(list(items))
            while len(self._batches) > BATCHES_KEPT:
                self._batches.popitem(last=False)
        return newest, self._batches[key]

    def _encode(self, items: list[Item]) -> bytes:
        if not items:
            return b""
        projection = self.projection
        states: dict[int, str] = {}
        rows: list[tuple[str, bytes]] = []
        for item in items:
            if item.event == "state":
                record = item.data[1]
                view = projection.channels.get(record.channel)
                if view is not None:
                    states[view.index] = STATE_CODES[record.state]
            else:
                rows.append((item.event, encode(feed_item(item.event, item.data, projection))))
        content = {"as_of": iso(projection.as_of), "states": list(states.items())}
        rows.append(("states", orjson.dumps(content)))
        last = len(rows) - 1
        newest = self.name(items[-1].id)
        return b"".join(
            event(name, data, newest if n == last else None) for n, (name, data) in enumerate(rows)
        )

    def as_of(self, reasons: list[str]) -> bytes:
        """How fresh the picture is, and whether the gateway itself can see."""
        gap = self.projection.gap
        content: Json = {
            "as_of": iso(self.projection.as_of),
            "gap": None if gap is None else row(gap),
            "reasons": reasons,
        }
        return event("as_of", encode(content))

    def greeting(self, name: str) -> bytes:
        """The first event: `hello`, or `reset` = load the wall again. Its id is the newest."""
        content = {"run": self.feed.run, "as_of": iso(self.projection.as_of)}
        return event(name, orjson.dumps(content), self.name(self.feed.last_id))


STREAM = web.AppKey("streams", Streams)


async def end_streams(app: web.Application) -> None:
    """On shutdown: open streams end at once."""
    for task in tuple(app[STREAM].tasks):
        task.cancel()


async def get_stream(request: web.Request) -> web.StreamResponse:
    """GET /api/v1/stream."""
    params = Params(request, {"last_event_id"})
    params.check()
    # EventSource sends the header only when it reconnects; a page that has just loaded the wall
    # says in the query up to where it knows.
    asked = request.headers.get("Last-Event-ID", params.given.get("last_event_id", ""))
    async with counted(request):
        return await _Reader(request, request.app[STREAM]).run(asked)


@asynccontextmanager
async def counted(request: web.Request) -> AsyncIterator[None]:
    """A place among the streams of all kinds, ended on shutdown.

    Raises:
        Problem: too-many-streams.
    """
    streams = request.app[STREAM]
    if len(streams.tasks) >= streams.limits.streams:
        detail = f"{streams.limits.streams} streams are open; close one or try later"
        raise Problem(problems.TOO_MANY_STREAMS, detail, headers={"Retry-After": "10"})
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a handler runs in a task
    streams.tasks.add(task)
    STREAMS.inc()
    try:
        yield
    finally:
        streams.tasks.discard(task)
        STREAMS.dec()


class EventStream:
    """The response of one open stream: bounded in what waits for its reader, and in how long.

    Attributes:
        limits: those of all streams.
        response: to be opened once.
    """

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.limits = request.app[STREAM].limits
        self.response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
                hdrs.CACHE_CONTROL: "no-store",
                "X-Accel-Buffering": "no",
            }
        )

    async def open(self) -> None:
        """Send the head."""
        await self.response.prepare(self.request)
        transport = self.request.transport
        if transport is not None:
            transport.set_write_buffer_limits(self.limits.buffer_bytes)

    async def still_allowed(self) -> bool:
        """A stream does not outlive its token."""
        secret, _ = secret_of(self.request)
        token = await find_token(self.request, secret)
        return token is not None and token.role == self.request[IDENTITY].role

    async def send(self, data: bytes) -> bool:
        """Write within the limit; False = too slow, disconnected."""
        try:
            async with asyncio.timeout(self.limits.write_s):
                await self.response.write(data)
        except TimeoutError:
            if self.request.transport is not None:
                self.request.transport.abort()
            return False
        return True


class _Reader(EventStream):
    """One open stream of the feed."""

    def __init__(self, request: web.Request, streams: Streams) -> None:
        super().__init__(request)
        self.streams = streams
        self.last_id = 0
        self.inventory = streams.projection.inventory

    async def run(self, asked: str) -> web.StreamResponse:
        """Send until the reader goes, is too slow, or its token ends."""
        await self.open()
        try:
            if await self.send(self._first(asked)):
                await self._follow()
        except ConnectionResetError:
            pass  # the reader went away
        return self.response

    def _first(self, asked: str) -> bytes:
        streams = self.streams
        number = streams.number(asked) if asked else None
        replay = streams.batch(number) if number is not None else None
        self.last_id = streams.feed.last_id
        head = b"retry: 3000\n\n"
        if not asked:
            return head + streams.greeting("hello")
        if replay is None:
            return head + streams.greeting("reset")
        return head + replay[1]

    async def _follow(self) -> None:
        limits, streams = self.streams.limits, self.streams
        clock = self.request.app[CONTEXT].clock
        told = commented = clock.now()
        while True:
            await streams.feed.wait(self.last_id, limits.as_of_s)
            if streams.feed.last_id > self.last_id:
                await asyncio.sleep(limits.pause_s)
            out = self._news()
            now = clock.now()
            if now - told >= limits.as_of_s:
                told = now
                if not await self.still_allowed():
                    return
                out += streams.as_of(list(self.request.app[CONTEXT].readiness()))
            if now - commented >= limits.comment_s:
                commented = now
                out += b": still here\n\n"
            if out and not await self.send(out):
                return

    def _news(self) -> bytes:
        """What this reader does not know yet; `reset` after an import or when it fell behind."""
        streams = self.streams
        found = streams.batch(self.last_id)
        if found is None or self.inventory is not streams.projection.inventory:
            self.inventory = streams.projection.inventory
            self.last_id = streams.feed.last_id
            return streams.greeting("reset")
        self.last_id = found[0]
        return found[1]


ROUTES = (Route("GET", "/api/v1/stream", get_stream, Access.READ),)
