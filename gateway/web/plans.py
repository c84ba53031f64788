"""Expansion plans (补盲扩面): jobs, results, files; and what one change by hand would do."""

import asyncio
import math
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from gateway.errors import UsageError
from gateway.plan_files import compared, to_geojson, to_xlsx
from gateway.planning import (
    MOST_BUDGET,
    MOST_LENSES,
    MOST_PER_SITE,
    MOST_SITES,
    TIME_LIMIT_S,
    PlanRequest,
    Source,
)
from gateway.ports.coverage import PlanRecord, PlanStatus
from gateway.web import problems
from gateway.web.access import Access, Route
from gateway.web.audited import audited
from gateway.web.auth import CONTEXT, IDENTITY
from gateway.web.context import PlanningDesk
from gateway.web.params import TEXT_MAX, Params, is_plain
from gateway.web.problems import Problem
from gateway.web.reply import encode, send, send_json, send_page
from gateway.web.shapes import Json, row
from gateway.what_if import MOST_CHANGES

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LISTED_MAX = 200
Check = Callable[[Any], bool]


def _number(lowest: float, highest: float, *, above: bool = False) -> Check:
    def good(value: Any) -> bool:  # noqa: ANN401 - JSON
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if not plain or not math.isfinite(value):
            return False
        return (lowest < value if above else lowest <= value) and bool(value <= highest)

    return good


def _whole(lowest: int, highest: int) -> Check:
    within = _number(lowest, highest)
    return lambda value: within(value) and value == int(value)


def _text(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, str) and len(value) <= TEXT_MAX and is_plain(value)


def _texts(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, list) and 1 <= len(value) <= MOST_LENSES and all(map(_text, value))


PLAN_FIELDS: Mapping[str, tuple[Check, str]] = {
    "name": (_text, f"must be a text of 1 to {TEXT_MAX} characters"),
    "sites": (_whole(1, MOST_SITES), f"must be a whole number from 1 to {MOST_SITES}"),
    "budget": (_number(0, MOST_BUDGET, above=True), "must be a number above 0, in CNY"),
    "per_site": (_whole(1, MOST_PER_SITE), f"must be a whole number from 1 to {MOST_PER_SITE}"),
    "backup": (_number(0, 1), "must be a number from 0 to 1"),
    "lenses": (_texts, f"must be a list of 1 to {MOST_LENSES} names of config/planning.toml"),
    "candidates": (lambda value: value in list(Source), f"must be one of {', '.join(Source)}"),
    "time_limit_s": (
        _number(0, TIME_LIMIT_S, above=True),
        f"must be a number above 0, at most {TIME_LIMIT_S:.0f}",
    ),
}
CHANGE_FIELDS: Mapping[str, tuple[Check, str]] = {
    "do": (
        lambda value: value in ("remove", "move", "turn", "add"),
        "must be remove, move, turn or add",
    ),
    "channel": (_text, "must be the id of a camera"),
    "longitude": (_number(-180, 180), "must be degrees east, WGS-84"),
    "latitude": (_number(-90, 90), "must be degrees north, WGS-84"),
    "azimuth_deg": (_number(0, 360), "must be degrees clockwise from north, 0 to 360"),
    "lens": (_text, "must be a name of config/planning.toml"),
}


