"""The desk killed with -9: what stood is nothing new to the next one, and its digest is told once."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from fakes.desk_child import book, door, smoke
from fakes.postgres import Server

from adapters.postgres.store import PostgresStore
from gateway.domain.alerting.rows import AlertState
from gateway.runtime.clock import SystemClock
from gateway.runtime.desk import Desk

TESTS = Path(__file__).parents[1]


async def killed(dsn: str) -> None:
    """A desk that dies as soon as its signals are stored."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fakes.desk_child", dsn,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"stored\n"
    finally:
        process.kill()
        await process.wait()


async def test_what_stood_goes_on_and_what_was_gathered_is_told_after_kill_9(
    embedded: Server,
) -> None:
    dsn = await embedded.fresh()
    await killed(dsn)
    store = PostgresStore(dsn, command_timeout_s=5.0)
    await store.open()
    clock = SystemClock()
    desk = Desk(store, clock, book(), recipients=("center",))
    await desk.load()
    loop = asyncio.create_task(desk.run())
    await desk.deliver([smoke("b", clock), door("e", clock)])
    (told,) = await store.events.alerts(recipient="center")
    (gathered,) = await store.events.gathered([])
    assert (told.revision, told.phase, gathered.recipient) == (1, "open", "digest:doors")
    await desk.deliver([smoke("c", clock, active=False), door("f", clock, active=False)])

    later = clock.utc(clock.now()) + timedelta(hours=2)
    loop.cancel()
    desk.tick(later)
    assert await desk.flush(last=True)
    ended = [row for row in await store.events.alerts(recipient="center") if row.phase == "close"]
    assert [row.key for row in ended if row.key == told.key] == [told.key]
    (digest,) = [row for row in ended if row.key.startswith("digest-doors")]
    assert [item["key"] for item in digest.body["data"]["items"]] == [gathered.key]
    assert await store.events.gathered([]) == []
    (settled,) = await store.events.alerts(recipient="digest:doors")
    assert settled.state is AlertState.SUPERSEDED
    await store.close()
