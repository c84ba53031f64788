"""The signed HTTP intake: who may post what, and when it is answered."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.sensors import Shelf, intake, sensor
from fakes.web_service import WebService, district, running
from standardwebhooks import Webhook

from adapters.virtual.sensors import HttpLine, SensorPublisher
from gateway.domain.event import EventKind, EventSource
from gateway.domain.sensor_intake import SensorIntake
from gateway.ports import Role
from gateway.sensor_config import IntakeSource, SensorMapping

SECRET = "whsec_" + "QUJD" * 8
OLDER = "whsec_" + "REVG" * 8
FOREIGN = "whsec_" + "R0hJ" * 8
SMOKE = sensor(1, EventKind.SMOKE, "jiedao/smoke/1")
SOS = sensor(2, EventKind.SOS, "street/sos/2")
PATH = "/api/v1/intake/jiedao"


@dataclass
class Desk:
    """What the service gives the web."""

    shelf: Shelf = field(default_factory=Shelf)
    sensors: SensorIntake = field(default_factory=lambda: intake([SMOKE, SOS]))
    mapping: SensorMapping = field(
        default_factory=lambda: SensorMapping((), (IntakeSource("granted", ("street/#",)),))
    )
    secrets: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "jiedao": (SECRET, OLDER),
            "granted": (SECRET,),
            "virtual": (SECRET,),
        }
    )

    async def deliver(self, events: Any) -> None:
        await self.shelf.deliver(events)


@asynccontextmanager
async def serving(**more: Any) -> AsyncIterator[tuple[WebService, Desk]]:
    desk = Desk()
    async with running(district(1), intake=desk, **more) as service:
        yield service, desk


def signed(
    body: bytes,
    message_id: str = "m1",
    *,
    secret: str = SECRET,
    at: datetime | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The arguments of a signed call."""
    at = at or datetime.now(UTC)
    return {
        "data": body,
        "headers": {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(message_id, at, body.decode()),
            **(headers or {}),
        },
    }


def alarm(topic: str = SMOKE.topic, **more: Any) -> bytes:
    return json.dumps({"topic": topic, "payload": {"alarm": True, **more}}).encode()


async def test_a_signed_alarm_is_answered_when_it_is_stored() -> None:
    async with serving() as (service, desk):
        desk.shelf.goes_on.clear()
        call = asyncio.create_task(service.call("POST", PATH, None, **signed(alarm(value=0.5))))
        await asyncio.sleep(0.2)
        assert not call.done()
        desk.shelf.goes_on.set()
        status, body, _ = await call
        (event,) = desk.shelf.events.values()

    assert (status, body["result"]) == (202, "event")
    assert (event.active, event.value, event.source) == (True, 0.5, EventSource.HTTP)
    assert event.sensor == SMOKE.id


async def test_both_live_secrets_are_good() -> None:
    async with serving() as (service, _):
        status, _body, _r = await service.call("POST", PATH, None, **signed(alarm(), secret=OLDER))
    assert status == 202


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": FOREIGN},
        {"age": timedelta(minutes=6)},
        {"age": timedelta(minutes=-6)},
        {"headers": {"webhook-id": "other"}},
        {"headers": {"webhook-signature": "v1"}},
        {"headers": {"webhook-signature": "v1,ü"}},
        {"headers": {"webhook-timestamp": "soon"}},
    ],
)
async def test_what_is_not_genuine_is_refused(wrong: dict[str, Any]) -> None:
    if "age" in wrong:  # from now, not from when the tests were collected
        wrong = {"at": datetime.now(UTC) - wrong["age"]}
    async with serving() as (service, desk):
        status, body, _ = await service.call("POST", PATH, None, **signed(alarm(), **wrong))
        assert not desk.shelf.events
    assert (status, body["type"]) == (401, "urn:sightline:problem:bad-signature")


async def test_a_changed_body_or_none_at_all_is_refused() -> None:
    async with serving() as (service, desk):
        call = signed(alarm())
        changed = {**call, "data": alarm(value=1)}
        for options in (changed, {**call, "data": b""}, {"data": alarm()}):
            status, _, _ = await service.call("POST", PATH, None, **options)
            assert status == 401
        assert not desk.shelf.events


async def test_no_token_opens_the_intake_and_an_unknown_source_looks_like_a_wrong_signature() -> (
    None
):
    async with serving() as (service, _):
        details = set()
        for role in Role:
            status, body, _ = await service.call("POST", PATH, role, json={"topic": "a"})
            assert (status, body["type"]) == (401, "urn:sightline:problem:bad-signature")
            details.add(body["detail"])
        status, other, _ = await service.call(
            "POST", "/api/v1/intake/nobody", None, **signed(alarm())
        )
        assert status == 401
        assert details == {other["detail"]}


async def test_without_secrets_it_is_switched_off() -> None:
    async with running(district(1)) as service:
        status, body, _ = await service.call("POST", PATH, None, **signed(alarm()))
    assert (status, body["type"]) == (404, "urn:sightline:problem:switched-off")


async def test_a_source_may_only_report_its_own_topics_and_those_it_was_granted() -> None:
    async with serving() as (service, desk):
        body = alarm(SOS.topic)
        status, problem, _ = await service.call("POST", PATH, None, **signed(body))
        assert (status, problem["type"]) == (403, "urn:sightline:problem:wrong-topic")
        status, _, _ = await service.call("POST", "/api/v1/intake/granted", None, **signed(body))
        assert status == 202
        assert len(desk.shelf.events) == 1


