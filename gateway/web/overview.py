"""The whole fleet at a glance: summary, wall, today's online rate."""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from aiohttp import hdrs, web

from gateway.domain.ledger import State
from gateway.projection import Dimension, Projection
from gateway.reporting import group_name, read_report, to_csv
from gateway.web.access import Access, Route
from gateway.web.auth import CONTEXT
from gateway.web.cameras import local_day
from gateway.web.params import Params
from gateway.web.reply import AS_OF_HEADER, encode, entity_tag, iso, send, send_json
from gateway.web.shapes import Json, is_takeover, row
from gateway.web.wall import Wall

KEPT_S = 1.0
"""A document of the whole fleet is made at most once a second, however many ask."""
CSV_KEPT_S = 60.0
"""Roll-ups are flushed every few minutes, so a younger table would say the same."""


STATE_NAMES = tuple(state.value for state in State)


class Document(NamedTuple):
    """Bytes ready to send."""

    made: float
    body: bytes
    tag: str
    as_of: datetime | None


class Kept:
    """The documents of the whole fleet as last made, with a lock each so that one is made once."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.locks: dict[str, asyncio.Lock] = {}
        self.wall: Wall | None = None
        self.wall_made = float("-inf")

    def young(self, key: str, now: float, kept_s: float) -> Document | None:
        """The document, if it is young enough."""
        found = self.documents.get(key)
        return found if found is not None and now - found.made < kept_s else None

    def lock(self, key: str) -> asyncio.Lock:
        """The lock of a document."""
        return self.locks.setdefault(key, asyncio.Lock())


KEPT = web.AppKey("kept", Kept)


def counted(states: Mapping[State, int]) -> Json:
    """Counts of all states, and their sums: in use + decommissioned = total, always."""
    counts: Json = dict.fromkeys(STATE_NAMES, 0)
    for state, number in states.items():
        counts[state] = number
    total = sum(states.values())
    counts["in_use"] = total - states.get(State.DECOMMISSIONED, 0)
    counts["total"] = total
    return counts


def fleet(projection: Projection) -> Json:
    """Totals of the whole fleet."""
    suspects = faults = outages = takeover = 0
    for view in projection.order:
        if view.outage is not None:
            outages += 1
            takeover += is_takeover(view)
        elif view.suspect:
            suspects += 1
        if view.faults:
            faults += len(view.faults)
    return {
        **counted(projection.total()),
        "suspect": suspects,
        "takeover": takeover,
        "open_outages": outages,
        "open_faults": faults,
        "open_incidents": len(projection.incidents),
    }


def summary(projection: Projection, by: Dimension) -> Json:
    """Counts by group and of the fleet; the groups always add up to the fleet."""
    inventory = projection.inventory
    items = [
        {"key": key, "name": group_name(inventory, by, key), **counted(states)}
        for key, states in projection.counts(by).items()
        if any(states.values())
    ]
    return {
        "by": by,
        "fleet": fleet(projection),
        "gap": None if projection.gap is None else row(projection.gap),
        "first_round_at": projection.first_round_at,
        "items": items,
    }


async def get_summary(request: web.Request) -> web.Response:
    """GET /api/v1/summary."""
    params = Params(request, {"by"})
    by = params.choice("by", Dimension, Dimension.TOWNSHIP) or Dimension.TOWNSHIP
    params.check()
    context, kept = request.app[CONTEXT], request.app[KEPT]
    projection, now = context.projection, context.clock.now()
    key = f"summary {by}"
    document = kept.young(key, now, KEPT_S)
    if document is None:
        content = encode(summary(projection, by))
        body = content[:-1] + b',"as_of":' + encode(iso(projection.as_of)) + b"}"
        document = Document(now, body, entity_tag(content), projection.as_of)
        kept.documents[key] = document
    return await send(request, document.body, tag=document.tag, headers=as_of_header(document))


def as_of_header(made: Any) -> dict[str, str]:  # noqa: ANN401 - has as_of
    """How fresh the answer is, on a 304 too."""
    stamp = iso(made.as_of)
    return {AS_OF_HEADER: stamp} if stamp else {}


async def get_wall(request: web.Request) -> web.Response:
    """GET /api/v1/wall."""
    Params(request, ()).check()
    context, kept = request.app[CONTEXT], request.app[KEPT]
    projection = context.projection
    async with kept.lock("wall"):
        wall = kept.wall
        while wall is None or wall.inventory is not projection.inventory:
            wall = await Wall.of(projection.inventory)
            kept.wall, kept.wall_made = wall, float("-inf")
        if context.clock.now() - kept.wall_made >= KEPT_S:
            wall.refresh(projection)
            kept.wall_made = context.clock.now()
    body, packed = wall.body, wall.gzipped
    return await send(request, body, tag=wall.tag, gzipped=packed, headers=as_of_header(wall))


async def get_online_rate(request: web.Request) -> web.Response:
    """GET /api/v1/online-rate.csv: the roll-ups of one day by group."""
    params = Params(request, {"by", "date"})
    by = params.choice("by", Dimension, Dimension.TOWNSHIP) or Dimension.TOWNSHIP
    context, kept = request.app[CONTEXT], request.app[KEPT]
    now_at = context.clock.utc(context.clock.now())
    today = local_day(now_at)
    day = _day(params, today)
    params.check()
    key = f"online-rate {by} {day}"
    async with kept.lock("online-rate"):  # reads a lot: one at a time
        document = kept.young(key, context.clock.now(), CSV_KEPT_S)
        if document is None:
            made, _ = await read_report(
                context.store,
                context.projection.inventory,
                by=by,
                first_day=day,
                last_day=day,
                now_at=now_at,
            )
            body = to_csv(made, now_at).encode("utf-8-sig")
            document = Document(context.clock.now(), body, entity_tag(body), now_at)
            kept.documents = {
                k: d for k, d in kept.documents.items() if now_is_young(d, document)
            } | {key: document}
    name = f'attachment; filename="online-rate-{by}-{day}.csv"'
    return await send(
        request,
        document.body,
        content_type="text/csv",
        tag=document.tag,
        headers={hdrs.CONTENT_DISPOSITION: name, **as_of_header(document)},
    )


def now_is_young(document: Document, newest: Document) -> bool:
    """Worth keeping beside the newest."""
    return newest.made - document.made < CSV_KEPT_S


def _day(params: Params, today: date) -> str:
    value = params.given.get("date", "today")
    if value == "today":
        return today.isoformat()
    try:
        day = date.fromisoformat(value)
    except ValueError:
        day = date.max
    if len(value) != len("2026-01-31") or day > today:
        params.wrong("date", "must be `today` or an ISO date (Asia/Shanghai) not after today")
        return today.isoformat()
    return day.isoformat()


async def get_stats(request: web.Request) -> web.Response:
    """GET /api/v1/stats: what the service measures of itself."""
    Params(request, ()).check()
    context = request.app[CONTEXT]
    return await send_json(request, context.stats(), context.projection.as_of)


ROUTES = (
    Route("GET", "/api/v1/stats", get_stats, Access.READ),
    Route("GET", "/api/v1/summary", get_summary, Access.READ),
    Route("GET", "/api/v1/wall", get_wall, Access.READ),
    Route("GET", "/api/v1/online-rate.csv", get_online_rate, Access.READ),
)
