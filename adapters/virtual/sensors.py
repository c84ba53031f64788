"""Virtual sensors: where they stand in the district, and what they send.

A seeded list (the same for the same seed and size) and a publisher that speaks as such devices do, over
MQTT or over the signed HTTP intake. Payloads are those that `config/sensors.toml` reads.
"""

import csv
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Protocol, Self

import aiohttp
import aiomqtt
import numpy as np
import shapely
from shapely.geometry import shape
from standardwebhooks import Webhook

from adapters.virtual.model import VirtualDistrict
from gateway.domain.camera import Camera, DivisionCode, GridCell, GridId
from gateway.domain.event import EventKind, Sensor, SensorId

SENSOR_COLUMNS = (
    "id", "name", "kind", "topic", "longitude", "latitude", "township_code", "village_code", "grid_id",
)  # fmt: skip
ROOT = "virtual"
"""First level of all topics; also the name of the HTTP intake's source."""
_AT_PLACES: Mapping[str, tuple[tuple[EventKind, str], ...]] = {
    "market": ((EventKind.SMOKE, "烟感"), (EventKind.GAS, "燃气探测器")),
    "square": ((EventKind.SOS, "一键报警柱"),),
    "park": ((EventKind.WATER_LEVEL, "水位计"),),
    "hospital": ((EventKind.SMOKE, "烟感"),),
    "school": ((EventKind.DOOR, "通道门磁"),),
}
_AT_POLES: tuple[tuple[EventKind, str], ...] = (
    (EventKind.TAMPER, "箱门"),
    (EventKind.POLE_TILT, "立杆倾斜"),
    (EventKind.CABINET_POWER, "箱体供电"),
    (EventKind.CABINET_TEMPERATURE, "箱体温度"),
)
_POLES_LEAST, _POLES_SHARE = 4, 0.01
_WELL: Mapping[EventKind, tuple[float, float]] = {
    EventKind.SMOKE: (0.0, 0.05),
    EventKind.GAS: (0.0, 4.0),
    EventKind.WATER_LEVEL: (0.4, 1.6),
    EventKind.POLE_TILT: (0.0, 1.5),
    EventKind.CABINET_POWER: (218.0, 236.0),
    EventKind.CABINET_TEMPERATURE: (18.0, 45.0),
}
"""Readings when all is well."""
_ALARM: Mapping[EventKind, tuple[float, float]] = {
    EventKind.SMOKE: (0.3, 0.9),
    EventKind.GAS: (25.0, 60.0),
    EventKind.WATER_LEVEL: (2.6, 4.0),
    EventKind.POLE_TILT: (6.0, 20.0),
    EventKind.CABINET_POWER: (0.0, 140.0),
    EventKind.CABINET_TEMPERATURE: (68.0, 85.0),
}
_PLAIN = frozenset({EventKind.CABINET_POWER, EventKind.CABINET_TEMPERATURE})
"""Cheap devices: a number, no name, no time."""
_CONTACTS = frozenset({EventKind.DOOR, EventKind.TAMPER})


def build_sensors(district: VirtualDistrict) -> tuple[Sensor, ...]:
    """The sensors of a district: at its places, and at a hundredth of its camera poles."""
    rng = Random(f"{district.seed}:sensors")
    cells = _Cells(district.grids)
    serial = itertools.count(1)
    found: list[Sensor] = []
    for place in district.places:
        for kind, label in _AT_PLACES.get(place.kind, ()):
            at = shape(dict(place.geometry)).representative_point()
            cell = cells.of(at.x, at.y)
            village = DivisionCode("" if cell is None else cell.village)
            grid = GridId("" if cell is None else cell.id)
            name = f"{place.name}{label}"
            found.append(_sensor(next(serial), name, kind, (at.x, at.y), village, grid))
    poles = [c for d in district.devices for c in d.channels[:1] if c.longitude is not None]
    count = min(len(poles), max(_POLES_LEAST, round(_POLES_SHARE * len(poles))))
    for camera in sorted(rng.sample(poles, count), key=lambda c: c.id):
        for kind, label in _AT_POLES:
            found.append(_at_camera(next(serial), camera, kind, label))
    return tuple(found)


def _at_camera(number: int, camera: Camera, kind: EventKind, label: str) -> Sensor:
    at = (camera.longitude or 0.0, camera.latitude or 0.0)
    return _sensor(number, f"{camera.name}{label}", kind, at, camera.village, camera.grid)


def _sensor(
    number: int,
    name: str,
    kind: EventKind,
    at: tuple[float, float],
    village: DivisionCode,
    grid: GridId,
) -> Sensor:
    township = DivisionCode(village[:9])
    sensor_id = SensorId(f"sensor-{number:04d}")
    topic = f"{ROOT}/{township or 'district'}/{kind.value}/{sensor_id}"
    place = (round(at[0], 6), round(at[1], 6))
    return Sensor(sensor_id, name, kind, topic, *place, township, village, grid)


