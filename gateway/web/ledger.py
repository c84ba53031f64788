"""The ledger: outages, faults, incidents, gateway gaps, and what people do with an incident."""

import secrets
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Incident
from gateway.ports import IncidentNote, LedgerKind, LedgerQuery, NoteKind
from gateway.web import problems
from gateway.web.access import Access, Handler, Route
from gateway.web.audited import audited
from gateway.web.auth import CONTEXT, IDENTITY
from gateway.web.params import LIMIT_MAX, Params, is_plain, parse_time
from gateway.web.problems import Problem
from gateway.web.reply import in_slices, iso, send_json, send_page
from gateway.web.shapes import Json, channel_row, incident_item, row

FILTERS = frozenset(
    {
        *("since", "until", "open", "channel", "township", "cause", "incident"),
        *("include_merged", "limit", "cursor"),
    }
)
TEXT_MAX = 2000


def ledger_query(params: Params) -> LedgerQuery:
    """The filters of a ledger list.

    Raises:
        Problem: bad-parameters or bad-cursor.
    """
    since, until = params.window()
    channel = params.text("channel")
    query = LedgerQuery(
        since=since,
        until=until,
        open_only=params.flag("open") or False,
        channel=ChannelId(channel) if channel is not None else None,
        township=params.text("township"),
        cause=params.text("cause"),
        incident=params.text("incident"),
        include_merged=params.flag("include_merged") or False,
        limit=params.limit(),
        after=None,
    )
    params.check()
    key = params.cursor((str, str))
    if key is None:
        return query
    try:
        after = (parse_time(key[0]), key[1])
    except ValueError:
        raise Problem(problems.BAD_CURSOR) from None
    return LedgerQuery(**{**row(query), "after": after})


def lister(kind: LedgerKind) -> Handler:
    """The handler that lists one table of the ledger."""

    async def list_rows(request: web.Request) -> web.Response:
        params = Params(request, FILTERS)
        query = ledger_query(params)
        context = request.app[CONTEXT]
        page = await context.store.ledger(kind, query)
        if kind is LedgerKind.INCIDENTS:
            items = await _with_notes(request, list(page.rows))
        elif kind is LedgerKind.GAPS:
            items = [row(item) for item in page.rows]
        else:
            items = await in_slices(page.rows, lambda item: channel_row(item, context.projection))
        key = None if page.next is None else [iso(page.next[0]), page.next[1]]
        return await send_page(request, items, params.next_url(key), context.projection.as_of)

    return list_rows


async def _with_notes(request: web.Request, incidents: list[Incident[datetime]]) -> list[Json]:
    context = request.app[CONTEXT]
    notes: dict[str, list[IncidentNote]] = {}
    if incidents:
        for note in await context.store.notes([one.id for one in incidents]):
            notes.setdefault(note.incident, []).append(note)
    return await in_slices(
        incidents, lambda one: incident_item(one, context.projection, notes.get(one.id, []))
    )


async def find_incident(request: web.Request) -> Incident[datetime]:
    """The incident named in the path.

    Raises:
        Problem: not-found.
    """
    incident_id = request.match_info["id"]
    found = None
    if is_plain(incident_id):
        found = await request.app[CONTEXT].store.incident(incident_id)
    if found is None:
        raise Problem(problems.NOT_FOUND, "no incident has this id")
    return found


async def get_incident(request: web.Request) -> web.Response:
    """GET /api/v1/incidents/{id}: with its outages (the first 1000) and notes."""
    Params(request, ()).check()
    incident = await find_incident(request)
    context = request.app[CONTEXT]
    query = LedgerQuery(incident=incident.id, limit=LIMIT_MAX)
    page = await context.store.ledger(LedgerKind.OUTAGES, query)
    (content,) = await _with_notes(request, [incident])
    content["outages"] = await in_slices(
        page.rows, lambda item: channel_row(item, context.projection)
    )
    content["truncated"] = page.next is not None
    return await send_json(request, content, context.projection.as_of)


async def read_body(
    request: web.Request, fields: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, str]:
    """A JSON object of these text fields, all of them but the optional ones.

    Raises:
        Problem: not-json, too-large, or bad-body with one entry an error.
    """
    if request.content_type != "application/json":
        raise Problem(problems.NOT_JSON, "send Content-Type: application/json")
    try:
        body: Any = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Problem(problems.BAD_BODY, f"is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Problem(problems.BAD_BODY, "must be a JSON object")
    errors = [
        {"name": k[:64], "reason": "is not known here"}
        for k in body
        if k not in (*fields, *optional)
    ]
    for name in (*fields, *(name for name in optional if name in body)):
        value = body.get(name)
        if not isinstance(value, str):
            errors.append({"name": name, "reason": "must be a text"})
        elif not (len(value) <= TEXT_MAX and is_plain(value)):
            reason = f"must be 1 to {TEXT_MAX} characters, the first visible, none of control"
            errors.append({"name": name, "reason": reason})
    if errors:
        raise Problem(problems.BAD_BODY, errors=errors)
    return body


async def acknowledge(request: web.Request) -> web.Response:
    """POST /api/v1/incidents/{id}/acknowledge: who (the token), why, until."""
    Params(request, ()).check()
    body = await read_body(request, ("text", "until"))
    context = request.app[CONTEXT]
    try:
        until = parse_time(body["until"])
    except ValueError as error:
        wrong = [{"name": "until", "reason": str(error)}]
        raise Problem(problems.BAD_BODY, errors=wrong) from None
    incident = await find_incident(request)
    if until <= context.clock.utc(context.clock.now()):
        raise Problem(problems.REFUSED, "until lies in the past: it would acknowledge nothing")
    if incident.ended_at is not None or incident.merged_into is not None:
        raise Problem(problems.REFUSED, "the incident is closed; a note can still be added")
    return await _write(request, incident.id, NoteKind.ACKNOWLEDGE, body["text"], until)


async def add_note(request: web.Request) -> web.Response:
    """POST /api/v1/incidents/{id}/notes."""
    Params(request, ()).check()
    body = await read_body(request, ("text",))
    incident = await find_incident(request)
    return await _write(request, incident.id, NoteKind.NOTE, body["text"], None)


async def _write(
    request: web.Request, incident: str, kind: NoteKind, text: str, until: datetime | None
) -> web.Response:
    context = request.app[CONTEXT]
    note = IncidentNote(
        id=secrets.token_hex(8),
        incident=incident,
        at=context.clock.utc(context.clock.now()),
        actor=request[IDENTITY].token.name,
        kind=kind,
        text=text,
        until=until,
    )
    async with audited(request, f"incident.{kind}", incident, detail=f"note {note.id}"):
        await context.store.add_note(note)
    return await send_json(request, row(note), context.projection.as_of, status=201)


ROUTES = (
    Route("GET", "/api/v1/outages", lister(LedgerKind.OUTAGES), Access.READ),
    Route("GET", "/api/v1/faults", lister(LedgerKind.FAULTS), Access.READ),
    Route("GET", "/api/v1/incidents", lister(LedgerKind.INCIDENTS), Access.READ),
    Route("GET", "/api/v1/gateway-gaps", lister(LedgerKind.GAPS), Access.READ),
    Route("GET", "/api/v1/incidents/{id}", get_incident, Access.READ),
    Route("POST", "/api/v1/incidents/{id}/acknowledge", acknowledge, Access.OPERATE),
    Route("POST", "/api/v1/incidents/{id}/notes", add_note, Access.OPERATE),
)
