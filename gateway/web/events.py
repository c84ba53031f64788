"""Signals, event incidents, the feed of alerts; posture, mutes and rules."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from gateway.domain.alerting.mute import mute_to_end, told
from gateway.domain.alerting.posture import is_division, to_end
from gateway.domain.alerting.rows import AlertState, Mute, Posture, PostureLevel
from gateway.domain.camera import ChannelId
from gateway.domain.event import EventKind
from gateway.errors import Refused
from gateway.ports.events import EventQuery
from gateway.web import problems
from gateway.web.access import Access, Route
from gateway.web.audited import audited
from gateway.web.auth import CONTEXT, IDENTITY
from gateway.web.context import EventDesk
from gateway.web.ledger import read_body
from gateway.web.params import NUMBER_DIGITS, Params, is_plain, parse_time
from gateway.web.problems import Problem
from gateway.web.reply import encode, in_slices, iso, send_json, send_page
from gateway.web.shapes import Json, row

FILTERS = frozenset(
    {"since", "until", "open", "channel", "sensor", "kind", "grid", "limit", "cursor"}
)
CURSOR_MOST = 10**NUMBER_DIGITS - 1
ALERTS_MOST = 1_000
"""Messages shown of one incident: the newest say what was not delivered."""


def event_query(params: Params) -> EventQuery:
    """The filters of the two lists.

    Raises:
        Problem: bad-parameters or bad-cursor.
    """
    since, until = params.window()
    channel = params.text("channel")
    open_only, limit = params.flag("open") or False, params.limit()
    kind = params.choice("kind", EventKind)
    sensor, grid = params.text("sensor"), params.text("grid")
    params.check()
    key = params.cursor((str, str))
    try:
        after = None if key is None else (parse_time(key[0]), key[1])
    except ValueError:
        raise Problem(problems.BAD_CURSOR) from None
    held = None if channel is None else ChannelId(channel)
    return EventQuery(since, until, open_only, held, sensor, kind, grid, limit, after)


def nested(item: Any) -> Json:  # noqa: ANN401 - a row with rows in it
    """The fields of a row, those of the rows in it too."""
    found: Json = orjson.loads(encode(row(item)))
    return found


def named(item: Json, desk: EventDesk | None) -> Json:
    """An event or incident with the name that the registry has for its sensor now."""
    name = None if desk is None or item["sensor"] is None else desk.sensor_name(item["sensor"])
    return {**item, "sensor_name": name}


def key_of(after: tuple[datetime, str] | None) -> list[str | None] | None:
    """The sort key of a page as it stands in a cursor."""
    return None if after is None else [iso(after[0]), after[1]]


async def list_events(request: web.Request) -> web.Response:
    """GET /api/v1/events: signals as received, newest first."""
    params = Params(request, FILTERS)
    context = request.app[CONTEXT]
    rows, more = await context.store.events.events(event_query(params))
    items = await in_slices(rows, lambda one: named(row(one), context.desk))
    url = params.next_url(key_of(more))
    return await send_page(request, items, url, context.projection.as_of)


async def list_incidents(request: web.Request) -> web.Response:
    """GET /api/v1/event-incidents: newest first, with links and cameras."""
    params = Params(request, FILTERS)
    context = request.app[CONTEXT]
    rows, more = await context.store.events.incidents(event_query(params))
    items = await in_slices(rows, lambda one: named(nested(one), context.desk))
    url = params.next_url(key_of(more))
    return await send_page(request, items, url, context.projection.as_of)


async def get_incident(request: web.Request) -> web.Response:
    """GET /api/v1/event-incidents/{id}: with its messages and what the center did."""
    Params(request, ()).check()
    incident_id = request.match_info["id"]
    context = request.app[CONTEXT]
    found = await context.store.events.incident(incident_id) if is_plain(incident_id) else None
    if found is None:
        raise Problem(problems.NOT_FOUND, "no event incident has this id")
    content = named(nested(found), context.desk)
    content["receipts"] = [row(one) for one in await context.store.events.receipts(found.id)]
    content["alerts"] = [
        {k: v for k, v in row(one).items() if k != "body"}
        for one in await context.store.events.alerts(key=found.id, limit=ALERTS_MOST)
    ]
    return await send_json(request, content, context.projection.as_of)


async def list_alerts(request: web.Request) -> web.Response:
    """GET /api/v1/alerts: the feed for centers that cannot receive, oldest first."""
    params = Params(request, {"after", "limit", "key", "recipient", "state"})
    after = params.number("after", 0, CURSOR_MOST, 0)
    limit, key = params.limit(), params.text("key") or ""
    recipient = params.text("recipient") or "feed"
    state = params.choice("state", AlertState)
    params.check()
    context = request.app[CONTEXT]
    rows = await context.store.events.alerts(
        after_cursor=after, limit=limit, key=key, state=state or "", recipient=recipient
    )
    items = [row(one) for one in rows]
    content = {"items": items, "after": rows[-1].cursor if rows else after}
    content["more"] = len(rows) == limit
    return await send_json(request, content, context.projection.as_of)


# --- posture, mutes, rules


def desk_of(request: web.Request) -> EventDesk:
    """The desk.

    Raises:
        Problem: unavailable: it is not there yet.
    """
    desk = request.app[CONTEXT].desk
    if desk is None:
        raise Problem(problems.UNAVAILABLE, "the event desk is not started")
    return desk


async def list_postures(request: web.Request) -> web.Response:
    """GET /api/v1/postures: those that hold or will."""
    Params(request, ()).check()
    items = [row(one) for one in desk_of(request).postures()]
    return await send_page(request, items, None, request.app[CONTEXT].projection.as_of)


async def list_mutes(request: web.Request) -> web.Response:
    """GET /api/v1/mutes: those that hold or will."""
    Params(request, ()).check()
    items = [row(one) for one in desk_of(request).mutes()]
    return await send_page(request, items, None, request.app[CONTEXT].projection.as_of)


async def list_rules(request: web.Request) -> web.Response:
    """GET /api/v1/alert-rules: who is told about what, when and why, in order."""
    Params(request, ()).check()
    items = [row(one) for one in desk_of(request).rules()]
    return await send_page(request, items, None, request.app[CONTEXT].projection.as_of)


@dataclass(frozen=True, slots=True)
class _Span:
    from_at: datetime
    until_at: datetime


class _Body:
    """The fields of a body, checked; everything wrong is reported at once."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        self.errors: list[dict[str, str]] = []

    def wrong(self, name: str, reason: str) -> None:
        self.errors.append({"name": name, "reason": reason})

    def span(self, now: datetime) -> _Span:
        from_at = now
        try:
            from_at = parse_time(self.fields["from"]) if "from" in self.fields else now
        except ValueError as error:
            self.wrong("from", str(error))
        try:
            until_at = parse_time(self.fields["until"])
        except ValueError as error:
            self.wrong("until", str(error))
            until_at = now
        if until_at <= max(now, from_at) and not self.errors:
            self.wrong("until", "lies in the past" if until_at <= now else "lies before from")
        return _Span(from_at, until_at)

    def area(self, known: Callable[[str], bool] = is_division) -> str:
        text = self.fields["area"]
        if text == "all":
            return ""
        if not known(text):
            self.wrong("area", "must be the beginning of a division code, or all")
        return text

    def choice(self, name: str, known: set[str]) -> str:
        if self.fields[name] not in known:
            self.wrong(name, f"must be one of {', '.join(sorted(known))}")
        return self.fields[name]

    def check(self) -> None:
        if self.errors:
            raise Problem(problems.BAD_BODY, errors=self.errors)


