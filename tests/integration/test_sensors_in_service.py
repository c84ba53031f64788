"""The whole service with a registry, a real broker and the signed intake, killed while messages come."""

import asyncio
import csv
import random
import time
from pathlib import Path

from fakes.postgres import state_dir
from fakes.sensors import broker
from fakes.service import Service
from fakes.town import MARKS, TORTURE

from adapters.virtual.sensors import (
    ROOT,
    SENSOR_COLUMNS,
    HttpLine,
    MqttLine,
    SensorPublisher,
    sensor_rows,
)
from gateway.domain.event import EventKind, Sensor, SensorId

pytestmark = MARKS
KILLS = 10 if TORTURE else 2
BUTTONS = tuple(
    Sensor(SensorId(f"sos-{n}"), f"{n}号报警柱", EventKind.SOS, f"{ROOT}/sos/{n}", 109.73, 38.28)
    for n in range(60)
)
SECRET = "whsec_" + "QUJD" * 8
STORED = (
    "SELECT sensor, sum(count) AS messages FROM sightline.events WHERE kind = 'sos' GROUP BY sensor"
)


def prepare(folder: Path, port: int) -> Service:
    """A service with a registry of buttons, a broker and one source over HTTP."""
    secrets = folder / "intake"
    secrets.mkdir()
    (secrets / f"{ROOT}.secret").write_text(SECRET, encoding="utf-8")
    service = Service(
        folder,
        {
            "mqtt": {"host": "127.0.0.1", "port": port, "topics": [f"{ROOT}/#"]},
            "intake": {"secrets_dir": str(secrets)},
        },
    )
    cameras = Path(__file__).parents[1] / "data/archive/good-cameras.csv"
    service.sightline("import", str(cameras))
    sensors = folder / "sensors.csv"
    with sensors.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(SENSOR_COLUMNS)
        writer.writerows(sensor_rows(BUTTONS))
    service.sightline("import", "sensors", str(sensors))
    return service


def stored(service: Service) -> dict[str, int]:
    """Messages by sensor, as the store has them."""
    return {row["sensor"]: int(row["messages"]) for row in service.query(STORED)}


def wait_stored(service: Service, messages: int) -> dict[str, int]:
    """Wait until so many messages are stored, and a moment more: what comes twice comes now."""
    deadline = time.monotonic() + 20
    while sum(stored(service).values()) < messages and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.0)
    return stored(service)


async def press(publisher: SensorPublisher, rng: random.Random, ended: asyncio.Event) -> None:
    """Press buttons in turn until told to end."""
    while not ended.is_set():
        for button in BUTTONS:
            await publisher.send(button, alarm=True)
            await asyncio.sleep(rng.uniform(0, 0.02))


async def test_a_service_killed_while_buttons_are_pressed_has_every_press_once(
    tmp_path: Path,
) -> None:
    rng = random.Random(4)  # noqa: S311 - moments to kill at
    ended = asyncio.Event()
    with state_dir() as folder:
        async with broker(tmp_path) as mosquitto, MqttLine("127.0.0.1", mosquitto.port) as line:
            service = await asyncio.to_thread(prepare, folder, mosquitto.port)
            publisher = SensorPublisher(line)
            try:
                await asyncio.to_thread(service.start)
                await asyncio.sleep(1.0)  # it has subscribed: from now on nothing may be lost
                work = asyncio.create_task(press(publisher, rng, ended))
                for _n in range(KILLS):
                    await asyncio.sleep(rng.uniform(0.3, 1.5))
                    service.kill()
                    await asyncio.to_thread(service.start)
                await asyncio.sleep(0.5)
                ended.set()
                await work
                over_http = BUTTONS[0]
                async with HttpLine(f"http://127.0.0.1:{service.port}", SECRET) as other:
                    spoken = SensorPublisher(other, seed=1)
                    spoken._serial = publisher._serial  # one device: its ids go on
                    await spoken.send(over_http, alarm=True)
                sent = [*publisher.sent, *spoken.sent]
                found = await asyncio.to_thread(wait_stored, service, len(sent))
            finally:
                await asyncio.to_thread(service.close)

    wanted = {button.id: 0 for button in BUTTONS}
    for one in sent:
        wanted[one.sensor] += 1
    assert found == {str(key): count for key, count in wanted.items() if count}
    assert len(sent) > 100
