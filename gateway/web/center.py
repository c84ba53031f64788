"""The loop back with the center: receipts (签收 to 办结), dead letters, work orders (工单)."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import orjson
from aiohttp import web

from gateway.dead_letters import Letters, dead_letters
from gateway.domain.alerting.loop import order_overdue
from gateway.domain.alerting.rows import (
    Alert,
    Receipt,
    ReceiptStep,
    WorkOrder,
    WorkOrderState,
)
from gateway.domain.camera import ChannelId, GridId
from gateway.web import problems
from gateway.web.access import Access, Route
from gateway.web.audited import audited
from gateway.web.auth import CONTEXT, IDENTITY
from gateway.web.context import CenterDesk
from gateway.web.ledger import TEXT_MAX as LONG_MAX
from gateway.web.params import TEXT_MAX, Params, is_plain, parse_time
from gateway.web.problems import Problem
from gateway.web.reply import send_json, send_page
from gateway.web.shapes import Json, row

E = TypeVar("E", bound=StrEnum)
CHANNELS_MOST = 200
LETTERS = ("reason", "recipient", "key")
"""What dead letters are found by: the fields of `Letters`, in its order."""
MOVES = (WorkOrderState.ASSIGNED, WorkOrderState.DONE, WorkOrderState.CANCELLED)
"""Where people may take a work order; closing is the service's: it waits for a healthy device."""


