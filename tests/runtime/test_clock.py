"""The machine's clock, and the canaries that really connect."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from fakes.clock import NOON, FakeClock

from gateway.domain.observation import Instant
from gateway.runtime.canary import Canaries, _split
from gateway.runtime.clock import SystemClock
from gateway.runtime.judge import Judge, JudgeRules


def test_utc_and_instants_turn_into_each_other() -> None:
    clock = SystemClock()
    now = clock.now()
    assert abs(clock.utc(now) - datetime.now(UTC)) < timedelta(seconds=1)
    assert clock.instant(clock.utc(now)) == pytest.approx(now, abs=1e-3)
    assert clock.instant(datetime(2001, 1, 1, tzinfo=UTC)) < 0


def test_a_step_of_the_wall_is_seen_and_undone_once() -> None:
    clock = SystemClock()
    assert abs(clock.step_s()) < 0.5
    clock._boot_epoch -= 3600.0
    assert clock.step_s() == pytest.approx(3600.0, abs=0.5)
    assert clock.anchor_again() == pytest.approx(3600.0, abs=0.5)
    assert abs(clock.step_s()) < 0.5


async def test_sleeping_until_what_is_past_returns_at_once() -> None:
    clock = SystemClock()
    before = time.monotonic()
    await clock.sleep_until(Instant(clock.now() - 100))
    await clock.sleep_until(Instant(clock.now() + 0.02))
    assert 0.01 < time.monotonic() - before < 5.0


async def test_a_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock()
    assert clock.utc(clock.now()) == NOON
    task = asyncio.create_task(clock.sleep_until(Instant(clock.now() + 10)))
    await asyncio.sleep(0.01)
    assert not task.done()
    await clock.advance(10.1, 0.5)
    assert task.done()
    clock.step_wall(100.0)
    assert clock.utc(clock.now()) < NOON + timedelta(seconds=11)
    assert clock.anchor_again() == 100.0
    assert clock.utc(clock.now()) > NOON + timedelta(seconds=100)


@pytest.mark.parametrize(
    ("address", "parts"), [("10.0.0.1:80", ("10.0.0.1", 80)), ("[fe80::1]:22", ("fe80::1", 22))]
)
def test_addresses_of_canaries(address: str, parts: tuple[str, int]) -> None:
    assert _split(address) == parts


async def test_a_canary_that_accepts_bears_witness_and_one_that_refuses_does_not() -> None:
    clock = FakeClock()
    judge = Judge(JudgeRules(), clock.epoch, clock.now())

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    running = asyncio.create_task(Canaries(clock, [f"127.0.0.1:{port}"], 1.0, judge).run())
    async with asyncio.timeout(5.0):
        while judge.witness.newest < 0:  # noqa: ASYNC110 - a socket has no event for this
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    server.close()
    await server.wait_closed()
    silent = Judge(JudgeRules(), clock.epoch, clock.now())
    await Canaries(clock, [f"127.0.0.1:{port}"], 1.0, silent)._ask("127.0.0.1", port)
    assert silent.witness.newest == float("-inf")
