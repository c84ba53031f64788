"""A bounded ring of numbered changes, with replay: what the stream (SSE) sends."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

RING = 4096


@dataclass(frozen=True, slots=True)
class Item:
    """One published change. `id` grows by one; `data` is a ledger row or `(index, record)`."""

    id: int
    event: str
    data: Any


class Feed:
    """Publish once, read by many at their own pace; slow readers miss nothing within the ring.

    Attributes:
        run: names this run of the process: ids of another run mean nothing here.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self._ring: deque[Item] = deque(maxlen=RING)
        self._next = 1
        self._changed = asyncio.Event()

    @property
    def last_id(self) -> int:
        """The id of the newest item (0 = none yet)."""
        return self._next - 1

    def publish(self, event: str, data: Any) -> None:  # noqa: ANN401 - any row
        """Add an item and wake the readers."""
        self._ring.append(Item(self._next, event, data))
        self._next += 1
        self._changed.set()

    def break_off(self) -> None:
        """What was published means nothing any more (a new archive): every reader must load anew."""
        self._ring.clear()
        self._next += 1
        self._changed.set()

    def after(self, last_id: int) -> Iterable[Item] | None:
        """Items newer than `last_id`, oldest first; None when some of them left the ring."""
        oldest = self._ring[0].id if self._ring else self._next
        if last_id > self.last_id or last_id < oldest - 1:
            return None
        newer = self.last_id - last_id
        return list(self._ring)[len(self._ring) - newer :] if newer else ()

    async def wait(self, last_id: int, timeout_s: float) -> None:
        """Return when something newer than `last_id` is there, or after `timeout_s` seconds."""
        if self.last_id > last_id:
            return
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return
