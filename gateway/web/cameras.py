"""Cameras: lists, one camera, its history, its last checks, and `check now`."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice
from math import ceil
from operator import attrgetter

from aiohttp import web

from gateway.domain.camera import Camera, ChannelId
from gateway.domain.ledger import State
from gateway.domain.observation import FaultCause, Instant, Verdict
from gateway.domain.rates import tally
from gateway.ports import LedgerKind, LedgerQuery
from gateway.projection import ChannelView, Projection
from gateway.web import problems
from gateway.web.access import Access, Route
from gateway.web.audited import audited
from gateway.web.auth import CONTEXT, IDENTITY
from gateway.web.limits import RateLimit
from gateway.web.params import LIMIT_MAX, Params
from gateway.web.problems import Problem
from gateway.web.reply import in_slices, send_json, send_page
from gateway.web.shapes import (
    Json,
    answer_item,
    camera_detail,
    camera_item,
    channel_row,
    is_takeover,
    row,
)

SLICE = 1000
HISTORY_DAYS = 30
HISTORY_DAYS_MAX = 92
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")

CHECKS = web.AppKey("checks", RateLimit)


def find_view(request: web.Request) -> ChannelView:
    """The channel named in the path.

    Raises:
        Problem: not-found.
    """
    camera_id = request.match_info["id"]
    view = request.app[CONTEXT].projection.channels.get(ChannelId(camera_id))
    if view is None:
        raise Problem(problems.NOT_FOUND, "no camera of the archive has this id")
    return view


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of cameras is narrowed by; None = not by this."""

    township: str | None
    village: str | None
    grid: str | None
    vendor: str | None
    state: State | None
    fault: FaultCause | None
    takeover: bool | None
    query: str | None

    @classmethod
    def of(cls, params: Params) -> "Filters":
        """Read the parameters; errors are noted in `params`."""
        query = params.text("q")
        return cls(
            township=params.text("township"),
            village=params.text("village"),
            grid=params.text("grid"),
            vendor=params.text("vendor"),
            state=params.choice("state", State),
            fault=params.choice("fault", FaultCause),
            takeover=params.flag("takeover"),
            query=None if query is None else query.casefold(),
        )

    def passing(self, views: Iterable[ChannelView]) -> Iterable[ChannelView]:
        """The channels that are wanted; only what was asked for costs anything."""
        if self.state is not None:
            views = [v for v in views if v.state is self.state]
        if self.fault is not None:
            views = [v for v in views if self.fault in v.faults]
        if self.takeover is not None:
            views = [v for v in views if is_takeover(v) == self.takeover]
        for wanted, field in (
            (self.township, attrgetter("camera.township")),
            (self.village, attrgetter("camera.village")),
            (self.grid, attrgetter("camera.grid")),
            (self.vendor, attrgetter("camera.manufacturer")),
        ):
            if wanted is not None:
                views = [v for v in views if field(v) == wanted]
        if self.query is not None:
            views = [v for v in views if self._finds(v.camera)]
        return views

    def _finds(self, camera: Camera) -> bool:
        needle = self.query or ""
        return needle in camera.id or needle in camera.device or needle in camera.name.casefold()


async def matching(
    order: Sequence[ChannelView], start: int, limit: int, filters: Filters
) -> list[ChannelView]:
    """Up to `limit` channels from index `start` on, in the order of the archive.

    The loop gets a turn every `SLICE` channels: a search through all of them takes milliseconds.
    """
    found: list[ChannelView] = []
    for first in range(start, len(order), SLICE):
        passing = filters.passing(order[first : first + SLICE])
        found.extend(islice(passing, limit - len(found)))
        if len(found) >= limit:
            break
        await asyncio.sleep(0)
    return found


async def list_cameras(request: web.Request) -> web.Response:
    """GET /api/v1/cameras."""
    params = Params(
        request, {f.name for f in fields(Filters)} - {"query"} | {"q", "limit", "cursor"}
    )
    filters = Filters.of(params)
    limit = params.limit()
    params.check()
    projection = request.app[CONTEXT].projection
    inventory, order = projection.inventory, projection.order
    found = await matching(order, _start(projection, params), limit + 1, filters)
    items = await in_slices(found[:limit], lambda view: camera_item(view, inventory))
    last = found[limit - 1] if len(found) > limit else None
    key = None if last is None else [last.camera.id, last.index]
    return await send_page(request, items, params.next_url(key), projection.as_of)


def _start(projection: Projection, params: Params) -> int:
    """Where a page begins: after the camera it names, wherever an import has moved it since."""
    key = params.cursor((str, int))
    if key is None:
        return 0
    view = projection.channels.get(ChannelId(key[0]))
    return max(0, key[1] + 1) if view is None else view.index + 1


