"""kill -9 of the gateway's MQTT side, of the broker and of the store: acknowledged = stored, none twice."""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
from fakes.mqtt_child import BUTTON, NAMED
from fakes.postgres import Server
from fakes.sensors import broker
from fakes.town import MARKS, TORTURE

from adapters.virtual.sensors import MqttLine

pytestmark = MARKS
KILLS = 30 if TORTURE else 5
TESTS = Path(__file__).parents[1]


@contextlib.asynccontextmanager
async def child(port: int, dsn: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The gateway's side, subscribed; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fakes.mqtt_child", str(port), dsn, str(folder),
        stdout=subprocess.PIPE, cwd=TESTS,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            while await process.stdout.readline() != b"subscribed\n":
                assert process.returncode is None
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def stored(dsn: str) -> list[str]:
    """The sensors of all stored events."""
    connection = await asyncpg.connect(dsn)
    try:
        return [
            row["sensor"] for row in await connection.fetch("SELECT sensor FROM sightline.events")
        ]
    finally:
        await connection.close()


async def until_stored(dsn: str, count: int) -> list[str]:
    """Wait until so many events are there; the list, however long it is in the end."""
    async with asyncio.timeout(20):
        while len(await stored(dsn)) < count:  # noqa: ASYNC110 - the rows of another process
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)  # what comes twice comes now
    return await stored(dsn)


async def press(line: MqttLine, rng: random.Random, ended: asyncio.Event) -> dict[str, int]:
    """Press both buttons until told to end; returns how often each was, as the broker confirmed."""
    pressed = {BUTTON.id: 0, NAMED.id: 0}
    number = 0
    while not ended.is_set():
        number += 1
        await line.send(NAMED.topic, json.dumps({"id": f"n{number}"}).encode())
        pressed[NAMED.id] += 1
        await line.send(BUTTON.topic, b"PRESS")  # each the same as the one before
        pressed[BUTTON.id] += 1
        await asyncio.sleep(rng.uniform(0.0, 0.01))
    return {str(key): count for key, count in pressed.items()}


async def test_a_killed_gateway_loses_nothing_and_tells_nothing_twice(
    embedded: Server, tmp_path: Path
) -> None:
    rng = random.Random(2026)  # noqa: S311 - moments to kill at
    dsn = await embedded.fresh()
    ended = asyncio.Event()
    async with broker(tmp_path) as mosquitto, MqttLine("127.0.0.1", mosquitto.port) as line:
        async with child(mosquitto.port, dsn, tmp_path):
            work = asyncio.create_task(press(line, rng, ended))
            await asyncio.sleep(rng.uniform(0.05, 0.6))
        for _n in range(KILLS - 1):
            async with child(mosquitto.port, dsn, tmp_path):
                await asyncio.sleep(rng.uniform(0.0, 0.6))
        ended.set()
        pressed = await work
        async with child(mosquitto.port, dsn, tmp_path):
            rows = await until_stored(dsn, sum(pressed.values()))
    await embedded.drop(dsn)

    assert {name: rows.count(name) for name in pressed} == pressed
    assert sum(pressed.values()) > 50 * KILLS
