"""The state wall: the layout of all channels once, their states as one letter each.

The layout changes only with an import, so its compressed form is kept, and a refresh compresses
nothing but 12,328 letters behind a copy of the compressor that has already seen the layout.
"""

import asyncio
import zlib
from datetime import datetime

import orjson

from gateway.domain.camera import Camera
from gateway.inventory import Inventory
from gateway.projection import Projection
from gateway.web.reply import entity_tag, iso
from gateway.web.shapes import STATE_CODES

SLICE = 500
"""Channels laid out in one go: well under a millisecond."""
_GZIP = 31
"""zlib's window bits that mean a gzip wrapper."""


async def layout(inventory: Inventory) -> bytes:
    """Divisions, and `[id, name, township, village]` a channel by index, as open JSON.

    Township and village are positions in `divisions`; -1 = not in the archive.
    """
    divisions = list(inventory.divisions.values())
    at = {division.code: n for n, division in enumerate(divisions)}
    head = {
        "codes": {code: state.value for state, code in STATE_CODES.items()},
        "divisions": [[d.code, d.name, d.parent] for d in divisions],
    }

    def channel(camera: Camera) -> list[str | int]:
        return [camera.id, camera.name, at.get(camera.township, -1), at.get(camera.village, -1)]

    cameras = list(inventory.cameras.values())
    parts: list[bytes] = []
    for first in range(0, len(cameras), SLICE):
        rows = [channel(camera) for camera in cameras[first : first + SLICE]]
        parts.append(orjson.dumps(rows)[1:-1])
        await asyncio.sleep(0)
    return orjson.dumps(head)[:-1] + b',"channels":[' + b",".join(parts) + b"]"


class Wall:
    """The wall's document, ready to send.

    Args:
        inventory: the archive of this layout.
        layout: what `layout` made of it.

    Attributes:
        tag: changes with the layout and the states, not with `as_of` or the stream's number.
    """

    def __init__(self, inventory: Inventory, layout: bytes) -> None:
        self.inventory = inventory
        self._layout = layout
        self._layout_tag = entity_tag(layout)
        self._compressor = zlib.compressobj(6, wbits=_GZIP)
        self._packed = self._compressor.compress(layout)
        self.tag = ""
        self.body = b""
        self.gzipped = b""
        self.as_of: datetime | None = None

    @classmethod
    async def of(cls, inventory: Inventory) -> "Wall":
        """Lay out in slices on the loop, compress in a thread (zlib works without the GIL)."""
        return await asyncio.to_thread(cls, inventory, await layout(inventory))

    def refresh(self, projection: Projection) -> None:
        """Take over the states of now (about a millisecond for the whole district)."""
        states = "".join([STATE_CODES[view.state] for view in projection.order])
        self.as_of = projection.as_of
        self.tag = entity_tag(f"{self._layout_tag}{states}".encode())
        rest = {
            "states": states,
            "stream_id": f"{projection.feed.run}-{projection.feed.last_id}",
            "as_of": iso(projection.as_of),
        }
        end = b"," + orjson.dumps(rest)[1:]
        self.body = self._layout + end
        compressor = self._compressor.copy()
        self.gzipped = self._packed + compressor.compress(end) + compressor.flush()
