"""Quirks 18-30 of real devices, each with its reply under tests/data/onvif.

Held against a device that shares no code with the adapter; 24 and 25 are told by the absence of a reply.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.leap_clock import LeapClock
from fakes.onvif_device import DATA, OnvifDevice, Request, Writes, recorded
from fakes.pulling import QUICK, Pulling, until

from adapters.onvif.push import PushDoor, push_path
from gateway.domain.camera import Camera, ChannelId, DeviceId
from gateway.domain.event import Event, EventKind
from gateway.ports import Secret

KEY = Secret("a key of a test")
GOOD = "quirk-19-first-number.http"
EMPTY = "quirk-21-a-pull-prolongs.http"
RELATIVE = re.compile(r"TerminationTime>PT[\d.]+S<")
ABSOLUTE = re.compile(r"TerminationTime>(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)<")


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def told(name: str, life_s: float = 60.0, wait_s: float = 0.0, skew_s: float = 0.0) -> Writes:
    """Answer with a reply of tests/data/onvif, its times those of the device's own clock."""

    async def write(_: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(wait_s)
        now = datetime.now(UTC) + timedelta(seconds=skew_s)
        local = stamp(now + timedelta(hours=8))  # Beijing's wall clock, labelled Z
        ends = stamp(now + timedelta(seconds=life_s))
        writer.write(recorded(name, now=stamp(now), ends=ends, local=local))

    return write


def in_turn(*answers: Writes) -> Writes:
    """The first answer to the first request and so on; the last one stays."""
    left = list(answers)

    async def write(request: Request, writer: asyncio.StreamWriter) -> None:
        answer = left.pop(0) if len(left) > 1 else left[0]
        await answer(request, writer)

    return write


def camera(**replies: Writes) -> OnvifDevice:
    """A device whose pulls last half a second and tell nothing, but for what is replaced."""
    usual = {
        "CreatePullPointSubscription": told(GOOD),
        "PullMessages": told(EMPTY, wait_s=0.5),
        "Renew": told(EMPTY),
        "SetSynchronizationPoint": told(EMPTY),
        "Unsubscribe": told(EMPTY),
    }
    return OnvifDevice(login="open", replies={**usual, **replies})


@asynccontextmanager
async def pulling(device: OnvifDevice, **options: Any) -> AsyncIterator[Pulling]:
    async with device:
        one = device.device()
        channels = {one.id: (Camera(ChannelId("c1"), one.id, "camera"),)}
        async with Pulling([one], channels, **options) as pulled:
            yield pulled


def asked(device: OnvifDevice, operation: str) -> Callable[[], int]:
    return lambda: device.operations.count(operation)


async def test_quirk_18_who_has_no_pull_point_left_is_asked_again_later_each_time() -> None:
    full = told("quirk-18-no-pull-point-left.http")
    device = camera(CreatePullPointSubscription=in_turn(full, full, full, full, told(GOOD)))
    began = asyncio.get_running_loop().time()
    async with pulling(device, limits=replace(QUICK, backoff_s=0.5)) as pulled:
        await until(lambda: pulled.observed)
        # Twice each time, the second time without a duration; 0.5 and 1 s between.
        assert asked(device, "CreatePullPointSubscription")() == 5
        assert asyncio.get_running_loop().time() - began > 1.5
        assert asked(device, "Unsubscribe")() == 0
        await pulled.stop()
        await pulled.source.close()
        assert device.operations[-1] == "Unsubscribe", "none is left behind"


async def test_quirk_19_a_forgotten_subscription_is_made_anew_once() -> None:
    forgotten = told("quirk-19-forgotten.http")
    pulls = told(EMPTY, wait_s=0.5)
    device = camera(PullMessages=in_turn(pulls, forgotten, pulls))
    async with pulling(device) as pulled:
        await until(lambda: asked(device, "PullMessages")() >= 4)
        assert asked(device, "CreatePullPointSubscription")() == 2
        assert len(pulled.observed) >= 2


async def test_quirk_19_after_an_outage_the_same_number_may_be_somebody_elses() -> None:
    device = camera()
    async with pulling(device) as pulled:
        await until(lambda: pulled.observed)
        first_was = device.operations.index("CreatePullPointSubscription")
        before = len(device.operations)
        pulled.source.came_back(device.device().id, datetime.now(UTC))
        await until(lambda: asked(device, "CreatePullPointSubscription")() == 2)
        second = [*device.operations].index("CreatePullPointSubscription", first_was + 1)
        between = set(device.operations[before:second])
        assert between <= {"GetSystemDateAndTime"}, (
            "the old one is neither pulled, renewed nor ended"
        )


@pytest.mark.parametrize(
    "reply", ["quirk-20-says-that-it-cannot.http", "quirk-20-says-that-it-can.http"]
)
async def test_quirk_20_who_says_that_it_cannot_be_pulled_is_pulled(reply: str) -> None:
    device = camera(GetServices=told(reply))
    async with pulling(device) as pulled:
        await until(lambda: pulled.observed)
    created = [r for r in device.seen if r.operation == "CreatePullPointSubscription"]
    assert [r.path for r in created] == ["/onvif/Events"]


@pytest.mark.parametrize("may", [True, False])
async def test_quirk_20_who_says_that_it_can_and_cannot_is_asked_to_push(may: bool) -> None:
    device = camera(
        GetServices=told("quirk-20-says-that-it-can.http"),
        CreatePullPointSubscription=told("quirk-20-cannot-be-pulled.http"),
        Subscribe=told("quirk-20-cannot-push.http"),
    )

    async def deliver(_: object) -> None:
        """Nothing is told."""

    door = PushDoor(LeapClock(), KEY, {}, {}, deliver)

    def consumer(device: DeviceId) -> str:
        return f"http://127.0.0.1:9{push_path(device, KEY)}" if may else ""

    options = {"door": door, "may_push": consumer}
    limits = replace(QUICK, no_service_s=3600.0)
    async with pulling(device, options=options, limits=limits) as pulled:
        await until(lambda: pulled.source.states()["waiting"] == 1)
        subscribes = [r for r in device.seen if r.operation == "Subscribe"]
        assert {r.path for r in subscribes} == (
            {"/onvif/Events", "/onvif/event_service"} if may else set()
        )
        path = push_path(device.device().id, KEY)
        assert all(path in r.body for r in subscribes)
        assert not door.knows(path, "127.0.0.1"), "it refused that too"
        assert asked(device, "CreatePullPointSubscription")() == 2
        assert asked(device, "PullMessages")() == 0


async def test_quirk_21_who_cannot_renew_is_asked_once_and_gets_another_at_the_end() -> None:
    pulls, forgotten = told(EMPTY, life_s=1, wait_s=0.5), told("quirk-19-forgotten.http")
    device = camera(
        CreatePullPointSubscription=told(GOOD, life_s=2),
        PullMessages=in_turn(pulls, pulls, pulls, pulls, forgotten, pulls),
        Renew=told("quirk-21-no-renewal.http"),
    )
    async with pulling(device, limits=replace(QUICK, life_s=2.0)):
        await until(lambda: asked(device, "CreatePullPointSubscription")() == 2)
        assert asked(device, "Renew")() == 1


async def test_quirk_21_a_pull_may_prolong_what_cannot_be_renewed() -> None:
    device = camera(
        CreatePullPointSubscription=told(GOOD, life_s=2),
        PullMessages=told(EMPTY, life_s=3, wait_s=0.5),
        Renew=told("quirk-21-no-renewal.http"),
    )
    async with pulling(device, limits=replace(QUICK, life_s=2.0)):
        await until(lambda: asked(device, "Renew")() == 1)
        await asyncio.sleep(3.0)
        assert asked(device, "CreatePullPointSubscription")() == 1
        assert asked(device, "Renew")() == 1


async def test_quirk_22_a_refused_duration_becomes_a_time_of_the_devices_clock() -> None:
    skew_s = -7200.0
    refused, good = told("quirk-22-duration-refused.http"), told(GOOD, skew_s=skew_s)

    async def create(request: Request, writer: asyncio.StreamWriter) -> None:
        await (refused if RELATIVE.search(request.body) else good)(request, writer)

    device = camera(CreatePullPointSubscription=create)
    device.skew_s = skew_s
    async with pulling(device):
        await until(lambda: asked(device, "PullMessages")() >= 1)
    *_, last = (r.body for r in device.seen if r.operation == "CreatePullPointSubscription")
    found = ABSOLUTE.search(last)
    assert found is not None
    ends = datetime.fromisoformat(found[1]) - timedelta(seconds=skew_s + QUICK.life_s)
    assert abs((ends - datetime.now(UTC)).total_seconds()) < 10


async def test_quirk_22_a_misread_duration_is_seen_by_the_life_that_is_told() -> None:
    misread = told("quirk-22-duration-misread.http", life_s=2)
    device = camera(CreatePullPointSubscription=misread)
    async with pulling(device):
        await until(lambda: asked(device, "Renew")() == 1)
    renewal = next(r.body for r in device.seen if r.operation == "Renew")
    assert ABSOLUTE.search(renewal)
    assert asked(device, "CreatePullPointSubscription")() == 1


async def test_quirk_23_what_comes_after_the_end_is_no_event_and_no_error() -> None:
    device = camera().device()
    stored: list[Event] = []

    async def deliver(events: Any) -> None:
        stored.extend(events)

    channels = {device.id: (Camera(ChannelId("c1"), device.id, "camera"),)}
    door = PushDoor(LeapClock(), KEY, {device.id: device}, channels, deliver)
    path, body = (
        push_path(device.id, KEY),
        (DATA / "quirk-23-pushed-after-the-end.xml").read_bytes(),
    )
    assert door.knows(path, device.host)
    assert await door.take(path, body)
    assert [event.kind for event in stored] == [EventKind.DIGITAL_INPUT]
    door.devices_changed({}, {})
    assert not door.knows(path, device.host)
    assert await door.take(path, body), "the device is not told to repeat it"
    assert len(stored) == 1


async def test_quirk_24_a_pull_without_a_reply_is_an_empty_one() -> None:
    device = camera()

    async def closes(_: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.1)
        writer.close()

    device.replies["PullMessages"] = in_turn(
        told(EMPTY), closes, closes, told("quirk-29-motion-begins.http", wait_s=1.1)
    )
    async with pulling(device, limits=replace(QUICK, pull_s=10.0, backoff_s=60.0)) as pulled:
        await until(lambda: pulled.events)
        assert asked(device, "CreatePullPointSubscription")() == 1
        assert asked(device, "PullMessages")() in (4, 5)


async def test_quirk_25_a_device_that_pushes_is_never_pulled_and_seldom_renewed() -> None:
    device = camera(Subscribe=told("quirk-25-subscribed-to-push.http", life_s=4))
    async with device:
        one = device.device()
        options = {"push": {one.id: "http://127.0.0.1:9/n/x"}}
        async with Pulling([one], limits=replace(QUICK, life_s=4.0), options=options):
            await until(lambda: asked(device, "Renew")() == 1)
            assert asked(device, "PullMessages")() == 0
            assert asked(device, "CreatePullPointSubscription")() == 0
            assert asked(device, "Subscribe")() == 1


async def test_quirk_26_a_fault_that_stays_makes_no_storm_of_subscriptions() -> None:
    device = camera(PullMessages=told("quirk-26-every-pull-fails.http"))
    limits = replace(QUICK, backoff_s=0.5, backoff_most_s=60.0)
    async with pulling(device, limits=limits) as pulled:
        await asyncio.sleep(4.0)
        # 0, 0.5, 1.5 and 3.5 s, each a little later.
        assert 3 <= asked(device, "CreatePullPointSubscription")() <= 4
        assert asked(device, "PullMessages")() <= 4
        assert not pulled.observed


async def test_quirk_27_a_refused_synchronization_is_no_refused_login() -> None:
    refused = told("quirk-27-synchronization-not-authorized.http")
    device = camera(
        CreatePullPointSubscription=told(GOOD, life_s=2), SetSynchronizationPoint=refused
    )
    async with pulling(device, limits=replace(QUICK, life_s=2.0)) as pulled:
        await until(lambda: asked(device, "Renew")() >= 1)
        await until(lambda: pulled.observed)
        assert asked(device, "SetSynchronizationPoint")() == 1
        assert asked(device, "CreatePullPointSubscription")() == 1
        one = device.device()
        memory = pulled.source._logins.of(one.id)
        assert memory.scheme is not None
        assert len(memory.refused_at) <= 1


async def test_quirk_28_times_of_the_device_are_an_extra_and_ours_counts() -> None:
    device = camera(PullMessages=in_turn(told("quirk-28-times.http"), told(EMPTY, wait_s=0.5)))
    before = datetime.now(UTC)
    async with pulling(device) as pulled:
        await until(lambda: len(pulled.events) == 4)
    told_at = {event.token: event.device_at for event in pulled.events}
    assert told_at["DI_1"] == datetime(2024, 8, 17, 12, 30, 45, tzinfo=UTC)
    assert told_at["DI_2"] is None
    assert told_at["DI_4"] is None
    local = told_at["DI_3"]
    assert local is not None
    assert timedelta(hours=7.9) < local - before < timedelta(hours=8.1)
    for event in pulled.events:
        assert abs((event.received_at - before).total_seconds()) < 10


async def test_quirk_29_motion_without_an_end_is_ended() -> None:
    motion = told("quirk-29-motion-begins.http")
    device = camera(PullMessages=in_turn(motion, told(EMPTY, wait_s=0.5)))
    async with pulling(device) as pulled:
        await until(lambda: pulled.events)
        for standing in pulled.source._translator.states.of(device.device().id).values():
            standing.told -= 3600.0
        await until(lambda: len(pulled.events) == 2)
    assert pulled.kinds() == [(EventKind.MOTION, True), (EventKind.MOTION, False)]
    assert pulled.events[1].extra == {"aged": "true"}


async def test_quirk_30_odd_topics_values_and_tokens_are_read() -> None:
    device = camera(PullMessages=in_turn(told("quirk-30-topics.http"), told(EMPTY, wait_s=0.5)))
    async with pulling(device) as pulled:
        await until(lambda: pulled.events)
    assert pulled.kinds() == [
        (EventKind.MOTION, True), (EventKind.TAMPER, True), (EventKind.MOTION, True),
    ]  # fmt: skip
    assert {event.channel for event in pulled.events} == {"c1"}
