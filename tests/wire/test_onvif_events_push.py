"""Events that devices push: over a real server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from fakes.leap_clock import LeapClock
from fakes.pulling import QUICK, Pulling, until
from wire.virtual_fleet import Fleet

from adapters.onvif_push import PushDoor, push_path, push_routes, sender_of
from adapters.virtual.signals import SIGNALS, Message
from gateway.domain.camera import Camera, ChannelId, Device, DeviceId, NodeId
from gateway.domain.event import Event, EventKind, EventSource
from gateway.errors import StoreUnavailable
from gateway.metrics import EVENT_MESSAGES
from gateway.ports import Secret

KEY = Secret("a key of a test")
DEVICE = Device(DeviceId("127.0.0.1:80"), "127.0.0.1", 80, NodeId("n"))
ELSEWHERE = Device(DeviceId("127.9.9.9:80"), "127.9.9.9", 80, NodeId("n"))
SPACES = (
    'xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" xmlns:tt="http://www.onvif.org/ver10/schema" '
    'xmlns:wsa5="http://www.w3.org/2005/08/addressing"'
)


def notify(*names: str, envelope: str = "http://www.w3.org/2003/05/soap-envelope") -> bytes:
    told = "".join(
        Message(SIGNALS[name], SIGNALS[name].token, "true", 1.7e9).xml("urn:x") for name in names
    )
    return (
        f'<s:Envelope xmlns:s="{envelope}" {SPACES}><s:Body><wsnt:Notify>{told}</wsnt:Notify>'
        "</s:Body></s:Envelope>"
    ).encode()


@dataclass
class Door:
    base: str = ""
    events: list[Event] = field(default_factory=list)
    down: bool = False

    async def deliver(self, events: Sequence[Event]) -> None:
        if self.down:
            raise StoreUnavailable("not now")
        self.events.extend(events)

    async def post(self, path: str, body: bytes) -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.base + path, data=body) as reply,
        ):
            assert await reply.read() == b""
            return reply.status


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    channels = {DEVICE.id: (Camera(ChannelId("c1"), DEVICE.id, "camera"),)}
    devices = {DEVICE.id: DEVICE, ELSEWHERE.id: ELSEWHERE}
    application = web.Application()
    application.add_routes(push_routes(PushDoor(LeapClock(), KEY, devices, channels, made.deliver)))
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def test_what_a_device_pushes_becomes_events(door: Door) -> None:
    assert await door.post(push_path(DEVICE.id, KEY), notify("tamper", "face")) == 200
    (event,) = door.events
    assert (event.kind, event.channel, event.active) == (EventKind.TAMPER, "c1", True)
    assert event.source is EventSource.ONVIF_PUSH


async def test_soap_of_the_older_version_is_read_too(door: Door) -> None:
    body = notify("relay", envelope="http://schemas.xmlsoap.org/soap/envelope/")
    assert await door.post(push_path(DEVICE.id, KEY), body) == 200
    assert len(door.events) == 1


async def test_a_repeat_has_the_same_id(door: Door) -> None:
    for _ in range(2):
        await door.post(push_path(DEVICE.id, KEY), notify("tamper"))
    assert len({event.id for event in door.events}) == 1


async def test_strangers_and_other_addresses_are_told_nothing(door: Door) -> None:
    counter = EVENT_MESSAGES.labels("onvif_push", "stranger")
    before = counter._value.get()
    assert await door.post("/n/" + "a" * 16, notify("tamper")) == 200
    assert await door.post(push_path(ELSEWHERE.id, KEY), notify("tamper")) == 200
    assert await door.post(push_path(DEVICE.id, Secret("another")), notify("tamper")) == 200
    assert not door.events
    assert counter._value.get() - before == 3


@pytest.mark.parametrize(
    "body",
    [b"", b"<x/>", b"not XML", notify("tamper") + b" " * 300_000, b"\xff\xfe",
     b'<!DOCTYPE x [<!ENTITY a "b">]>' + notify("tamper")],
    ids=["empty", "no envelope", "text", "large", "bytes", "doctype"],
)  # fmt: skip
async def test_what_cannot_be_read_is_dropped(door: Door, body: bytes) -> None:
    assert await door.post(push_path(DEVICE.id, KEY), body) == 200
    assert not door.events


async def test_a_device_is_asked_to_repeat_what_could_not_be_stored(door: Door) -> None:
    door.down = True
    assert await door.post(push_path(DEVICE.id, KEY), notify("tamper")) == 503
    door.down = False
    assert await door.post(push_path(DEVICE.id, KEY), notify("tamper")) == 200
    assert [event.kind for event in door.events] == [EventKind.TAMPER]


def tamper(operation: str, value: str = "true") -> bytes:
    return (
        notify("tamper")
        .replace(b'PropertyOperation="Changed"', f'PropertyOperation="{operation}"'.encode())
        .replace(b'Value="true"', f'Value="{value}"'.encode())
    )


@pytest.mark.parametrize(
    ("operation", "active"), [("Initialized", True), ("Initialized", False), ("Deleted", False)]
)
async def test_a_repeat_of_what_could_not_be_stored_is_not_taken_for_known(
    door: Door, operation: str, *, active: bool
) -> None:
    path, told = push_path(DEVICE.id, KEY), tamper(operation, "true" if active else "false")
    if not active:
        assert await door.post(path, notify("tamper")) == 200
        door.events.clear()
    door.down = True
    for _ in range(2):
        assert await door.post(path, told) == 503
    door.down = False
    for _ in range(2):
        assert await door.post(path, told) == 200
    assert [event.active for event in door.events] == [active]


async def test_what_a_device_told_before_it_hung_up_is_not_taken_for_known() -> None:
    gate, stored = asyncio.Event(), list[Event]()

    async def deliver(events: Sequence[Event]) -> None:
        await gate.wait()
        stored.extend(events)

    taker = PushDoor(LeapClock(), KEY, {DEVICE.id: DEVICE}, {}, deliver)
    path = push_path(DEVICE.id, KEY)
    first = asyncio.create_task(taker.take(path, tamper("Initialized")))
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    gate.set()
    assert await taker.take(path, tamper("Initialized"))
    assert [event.active for event in stored] == [True]


async def test_a_device_that_left_is_forgotten_even_while_its_message_is_read() -> None:
    stored: list[Event] = []

    async def deliver(events: Sequence[Event]) -> None:
        stored.extend(events)

    taker = PushDoor(LeapClock(), KEY, {DEVICE.id: DEVICE}, {}, deliver)
    path = push_path(DEVICE.id, KEY)
    assert await taker.take(path, notify("tamper"))
    taker.devices_changed({}, {})
    assert await taker.take(path, notify("relay"))
    taker.devices_changed({DEVICE.id: DEVICE}, {})
    assert await taker.take(path, tamper("Initialized"))
    assert [event.kind for event in stored] == [EventKind.TAMPER, EventKind.TAMPER]


async def test_a_body_that_does_not_come_is_not_waited_for(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.onvif_push._BODY_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(door.base.rpartition(":")[2]))
    path = push_path(DEVICE.id, KEY)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n<x".encode())
    async with asyncio.timeout(5):
        assert b" 408 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize("again", ["restart", "outage", "outage while it waits"])
async def test_what_a_device_pushed_to_nobody_is_told_again(again: str) -> None:
    fleet = Fleet()
    device = fleet.add()
    one = fleet.devices[0].device
    channels = {device: fleet.devices[0].channels}
    pushed: list[Event] = []

    async def deliver(events: Sequence[Event]) -> None:
        pushed.extend(events)

    async with fleet.served() as server:
        application = web.Application()
        door = PushDoor(LeapClock(), KEY, {device: one}, channels, deliver)
        application.add_routes(push_routes(door))
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        consumer = f"http://127.0.0.1:{runner.addresses[0][1]}{push_path(device, KEY)}"
        live, options = server.devices[device], {"push": {device: consumer}}
        first = Pulling([one], channels, options=options)
        await first.__aenter__()
        await until(lambda: first.subscriptions.get(device))
        await until(lambda: first.source.states()["pushing"] == 1)
        point = live.pulls.newest
        assert point is not None
        point.consumer = ""  # on its way, and lost
        server.signal(device, "tamper", active=True)
        point.consumer = consumer
        second = None
        if again == "restart":
            await first.stop()
            await first.source._transport.close()
            remembered = dict(first.subscriptions)
            second = Pulling([one], channels, subscriptions=remembered, options=options)
            await second.__aenter__()
        elif again == "outage":
            first.source.came_back(device, datetime.now(UTC))
        else:
            first.source._cycle.setbacks.lost(first.source._points[device])
            first.source.came_back(device, datetime.now(UTC))
        await until(lambda: pushed)
        assert [(e.kind, e.active) for e in pushed] == [(EventKind.TAMPER, True)]
        assert live.events.creations == (1 if again == "restart" else 2), "never the old one"
        await (second or first).__aexit__(None, None, None)
        await runner.cleanup()


@pytest.mark.parametrize("first_way", ["pull", "push"])
@pytest.mark.parametrize("meanwhile", ["stands", "ended"])
async def test_what_stands_is_known_on_the_new_way_of_a_device_that_changes_it(
    first_way: str, meanwhile: str
) -> None:
    fleet = Fleet()
    device = fleet.add()
    one = fleet.devices[0].device
    channels = {device: fleet.devices[0].channels}
    told: list[Event] = []

    async def deliver(events: Sequence[Event]) -> None:
        told.extend(events)

    async with fleet.served() as server:
        application = web.Application()
        pushes = {} if first_way == "pull" else {device: one}
        door = PushDoor(LeapClock(), KEY, pushes, channels, deliver)
        application.add_routes(push_routes(door))
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        consumer = f"http://127.0.0.1:{runner.addresses[0][1]}{push_path(device, KEY)}"
        ways = {"pull": ("", {}), "push": (consumer, {device: one})}
        live, options = server.devices[device], {"push": {device: ways[first_way][0]}, "door": door}
        async with Pulling([one], channels, deliver=deliver, options=options) as pulled:
            await until(lambda: live.pulls.newest)
            server.signal(device, "tamper", active=True)
            await until(lambda: told)

            if meanwhile == "ended":
                live.pulls.remove_all()  # its end is told to nobody
                server.signal(device, "tamper", active=False)
            address, devices = ways["push" if first_way == "pull" else "pull"]
            created = live.events.creations
            door.devices_changed(devices, channels)
            pulled.source.devices_changed({device: one}, channels, {device: address})
            await until(lambda: live.events.creations > created)
            if meanwhile == "stands":
                await asyncio.sleep(0.5)
                assert len(told) == 1, "what is known is told as news"
                server.signal(device, "tamper", active=False)
            await until(lambda: len(told) == 2)
            assert [event.active for event in told] == [True, False]
            assert len({event.source for event in told}) == 2
        await runner.cleanup()


async def test_a_device_that_is_to_push_subscribes_renews_and_is_not_pulled() -> None:
    fleet = Fleet()
    device = fleet.add()
    one = fleet.devices[0].device
    channels = {device: fleet.devices[0].channels}
    pushed: list[Event] = []

    async def deliver(events: Sequence[Event]) -> None:
        pushed.extend(events)

    async with fleet.served() as server:
        application = web.Application()
        application.add_routes(
            push_routes(PushDoor(LeapClock(), KEY, {device: one}, channels, deliver))
        )
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        consumer = f"http://127.0.0.1:{runner.addresses[0][1]}{push_path(device, KEY)}"
        limits = replace(QUICK, life_s=2.0)
        live = server.devices[device]
        async with Pulling([one], channels, limits, options={"push": {device: consumer}}):
            await until(lambda: live.events.renewals >= 1)
            await until(lambda: not live.connections)
            server.signal(device, "tamper", active=True)
            await until(lambda: pushed)
            assert [(e.kind, e.channel, e.active) for e in pushed] == [
                (EventKind.TAMPER, channels[device][0].id, True)
            ]
            assert live.events.pulls_asked == 0
            live.reboot()
            await until(lambda: live.events.creations == 2)
            assert live.refused_logins == 0
        await runner.cleanup()


def test_paths_are_short_stable_and_differ() -> None:
    paths = {push_path(DeviceId(f"10.0.{n // 250}.{n % 250}:80"), KEY) for n in range(5000)}
    assert len(paths) == 5000
    assert {len(path) for path in paths} == {19}
    assert push_path(DEVICE.id, KEY) == push_path(DEVICE.id, KEY)


@pytest.mark.parametrize(
    ("peer", "forwarded", "sender"),
    [
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "10.9.9.9", "127.0.0.1"),
        ("127.0.0.2", "10.9.9.9", "10.9.9.9"),
        ("127.0.0.2", "10.1.1.1, 10.9.9.9", "10.9.9.9"),
        ("127.0.0.2", "10.9.9.9, 127.0.0.2", "10.9.9.9"),
        ("127.0.0.2", "", ""),
        ("127.0.0.2", "nonsense", ""),
        ("::ffff:10.1.2.3", "10.9.9.9", "10.1.2.3"),
    ],
)
def test_only_a_proxy_of_ours_is_believed_who_the_sender_is(
    peer: str, forwarded: str, sender: str
) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("POST", "/n/x", headers=headers).clone(remote=peer)
    assert sender_of(request, {"127.0.0.2"}) == sender
