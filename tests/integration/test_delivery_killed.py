"""The gateway killed with -9 while it delivers: what was stored arrives, once by id, in order."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.outbox import SECRET, message, put, states
from fakes.postgres import Server

from adapters.postgres.store import PostgresStore
from adapters.virtual.center import VirtualCenter
from gateway.domain.alerting.rows import Alert, AlertPhase

TESTS = Path(__file__).parents[1]
INCIDENTS = 60
MOMENTS = {
    "when a message was taken, before it is answered": 0.0,
    "as the answer goes out": 0.0005,
    "between the answer and the settling": 0.002,
    "about when it is settled": 0.005,
    "among the next ones": 0.02,
}
"""Seconds from the center's having taken a message to the kill."""


@asynccontextmanager
async def delivering(dsn: str, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The deliverer as a process; it is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fakes.delivery_child",
        dsn,
        url,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"begins\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def outbox(now: datetime) -> list[Alert]:
    """Incidents of which some are updated and some closed already."""
    rows = [message(f"k{n}", 1, now) for n in range(INCIDENTS)]
    rows += [message(f"k{n}", 2, now) for n in range(0, INCIDENTS, 2)]
    rows += [message(f"k{n}", 3, now, AlertPhase.CLOSE) for n in range(0, INCIDENTS, 4)]
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", MOMENTS.values(), ids=MOMENTS)
async def test_kill_9_between_sending_and_settling_loses_and_doubles_nothing(
    embedded: Server, pause_s: float, tmp_path: Path
) -> None:
    dsn = await embedded.fresh()
    store = PostgresStore(dsn, command_timeout_s=2.0)
    await store.open()
    acknowledged = outbox(datetime.now(UTC))
    await put(store, *acknowledged)  # from here on it may only be delivered or superseded
    try:
        async with VirtualCenter((SECRET,), log=tmp_path / "center.jsonl") as center:
            for at in (1, 7, 23):
                async with delivering(dsn, center.url) as process:
                    kill_after(center, process, at, pause_s)
                    assert await asyncio.wait_for(process.wait(), 20) == -signal.SIGKILL
            center.on_taken = lambda _: None
            async with delivering(dsn, center.url):
                await drained(store)
            counts = center.counts

        found = await states(store)
        assert len(found) == len(acknowledged)
        assert set(found.values()) <= {"delivered", "superseded"}
        arrived = {f"{m['data']['key']}/{m['data']['revision']}" for m in center.messages}
        assert {name for name, state in found.items() if state == "delivered"} <= arrived
        newest = {row.key: f"{row.key}/{row.revision}" for row in acknowledged}
        assert set(newest.values()) <= arrived, "what was last stored of each incident arrived"
        assert (counts.duplicated, counts.disordered, counts.forged) == (0, 0, 0)
        assert counts.closed == INCIDENTS // 4
        assert counts.received == counts.distinct + counts.redelivered
        if not pause_s:  # killed before the answer: at least these came again or were overtaken
            assert counts.redelivered + list(found.values()).count("superseded") >= 3
    finally:
        await store.close()
        await embedded.drop(dsn)


def kill_after(
    center: VirtualCenter, process: asyncio.subprocess.Process, number: int, pause_s: float
) -> None:
    """Kill the process so long after the center took so many of its messages."""
    left = number

    def taken(_event: dict[str, Any]) -> None:
        nonlocal left
        left -= 1
        if left == 0 and pause_s:
            asyncio.get_running_loop().call_later(pause_s, process.kill)
        elif left == 0:
            process.kill()

    center.on_taken = taken


async def drained(store: PostgresStore) -> None:
    """Return when nothing is pending."""
    for _ in range(300):
        number, _ = await store.events.pending_alerts("center")
        if not number:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("messages are still pending")