async def get_camera(request: web.Request) -> web.Response:
    """GET /api/v1/cameras/{id}."""
    Params(request, ()).check()
    view = find_view(request)
    context = request.app[CONTEXT]
    projection = context.projection
    content = camera_detail(view, projection.inventory)
    if content["outage"] is not None:
        content["outage"]["last_failed_at"] = last_failed_at(view, context.clock.utc)
    return await send_json(request, content, projection.as_of)


def last_failed_at(view: ChannelView, utc: Callable[[Instant], datetime]) -> datetime | None:
    """Of the open outage, its last failed check that is known now.

    The row of the ledger says so when it closes: to write each failed check would be a row a check.
    """
    failed = [utc(one.started) for one in view.failures if one.verdict is Verdict.NO_ANSWER]
    return max((*failed[-1:], view.outage.last_failed_at)) if view.outage is not None else None


async def get_history(request: web.Request) -> web.Response:
    """GET /api/v1/cameras/{id}/history: outages, faults and daily roll-ups of a window."""
    params = Params(request, {"since", "until"})
    since, until = params.window()
    params.check()
    view = find_view(request)
    context = request.app[CONTEXT]
    until = until or context.clock.utc(context.clock.now())
    since = since or earlier(until, HISTORY_DAYS)
    if until - since > timedelta(days=HISTORY_DAYS_MAX) or since >= until:
        params.wrong("since", f"must be before until, by {HISTORY_DAYS_MAX} days at most")
        params.check()
    query = LedgerQuery(since=since, until=until, channel=view.camera.id, limit=LIMIT_MAX)
    outages = await context.store.ledger(LedgerKind.OUTAGES, query)
    faults = await context.store.ledger(LedgerKind.FAULTS, query)
    first, last = local_day(since), local_day(until - timedelta(microseconds=1))
    days = await context.store.rollups(first.isoformat(), last.isoformat(), view.camera.id)
    projection = context.projection
    content: Json = {
        "camera": view.camera.id,
        "since": since,
        "until": until,
        "outages": await in_slices(outages.rows, lambda item: channel_row(item, projection)),
        "faults": await in_slices(faults.rows, lambda item: channel_row(item, projection)),
        "truncated": outages.next is not None or faults.next is not None,
        "days": [{**row(day), **tally([day.added_up()]).as_dict()} for day in days],
    }
    return await send_json(request, content, projection.as_of)


def earlier(at: datetime, days: int) -> datetime:
    """`days` before `at`, not before the calendar begins."""
    try:
        return at - timedelta(days=days)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def local_day(at: datetime) -> date:
    """The day in Asia/Shanghai."""
    return at.astimezone(SHANGHAI).date()


async def get_trace(request: web.Request) -> web.Response:
    """GET /api/v1/cameras/{id}/trace: the last answer, the last good one, the kept failures."""
    Params(request, ()).check()
    view = find_view(request)
    context = request.app[CONTEXT]
    utc = context.clock.utc
    content: Json = {
        "camera": view.camera.id,
        "state": view.state,
        "since_at": view.since_at,
        "last_answer": answer_item(view.last_answer, utc),
        "last_good": answer_item(view.last_good, utc),
        "failures": [answer_item(answer, utc) for answer in view.failures],
    }
    return await send_json(request, content, context.projection.as_of)


def take_check(request: web.Request) -> None:
    """Spend one of the caller's checks of this minute.

    Raises:
        Problem: too-many-requests, with `Retry-After`.
    """
    context = request.app[CONTEXT]
    wait_s = request.app[CHECKS].take(request[IDENTITY].token.id, context.clock.now())
    if wait_s:
        rate = context.settings.web.check_rate
        detail = f"{rate} checks a minute for each token"
        raise Problem(problems.TOO_MANY, detail, headers={"Retry-After": str(ceil(wait_s))})


async def check_camera(request: web.Request) -> web.Response:
    """POST /api/v1/cameras/{id}/check: ask the device now; the answer also goes to the judge."""
    Params(request, ()).check()
    view = find_view(request)
    take_check(request)
    context = request.app[CONTEXT]
    async with audited(request, "camera.check", view.camera.id):
        answer = await context.check_now(view.camera.id)
    content: Json = {
        "camera": view.camera.id,
        "state": view.state,
        "answer": answer_item(answer, context.clock.utc),
    }
    return await send_json(request, content, context.projection.as_of)


ROUTES = (
    Route("GET", "/api/v1/cameras", list_cameras, Access.READ),
    Route("GET", "/api/v1/cameras/{id}", get_camera, Access.READ),
    Route("GET", "/api/v1/cameras/{id}/history", get_history, Access.READ),
    Route("GET", "/api/v1/cameras/{id}/trace", get_trace, Access.READ),
    Route("POST", "/api/v1/cameras/{id}/check", check_camera, Access.OPERATE),
)
