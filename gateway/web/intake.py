"""The HTTP intake of sensors and other systems: signed, guarded against replay, answered when stored.

`POST /api/v1/intake/{source}` with `{"topic": ..., "payload": ...}`; the payload is read by the same rules
as a message over MQTT on that topic. docs/guide/sensors.md
"""

from collections import OrderedDict
from typing import Any

import orjson
from aiohttp import web

from gateway.domain.event import Event, EventSource
from gateway.domain.observation import Instant
from gateway.domain.sensor_mapping import Message
from gateway.errors import Unavailable
from gateway.metrics import SENSOR_MESSAGES
from gateway.web import problems
from gateway.web.access import Access, Route
from gateway.web.auth import CONTEXT
from gateway.web.context import IntakeDesk
from gateway.web.limits import RateLimit
from gateway.web.params import Params
from gateway.web.problems import Problem
from gateway.web.reply import send_json
from gateway.web.signed import MESSAGE_ID

DONE_MOST = 20_000
DONE_S = 660.0
"""A signature is valid for 5 minutes to both sides of its time."""
TOPIC_MOST = 200


class Done:
    """Messages that were answered, and those that are being stored. Bounded."""

    def __init__(self) -> None:
        self._done: OrderedDict[tuple[str, str], Instant] = OrderedDict()
        self.busy: set[tuple[str, str]] = set()

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._done

    def add(self, key: tuple[str, str], now: Instant) -> None:
        """Remember a message; the oldest are forgotten."""
        self._done[key] = now
        while self._done:
            at = next(iter(self._done.values()))
            if at > now - DONE_S and len(self._done) <= DONE_MOST:
                return
            self._done.popitem(last=False)


INTAKE_RATE = web.AppKey("intake_rate", RateLimit)
DONE = web.AppKey("done", Done)


async def post_message(request: web.Request) -> web.Response:
    """POST /api/v1/intake/{source}: 202 when what it means is stored."""
    Params(request, ()).check()
    context = request.app[CONTEXT]
    desk, source = desk_of(context.intake), request.match_info["source"]
    now = context.clock.now()
    wait_s = request.app[INTAKE_RATE].take(source, now)
    if wait_s:
        detail = f"{context.settings.intake.rate} messages a minute are allowed"
        raise Problem(
            problems.TOO_MANY, detail, headers={"Retry-After": str(max(1, round(wait_s)))}
        )
    topic, payload = read_message(request, await request.read())
    if not desk.mapping.may_report(source, topic):
        raise Problem(problems.WRONG_TOPIC, f"source {source!r} may not report this topic")
    key = (source, request.headers[MESSAGE_ID])
    done = request.app[DONE]
    if key in done:
        SENSOR_MESSAGES.labels("http", "repeat").inc()
        return await send_json(request, {"result": "repeat", "reason": None}, None, status=202)
    if key in done.busy:
        raise Unavailable("this message is being stored")
    at = context.clock.utc(now)
    done.busy.add(key)
    try:
        result = await take(desk, Message(topic, payload, at, EventSource.HTTP, "/".join(key)))
    finally:
        done.busy.discard(key)
    done.add(key, now)
    return await send_json(request, result, None, status=202)


async def take(desk: IntakeDesk, message: Message) -> dict[str, str | None]:
    """Read a message and return when its event, if it is one, is stored.

    Raises:
        StoreUnavailable: it is not; the sensor's next reading is told whatever it is.
    """
    found = desk.sensors.read(message)
    if not isinstance(found, Event):
        SENSOR_MESSAGES.labels("http", found.reason.value).inc()
        return {"result": "dropped", "reason": found.reason.value}
    try:
        await desk.deliver([found])
    except BaseException:
        desk.sensors.forget([found])
        raise
    SENSOR_MESSAGES.labels("http", "event").inc()
    return {"result": "event", "reason": None}


def desk_of(intake: IntakeDesk | None) -> IntakeDesk:
    """The desk, where the intake is switched on."""
    if intake is None or not intake.secrets:
        raise Problem(problems.SWITCHED_OFF, "intake.secrets_dir is not set")
    return intake


def read_message(request: web.Request, body: bytes) -> tuple[str, bytes]:
    """Topic and payload of a body; plain text stands as a JSON string, and is sent on as that text."""
    if request.content_type != "application/json":
        raise Problem(problems.NOT_JSON)
    try:
        content: Any = orjson.loads(body)
    except ValueError:
        raise Problem(problems.BAD_BODY, "the body is not JSON") from None
    if not isinstance(content, dict) or set(content) != {"topic", "payload"}:
        raise Problem(problems.BAD_BODY, "the body must be an object of topic and payload")
    topic, payload = content["topic"], content["payload"]
    if not isinstance(topic, str) or not 0 < len(topic) <= TOPIC_MOST:
        errors = [{"name": "topic", "reason": f"must be text of 1 to {TOPIC_MOST} characters"}]
        raise Problem(problems.BAD_BODY, errors=errors)
    return topic, payload.encode() if isinstance(payload, str) else orjson.dumps(payload)


ROUTES = (Route("POST", "/api/v1/intake/{source}", post_message, Access.SIGNED),)
