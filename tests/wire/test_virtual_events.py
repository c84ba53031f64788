"""Pull points of the virtual devices."""

import asyncio
import re
import time

from wire.virtual_fleet import Client, Fleet, Got, ask, call, wsse

from adapters.virtual.events import MAX_PULL_POINTS, read_duration
from adapters.virtual.model import Trouble

TEV = "http://www.onvif.org/ver10/events/wsdl"
WSNT = "http://docs.oasis-open.org/wsn/b-2"
WSA = "http://www.w3.org/2005/08/addressing"


def event_call(operation: str, inner: str = "", namespace: str = TEV) -> bytes:
    header = f'{wsse()}<MessageID xmlns="{WSA}">urn:uuid:42</MessageID>'
    return call(operation, namespace, inner, header)


async def subscribe(device: str, life: str = "PT60S") -> str:
    inner = f"<InitialTerminationTime>{life}</InitialTerminationTime>"
    got = await ask(
        device, event_call("CreatePullPointSubscription", inner), "/onvif/event_service"
    )
    assert got.status == 200, got.body
    found = re.search(rb"Address>http://[^/]+(/onvif/subscription/\d+)<", got.body)
    assert found
    return found[1].decode()


async def pull(device: str, path: str, wait: str = "PT0S") -> Got:
    inner = f"<Timeout>{wait}</Timeout><MessageLimit>10</MessageLimit>"
    return await ask(device, event_call("PullMessages", inner), path)


async def test_an_empty_pull_is_answered_when_its_time_is_over() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served():
        path = await subscribe(device)
        before = time.monotonic()
        got = await pull(device, path, "PT0.3S")
        assert 0.25 < time.monotonic() - before < 1.5
        assert b"NotificationMessage" not in got.body
        assert b"<wsa5:RelatesTo>urn:uuid:42</wsa5:RelatesTo>" in got.body


async def test_a_change_ends_a_waiting_pull_at_once() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        path = await subscribe(device)
        waiting = asyncio.ensure_future(pull(device, path, "PT20S"))
        await asyncio.sleep(0.1)
        server.devices[device].emit("DigitalInput_1", active=True)
        got = await asyncio.wait_for(waiting, 2)
        assert b"tns1:Device/Trigger/DigitalInput" in got.body
        assert b'Name="LogicalState" Value="true"' in got.body


async def test_a_new_subscriber_and_a_synchronization_point_are_told_the_present() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        server.devices[device].emit("DigitalInput_1", active=True)
        path = await subscribe(device)
        assert b"DigitalInput_1" in (await pull(device, path)).body
        assert b"DigitalInput_1" not in (await pull(device, path)).body
        assert (await ask(device, event_call("SetSynchronizationPoint"), path)).status == 200
        assert b"DigitalInput_1" in (await pull(device, path)).body


async def test_a_subscription_ends_unless_renewed_and_when_unsubscribed() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served():
        short, renewed = await subscribe(device, "PT0.4S"), await subscribe(device, "PT0.4S")
        inner = "<TerminationTime>PT60S</TerminationTime>"
        assert (await ask(device, event_call("Renew", inner, WSNT), renewed)).status == 200
        await asyncio.sleep(0.6)
        assert b"ResourceUnknownFault" in (await pull(device, short)).body
        assert (await pull(device, renewed)).status == 200
        assert (await ask(device, event_call("Unsubscribe", "", WSNT), renewed)).status == 200
        assert b"ResourceUnknownFault" in (await pull(device, renewed)).body


async def test_pull_points_run_out_and_a_restart_drops_them_all() -> None:
    fleet = Fleet()
    device = fleet.add(killable=True)
    async with fleet.served() as server:
        paths = [await subscribe(device) for _ in range(MAX_PULL_POINTS)]
        got = await ask(device, event_call("CreatePullPointSubscription"), "/onvif/event_service")
        assert got.status == 500
        server.apply(device, Trouble.REFUSE)
        server.heal(device)
        assert b"ResourceUnknownFault" in (await pull(device, paths[-1])).body
        assert await subscribe(device) == paths[0], "the counter starts again (quirk 19)"


async def test_a_pull_of_a_client_that_left_harms_nobody() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        path = await subscribe(device)
        async with Client(device) as client:
            await client.send(event_call("PullMessages", "<Timeout>PT20S</Timeout>"), path)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)
        server.devices[device].emit("DigitalInput_1", active=True)
        assert b"DigitalInput_1" in (await pull(device, path)).body, "the message was kept"


def test_durations_are_read_relative_and_absolute() -> None:
    assert read_duration("PT1M30.5S", 0.0) == 90.5
    assert read_duration("P1DT2H", 0.0) == 93_600
    assert read_duration("1970-01-01T00:01:00Z", 10.0) == 50.0
    assert read_duration("soon", 0.0) is None
    assert read_duration("PT", 0.0) is None
