"""How far coverage can be trusted: bounds, survey order, and cameras that look where none may.

All of it is by design (every camera up) and stands still between two imports.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from aiohttp import web

from gateway.domain.coverage.archive_view import Missing
from gateway.domain.coverage.figures import CoverageBy
from gateway.domain.coverage.present import Present
from gateway.domain.coverage.trust import BoundedPart
from gateway.web.access import Access, Route
from gateway.web.auth import CONTEXT
from gateway.web.coverage import desk
from gateway.web.coverage_shapes import (
    IntrusionFilter,
    bounded_item,
    bounded_parts,
    bounds_item,
    intrusion_item,
    part_name,
    survey_item,
    survey_rows,
    trust_in,
)
from gateway.web.params import Params
from gateway.web.reply import in_slices, send_json
from gateway.web.shapes import Json


async def _send(
    request: web.Request,
    head: Mapping[str, Any],
    items: Sequence[Json],
    params: Params,
    more: Sequence[Any] | None,
    at: datetime,
) -> web.Response:
    """A page below figures of the whole."""
    following = params.next_url(more)
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    content = {**head, "items": items, "next": following}
    return await send_json(request, content, at, headers=headers)


async def get_bounds(request: web.Request) -> web.Response:
    """GET /api/v1/coverage/bounds: lower, expected, upper; with `by` also of parts."""
    params = Params(request, {"by", "limit", "cursor"})
    what, limit = params.choice("by", CoverageBy), params.limit()
    params.check()
    key = params.cursor((str,))
    after = None if key is None else str(key[0])
    inventory = request.app[CONTEXT].projection.inventory

    def find(present: Present) -> tuple[Json, list[BoundedPart], datetime]:
        bounds = trust_in(present).bounds
        parts = [] if what is None else bounded_parts(present, what)
        first = 0 if after is None else bisect_right(parts, after, key=lambda part: part.code)
        return bounds_item(bounds), parts[first : first + limit + 1], present.built_at

    head, parts, at = await desk(request).ask(find)
    items: list[Json] = []
    if what is not None:
        items = await in_slices(
            parts[:limit],
            lambda part: bounded_item(part, part_name(inventory, what, part.code)),
        )
    more = [parts[limit - 1].code] if len(parts) > limit else None
    head["by"] = None if what is None else what.value
    return await _send(request, head, items, params, more, at)


async def get_survey_order(request: web.Request) -> web.Response:
    """GET /api/v1/coverage/survey-order: cameras whose missing archive fields cost most first."""
    params = Params(request, {"township", "field", "limit", "cursor"})
    township, field = params.text("township"), params.choice("field", Missing)
    limit = params.limit()
    params.check()
    key = params.cursor((int,))
    first = 0 if key is None else max(0, int(key[0]))
    inventory = request.app[CONTEXT].projection.inventory

    def find(present: Present) -> tuple[Json, list[Json], list[int] | None, datetime]:
        order = trust_in(present).survey
        head = {"cameras": len(order), "by_field": dict(order.by_field)}
        rows = list(islice(survey_rows(present, order, first, township, field), limit + 1))
        items = [survey_item(present, order, n, inventory) for n in rows[:limit]]
        return head, items, rows[limit:] or None, present.built_at

    head, items, more, at = await desk(request).ask(find)
    return await _send(request, head, items, params, more, at)


async def list_intrusions(request: web.Request) -> web.Response:
    """GET /api/v1/coverage/intrusions: standing cameras that look into prohibited areas."""
    params = Params(request, {"possible", "township", "limit", "cursor"})
    wanted = IntrusionFilter(params.flag("possible") or False, params.text("township"))
    limit = params.limit()
    params.check()
    key = params.cursor((int,))
    first = 0 if key is None else max(0, int(key[0]))
    inventory = request.app[CONTEXT].projection.inventory

    def find(present: Present) -> tuple[Json, list[Json], list[int] | None, datetime]:
        rows = wanted.rows(present, trust_in(present).intrusions)
        head = {
            "cameras": len({one.channel for one, _ in rows}),
            "areas": len({one.area for one, _ in rows}),
        }
        page = rows[first : first + limit]
        items = [intrusion_item(present, one, c, inventory) for one, c in page]
        more = [first + limit] if len(rows) > first + limit else None
        return head, items, more, present.built_at

    head, items, more, at = await desk(request).ask(find)
    return await _send(request, head, items, params, more, at)


ROUTES = (
    Route("GET", "/api/v1/coverage/bounds", get_bounds, Access.READ),
    Route("GET", "/api/v1/coverage/survey-order", get_survey_order, Access.READ),
    Route("GET", "/api/v1/coverage/intrusions", list_intrusions, Access.READ),
)