class Fields:
    """A JSON object, checked field by field; everything wrong is reported at once.

    Args:
        given: the object.
        known: every field that the call takes.
    """

    def __init__(self, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
        self.given = given
        self.errors = [
            {"name": name[:TEXT_MAX], "reason": "is not known here"}
            for name in given
            if name not in known
        ]

    def wrong(self, name: str, reason: str) -> None:
        """Note an error."""
        self.errors.append({"name": name, "reason": reason})

    def check(self) -> None:
        """Raise all errors found.

        Raises:
            Problem: bad-body.
        """
        if self.errors:
            raise Problem(problems.BAD_BODY, errors=self.errors)

    def text(
        self, name: str, *, most: int = TEXT_MAX, needed: bool = False, empty: bool = False
    ) -> str:
        """A text; "" = not given, which may be said so where it may be `empty`."""
        if name not in self.given:
            if needed:
                self.wrong(name, "is needed")
            return ""
        value = self.given[name]
        if empty and value == "":
            return ""
        if not (isinstance(value, str) and len(value) <= most and is_plain(value)):
            self.wrong(name, f"must be a text of 1 to {most} characters, the first visible")
            return ""
        return value

    def choice(self, name: str, among: tuple[E, ...]) -> E:
        """One of a closed list; needed."""
        value = self.given.get(name)
        found = next((one for one in among if one == value), None)
        if found is None:
            self.wrong(name, f"must be one of {', '.join(among)}")
            return among[0]
        return found

    def time(self, name: str) -> datetime | None:
        """A time with an offset; None = not given."""
        if name not in self.given:
            return None
        try:
            return parse_time(str(self.given[name]))
        except ValueError as error:
            self.wrong(name, str(error))
            return None

    def channels(self, name: str, known: Mapping[ChannelId, Any]) -> tuple[ChannelId, ...]:
        """Ids of the archive; needed."""
        value = self.given.get(name)
        fits = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not fits or not value or len(value) > CHANNELS_MOST:
            self.wrong(name, f"must be a list of 1 to {CHANNELS_MOST} channel ids")
            return ()
        strange = [one for one in value if one not in known]
        if strange:
            self.wrong(name, f"not in the archive: {strange[0][:TEXT_MAX]!r}")
        return tuple(dict.fromkeys(ChannelId(one) for one in value))


async def read_fields(request: web.Request, known: tuple[str, ...]) -> Fields:
    """The body of a request.

    Raises:
        Problem: not-json, too-large or bad-body.
    """
    if request.content_type != "application/json":
        raise Problem(problems.NOT_JSON, "send Content-Type: application/json")
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Problem(problems.BAD_BODY, f"is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Problem(problems.BAD_BODY, "must be a JSON object")
    return Fields(body, known)


def center_of(request: web.Request) -> CenterDesk:
    """Who takes what the center says.

    Raises:
        Problem: unavailable: it is not started.
    """
    center = request.app[CONTEXT].center
    if center is None:
        raise Problem(problems.UNAVAILABLE, "the event desk is not started")
    return center


def now_of(request: web.Request) -> datetime:
    """The service's UTC time."""
    clock = request.app[CONTEXT].clock
    return clock.utc(clock.now())


# --- receipts


async def find_key(request: web.Request) -> str:
    """The incident key in the path; it must be one of an alert.

    Raises:
        Problem: not-found.
    """
    key = request.match_info["key"]
    store = request.app[CONTEXT].store
    if not is_plain(key) or not await store.events.alerts(key=key, limit=1):
        raise Problem(problems.NOT_FOUND, "no alert has this incident key")
    return key


async def list_receipts(request: web.Request) -> web.Response:
    """GET /api/v1/alerts/{key}/receipts: what the center did, oldest first."""
    Params(request, ()).check()
    key = await find_key(request)
    context = request.app[CONTEXT]
    items = [row(one) for one in await context.store.events.receipts(key)]
    return await send_page(request, items, None, context.projection.as_of)


async def take_receipt(request: web.Request) -> web.Response:
    """POST /api/v1/alerts/{key}/receipts: 201 taken, 200 known already, 409 not now."""
    Params(request, ()).check()
    center = center_of(request)
    body = await read_fields(request, ("id", "key", "step", "actor", "text", "grid"))
    receipt_id = body.text("id", needed=True)
    step = body.choice("step", tuple(ReceiptStep))
    actor = body.text("actor", needed=True)
    text = body.text("text", most=LONG_MAX, empty=True)
    grid = body.text("grid")
    named = body.text("key", needed=request[IDENTITY].signed)
    if named and named != request.match_info["key"]:
        body.wrong("key", "is not the one in the path")
    body.check()
    key = await find_key(request)
    receipt = Receipt(
        receipt_id, key, step, now_of(request), actor, text, GridId(grid) if grid else None
    )
    async with audited(request, f"receipt.{step}", key, detail=receipt_id):
        answered = await center.take_receipt(receipt)
    if answered.refused:
        raise Problem(problems.REFUSED, answered.reason)
    content = {
        "id": receipt_id,
        "key": key,
        "step": step,
        "taken": answered.taken,
        "reason": answered.reason,
    }
    as_of = request.app[CONTEXT].projection.as_of
    return await send_json(request, content, as_of, status=201 if answered.taken else 200)


# --- dead letters


def letter(alert: Alert) -> Json:
    """A message without its body."""
    return {name: value for name, value in row(alert).items() if name != "body"}


async def list_dead_letters(request: web.Request) -> web.Response:
    """GET /api/v1/dead-letters: messages that were refused for good or given up, oldest first."""
    params = Params(request, {"limit", "cursor", *LETTERS})
    limit = params.limit()
    wanted = Letters(*(params.text(name) or "" for name in LETTERS))
    params.check()
    after = params.cursor((int,))
    context = request.app[CONTEXT]
    found: list[Alert] = []
    async for alert in dead_letters(context.store, wanted, 0 if after is None else after[0]):
        found.append(alert)
        if len(found) > limit:
            break
    page = found[:limit]
    more = [page[-1].cursor] if len(found) > limit else None
    items = [letter(alert) for alert in page]
    return await send_page(request, items, params.next_url(more), context.projection.as_of)


async def replay(request: web.Request) -> web.Response:
    """POST /api/v1/dead-letters/{id}/replay: it goes out again, with its id."""
    Params(request, ()).check()
    center = center_of(request)
    alert_id = request.match_info["id"]
    context = request.app[CONTEXT]
    alert = await context.store.events.alert(alert_id) if is_plain(alert_id) else None
    if alert is None:
        raise Problem(problems.NOT_FOUND, "no message has this id")
    who = request[IDENTITY].token.name
    async with audited(request, "alert.replay", alert.id, detail=alert.key):
        again = await center.replay(alert, who)
    return await send_json(request, letter(again), context.projection.as_of)


async def replay_many(request: web.Request) -> web.Response:
    """POST /api/v1/dead-letters/replay: all that match go out again; name what, or say `all`."""
    Params(request, ()).check()
    center = center_of(request)
    body = await read_fields(request, (*LETTERS, "all"))
    wanted = Letters(*(body.text(name) for name in LETTERS))
    everything = body.given.get("all", False)
    if not isinstance(everything, bool):
        body.wrong("all", "must be true or false")
    elif everything == (wanted != Letters()) and not body.errors:
        body.wrong("all", f"say it alone, or name one of {', '.join(LETTERS)}")
    body.check()
    who = request[IDENTITY].token.name
    async with audited(request, "alert.replay", "dead-letters", detail=str(wanted)):
        done = await center.replay_all(wanted, who)
    content = {
        "replayed": [alert.id for alert in done.again],
        "refused": [
            {"id": alert.id, "key": alert.key, "reason": why} for alert, why in done.refused
        ],
        "more": done.more,
    }
    return await send_json(request, content, request.app[CONTEXT].projection.as_of)


# --- work orders


def shown(order: WorkOrder, now: datetime) -> Json:
    """A work order, and whether its time is up."""
    return {**row(order), "overdue": order_overdue(order, now)}


async def list_orders(request: web.Request) -> web.Response:
    """GET /api/v1/work-orders: newest first."""
    params = Params(request, {"open", "limit"})
    open_only, limit = params.flag("open") or False, params.limit()
    params.check()
    context = request.app[CONTEXT]
    orders = await context.store.events.work_orders(open_only=open_only, limit=limit)
    now = now_of(request)
    items = [shown(order, now) for order in orders]
    return await send_page(request, items, None, context.projection.as_of)


async def create_order(request: web.Request) -> web.Response:
    """POST /api/v1/work-orders: a repair, for an incident."""
    Params(request, ()).check()
    center = center_of(request)
    context = request.app[CONTEXT]
    body = await read_fields(request, ("key", "channels", "text", "assignee", "due_at"))
    key, assignee = body.text("key", needed=True), body.text("assignee")
    text = body.text("text", most=LONG_MAX, empty=True)
    channels = body.channels("channels", context.projection.channels)
    due_at, now = body.time("due_at"), now_of(request)
    if due_at is not None and due_at <= now:
        body.wrong("due_at", "lies in the past")
    body.check()
    order = WorkOrder(
        id=secrets.token_hex(8),
        key=key,
        channels=channels,
        state=WorkOrderState.ASSIGNED if assignee else WorkOrderState.OPEN,
        created_at=now,
        created_by=request[IDENTITY].token.name,
        assignee=assignee,
        due_at=due_at,
        text=text,
    )
    async with audited(request, "work_order.create", key, detail=order.id):
        await center.add_order(order)
    return await send_json(request, shown(order, now), context.projection.as_of, status=201)


async def move_order(request: web.Request) -> web.Response:
    """PATCH /api/v1/work-orders/{id}: assign, say that it is done, or cancel."""
    Params(request, ()).check()
    center = center_of(request)
    body = await read_fields(request, ("state", "assignee"))
    state, assignee = body.choice("state", MOVES), body.text("assignee")
    if state is WorkOrderState.ASSIGNED and not assignee and not body.errors:
        body.wrong("assignee", "is needed to assign it")
    body.check()
    order_id = request.match_info["id"]
    order = await center.find_order(order_id) if is_plain(order_id) else None
    if order is None:
        raise Problem(problems.NOT_FOUND, "no work order has this id")
    async with audited(request, f"work_order.{state}", order.id, detail=assignee):
        moved, answered = await center.move_order(order, state, assignee)
    if answered.refused:
        raise Problem(problems.REFUSED, answered.reason)
    as_of = request.app[CONTEXT].projection.as_of
    return await send_json(request, shown(moved, now_of(request)), as_of)


ROUTES = (
    Route("GET", "/api/v1/alerts/{key}/receipts", list_receipts, Access.READ),
    Route("POST", "/api/v1/alerts/{key}/receipts", take_receipt, Access.CENTER),
    Route("GET", "/api/v1/dead-letters", list_dead_letters, Access.OPERATE),
    Route("POST", "/api/v1/dead-letters/replay", replay_many, Access.OPERATE),
    Route("POST", "/api/v1/dead-letters/{id}/replay", replay, Access.OPERATE),
    Route("GET", "/api/v1/work-orders", list_orders, Access.READ),
    Route("POST", "/api/v1/work-orders", create_order, Access.OPERATE),
    Route("PATCH", "/api/v1/work-orders/{id}", move_order, Access.OPERATE),
)
