"""Sensors that will not be put off, a center that listens, and what each of them knows in the end."""

import asyncio
import contextlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from random import Random
from typing import Any, TypeVar

import aiohttp
import aiomqtt

from adapters.virtual.sensors import Line, SensorPublisher
from gateway.domain.event import EventKind, Sensor

TOLD = frozenset(
    {
        EventKind.SMOKE,
        EventKind.GAS,
        EventKind.SOS,
        EventKind.WATER_LEVEL,
        EventKind.TAMPER,
    }
)
"""Kinds that the shipped rules tell the center of."""
DEGREE_M, EASTWARDS = 111_320.0, 0.785
"""Metres a degree, and how much shorter one of longitude is here."""
APART_M = 250.0
"""So far apart that no two sensors of a kind share an incident."""
ATTEMPT_S = 2.0
AGAIN_S = 0.1

Opens = Callable[[], AbstractAsyncContextManager[Line]]


class Stubborn:
    """A line that sends the same message again until the other side has acknowledged it.

    Args:
        opens: makes a new connection.

    Attributes:
        attempts: by topic, also those that failed: the other side may have taken them all the same.
        acknowledged: by topic.
    """

    def __init__(self, opens: Opens) -> None:
        self._opens = opens
        self._stack = AsyncExitStack()
        self._line: Line | None = None
        self.attempts: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()

    async def send(self, topic: str, payload: bytes) -> None:
        """Return when it is acknowledged."""
        while True:
            self.attempts[topic] += 1
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    if self._line is None:
                        self._line = await self._stack.enter_async_context(self._opens())
                    await self._line.send(topic, payload)
            except (aiomqtt.MqttError, aiohttp.ClientError, OSError, TimeoutError):
                await self.close()
                await asyncio.sleep(AGAIN_S)
            else:
                self.acknowledged[topic] += 1
                return

    async def close(self) -> None:
        """Let go of the connection."""
        self._line = None
        with contextlib.suppress(aiomqtt.MqttError, aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(ATTEMPT_S):
                await self._stack.aclose()


T = TypeVar("T")


def far_apart(
    things: Sequence[T], places: Sequence[tuple[float | None, float | None]], apart_m: float = 60.0
) -> list[T]:
    """Those of some things that have a place, no two nearer than so many metres."""
    side_deg = apart_m / DEGREE_M / EASTWARDS
    squares: dict[tuple[int, int], list[tuple[float, float]]] = {}
    chosen = []
    for thing, (longitude, latitude) in zip(things, places, strict=True):
        if longitude is None or latitude is None:
            continue
        x, y = int(longitude // side_deg), int(latitude // side_deg)
        near = [
            at for dx in (-1, 0, 1) for dy in (-1, 0, 1) for at in squares.get((x + dx, y + dy), ())
        ]
        if all(_apart_m((longitude, latitude), at) > apart_m for at in near):
            squares.setdefault((x, y), []).append((longitude, latitude))
            chosen.append(thing)
    return chosen


def spread(sensors: Iterable[Sensor], kinds: frozenset[EventKind] = TOLD) -> list[Sensor]:
    """Sensors of some kinds, no two of a kind near each other."""
    chosen: list[Sensor] = []
    known = list(sensors)
    for kind in sorted(kinds):
        same = [one for one in known if one.kind is kind]
        chosen += far_apart(same, [(one.longitude, one.latitude) for one in same], APART_M)
    return chosen


def _apart_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    return math.hypot((a[0] - b[0]) * EASTWARDS, a[1] - b[1]) * DEGREE_M


class Crowd:
    """Some sensors that raise and clear alarms in turn over one line, until told to end.

    Args:
        line: theirs.
        sensors: who speaks.
        every_s: between two messages, about.
        seed: of readings and pauses.
    """

    def __init__(
        self, line: Stubborn, sensors: Sequence[Sensor], every_s: float, seed: int
    ) -> None:
        self.line = line
        self.sensors = sensors
        self._publisher = SensorPublisher(line, seed)
        # Ids of their own are each sensor's; no two crowds have a sensor in common.
        self._rng = Random(seed)  # noqa: S311 - pauses
        self._every_s = every_s
        self._standing: set[str] = set()
        self._ends = asyncio.Event()

    async def run(self) -> None:
        """Speak; at the end every alarm is cleared."""
        for sensor in itertools.cycle(self.sensors):
            if self._ends.is_set():
                break
            await self._speak(sensor)
            await asyncio.sleep(self._rng.uniform(0.0, 2 * self._every_s))
        for sensor in self.sensors:
            if sensor.id in self._standing:
                await self._speak(sensor)
        await self.line.close()

    async def _speak(self, sensor: Sensor) -> None:
        alarm = sensor.kind is EventKind.SOS or sensor.id not in self._standing
        await self._publisher.send(sensor, alarm=alarm)
        if sensor.kind is not EventKind.SOS:
            (self._standing.add if alarm else self._standing.discard)(sensor.id)

    def end(self) -> None:
        """Clear what stands, and be silent."""
        self._ends.set()

    @property
    def acknowledged(self) -> Counter[str]:
        """Messages by sensor that the other side said it has."""
        return Counter(sent.sensor for sent in self._publisher.sent)


class Buttons:
    """Buttons without an id of their own: every press is the same message as the one before."""

    def __init__(self, line: Stubborn, sensors: Sequence[Sensor], every_s: float) -> None:
        self.line = line
        self.sensors = sensors
        self._every_s = every_s
        self._ends = asyncio.Event()

    async def run(self) -> None:
        """Press in turn until told to end."""
        for sensor in itertools.cycle(self.sensors):
            if self._ends.is_set():
                break
            await self.line.send(sensor.topic, json.dumps("PRESS").encode())
            await asyncio.sleep(self._every_s)
        await self.line.close()

    def end(self) -> None:
        """Be silent."""
        self._ends.set()


def by_key(messages: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the center knows last of each incident."""
    newest: dict[str, dict[str, Any]] = {}
    for message in messages:
        data = message["data"]
        before = newest.get(data["key"])
        if before is None or before["revision"] < data["revision"]:
            newest[data["key"]] = data
    return newest
