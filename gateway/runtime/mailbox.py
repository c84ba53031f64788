"""A bounded queue that is emptied in batches: the `=>` of the flow."""

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

from gateway.metrics import QUEUE, QUEUE_FULL

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Many producers, one consumer, one event loop.

    Producers look at `room` before they begin work whose result must be put in (backpressure); what
    they put in afterwards is never refused, so nothing that was observed is lost.
    """

    def __init__(self, name: str, size: int) -> None:
        self.size = size
        self._name = name
        self._items: list[T] = []
        self._filled = asyncio.Event()
        self._gauge = QUEUE.labels(name)
        self._full = QUEUE_FULL.labels(name)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def room(self) -> bool:
        """False: hold back new work. Each refusal is counted."""
        if len(self._items) < self.size:
            return True
        self._full.inc()
        return False

    def put(self, items: Iterable[T]) -> None:
        """Put in what was observed."""
        self._items.extend(items)
        self._filled.set()

    async def take(self, most: int, timeout_s: float) -> list[T]:
        """What waits, oldest first, at most `most`; empty when nothing came within `timeout_s`."""
        if not self._items:
            self._filled.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._filled.wait()
            except TimeoutError:
                return []
        taken, self._items = self._items[:most], self._items[most:]
        self._gauge.set(len(self._items))
        return taken
