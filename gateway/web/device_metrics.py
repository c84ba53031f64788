"""`/metrics/devices`: one line a camera and series, kept as bytes and refreshed in small portions.

Rendering 12,328 x 3 lines with a client library costs the loop most of a second for each scrape
(docs/guide/metrics.md). Here a portion of cameras is rendered at a time, once a cadence and only
while somebody scrapes; a scrape itself joins and compresses kept bytes in a thread.
"""

import asyncio
import gzip
from datetime import datetime
from math import ceil

from gateway.domain.ledger import State
from gateway.inventory import Inventory
from gateway.projection import ChannelView, Projection
from gateway.web.shapes import division_name

PORTION = 256
"""Cameras rendered in one go: about half a millisecond."""
UP = {
    State.ONLINE: "1",
    State.DEGRADED: "1",
    State.OFFLINE: "0",
}
"""`up` says whether the camera answers; states in which that is not known have no line."""

FAMILIES = (
    (
        "sightline_device_up",
        "1 = it answers, 0 = it does not, absent = not known; rendered ahead, one cadence old at most",
    ),
    (
        "sightline_device_state_since_timestamp_seconds",
        "When the camera entered its state",
    ),
    (
        "sightline_device_rtt_seconds",
        "Round trip of the last good check; absent when there was none",
    ),
)
INFO = ("sightline_device_info", "Where the camera belongs, for joins; always 1")


def label(value: str) -> str:
    """A label value, escaped as the text format asks."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def header(name: str, text: str) -> bytes:
    """The two comment lines before a family."""
    return f"# HELP {name} {text}\n# TYPE {name} gauge\n".encode()


def info_lines(inventory: Inventory) -> bytes:
    """The family that changes only with an import."""
    lines = [
        f'{INFO[0]}{{device_id="{label(c.id)}",township="{label(c.township)}",'
        f'township_name="{label(division_name(inventory, c.township))}",'
        f'grid="{label(c.grid)}",vendor="{label(c.manufacturer)}"}} 1\n'
        for c in inventory.cameras.values()
        if c.in_use
    ]
    return header(*INFO) + "".join(lines).encode()


class DevicePage:
    """The page, in portions.

    Attributes:
        generation: grows with each portion rendered; a page kept for it is current.
    """

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._inventory: Inventory | None = None
        self._prefixes: list[tuple[str, str, str]] = []
        self._portions: list[tuple[bytes, bytes, bytes]] = []
        self._info = b""
        self._next = 0
        self._page: tuple[int, bytes, bytes] = (-1, b"", b"")
        self._making = asyncio.Lock()
        self.generation = 0

    @property
    def portions(self) -> int:
        """How many portions make the page."""
        return ceil(len(self._projection.order) / PORTION)

    def _is_whole(self) -> bool:
        """Every camera of the current archive has been rendered once."""
        same = self._projection.inventory is self._inventory
        return same and len(self._prefixes) == len(self._projection.order)

    def render_next(self) -> None:
        """Render one portion."""
        projection = self._projection
        if projection.inventory is not self._inventory:
            self._take_inventory(projection.inventory)
        if not self._portions:
            return
        at = self._next % len(self._portions)
        first = at * PORTION
        views = projection.order[first : first + PORTION]
        if first == len(self._prefixes):
            self._extend_prefixes(views)
        self._portions[at] = render(views, self._prefixes[first : first + PORTION])
        self._next = at + 1
        self.generation += 1

    def _take_inventory(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._portions = [(b"", b"", b"")] * self.portions
        self._prefixes = []
        self._info = b""
        self._next = 0

    def _extend_prefixes(self, views: list[ChannelView]) -> None:
        for view in views:
            name = label(view.camera.id)
            up, since, rtt = (f'{family}{{device_id="{name}"}} ' for family, _ in FAMILIES)
            self._prefixes.append((up, since, rtt))

    async def page(self) -> tuple[bytes, bytes]:
        """The page as text and as gzip; the work on the kept portions runs in a thread."""
        async with self._making:
            while not self._is_whole():
                self.render_next()
                await asyncio.sleep(0)
            if self._page[0] != self.generation:
                generation, inventory = self.generation, self._inventory
                text, packed, info = await asyncio.to_thread(
                    assemble, list(self._portions), self._info, inventory
                )
                if inventory is self._inventory:
                    self._info = info
                self._page = (generation, text, packed)
            return self._page[1], self._page[2]


def render(
    views: list[ChannelView], prefixes: list[tuple[str, str, str]]
) -> tuple[bytes, bytes, bytes]:
    """The lines of some cameras, by family. Decommissioned ones have none."""
    ups: list[str] = []
    sinces: list[str] = []
    rtts: list[str] = []
    for view, (up, since, rtt) in zip(views, prefixes, strict=False):
        state = view.state
        if state is State.DECOMMISSIONED:
            continue
        value = UP.get(state)
        if value is not None:
            ups.append(f"{up}{value}\n")
        sinces.append(f"{since}{epoch(view.since_at)}\n")
        good = view.last_good
        if good is not None and good.rtt_s is not None:
            rtts.append(f"{rtt}{good.rtt_s:.6f}\n")
    return "".join(ups).encode(), "".join(sinces).encode(), "".join(rtts).encode()


def epoch(at: datetime) -> str:
    """Seconds since 1970 with milliseconds."""
    return f"{at.timestamp():.3f}"


def assemble(
    portions: list[tuple[bytes, bytes, bytes]], info: bytes, inventory: Inventory | None
) -> tuple[bytes, bytes, bytes]:
    """Text, gzip, info family."""
    if not info and inventory is not None:
        info = info_lines(inventory)
    parts: list[bytes] = []
    for at, family in enumerate(FAMILIES):
        parts.append(header(*family))
        parts.extend(portion[at] for portion in portions)
    parts.append(info)
    text = b"".join(parts)
    return text, gzip.compress(text, 1, mtime=0), info
