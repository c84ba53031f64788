"""A TCP proxy before a store: it delays every answer, or lets none through for a time."""

import asyncio
import threading
from contextlib import suppress
from typing import Self

_PIECE = 65_536


class SlowWire:
    """Runs in a thread of its own. `delay_s` and `stall` may change at any time.

    Args:
        upstream: host and port of the true server.

    Attributes:
        port: on 127.0.0.1, any free one.
        delay_s: every piece of an answer is so much later.
        held: pieces of answers that were delayed or stalled since the start.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.port = 0
        self.delay_s = 0.0
        self.held = 0
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def stall(self, *, stalled: bool) -> None:
        """Hold all answers back, or let those that wait go on."""
        change = self._flows.clear if stalled else self._flows.set
        self._loop.call_soon_threadsafe(change)

    async def _open(self) -> None:
        self._flows.set()
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.close()
            return
        for task in (
            asyncio.create_task(self._pass_on(reader, far_writer, answers=False)),
            asyncio.create_task(self._pass_on(far_reader, writer, answers=True)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        try:
            with suppress(OSError):
                while piece := await reader.read(_PIECE):
                    if answers and (self.delay_s or not self._flows.is_set()):
                        self.held += 1
                        await asyncio.sleep(self.delay_s)
                        await self._flows.wait()
                    writer.write(piece)
                    await writer.drain()
        finally:
            writer.close()