async def read_object(request: web.Request) -> Any:  # noqa: ANN401 - JSON
    """The JSON body.

    Raises:
        Problem: not-json, too-large, bad-body.
    """
    if request.content_type != "application/json":
        raise Problem(problems.NOT_JSON, "send Content-Type: application/json")
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Problem(problems.BAD_BODY, f"is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Problem(problems.BAD_BODY, "must be a JSON object")
    return body


def wrong_fields(
    body: Mapping[str, Any], fields: Mapping[str, tuple[Check, str]], prefix: str = ""
) -> list[dict[str, str]]:
    """What is wrong with the fields of an object."""
    errors = []
    for name, value in body.items():
        known = fields.get(name)
        if known is None:
            errors.append({"name": prefix + name[:TEXT_MAX], "reason": "is not known here"})
        elif not known[0](value):
            errors.append({"name": prefix + name, "reason": known[1]})
    return errors


def wrong_changes(body: Any) -> list[dict[str, str]]:  # noqa: ANN401 - JSON
    """What is wrong with an object whose `changes` are to be tried."""
    if not isinstance(body, dict):
        return [{"name": "changes", "reason": "must stand in a JSON object"}]
    changes = body.get("changes")
    errors = wrong_fields(body, {"changes": (lambda _: True, "")})
    if not (isinstance(changes, list) and 1 <= len(changes) <= MOST_CHANGES):
        reason = f"must be a list of 1 to {MOST_CHANGES} changes"
        return [{"name": "changes", "reason": reason}]
    for number, change in enumerate(changes):
        at = f"changes[{number}]"
        if not isinstance(change, dict):
            errors.append({"name": at, "reason": "must be a JSON object"})
            continue
        errors += wrong_fields(change, CHANGE_FIELDS, f"{at}.")
        if "do" not in change:
            errors.append({"name": f"{at}.do", "reason": CHANGE_FIELDS["do"][1]})
    return errors


def planning_of(request: web.Request) -> PlanningDesk:
    """The queue.

    Raises:
        Problem: switched-off.
    """
    planning = request.app[CONTEXT].planning
    if planning is None:
        raise Problem(problems.SWITCHED_OFF, "coverage.enabled is false: nothing is planned")
    return planning


def item(record: PlanRecord) -> Json:
    """A plan in a list."""
    return {name: value for name, value in row(record).items() if name != "result"}


async def create_plan(request: web.Request) -> web.Response:
    """POST /api/v1/plans: takes a job; its result is read with GET."""
    Params(request, ()).check()
    body = await read_object(request)
    errors = wrong_fields(body, PLAN_FIELDS)
    if not errors and "sites" not in body and "budget" not in body:
        errors = [{"name": "sites", "reason": "give sites, or budget, or both"}]
    if errors:
        raise Problem(problems.BAD_BODY, errors=errors)
    name = body.pop("name", "")
    asked = PlanRequest.of(
        {key: int(value) if key in {"sites", "per_site"} else value for key, value in body.items()}
    )
    try:
        await asyncio.to_thread(asked.check)
    except UsageError as error:
        raise Problem(problems.BAD_BODY, str(error)) from None
    planning, context = planning_of(request), request.app[CONTEXT]
    record = PlanRecord(
        id=secrets.token_hex(8),
        name=name,
        created_at=context.clock.utc(context.clock.now()),
        actor=request[IDENTITY].token.name,
        status=PlanStatus.QUEUED,
        request=asked.as_dict(),
    )
    async with audited(request, "plan.create", record.id, detail=name):
        await planning.submit(record)
    headers = {"Location": f"/api/v1/plans/{record.id}"}
    as_of = context.projection.as_of
    return await send_json(request, item(record), as_of, status=202, headers=headers)


async def list_plans(request: web.Request) -> web.Response:
    """GET /api/v1/plans: the last ones, newest first, without their results."""
    params = Params(request, ("limit",))
    limit = params.number("limit", 50, LISTED_MAX)
    params.check()
    context = request.app[CONTEXT]
    records = await context.store.coverage.plans(limit)
    items = [item(_live(request, record)) for record in records]
    return await send_page(request, items, None, context.projection.as_of)


def _live(request: web.Request, record: PlanRecord) -> PlanRecord:
    planning = request.app[CONTEXT].planning
    return (planning.live(record.id) if planning else None) or record


async def find_plan(request: web.Request, plan_id: str) -> PlanRecord:
    """A plan, with its progress while it runs.

    Raises:
        Problem: not-found.
    """
    found = None
    if is_plain(plan_id):
        found = await request.app[CONTEXT].store.coverage.plan(plan_id)
    if found is None:
        raise Problem(problems.NOT_FOUND, "no plan has this id")
    return _live(request, found)


async def find_done(request: web.Request, plan_id: str) -> PlanRecord:
    """A plan that has a result.

    Raises:
        Problem: not-found, refused.
    """
    found = await find_plan(request, plan_id)
    if found.result is None:
        raise Problem(problems.REFUSED, f"the plan has no result: it is {found.status}")
    return found


async def get_plan(request: web.Request) -> web.Response:
    """GET /api/v1/plans/{id}: with progress, or result."""
    Params(request, ()).check()
    record = await find_plan(request, request.match_info["id"])
    return await send_json(request, row(record), request.app[CONTEXT].projection.as_of)


async def cancel_plan(request: web.Request) -> web.Response:
    """POST /api/v1/plans/{id}/cancel: stops a job that waits or runs."""
    Params(request, ()).check()
    found = await find_plan(request, request.match_info["id"])
    planning = planning_of(request)
    async with audited(request, "plan.cancel", found.id):
        ended = await planning.cancel(found.id)
    if ended is None:
        raise Problem(problems.REFUSED, f"the plan neither waits nor runs: it is {found.status}")
    return await send_json(request, item(ended), request.app[CONTEXT].projection.as_of)


async def delete_plan(request: web.Request) -> web.Response:
    """DELETE /api/v1/plans/{id}: forgets a plan; a job is cancelled first."""
    Params(request, ()).check()
    context = request.app[CONTEXT]
    found = await find_plan(request, request.match_info["id"])
    async with audited(request, "plan.delete", found.id, detail=found.name):
        if context.planning is not None:
            await context.planning.cancel(found.id)
        await context.store.coverage.delete_plan(found.id)
    return await send_json(request, {"id": found.id, "deleted": True}, context.projection.as_of)


async def export_geojson(request: web.Request) -> web.Response:
    """GET /api/v1/plans/{id}/export.geojson."""
    Params(request, ()).check()
    record = await find_done(request, request.match_info["id"])
    body = await asyncio.to_thread(lambda: encode(to_geojson(record)))
    return await _file(request, body, "application/geo+json", f"plan-{record.id}.geojson")


async def export_xlsx(request: web.Request) -> web.Response:
    """GET /api/v1/plans/{id}/export.xlsx."""
    Params(request, ()).check()
    record = await find_done(request, request.match_info["id"])
    body = await asyncio.to_thread(to_xlsx, record)
    return await _file(request, body, XLSX, f"plan-{record.id}.xlsx")


async def _file(request: web.Request, body: bytes, content_type: str, name: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return await send(request, body, content_type=content_type, headers=headers)


async def compare_plans(request: web.Request) -> web.Response:
    """GET /api/v1/plans/compare?first=…&second=…."""
    params = Params(request, ("first", "second"))
    ids = [params.text(name) for name in ("first", "second")]
    for name in ("first", "second"):
        if name not in params.given:
            params.wrong(name, "is needed")
    params.check()
    one, other = [await find_done(request, plan_id or "") for plan_id in ids]
    return await send_json(request, compared(one, other), request.app[CONTEXT].projection.as_of)


async def ask_what_if(request: web.Request) -> web.Response:
    """POST /api/v1/coverage/what-if: the difference that changes by hand would make."""
    Params(request, ()).check()
    body = await read_object(request)
    errors = wrong_changes(body)
    if errors:
        raise Problem(problems.BAD_BODY, errors=errors)
    try:
        found = await planning_of(request).what_if(body["changes"])
    except UsageError as error:
        raise Problem(problems.BAD_BODY, str(error)) from None
    return await send_json(request, found, request.app[CONTEXT].projection.as_of)


ROUTES = (
    Route("POST", "/api/v1/plans", create_plan, Access.PLAN),
    Route("GET", "/api/v1/plans", list_plans, Access.READ),
    Route("GET", "/api/v1/plans/compare", compare_plans, Access.READ),
    Route("GET", "/api/v1/plans/{id}", get_plan, Access.READ),
    Route("DELETE", "/api/v1/plans/{id}", delete_plan, Access.PLAN),
    Route("POST", "/api/v1/plans/{id}/cancel", cancel_plan, Access.PLAN),
    Route("GET", "/api/v1/plans/{id}/export.geojson", export_geojson, Access.READ),
    Route("GET", "/api/v1/plans/{id}/export.xlsx", export_xlsx, Access.READ),
    Route("POST", "/api/v1/coverage/what-if", ask_what_if, Access.PLAN),
)
