"""`check_by = tcp`: a port that accepts is alive."""

import asyncio
import socket

import pytest
from fakes.leap_clock import LeapClock
from fakes.raw_server import raw_server

from adapters.tcp import TcpProbe
from gateway.domain.camera import CheckBy, Device, DeviceId, NodeId
from gateway.domain.observation import Instant, OutageCause, Step, Verdict
from gateway.ports import ProbeContext


def at(port: int) -> Device:
    host = "127.0.0.1"
    return Device(DeviceId(f"{host}:{port}"), host, port, NodeId("n"), check_by=CheckBy.TCP)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_port_that_accepts_is_alive_and_the_connection_is_closed() -> None:
    clock, hung_up = LeapClock(), asyncio.Event()

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        hung_up.set()

    async with raw_server(waits) as port:
        answer = await TcpProbe(ProbeContext(clock)).check(
            at(port), Step.REACH, Instant(clock.now() + 2)
        )
        await asyncio.wait_for(hung_up.wait(), 2)
    assert (answer.verdict, answer.found, answer.chain) == (Verdict.ANSWERED, (), ())
    assert answer.tested == frozenset()
    assert answer.rtt_s is not None


async def test_a_closed_port_is_refused() -> None:
    clock = LeapClock()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        answer = await TcpProbe(ProbeContext(clock)).check(
            at(holder.getsockname()[1]), Step.REACH, Instant(clock.now() + 2)
        )
    assert (answer.verdict, answer.cause) == (Verdict.NO_ANSWER, OutageCause.REFUSED)
    assert answer.chain[0].detail.startswith("ECONNREFUSED")


async def test_a_dropped_syn_is_a_timeout_before_the_deadline() -> None:
    clock = LeapClock()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            answer = await TcpProbe(ProbeContext(clock)).check(
                at(listener.getsockname()[1]), Step.REACH, Instant(clock.now() + 0.5)
            )
        finally:
            for filler in fillers:
                filler.close()
    assert (answer.verdict, answer.cause) == (Verdict.NO_ANSWER, OutageCause.TIMEOUT)
    assert answer.ended - answer.started < 0.5


async def test_explain_shows_the_connect_time_and_other_steps_are_refused() -> None:
    clock = LeapClock()
    probe = TcpProbe(ProbeContext(clock))
    async with raw_server(silent) as port:
        (answer,) = await probe.explain(at(port), Instant(clock.now() + 2))
        with pytest.raises(ValueError, match="SIGNED"):
            await probe.check(at(port), Step.SIGNED, Instant(clock.now() + 2))
    assert [step.name for step in answer.chain] == ["tcp"]
    assert answer.chain[0].ms > 0
    probe.forget(at(port).id)
    await probe.close()
