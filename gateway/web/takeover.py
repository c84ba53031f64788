"""The takeover list (存量故障) is accepted as work: one camera, some, or all of a division.

The list itself is `GET /api/v1/cameras?takeover=true`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

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
from gateway.web.ledger import TEXT_MAX, read_body
from gateway.web.params import TEXT_MAX as ID_MAX
from gateway.web.params import Params, is_plain
from gateway.web.plans import Check, read_object, wrong_fields
from gateway.web.problems import Problem
from gateway.web.reply import send_json
from gateway.web.shapes import is_takeover

ALL = "all"
MOST = 100
"""Cameras named in one call."""


def _reason(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, str) and len(value) <= TEXT_MAX and is_plain(value)


def _area(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, str) and (value == ALL or (value != "" and is_division(value)))


def _id(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, str) and len(value) <= ID_MAX and is_plain(value)


def _cameras(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, list) and 1 <= len(value) <= MOST and all(map(_id, value))


FIELDS: Mapping[str, tuple[Check, str]] = {
    "area": (_area, f"must be the beginning of a division code, or {ALL}"),
    "cameras": (_cameras, f"must be a list of 1 to {MOST} ids"),
    "reason": (_reason, f"must be 1 to {TEXT_MAX} characters, the first visible, none of control"),
}


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


async def accept_many(request: web.Request) -> web.Response:
    """POST /api/v1/takeover/accept: cameras of the list by name, of a division, or all."""
    Params(request, ()).check()
    desk = _desk_of(request)
    body = await read_object(request)
    errors = wrong_fields(body, FIELDS)
    if "reason" not in body:
        errors.append({"name": "reason", "reason": FIELDS["reason"][1]})
    if ("area" in body) == ("cameras" in body):
        errors.append({"name": "area", "reason": "give area, or cameras: one of the two"})
    if errors:
        raise Problem(problems.BAD_BODY, errors=errors)
    if "cameras" in body:
        views = _named(request, body["cameras"])
        target = body["cameras"][0] if len(views) == 1 else f"{len(views)} cameras"
    else:
        views, target = _below(request, body["area"]), body["area"]
    return await _accept(request, desk, views, target, body["reason"])


def _named(request: web.Request, names: Sequence[str]) -> list[ChannelView]:
    """These cameras, each once.

    Raises:
        Problem: refused, when one of them is not on the list.
    """
    channels = request.app[CONTEXT].projection.channels
    views = [channels.get(ChannelId(name)) for name in dict.fromkeys(names)]
    listed = [view for view in views if view is not None and is_takeover(view)]
    if len(listed) < len(views):
        missing = len(views) - len(listed)
        raise Problem(problems.REFUSED, f"{missing} are not on the takeover list; nothing was done")
    return listed


def _below(request: web.Request, area: str) -> list[ChannelView]:
    return [
        view
        for view in request.app[CONTEXT].projection.order
        if is_takeover(view)
        and (
            area == ALL
            or view.camera.township.startswith(area)
            or view.camera.village.startswith(area)
        )
    ]


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
    Route("POST", "/api/v1/takeover/accept", accept_many, Access.OPERATE),
)