async def test_a_repeat_is_accepted_and_changes_nothing() -> None:
    async with serving() as (service, desk):
        call = signed(alarm())
        assert (await service.call("POST", PATH, None, **call))[0] == 202
        status, body, _ = await service.call("POST", PATH, None, **call)
        assert (status, body["result"]) == (202, "repeat")
        assert desk.shelf.calls == [1]


async def test_an_id_with_another_body_is_a_conflict() -> None:
    async with serving() as (service, _):
        assert (await service.call("POST", PATH, None, **signed(alarm())))[0] == 202
        status, problem, _ = await service.call("POST", PATH, None, **signed(alarm(value=2)))
    assert (status, problem["type"]) == (409, "urn:sightline:problem:conflict")


async def test_while_the_store_is_away_the_sender_is_told_to_come_again_and_nothing_is_lost() -> (
    None
):
    normal = json.dumps({"topic": SMOKE.topic, "payload": {"alarm": False}}).encode()
    async with serving() as (service, desk):
        assert (await service.call("POST", PATH, None, **signed(alarm(), "a")))[0] == 202
        desk.shelf.is_away = True
        for _n in range(2):
            status, problem, response = await service.call(
                "POST", PATH, None, **signed(normal, "b")
            )
            assert (status, problem["type"]) == (503, "urn:sightline:problem:store-unavailable")
            assert int(response.headers["Retry-After"]) > 0
        desk.shelf.is_away = False
        status, body, _ = await service.call("POST", PATH, None, **signed(normal, "b"))
        assert (status, body["result"]) == (202, "event")
        assert [event.active for event in desk.shelf.events.values()] == [True, False]


async def test_a_message_that_is_being_stored_is_not_stored_beside_itself() -> None:
    async with serving() as (service, desk):
        desk.shelf.goes_on.clear()
        first = asyncio.create_task(service.call("POST", PATH, None, **signed(alarm())))
        async with asyncio.timeout(5):
            while not desk.shelf.calls:  # noqa: ASYNC110 - the first call is under way
                await asyncio.sleep(0.01)
        status, problem, _ = await service.call("POST", PATH, None, **signed(alarm()))
        assert (status, problem["type"]) == (503, "urn:sightline:problem:unavailable")
        desk.shelf.goes_on.set()
        assert (await first)[0] == 202
        assert desk.shelf.calls == [1]


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"topic": SMOKE.topic, "payload": {"type": "battery"}}, "life_sign"),
        ({"topic": SMOKE.topic, "payload": "text"}, "unreadable"),
        ({"topic": "jiedao/none", "payload": {}}, "unknown_topic"),
    ],
)
async def test_what_is_no_event_is_accepted_with_the_reason(body: Any, result: str) -> None:
    async with serving() as (service, desk):
        call = signed(json.dumps(body).encode())
        status, answer, _ = await service.call("POST", PATH, None, **call)
        assert not desk.shelf.events
    assert (status, answer["result"], answer["reason"]) == (202, "dropped", result)


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"topic": "a"}', b'{"topic": "a", "payload": 1, "x": 1}',
     b'{"topic": 1, "payload": 1}', b'{"topic": "", "payload": 1}'],
)  # fmt: skip
async def test_a_body_of_another_shape_is_refused(body: bytes) -> None:
    async with serving() as (service, _):
        status, problem, _ = await service.call("POST", PATH, None, **signed(body))
    assert (status, problem["type"]) == (400, "urn:sightline:problem:bad-body")


async def test_form_and_size_are_limited() -> None:
    async with serving() as (service, _):
        plain = signed(alarm(), headers={"Content-Type": "text/plain"})
        assert (await service.call("POST", PATH, None, **plain))[0] == 415
        large = signed(alarm(value="x" * 70_000))
        assert (await service.call("POST", PATH, None, **large))[0] == 413
        query = await service.call("POST", PATH + "?topic=a", None, **signed(alarm()))
        assert query[0] == 400


async def test_each_source_has_its_own_rate() -> None:
    async with serving(rate=2) as (service, _):
        for n in range(2):
            assert (await service.call("POST", PATH, None, **signed(alarm(), f"m{n}")))[0] == 202
        status, problem, response = await service.call("POST", PATH, None, **signed(alarm(), "m3"))
        assert (status, problem["type"]) == (429, "urn:sightline:problem:too-many-requests")
        assert response.headers["Retry-After"] == "30"
        granted = "/api/v1/intake/granted"
        assert (await service.call("POST", granted, None, **signed(alarm(SOS.topic))))[0] == 202


async def test_virtual_sensors_speak_over_the_signed_intake() -> None:
    one = sensor(9, EventKind.SMOKE, "virtual/610802001/smoke/9")
    volts = sensor(10, EventKind.CABINET_POWER, "virtual/610802001/cabinet_power/10")
    async with serving() as (service, desk):
        desk.sensors.take_sensors([one, volts])
        async with HttpLine(service.url, SECRET) as line:
            publisher = SensorPublisher(line)
            await publisher.heartbeat(one)
            for alarmed in (True, False):
                await publisher.send(one, alarm=alarmed)
                await publisher.send(volts, alarm=alarmed)
        events = list(desk.shelf.events.values())

    assert [(e.sensor, e.active) for e in events] == [(s.sensor, s.alarm) for s in publisher.sent]