async def set_posture(request: web.Request) -> web.Response:
    """POST /api/v1/postures: routine or heightened, for an area, until when, why."""
    Params(request, ()).check()
    desk = desk_of(request)
    body = _Body(await read_body(request, ("level", "area", "until", "reason"), ("from",)))
    context = request.app[CONTEXT]
    span = body.span(context.clock.utc(context.clock.now()))
    level = body.choice("level", set(PostureLevel))
    area = body.area(desk.is_area)
    body.check()
    actor = request[IDENTITY].token.name
    posture = Posture(
        secrets.token_hex(8),
        PostureLevel(level),
        area,
        span.from_at,
        span.until_at,
        actor,
        body.fields["reason"],
    )
    async with audited(request, "posture.set", area or "all", detail=f"{level} {posture.id}"):
        await desk.set_posture(posture)
    return await send_json(request, row(posture), context.projection.as_of, status=201)


async def end_posture(request: web.Request) -> web.Response:
    """DELETE /api/v1/postures/{id}: ends it now; one that is to come will not."""
    Params(request, ()).check()
    desk = desk_of(request)
    context, posture_id = request.app[CONTEXT], request.match_info["id"]
    if not is_plain(posture_id):
        raise Problem(problems.NOT_FOUND, "no posture has this id")
    try:
        to_end(desk.postures(), posture_id)
    except Refused as error:
        raise Problem(problems.NOT_FOUND, str(error)) from None
    async with audited(request, "posture.end", posture_id):
        ended = await desk.end_posture(posture_id)
    return await send_json(request, row(ended), context.projection.as_of)


