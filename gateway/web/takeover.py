"""The takeover list (存量故障) is accepted as work: one camera, or all of a division.

The list itself is `GET /api/v1/cameras?takeover=true`.
"""

from collections.abc import Sequence

from aiohttp import web

from gateway.domain.alerting.posture import is_division
from gateway.domain.camera import ChannelId
from gateway.projection import ChannelView
from gateway.web import problems
from gateway.web.access import Access, Route
from gateway.web.audited import audited
from gateway.web.auth import CONTEXT, IDENTITY
from gateway.web.cameras import find_view
from gateway.web.context import TakeoverDesk
from gateway.web.ledger import read_body
from gateway.web.params import Params
from gateway.web.problems import Problem
from gateway.web.reply import send_json
from gateway.web.shapes import is_takeover

ALL = "all"


def _desk_of(request: web.Request) -> TakeoverDesk:
    desk = request.app[CONTEXT].takeover
    if desk is None:
        raise Problem(problems.UNAVAILABLE, "the judge is not started")
    return desk


async def accept_camera(request: web.Request) -> web.Response:
    """POST /api/v1/cameras/{id}/accept: it is work from now on, with an incident of its own."""
    Params(request, ()).check()
    view = find_view(request)
    desk = _desk_of(request)
    body = await read_body(request, ("reason",))
    if not is_takeover(view):
        raise Problem(problems.REFUSED, "this camera is not on the takeover list")
    return await _accept(request, desk, [view], view.camera.id, body["reason"])


async def accept_area(request: web.Request) -> web.Response:
    """POST /api/v1/takeover/accept: all cameras of the list in a division, or everywhere."""
    Params(request, ()).check()
    desk = _desk_of(request)
    body = await read_body(request, ("area", "reason"))
    area = body["area"]
    if area != ALL and not is_division(area):
        reason = f"must be the beginning of a division code, or {ALL}"
        raise Problem(problems.BAD_BODY, errors=[{"name": "area", "reason": reason}])
    views = [
        view
        for view in request.app[CONTEXT].projection.order
        if is_takeover(view)
        and (
            area == ALL
            or view.camera.township.startswith(area)
            or view.camera.village.startswith(area)
        )
    ]
    return await _accept(request, desk, views, area, body["reason"])


async def _accept(
    request: web.Request,
    desk: TakeoverDesk,
    views: Sequence[ChannelView],
    target: str,
    reason: str,
) -> web.Response:
    channels: list[ChannelId] = [view.camera.id for view in views]
    context = request.app[CONTEXT]
    detail = f"{len(channels)} cameras: {reason}"
    async with audited(request, "takeover.accept", target, detail=detail):
        if channels:
            await desk.accept(channels, request[IDENTITY].token.name, reason)
    content = {"accepted": len(channels), "cameras": channels}
    return await send_json(request, content, context.projection.as_of)


ROUTES = (
    Route("POST", "/api/v1/cameras/{id}/accept", accept_camera, Access.OPERATE),
    Route("POST", "/api/v1/takeover/accept", accept_area, Access.OPERATE),
)
