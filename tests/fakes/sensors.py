"""A broker of our own and the gateway's MQTT side, for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from fakes.absent import absent

from adapters.mqtt import MqttSource
from adapters.virtual.broker import Broker, find_mosquitto
from gateway import sensor_config
from gateway.domain.event import Event, EventKind, Sensor, SensorId
from gateway.domain.sensor_intake import SensorIntake
from gateway.errors import StoreUnavailable
from gateway.ports.events import MqttBroker, MqttContext
from gateway.runtime.clock import SystemClock


def need_mosquitto() -> None:
    """Skip, or fail in CI, where there is no broker."""
    if find_mosquitto() is None:
        absent("mosquitto is not installed (Debian: apt install mosquitto)")


@contextlib.asynccontextmanager
async def broker(folder: Path, **options: str) -> AsyncIterator[Broker]:
    """A running mosquitto."""
    need_mosquitto()
    async with Broker(folder / "mosquitto", **options) as found:
        yield found


def sensor(number: int, kind: EventKind, topic: str = "", *, in_use: bool = True) -> Sensor:
    """A sensor of the registry."""
    name = topic or f"yuyang/{kind.value}/{number}"
    return Sensor(SensorId(f"s{number}"), f"{kind}{number}", kind, name, 109.7, 38.2, in_use=in_use)


class Shelf:
    """Where events go: kept in order; a repeat by id is dropped, as the desk does.

    Attributes:
        is_away: every call raises `StoreUnavailable`.
        goes_on: calls wait while this event is not set.
        goes_on_after: likewise, when the events are kept already.
        calls: sizes of the batches that were given.
    """

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.calls: list[int] = []
        self.refused = 0
        self.is_away = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.goes_on_after = asyncio.Event()
        self.goes_on_after.set()

    async def deliver(self, events: Sequence[Event]) -> None:
        """As the desk's."""
        self.calls.append(len(events))
        await self.goes_on.wait()
        if self.is_away:
            self.refused += 1
            raise StoreUnavailable("switched off by the test")
        for event in events:
            self.events.setdefault(event.id, event)
        await self.goes_on_after.wait()

    async def until(self, count: int, within_s: float = 10.0) -> list[Event]:
        """Wait for so many events."""
        async with asyncio.timeout(within_s):
            while len(self.events) < count:  # noqa: ASYNC110 - whoever delivers does not know us
                await asyncio.sleep(0.01)
        return list(self.events.values())


def intake(sensors: Sequence[Sensor]) -> SensorIntake:
    """A registry read by the rules that come with Sightline."""
    found = SensorIntake(sensor_config.load().rules)
    found.take_sensors(sensors)
    return found


@contextlib.asynccontextmanager
async def listening(
    to: MqttBroker, sensors: SensorIntake, shelf: Shelf, folder: Path | None = None
) -> AsyncIterator[MqttSource]:
    """The real source at work; it is subscribed when this is entered."""
    source = MqttSource(MqttContext(to, sensors, shelf.deliver, SystemClock(), folder))
    work = asyncio.create_task(source.run())
    try:
        async with asyncio.timeout(10):
            await source.connected.wait()
        yield source
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