async def set_mute(request: web.Request) -> web.Response:
    """POST /api/v1/mutes: silence for a kind and an area, or one incident; who (the token), why, until."""
    Params(request, ()).check()
    desk = desk_of(request)
    body = _Body(await read_body(request, ("kind", "area", "key", "until", "reason")))
    context = request.app[CONTEXT]
    span = body.span(context.clock.utc(context.clock.now()))
    kind = body.choice("kind", {*EventKind, "all"})
    area = body.area()
    body.check()
    key = body.fields["key"]
    mute = Mute(
        secrets.token_hex(8),
        request[IDENTITY].token.name,
        body.fields["reason"],
        span.from_at,
        span.until_at,
        "" if kind == "all" else kind,
        area,
        "" if key == "all" else key,
    )
    async with audited(request, "mute.set", mute.id, detail=told(mute)):
        await desk.set_mute(mute)
    return await send_json(request, row(mute), context.projection.as_of, status=201)


async def end_mute(request: web.Request) -> web.Response:
    """DELETE /api/v1/mutes/{id}: ends it now; what it silenced and still stands is told."""
    params = Params(request, {"reason"})
    why = params.text("reason")
    params.check()
    desk = desk_of(request)
    context, mute_id = request.app[CONTEXT], request.match_info["id"]
    if not is_plain(mute_id):
        raise Problem(problems.NOT_FOUND, "no mute has this id")
    try:
        found = mute_to_end(desk.mutes(), mute_id, context.clock.utc(context.clock.now()))
    except Refused as error:
        raise Problem(problems.NOT_FOUND, str(error)) from None
    detail = f"{why} ({told(found)})" if why else told(found)
    async with audited(request, "mute.end", mute_id, detail=detail):
        ended = await desk.end_mute(mute_id)
    return await send_json(request, row(ended), context.projection.as_of)


ROUTES = (
    Route("GET", "/api/v1/events", list_events, Access.READ),
    Route("GET", "/api/v1/event-incidents", list_incidents, Access.READ),
    Route("GET", "/api/v1/event-incidents/{id}", get_incident, Access.READ),
    Route("GET", "/api/v1/alerts", list_alerts, Access.CENTER),
    Route("GET", "/api/v1/alert-rules", list_rules, Access.READ),
    Route("GET", "/api/v1/postures", list_postures, Access.READ),
    Route("POST", "/api/v1/postures", set_posture, Access.OPERATE),
    Route("DELETE", "/api/v1/postures/{id}", end_posture, Access.OPERATE),
    Route("GET", "/api/v1/mutes", list_mutes, Access.READ),
    Route("POST", "/api/v1/mutes", set_mute, Access.OPERATE),
    Route("DELETE", "/api/v1/mutes/{id}", end_mute, Access.OPERATE),
)