class _Cells:
    """Which grid cell a point lies in."""

    def __init__(self, grids: Sequence[GridCell]) -> None:
        self._grids = grids
        shapes = [shape({"type": "MultiPolygon", "coordinates": cell.polygons}) for cell in grids]
        self._tree = shapely.STRtree(shapes)

    def of(self, longitude: float, latitude: float) -> GridCell | None:
        inside = self._tree.query(shapely.Point(longitude, latitude), predicate="intersects")
        return self._grids[int(np.min(inside))] if len(inside) else None


def sensor_rows(sensors: Sequence[Sensor]) -> Iterator[Sequence[str]]:
    """The rows of `sensors.csv`, as SENSOR_COLUMNS."""
    for one in sensors:
        longitude, latitude = one.longitude or math.nan, one.latitude or math.nan
        at = (f"{longitude:.6f}", f"{latitude:.6f}")
        yield (
            one.id,
            one.name,
            one.kind.value,
            one.topic,
            *at,
            one.township,
            one.village,
            one.grid,
        )


def read_sensors(path: Path) -> list[Sensor]:
    """The sensors of a `sensors.csv`."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [
            Sensor(
                SensorId(row["id"]), row["name"], EventKind(row["kind"]), row["topic"],
                float(row["longitude"]), float(row["latitude"]), DivisionCode(row["township_code"]),
                DivisionCode(row["village_code"]), GridId(row["grid_id"]),
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


# --- what they send


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as it was sent: what the truth log keeps."""

    sensor: SensorId
    kind: EventKind
    at: datetime
    alarm: bool
    id: str
    """The message's own; "" for devices that give none."""
    payload: bytes


class Line(Protocol):
    """A way to the gateway; `send` returns when the other side took it."""

    async def send(self, topic: str, payload: bytes) -> None:
        """One message."""
        ...


class MqttLine:
    """Over a broker, QoS 1. `async with`.

    Args:
        host / port: of the broker.
    """

    def __init__(self, host: str, port: int) -> None:
        self._client = aiomqtt.Client(host, port, protocol=aiomqtt.ProtocolVersion.V5)

    async def send(self, topic: str, payload: bytes) -> None:
        """Publish, and wait until the broker has it."""
        await self._client.publish(topic, payload, qos=1)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)


class HttpLine:
    """Over the signed HTTP intake, where there is no broker. `async with`.

    Args:
        url: of the gateway.
        secret: `whsec_...` of the source.
        source: its name.
    """

    def __init__(self, url: str, secret: str, source: str = ROOT) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/intake/{source}"
        self._webhook = Webhook(secret)
        self._serial = itertools.count(1)
        self._run = Random().getrandbits(48)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, topic: str, payload: bytes) -> None:
        """Post, and wait until the gateway has stored it.

        Raises:
            aiohttp.ClientResponseError: it did not take it.
        """
        assert self._session is not None  # noqa: S101 - inside `async with`
        body = json.dumps({"topic": topic, "payload": json.loads(payload)}, ensure_ascii=False)
        message_id, at = f"msg-{self._run:x}-{next(self._serial)}", datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._webhook.sign(message_id, at, body),
        }
        async with self._session.post(self._url, data=body.encode(), headers=headers) as answer:
            answer.raise_for_status()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()


class SensorPublisher:
    """Speaks for all sensors over one line.

    Args:
        line: where to.
        seed: of the readings.

    Attributes:
        sent: what went out, in order.
    """

    def __init__(self, line: Line, seed: int = 0) -> None:
        self._line = line
        self._rng = Random(f"{seed}:readings")
        self._serial = itertools.count(1)
        self.sent: list[Sent] = []

    async def send(self, sensor: Sensor, *, alarm: bool) -> Sent:
        """One message of a sensor: an alarm, or that all is well. A button only knows alarms."""
        at = datetime.now(UTC)
        own_id = "" if sensor.kind in _PLAIN else f"{sensor.id}-{next(self._serial)}"
        payload = _payload(sensor.kind, self._rng, at, own_id, alarm=alarm)
        await self._line.send(sensor.topic, payload)
        sent = Sent(sensor.id, sensor.kind, at, alarm, own_id, payload)
        self.sent.append(sent)
        return sent

    async def heartbeat(self, sensor: Sensor) -> None:
        """A battery report: no reading, and no alarm."""
        content = {"type": "battery", "percent": self._rng.randint(30, 100)}
        await self._line.send(sensor.topic, json.dumps(content).encode())


def _payload(kind: EventKind, rng: Random, at: datetime, own_id: str, *, alarm: bool) -> bytes:
    low, high = (_ALARM if alarm else _WELL).get(kind, (0.0, 0.0))
    reading = round(rng.uniform(low, high), 3)
    if kind in _PLAIN:
        return f"{reading:g}".encode()
    content: dict[str, object] = {"id": own_id, "time": at.isoformat()}
    if kind in _CONTACTS:
        content["open"] = alarm
    elif kind is EventKind.SOS:
        content["pressed"] = True
    else:
        content["value"] = reading
    if kind is EventKind.SMOKE:
        content["alarm"] = alarm
    return json.dumps(content).encode()
