"""Cameras as they are now, and the intervals of the ledger: outages and blind spots."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import MINYEAR, datetime
from itertools import islice
from typing import Any, TypeVar
from weakref import ref

import numpy as np
import orjson
import shapely
from aiohttp import web

from gateway.domain.camera import Camera, ChannelId
from gateway.domain.coverage.rows import BlindSpot
from gateway.domain.ledger import Outage
from gateway.inventory import Inventory
from gateway.ports import LedgerKind, LedgerQuery
from gateway.ports.coverage import BlindSpotQuery
from gateway.projection import ChannelView, Projection
from gateway.web import problems
from gateway.web.auth import CONTEXT
from gateway.web.ogc.asked import TICK, Asked, Box
from gateway.web.ogc.source import Extent, Found, as_feature, as_point, listed
from gateway.web.params import parse_time
from gateway.web.problems import Problem
from gateway.web.reply import in_slices, iso
from gateway.web.shapes import Json, is_takeover, places

R = TypeVar("R", Outage[datetime], BlindSpot)
Key = tuple[datetime, str]
SLICE = 1000
BATCH = 1000
"""Rows of the ledger read at a time."""
BUDGET, MOST = 20_000, 500_000
"""Rows read for one page: after so many it ends with what was found, and after so many in any case. Who looks
into a quiet box of a long history says when, too."""


def camera_extent(inventory: Inventory) -> Extent | None:
    """The box around all cameras that have a position."""
    positions = np.array(
        [
            (camera.longitude, camera.latitude)
            for camera in inventory.cameras.values()
            if camera.longitude is not None and camera.latitude is not None
        ]
    )
    if not len(positions):
        return None
    west, south = positions.min(axis=0).tolist()
    east, north = positions.max(axis=0).tolist()
    return west, south, east, north


class Cameras:
    """Every camera of the archive, in its order, with its state now. They have no time."""

    cursor: tuple[type, ...] = (str, int)

    def __init__(self) -> None:
        self._known: Callable[[], Inventory | None] = lambda: None
        self._extent: Extent | None = None

    async def page(self, request: web.Request, asked: Asked, after: Sequence[Any] | None) -> Found:
        """Cameras behind the one named by the key, wherever an import has moved it since."""
        projection = request.app[CONTEXT].projection
        order, box, start = projection.order, asked.box, 0
        if after is not None:
            view = projection.channels.get(ChannelId(after[0]))
            start = max(0, after[1] + 1) if view is None else view.index + 1
        found: list[ChannelView] = []
        for first in range(start, len(order), SLICE):
            some = islice(order, first, first + SLICE)
            found.extend(some if box is None else filter(lambda view: _in(box, view), some))
            if len(found) > asked.limit:
                break
            await asyncio.sleep(0)
        page, last = found[: asked.limit], None
        if len(found) > asked.limit:
            last = [page[-1].camera.id, page[-1].index]
        inventory = projection.inventory
        features = await in_slices(page, lambda view: _camera(view, inventory))
        whole = after is None and last is None
        matched = len(order) if box is None else len(page) if whole else None
        return Found(features, last, matched)

    async def one(self, request: web.Request, feature: str) -> bytes | None:
        """A camera by its id."""
        projection = request.app[CONTEXT].projection
        view = projection.channels.get(ChannelId(feature))
        return None if view is None else _camera(view, projection.inventory)

    async def extent(self, request: web.Request) -> Extent | None:
        """The box around all cameras; 14 ms for a district, so once an import."""
        inventory = request.app[CONTEXT].projection.inventory
        if self._known() is not inventory:
            self._known, self._extent = ref(inventory), camera_extent(inventory)
        return self._extent


def _in(box: Box, view: ChannelView) -> bool:
    return box.holds(view.camera.longitude, view.camera.latitude)


def _camera(view: ChannelView, inventory: Inventory) -> bytes:
    """No address and no contact: a map layer is copied from hand to hand."""
    camera, outage = view.camera, view.outage
    properties: Json = {
        "name": camera.name,
        "state": view.state,
        "since_at": view.since_at,
        "takeover": is_takeover(view),
        "outage": None if outage is None else outage.id,
        "outage_cause": None if outage is None else outage.cause,
        "failed_at": None if outage is None else outage.failed_at,
        "faults": listed(sorted(view.faults)),
        **_divisions(camera, inventory),
        "grid": camera.grid,
        "manufacturer": camera.manufacturer,
        "model": camera.model,
        "maintainer": camera.maintainer,
        "carrier": camera.carrier,
    }
    return as_feature(camera.id, as_point(camera.longitude, camera.latitude), properties)


def _divisions(camera: Camera | None, inventory: Inventory) -> Json:
    if camera is None:
        names = ("township", "township_name", "village", "village_name")
        return dict.fromkeys(names, "")
    named = places(inventory, camera)
    return {
        "township": camera.township,
        "township_name": named["township_name"],
        "village": camera.village,
        "village_name": named["village_name"],
    }


# --- intervals


async def collect(
    read: Callable[[Key | None, int], Awaitable[tuple[Sequence[R], Key | None]]],
    wanted: Callable[[Sequence[R]], Awaitable[Sequence[R]]],
    limit: int,
    after: Sequence[Any] | None,
) -> tuple[list[R], Sequence[Any] | None]:
    """Up to `limit` wanted rows, newest first, and the key to go on after.

    One row more is looked for, so that a page which promises another is kept. Where few rows are wanted,
    fewer than `limit` come with a key: it has been read for long enough.

    Raises:
        ValueError: the key is none of ours.
        Problem: bad-parameters: very much was read, and nothing found. An empty page with a next one is
            no way out: it is the last to GDAL.
    """
    key = None if after is None else (parse_time(after[0]), str(after[1]))
    found: list[R] = []
    count = 0
    while True:
        rows, key = await read(key, min(BATCH, limit + 1))
        count += len(rows)
        found += await wanted(rows)
        if len(found) > limit:
            last = found[limit - 1]
            return found[:limit], [iso(last.failed_at), last.id]
        if key is None:
            return found, None
        if found and count >= BUDGET:
            return found, [iso(key[0]), key[1]]
        if count >= MOST:
            reason = f"none of {count} features lies in it: say when, too (datetime)"
            raise Problem(
                problems.BAD_PARAMETERS, reason, errors=[{"name": "bbox", "reason": reason}]
            )


def _since(asked: Asked) -> datetime | None:
    """A row may have stood until its `ended_at`, that moment included; the store leaves it out."""
    if asked.since is None or asked.since.year == MINYEAR:
        return asked.since
    return asked.since - TICK


def _bounds(row: Outage[datetime] | BlindSpot) -> Json:
    """When an interval began and ended, and how well that is known.

    The true start lies up to `start_uncertain_s` before `failed_at`, the true end in (last_failed_at,
    ended_at]. The lower bound of the start is told in seconds on purpose: GDAL sends a filter on any field
    with a time as `datetime`, and a time outside the interval would make it miss rows.
    """
    seen = row.last_seen_at
    return {
        "failed_at": row.failed_at,
        "start_uncertain_s": None if seen is None else (row.failed_at - seen).total_seconds(),
        "last_failed_at": row.last_failed_at,
        "ended_at": row.ended_at,
        "open": row.ended_at is None,
    }


def _of_camera(channel: str, projection: Projection) -> tuple[Camera | None, Json]:
    view = projection.channels.get(ChannelId(channel))
    camera = None if view is None else view.camera
    told: Json = {"channel": channel, "camera_name": "" if camera is None else camera.name}
    return camera, {**told, **_divisions(camera, projection.inventory)}


class Outages:
    """Outages, newest first, each where its camera stands."""

    cursor: tuple[type, ...] = (str, str)

    def __init__(self, cameras: Cameras) -> None:
        self._cameras = cameras

    async def page(self, request: web.Request, asked: Asked, after: Sequence[Any] | None) -> Found:
        """Outages that overlap the window, of cameras in the box."""
        context = request.app[CONTEXT]
        projection, box = context.projection, asked.box
        channels: tuple[ChannelId, ...] | None = None
        if box is not None:
            channels = tuple(view.camera.id for view in projection.order if _in(box, view))

        async def read(key: Key | None, limit: int) -> tuple[Sequence[Outage[datetime]], Any]:
            since, until = _since(asked), asked.until
            query = LedgerQuery(since, until, limit=limit, after=key, channels=channels)
            page = await context.store.ledger(LedgerKind.OUTAGES, query)
            return page.rows, page.next

        async def wanted(rows: Sequence[Outage[datetime]]) -> Sequence[Outage[datetime]]:
            return rows

        rows, more = await collect(read, wanted, asked.limit, after)
        features = await in_slices(rows, lambda row: _outage(row, projection))
        return Found(features, more, None if after or more else len(features))

    async def one(self, request: web.Request, feature: str) -> bytes | None:
        """An outage by its id."""
        context = request.app[CONTEXT]
        found = await context.store.outage(feature)
        return None if found is None else _outage(found, context.projection)

    async def extent(self, request: web.Request) -> Extent | None:
        """Of the cameras."""
        return await self._cameras.extent(request)


def _outage(row: Outage[datetime], projection: Projection) -> bytes:
    camera, told = _of_camera(row.channel, projection)
    properties = {
        **told,
        "cause": row.cause,
        "incident": row.incident,
        **_bounds(row),
        "confirmed_at": row.confirmed_at,
        "bad_s": row.bad_s,
        "unobserved_s": row.unobserved_s,
        "flapping": row.flapping,
        "planned": row.planned,
        "takeover": row.takeover,
        "ending": row.ending,
        "clock_suspect": row.clock_suspect,
        "reason": "; ".join(row.reason),
    }
    where = None if camera is None else as_point(camera.longitude, camera.latitude)
    return as_feature(row.id, where, properties)


class BlindSpots:
    """Blind spots, newest first, each with what it took out of sight when it opened."""

    cursor: tuple[type, ...] = (str, str)

    async def page(self, request: web.Request, asked: Asked, after: Sequence[Any] | None) -> Found:
        """Blind spots that overlap the window and touch the box."""
        context, box = request.app[CONTEXT], asked.box
        store = context.store.coverage

        async def read(key: Key | None, limit: int) -> tuple[Sequence[BlindSpot], Any]:
            query = BlindSpotQuery(_since(asked), asked.until, limit=limit, after=key)
            return await store.blind_spots(query)

        async def wanted(rows: Sequence[BlindSpot]) -> Sequence[BlindSpot]:
            return rows if box is None else await asyncio.to_thread(_touching, rows, box)

        rows, more = await collect(read, wanted, asked.limit, after)
        projection = context.projection
        features = await in_slices(rows, lambda row: _blind_spot(row, projection))
        return Found(features, more, None if after or more else len(features))

    async def one(self, request: web.Request, feature: str) -> bytes | None:
        """A blind spot by its id."""
        context = request.app[CONTEXT]
        found = await context.store.coverage.blind_spot(feature)
        return None if found is None else _blind_spot(found, context.projection)

    async def extent(self, request: web.Request) -> Extent | None:
        """Not known without reading them all."""
        del request
        return None


def _touching(rows: Sequence[BlindSpot], box: Box) -> list[BlindSpot]:
    with_shape = [row for row in rows if row.polygon is not None]
    texts = [orjson.dumps(row.polygon, default=dict).decode() for row in with_shape]
    meets = box.meets(shapely.from_geojson(np.array(texts, object)))
    return [row for row, wanted in zip(with_shape, meets, strict=True) if wanted]


def _blind_spot(row: BlindSpot, projection: Projection) -> bytes:
    properties = {
        **_of_camera(row.channel, projection)[1],
        "cause": row.cause,
        "outage": row.outage,
        "incident": row.incident,
        **_bounds(row),
        "observed_until_at": row.observed_until_at,
        "area_m2": float(row.area_m2),
        "area_now_m2": float(row.area_now_m2),
        "weight": float(row.weight),
        "places": listed(row.places),
        "grids": listed(row.grids),
        "joint": listed(row.joint),
        "planned": row.planned,
    }
    return as_feature(row.id, row.polygon, properties)
