"""The real MQTT source over a real store, as a process that may be killed.

Arguments: port of the broker, DSN of the store, folder to keep marks in. Prints a line when it is subscribed.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from adapters.mqtt import MqttSource
from adapters.postgres.store import PostgresStore
from gateway import sensor_config
from gateway.domain.event import Event, EventKind, Sensor, SensorId
from gateway.domain.sensor_intake import SensorIntake
from gateway.ports.events import EventChanges, MqttBroker, MqttContext
from gateway.runtime.clock import SystemClock

BUTTON = Sensor(SensorId("button"), "无编号按钮", EventKind.SOS, "kill/button")
NAMED = Sensor(SensorId("named"), "有编号按钮", EventKind.SOS, "kill/named")


async def main(port: int, dsn: str, folder: Path) -> None:
    """Until killed."""
    store = PostgresStore(dsn, command_timeout_s=2.0)
    await store.open()

    async def deliver(events: Sequence[Event]) -> None:
        await store.events.commit(EventChanges(events=tuple(events)))

    sensors = SensorIntake(sensor_config.load().rules)
    sensors.take_sensors([BUTTON, NAMED])
    broker = MqttBroker("127.0.0.1", ("kill/#",), port, "killed-gateway", in_flight=50)
    source = MqttSource(MqttContext(broker, sensors, deliver, SystemClock(), folder))
    work = asyncio.create_task(source.run())
    await source.connected.wait()
    sys.stdout.write("subscribed\n")
    sys.stdout.flush()
    await work


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
