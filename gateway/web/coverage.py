"""What cannot be seen: headline, blind spots, places, redundancy, repair order, availability, layers.

Whatever computes runs in the thread that owns the state (`context.coverage.ask`); the loop only shapes.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import shapely
from aiohttp import web

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.figures import CoverageBy, by
from gateway.domain.coverage.model import Floats
from gateway.domain.coverage.place import PlaceId
from gateway.domain.coverage.plane import DECIMALS, DISTRICT
from gateway.domain.coverage.present import Present
from gateway.domain.coverage.redundancy import redundancy
from gateway.domain.coverage.repair import repair_order, roots_of
from gateway.domain.coverage.rows import PlaceState
from gateway.ports.coverage import BlindSpotQuery
from gateway.reporting import FIRST_YEAR, availability_window, read_availability
from gateway.web import problems
from gateway.web.access import Access, Handler, Route
from gateway.web.audited import audited
from gateway.web.auth import CONTEXT
from gateway.web.context import CoverageDesk
from gateway.web.coverage_shapes import (
    PlaceFilter,
    availability_item,
    designed_bounds,
    part_item,
    past_item,
    place_item,
    redundancy_item,
    repair_item,
)
from gateway.web.params import Params, parse_time
from gateway.web.problems import Problem
from gateway.web.reply import encode, in_slices, iso, send, send_json, send_page
from gateway.web.shapes import Json, channel_row, headline_item, row

GEOJSON = "application/geo+json"
VIEW_NAMES = ("seeing", "unverified", "unknown", "not_seeing")
SPOT_FILTERS = frozenset(
    {
        *("since", "until", "open", "channel", "incident", "place", "township"),
        *("polygon", "limit", "cursor"),
    }
)


def desk(request: web.Request) -> CoverageDesk:
    """Who answers for coverage.

    Raises:
        Problem: switched-off.
    """
    found = request.app[CONTEXT].coverage
    if found is None:
        raise Problem(problems.SWITCHED_OFF, "coverage.enabled is false")
    return found


async def get_headline(request: web.Request) -> web.Response:
    """GET /api/v1/coverage: as designed and now; with `by` also in parts."""
    params = Params(request, {"by"})
    what = params.choice("by", CoverageBy)
    params.check()
    asked = desk(request)
    if asked.headline is None:
        await asked.ask(lambda _: None)  # says why
        raise Problem(problems.UNAVAILABLE, "coverage is not computed yet")
    told, at = asked.headline
    content = headline_item(told)
    content["by"] = None if what is None else what.value
    content["parts"] = []
    content["recount"] = _recounted(asked)
    failure = asked.recount_failure
    content["recount_failure"] = (
        None if failure is None else {"at": failure[1], "reason": failure[0]}
    )
    content["designed_bounds"] = await asked.ask(designed_bounds)
    if what is not None:
        inventory = request.app[CONTEXT].projection.inventory
        parts = await asked.ask(lambda p: by(what, p.state, p.places, p.divided, p.designed_m2))
        content["parts"] = await in_slices(parts, lambda part: part_item(inventory, what, part))
    return await send_json(request, content, at)


def _recounted(asked: CoverageDesk) -> Json | None:
    if asked.difference is None:
        return None
    difference, at = asked.difference
    return {"at": at, "equal": not difference, **row(difference)}


# --- rows


async def list_blind_spots(request: web.Request) -> web.Response:
    """GET /api/v1/coverage/blind-spots: now and in history, newest first."""
    params = Params(request, SPOT_FILTERS)
    since, until = params.window()
    channel, place = params.text("channel"), params.text("place")
    with_polygon = params.flag("polygon") or False
    open_only, limit = params.flag("open") or False, params.limit()
    incident, township = params.text("incident"), params.text("township")
    params.check()
    key = params.cursor((str, str))
    try:
        after = None if key is None else (parse_time(key[0]), key[1])
    except ValueError:
        raise Problem(problems.BAD_CURSOR) from None
    query = BlindSpotQuery(
        since,
        until,
        open_only,
        None if channel is None else ChannelId(channel),
        incident,
        None if place is None else PlaceId(place),
        township,
        limit,
        after,
    )
    context = request.app[CONTEXT]
    rows, more = await context.store.coverage.blind_spots(query)

    def shape(item: Any) -> Json:  # noqa: ANN401 - a blind spot
        shown = channel_row(item, context.projection)
        if not with_polygon:
            del shown["polygon"]
        return shown

    items = await in_slices(rows, shape)
    following = None if more is None else [iso(more[0]), more[1]]
    return await send_page(request, items, params.next_url(following), context.projection.as_of)


async def list_places(request: web.Request) -> web.Response:
    """GET /api/v1/coverage/places: each with its state, in the order of the list."""
    params = Params(request, {"state", "township", "kind", "gaps", "limit", "cursor"})
    state, gaps = params.choice("state", PlaceState), params.flag("gaps")
    township, kind, limit = params.text("township"), params.text("kind"), params.limit()
    params.check()
    key = params.cursor((int,))
    first = 0 if key is None else max(0, int(key[0]))

    wanted = PlaceFilter(state, township, kind, gaps)

    def find(present: Present) -> tuple[list[Json], int | None, datetime]:
        return *wanted.page(present, first, limit), present.as_of_at

    items, more, at = await desk(request).ask(find)
    following = None if more is None else [more]
    return await send_page(request, items, params.next_url(following), at)


async def get_redundancy(request: web.Request) -> web.Response:
    """GET /api/v1/coverage/redundancy: what hangs on one camera, heaviest first."""
    params = Params(request, {"limit"})
    limit = params.limit()
    params.check()
    found, at = await desk(request).ask(lambda p: (redundancy(p.state), p.as_of_at))
    content = redundancy_item(found, limit)
    return await send_json(request, content, at)


async def get_repair_order(request: web.Request) -> web.Response:
    """GET /api/v1/coverage/repair-order: visits, the one that restores most first."""
    params = Params(request, {"limit"})
    limit = params.limit()
    params.check()
    near_m = request.app[CONTEXT].settings.coverage.visit_m
    projection = request.app[CONTEXT].projection
    roots = roots_of(projection.incidents.values(), projection.inventory.nodes)
    visits, names, at = await desk(request).ask(
        lambda p: (
            repair_order(p.state, p.cameras.node, near_m, roots),
            p.cameras.node_name,
            p.as_of_at,
        )
    )
    return await send_json(request, repair_item(visits, names, limit), at)


# --- the past


async def get_availability(request: web.Request) -> web.Response:
    """GET /api/v1/coverage/availability?from=&to=: place-hours seen of those due."""
    params = Params(request, {"from", "to"})
    first, last = params.time("from"), params.time("to")
    context = request.app[CONTEXT]
    now = context.clock.utc(context.clock.now())
    params.check()
    try:
        since, until = availability_window(first, last, now)
    except ValueError as error:
        raise Problem(
            problems.BAD_PARAMETERS, errors=[{"name": "from", "reason": str(error)}]
        ) from None
    desk(request)
    found = await read_availability(context.store, since, until)
    return await send_json(request, availability_item(found, since, until), now)


async def get_past(request: web.Request) -> web.Response:
    """GET /api/v1/coverage/at?time=: the places that were not well seen at a past moment."""
    params = Params(request, {"time", "limit", "cursor"})
    at, limit = params.time("time"), params.limit()
    context = request.app[CONTEXT]
    now = context.clock.utc(context.clock.now())
    if at is None:
        params.wrong("time", "is needed")
    elif at > now or at.year < FIRST_YEAR:
        params.wrong("time", "must lie in the past")
    params.check()
    key = params.cursor((str,))
    desk(request)
    at = at or now
    found = await context.store.coverage.past(at, limit, None if key is None else str(key[0]))
    following = params.next_url(None if found.next is None else [found.next])
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    content = {**past_item(found, at), "next": following}
    return await send_json(request, content, now, headers=headers)


# --- layers


Features = tuple[Sequence[str], Sequence[bytes | str], Sequence[Json]]


def layer(collect: Callable[[Present], Features]) -> Handler:
    """The handler of one GeoJSON layer; it is made in the thread that owns the shapes."""

    async def get_layer(request: web.Request) -> web.Response:
        Params(request, ()).check()

        def make(present: Present) -> bytes:
            features = [
                {
                    "type": "Feature",
                    "id": name,
                    "geometry": orjson.Fragment(geometry),
                    "properties": properties,
                }
                for name, geometry, properties in zip(*collect(present), strict=True)
            ]
            head = {"type": "FeatureCollection", "as_of": iso(present.as_of_at)}
            return encode({**head, "features": features})

        return await send(request, await desk(request).ask(make), content_type=GEOJSON)

    return get_layer


def degrees(shapes: Any) -> list[str]:  # noqa: ANN401 - an array of shapes
    """Shapes of the plane as GeoJSON text, all in one call."""

    def turned(xy: Floats) -> Floats:
        return np.round(DISTRICT.to_lonlat(xy), DECIMALS)

    found: list[str] = shapely.to_geojson(
        shapely.orient_polygons(shapely.transform(shapes, turned))
    ).tolist()
    return found


def views(present: Present) -> Features:
    """What each camera sees by design, and whether it does now."""
    state = present.state
    properties = [
        {"name": name, "view": VIEW_NAMES[view], "confidence": confidence}
        for name, view, confidence in zip(
            present.cameras.name,
            state.counters.view.tolist(),
            state.model.confidence.tolist(),
            strict=True,
        )
    ]
    return state.model.channels, degrees(state.model.views), properties


def blind_spots(present: Present) -> Features:
    """What is left of each open blind spot."""
    held = list(present.state.lost_shapes())
    shapes = np.empty(len(held), object)
    shapes[:] = [shape for _, shape in held]
    properties = [row(spot) for spot, _ in held]
    for shown in properties:
        del shown["polygon"]
    return [spot.id for spot, _ in held], degrees(shapes), properties


def listed(present: Present) -> Features:
    """Each listed place with its state."""
    places = present.state.model.places
    weights = present.state.counters.place_weights()
    rows = [place_item(present, n, weights) for n in range(len(places))]
    return places, present.places.geometry, rows


async def post_recount(request: web.Request) -> web.Response:
    """POST /api/v1/coverage/recount: count again from scratch."""
    Params(request, ()).check()
    async with audited(request, "coverage.recount", "coverage"):
        await desk(request).recount()
    content = _recounted(desk(request)) or {}
    return await send_json(request, content, content.get("at"))


ROUTES = (
    Route("GET", "/api/v1/coverage", get_headline, Access.READ),
    Route("GET", "/api/v1/coverage/blind-spots", list_blind_spots, Access.READ),
    Route("GET", "/api/v1/coverage/places", list_places, Access.READ),
    Route("GET", "/api/v1/coverage/redundancy", get_redundancy, Access.READ),
    Route("GET", "/api/v1/coverage/repair-order", get_repair_order, Access.READ),
    Route("GET", "/api/v1/coverage/availability", get_availability, Access.READ),
    Route("GET", "/api/v1/coverage/at", get_past, Access.READ),
    Route("GET", "/api/v1/coverage/layers/views.geojson", layer(views), Access.READ),
    Route("GET", "/api/v1/coverage/layers/blind-spots.geojson", layer(blind_spots), Access.READ),
    Route("GET", "/api/v1/coverage/layers/places.geojson", layer(listed), Access.READ),
    Route("POST", "/api/v1/coverage/recount", post_recount, Access.OPERATE),
)
