"""What is new among the alerts, read once for all streams.

alerts committed here -> wake -> |
another process's       2 s   -> one read, at most one a second -> ring -> streams, each at its own pace

Who is further behind than the ring reaches reads the store by itself, page by page, until it has caught up.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from gateway.domain.alerting.rows import Alert
from gateway.errors import StoreUnavailable
from gateway.ports import Store
from gateway.web.reply import encode
from gateway.web.shapes import row

LEAST_S = 1.0
"""Between two reads, at least."""
LOOK_S = 2.0
"""What another process committed is found after so long."""
READ_MOST = 1000
"""Messages of one read."""
RING = 1000
"""Messages that are kept for streams, 20 kB each at most."""


@dataclass(slots=True)
class Told:
    """One message as streams send it, encoded when the first of them does."""

    alert: Alert
    encoded: bytes = b""

    def data(self) -> bytes:
        """As JSON."""
        self.encoded = self.encoded or encode(row(self.alert))
        return self.encoded


class AlertWatch:
    """The newest alerts, while anybody follows them. One owner: the loop of the web side.

    Args:
        store: open.

    Attributes:
        head: cursor of the newest message that was read; None = not known yet.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.head: int | None = None
        self._floor = 0
        """The ring holds every message behind this cursor, up to the head."""
        self._ring: deque[Told] = deque()
        self._readers = 0
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._grown = asyncio.Event()

    def wake(self) -> None:
        """This process committed alerts."""
        self._woken.set()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """The store is watched as long as anybody is in here."""
        self._readers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._task.cancel()
                self._task = self.head = None
                self._ring.clear()

    def after(self, cursor: int, recipient: str, limit: int) -> Sequence[Told] | None:
        """Messages of a recipient behind a cursor; None = the ring does not reach so far back."""
        if self.head is None or cursor < self._floor:
            return None
        found: list[Told] = []
        for one in self._ring:
            if one.alert.cursor > cursor and one.alert.recipient == recipient:
                found.append(one)
                if len(found) == limit:
                    break
        return found

    async def wait(self, cursor: int, timeout_s: float) -> None:
        """Return when something behind a cursor was read, or after `timeout_s` seconds."""
        if self._task is not None and self._task.done():
            self._task.result()  # it ends by trouble of our own only: whoever follows must know
        if self.head is not None and self.head > cursor:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._grown.wait()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            with suppress(StoreUnavailable):  # looked for again; what stands there waits
                await self._read()
            await asyncio.sleep(LEAST_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, LOOK_S - LEAST_S)):
                    await self._woken.wait()

    async def _read(self) -> None:
        events = self._store.events
        if self.head is None:
            self.head = self._floor = await events.last_cursor()
        else:
            found = await events.alerts(after_cursor=self.head, limit=READ_MOST)
            if not found:
                return
            self._ring.extend(Told(one) for one in found)
            self.head = found[-1].cursor
            if len(found) == READ_MOST:
                self._woken.set()  # there may be more
            while len(self._ring) > RING:
                self._floor = self._ring.popleft().alert.cursor
        # All who wait now go on; who comes later waits for the next time.
        self._grown.set()
        self._grown = asyncio.Event()


WATCH = web.AppKey("alert_watch", AlertWatch)
