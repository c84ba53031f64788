"""Messages a second over MQTT QoS 1: published, stored by the real desk in a real store, acknowledged.

One process holds the gateway's side; another publishes as fast as the broker takes it. The broker's own share
of the CPU is not counted.
"""

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from adapters.mqtt import MqttSource
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.store import PostgresStore
from adapters.virtual.broker import Broker, find_mosquitto
from gateway import rulebook, sensor_config
from gateway.domain.event import EventKind, Sensor, SensorId
from gateway.domain.sensor_intake import SensorIntake
from gateway.ports.events import MqttBroker, MqttContext
from gateway.runtime.clock import SystemClock
from gateway.runtime.desk import Desk

SENSORS, EACH = 500, 20
"""Of different sensors, so that the desk's guard against storms of one sensor stays out of it."""

_PUBLISH = """
import asyncio, json, sys
import aiomqtt
async def main(port, sensors, each):
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5,
            max_inflight_messages=500) as client:
        client.pending_calls_threshold = 10**6
        wait = []
        for n in range(each):
            for s in range(sensors):
                body = json.dumps({"id": f"{s}-{n}", "value": 3.0 + n / 100}).encode()
                wait.append(client.publish(f"bench/water/{s}", body, qos=1, timeout=120))
                if len(wait) == 200:
                    await asyncio.gather(*wait)
                    wait = []
        await asyncio.gather(*wait)
asyncio.run(main(*map(int, sys.argv[1:])))
"""


async def _measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="sl-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - the embedded store's user passes through
        server = EmbeddedPostgres(folder / "store")
        store = PostgresStore(await server.start())
        try:
            await store.migrate()
            await store.open()
            async with Broker(folder / "mosquitto") as broker:
                return await _run(store, broker.port)
        finally:
            await store.close()
            await server.stop()


async def _run(store: PostgresStore, port: int) -> dict[str, float]:
    clock = SystemClock()
    desk = Desk(store, clock, rulebook.load())
    sensors = SensorIntake(sensor_config.load().rules)
    sensors.take_sensors(
        Sensor(SensorId(f"w{n}"), f"w{n}", EventKind.WATER_LEVEL, f"bench/water/{n}")
        for n in range(SENSORS)
    )
    to = MqttBroker("127.0.0.1", ("bench/#",), port, "bench")
    source = MqttSource(MqttContext(to, sensors, desk.deliver, clock))
    work = [asyncio.create_task(source.run()), asyncio.create_task(desk.run())]
    try:
        await source.connected.wait()
        publisher = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PUBLISH, str(port), str(SENSORS), str(EACH),
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while not source.acknowledged:  # noqa: ASYNC110 - from the first one on
            await asyncio.sleep(0.001)
        began, cpu = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        first = source.acknowledged
        async with asyncio.timeout(300):
            while source.acknowledged < SENSORS * EACH:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        wall_s = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_SELF)
        await publisher.wait()
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    spent_s = used.ru_utime - cpu.ru_utime + used.ru_stime - cpu.ru_stime
    count = SENSORS * EACH - first
    return {
        "messages": count,
        "per_s": round(count / wall_s),
        "cpu_ms_each": round(1000 * spent_s / count, 3),
    }


def run() -> object:
    """The figures, or why there are none."""
    if find_mosquitto() is None:
        return {"skipped": "mosquitto is not installed"}
    return asyncio.run(_measure())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run()) + "\n")
