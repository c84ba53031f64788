"""How virtual devices die and come back, seen through plain sockets."""

import asyncio
import socket
import time

import pytest
from wire.virtual_fleet import Client, Fleet, ask, call

from adapters.virtual.model import LinkQuality, Personality, Trouble
from adapters.virtual.server import DistrictServer

TIME = call("GetSystemDateAndTime")


def connect(address: str, timeout_s: float = 1.5) -> str:
    """What a plain connect meets: `ok`, or the name of the error."""
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout_s).close()
    except OSError as error:
        return type(error).__name__
    return "ok"


async def outcome(address: str, timeout_s: float = 1.5) -> str:
    return await asyncio.to_thread(connect, address, timeout_s)


async def answers(device: str) -> bool:
    return (await ask(device, TIME)).status == 200


async def test_a_refusing_device_refuses_and_resets_its_kept_connections() -> None:
    fleet = Fleet()
    device = fleet.add(killable=True)
    async with fleet.served() as server, Client(device) as kept:
        assert (await kept.ask(TIME)).status == 200
        server.apply(device, Trouble.REFUSE)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(kept.reader.readexactly(1), 2)
        assert await outcome(device) == "ConnectionRefusedError"
        server.heal(device)
        assert await answers(device)


async def test_a_device_that_drops_syns_lets_connects_time_out_and_kept_ones_hang() -> None:
    fleet = Fleet()
    device = fleet.add(killable=True)
    async with fleet.served() as server, Client(device) as kept:
        assert (await kept.ask(TIME)).status == 200
        server.apply(device, Trouble.DROP_SYN)
        first, second = await asyncio.gather(outcome(device), outcome(device))
        assert (first, second) == ("TimeoutError", "TimeoutError")
        await kept.send(TIME)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(kept.reader.read(1), 0.3)
        server.heal(device)
        assert await answers(device)


async def test_a_connection_waiting_in_the_queue_is_not_answered_while_syns_are_dropped() -> None:
    """The kernel may have completed a handshake that the device has not yet accepted."""
    fleet = Fleet()
    device = fleet.add(killable=True)
    async with fleet.served() as server:
        host, _, port = device.partition(":")
        sock = socket.socket()
        sock.connect((host, int(port)))  # no turn of the loop: it stays in the queue
        server.apply(device, Trouble.DROP_SYN)
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        assert await outcome(device) == "TimeoutError"
        writer.close()
        server.heal(device)
        assert await answers(device)


async def test_a_hanging_device_accepts_and_says_nothing() -> None:
    fleet = Fleet()
    device = fleet.add(killable=True)
    async with fleet.served() as server, Client(device) as kept:
        assert (await kept.ask(TIME)).status == 200
        server.apply(device, Trouble.HANG)
        await kept.send(TIME)
        async with Client(device) as fresh:
            await fresh.send(TIME)
            for reader in (kept.reader, fresh.reader):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.3)
            server.heal(device)
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(fresh.reader.readexactly(1), 2)
        assert await answers(device)


@pytest.mark.parametrize("kill", [Trouble.REFUSE, Trouble.DROP_SYN, Trouble.HANG])
async def test_an_answer_under_way_does_not_leave_a_dead_device(kill: Trouble) -> None:
    fleet = Fleet()
    device = fleet.add(Personality(slow_s=0.3), killable=True)
    async with fleet.served() as server, Client(device) as client:
        await client.send(TIME)
        await asyncio.sleep(0.05)
        server.apply(device, kill)
        with pytest.raises((TimeoutError, ConnectionResetError)):
            await asyncio.wait_for(client.reader.readexactly(1), 0.6)


@pytest.mark.parametrize("kill", [Trouble.REFUSE, Trouble.DROP_SYN, Trouble.HANG])
async def test_a_device_dies_and_comes_back_many_times(kill: Trouble) -> None:
    fleet = Fleet()
    device = fleet.add(killable=True)
    async with fleet.served() as server:
        for _ in range(10):
            assert await answers(device)
            died = server.apply(device, kill)
            back = server.heal(device)
            assert back >= died
        assert await answers(device)


async def test_a_steady_device_cannot_die() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        with pytest.raises(ValueError, match="steady"):
            server.apply(device, Trouble.HANG)
        assert await answers(device)


async def test_steady_devices_share_a_listener_and_are_told_apart_by_address() -> None:
    fleet = Fleet()
    first, second = fleet.add(Personality(closes=True)), fleet.add()
    async with fleet.served() as server:
        assert (await ask(first, TIME)).headers["connection"] == "close"
        assert (await ask(second, TIME)).headers["connection"] == "keep-alive"
        assert server.devices[first].requests == server.devices[second].requests == 1
        stranger = f"127.0.0.1:{fleet.port}"
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await ask(stranger, TIME)


async def test_blindness_silences_everything_at_once_and_ends_at_once() -> None:
    fleet = Fleet()
    steady, mortal = fleet.add(), fleet.add(killable=True)
    secure = fleet.add(tls=True)
    async with fleet.served() as server, Client(steady) as idle, Client(steady) as asking:
        canary = "{}:{}".format(*server.district.canaries[0])
        assert await outcome(canary) == "ok"
        for client in (idle, asking):
            assert (await client.ask(TIME)).status == 200
        server.set_blind(True)
        found = await asyncio.gather(*(outcome(a) for a in (steady, mortal, secure, canary)))
        assert set(found) == {"TimeoutError"}
        await asking.send(TIME)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asking.reader.read(1), 0.3)
        server.set_blind(False)
        assert await answers(steady)
        assert await answers(mortal)
        assert await outcome(canary) == "ok"
        assert await outcome(secure) == "ok"
        assert (await idle.ask(TIME)).status == 200, "a connection without a question is kept"
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(asking.reader.readexactly(1), 2)


async def test_who_was_dead_before_the_blindness_stays_dead_after_it() -> None:
    fleet = Fleet()
    refusing, deaf = fleet.add(killable=True), fleet.add(killable=True)
    async with fleet.served() as server:
        server.apply(refusing, Trouble.REFUSE)
        server.apply(deaf, Trouble.DROP_SYN)
        server.set_blind(True)
        server.heal(deaf)
        assert await outcome(deaf) == "TimeoutError", "still blind"
        server.set_blind(False)
        assert await outcome(refusing) == "ConnectionRefusedError"
        assert await answers(deaf)
        server.heal(refusing)
        assert await answers(refusing)


async def test_a_township_link_delays_stalls_and_resets() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        server.set_link("t1", LinkQuality(latency_s=0.15))
        before = time.monotonic()
        assert await answers(device)
        assert 0.15 <= time.monotonic() - before < 1.0
        server.set_link("t1", LinkQuality(0.0, stall_rate=1.0))
        before = time.monotonic()
        assert await answers(device)
        assert 0.2 <= time.monotonic() - before < 3.5
        server.set_link("t1", LinkQuality(0.0, reset_rate=1.0))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await ask(device, TIME)


async def test_a_taken_address_leaves_nothing_open() -> None:
    fleet = Fleet()
    first, second = fleet.add(killable=True), fleet.add(killable=True)
    host, _, port = second.partition(":")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the fleet holds the number
        other.bind((host, int(port)))
        other.listen()
        server = DistrictServer(fleet.district())
        with pytest.raises(OSError, match="in use"):
            await server.start()
        assert await outcome(first) == "ConnectionRefusedError"
