"""The virtual sensors: where they stand, and that the rules which come along read all they say."""

import asyncio
import csv
import io
from datetime import UTC, datetime

import pytest
from fakes.sensors import intake

from adapters.virtual.fleet import build_district
from adapters.virtual.model import VirtualDistrict
from adapters.virtual.sensors import (
    SENSOR_COLUMNS,
    SensorPublisher,
    build_sensors,
    sensor_rows,
)
from gateway.domain.archive_lists import SENSOR_KINDS
from gateway.domain.event import Event, EventKind, EventSource
from gateway.domain.sensor_mapping import Dropped, DropReason, Message


@pytest.fixture(scope="module")
def district() -> VirtualDistrict:
    return build_district(7, 300, port=1, tls_port=2, killable_port=3, canary_port=4)


class Kept:
    """A line that keeps what is sent."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    async def send(self, topic: str, payload: bytes) -> None:
        self.messages.append((topic, payload))


def test_the_same_seed_gives_the_same_sensors_each_with_a_topic_and_a_cell_of_its_own_village(
    district: VirtualDistrict,
) -> None:
    sensors = build_sensors(district)
    villages = {cell.id: cell.village for cell in district.grids}

    assert sensors == build_sensors(district)
    assert len({sensor.topic for sensor in sensors}) == len({s.id for s in sensors}) == len(sensors)
    assert {sensor.kind for sensor in sensors} >= {
        EventKind.SMOKE, EventKind.WATER_LEVEL, EventKind.DOOR, EventKind.GAS, EventKind.SOS,
        EventKind.POLE_TILT, EventKind.CABINET_POWER, EventKind.CABINET_TEMPERATURE, EventKind.TAMPER,
    }  # fmt: skip
    assert all(villages[sensor.grid] == sensor.village for sensor in sensors)


def test_their_file_reads_as_a_list_of_sensors(district: VirtualDistrict) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(SENSOR_COLUMNS)
    writer.writerows(sensor_rows(build_sensors(district)))
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))

    assert rows
    assert {SENSOR_KINDS[row["kind"]] for row in rows} <= set(EventKind)
    assert all(109 < float(r["longitude"]) < 111 and 37 < float(r["latitude"]) < 39 for r in rows)


def test_an_alarm_is_read_as_one_and_its_end_as_an_end(district: VirtualDistrict) -> None:
    sensors = build_sensors(district)
    line, reader = Kept(), intake(sensors)
    publisher = SensorPublisher(line, seed=3)
    kinds = {sensor.kind: sensor for sensor in sensors}

    async def speak() -> None:
        for one in kinds.values():
            await publisher.send(one, alarm=True)
            await publisher.send(one, alarm=False)

    asyncio.run(speak())
    for (topic, payload), sent in zip(line.messages, publisher.sent, strict=True):
        found = reader.read(Message(topic, payload, datetime.now(UTC), EventSource.MQTT, topic))
        assert isinstance(found, Event), (sent, found)
        assert found.active is (None if sent.kind is EventKind.SOS else sent.alarm), sent


def test_a_battery_report_is_no_event(district: VirtualDistrict) -> None:
    line = Kept()
    smoke = next(s for s in build_sensors(district) if s.kind is EventKind.SMOKE)
    asyncio.run(SensorPublisher(line).heartbeat(smoke))
    ((topic, payload),) = line.messages
    found = intake([smoke]).read(Message(topic, payload, datetime.now(UTC), EventSource.MQTT))

    assert isinstance(found, Dropped)
    assert found.reason is DropReason.LIFE_SIGN
