"""The center away for an hour of scripted time while alarms come and go: what is lost, doubled, drained when.

Real desk, real deliverer, real rules; the clock is moved by hand and the center is a sink with a switch.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fakes.clock import FakeClock, turns

from adapters.memory import MemoryStore
from gateway.domain.alerting.heartbeat import TYPE as HEARTBEAT
from gateway.domain.alerting.retry import Delivery
from gateway.domain.alerting.rows import Alert, AlertState
from gateway.domain.event import Event, EventKind, EventSource, SensorId
from gateway.rulebook import load
from gateway.runtime.deliverer import Deliverer, DeliveryLimits
from gateway.runtime.desk import Desk

HOUR_S = 3_600
ALARM_EVERY_S = 2.0
"""1,800 alarms in the hour: what a minute at the allowed rate can carry, with room."""
STANDS_S = 150
"""Every other alarm is over after so long; the others stand until the end."""
RATE_PER_S = 50.0
BACK_TICK_S = 0.1
AFTER_S = 90.0


@dataclass
class Sink:
    """A center that is there or not."""

    clock: FakeClock
    down: bool = False
    got: list[tuple[float, Alert]] = field(default_factory=list)
    attempts: int = 0

    async def send(self, alert: Alert) -> Delivery:
        """One attempt."""
        self.attempts += 1
        if self.down:
            return Delivery(delivered=False, reason="cannot be connected to")
        if alert.body["type"] != HEARTBEAT:
            self.got.append((self.clock.now(), alert))
        return Delivery(delivered=True, reason="200")

    async def close(self) -> None:
        """Nothing is held."""


@dataclass
class Scene:
    """Desk, deliverer and center in scripted time."""

    clock: FakeClock
    desk: Desk
    sink: Sink
    number: int = 0
    alarms: list[tuple[float, int]] = field(default_factory=list)

    async def hour(self) -> None:
        """Alarms come and go, second by second."""
        began = self.clock.now()
        while (passed_s := self.clock.now() - began) < HOUR_S:
            events = []
            while self.number * ALARM_EVERY_S <= passed_s:
                self.number += 1
                events.append(self._event(self.number, active=True))
                if self.number % 2:
                    self.alarms.append((passed_s + STANDS_S, self.number))
            while self.alarms and self.alarms[0][0] <= passed_s:
                events.append(self._event(self.alarms.pop(0)[1], active=False))
            await self.take(events)
            await self.tick(1.0)

    async def take(self, events: list[Event]) -> None:
        """Let the desk have events, stored."""
        work = asyncio.create_task(self.desk.deliver(events))
        await asyncio.sleep(0)
        while not work.done():
            await self.desk.flush()
            await asyncio.sleep(0)
        await work

    async def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.move(seconds)
        await self.desk.flush()
        await turns(30)

    def _event(self, number: int, *, active: bool) -> Event:
        now = self.clock.utc(self.clock.now())
        return Event(
            f"{number}-{active}",
            EventSource.MQTT,
            EventKind.SMOKE,
            now,
            sensor=SensorId(f"smoke-{number}"),
            active=active,
        )


async def _measure() -> dict[str, float]:
    clock, store = FakeClock(), MemoryStore()
    await store.open()
    desk = Desk(store, clock, load(), recipients=("center",))
    sink = Sink(clock)
    limits = DeliveryLimits(rate_per_s=RATE_PER_S)
    deliverer = Deliverer(
        store, clock, "center", sink, limits, source="sightline://bench", draw=lambda: 0.5
    )
    desk.alerts_written = deliverer.wake
    work = asyncio.create_task(deliverer.run())
    scene = Scene(clock, desk, sink)
    try:
        await turns(30)
        sink.down = True
        began = time.process_time()
        await scene.hour()
        sink.down = False
        back = clock.now()
        for _ in range(round(AFTER_S / BACK_TICK_S)):
            clock.move(BACK_TICK_S)
            await turns(12)
        spent_s = time.process_time() - began
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    rows = await store.events.alerts(limit=1_000_000, recipient="center")
    return {**_verdict(rows, sink, back), "alarms": scene.number, "cpu_s": round(spent_s, 1)}


def _verdict(rows: Sequence[Alert], sink: Sink, back: float) -> dict[str, float]:
    """What became of every message that was stored."""
    arrived = {alert.id for _, alert in sink.got}
    newest = {row.key: row for row in sorted(rows, key=lambda row: row.revision)}
    unsettled = sum(row.state not in (AlertState.DELIVERED, AlertState.SUPERSEDED) for row in rows)
    told_wrongly = sum(row.state is AlertState.DELIVERED and row.id not in arrived for row in rows)
    untold = sum(row.id not in arrived for row in newest.values())
    ids: dict[tuple[str, int], set[str]] = {}
    for _, alert in sink.got:
        ids.setdefault((alert.key, alert.revision), set()).add(alert.id)
    by_second = Counter(int(at) for at, _ in sink.got)
    return {
        "messages": len(rows),
        "superseded": sum(row.state is AlertState.SUPERSEDED for row in rows),
        "arrived": len(sink.got),
        "lost": max(unsettled, untold) + told_wrongly,
        "duplicated": sum(len(found) - 1 for found in ids.values()),
        "redelivered": len(sink.got) - len(arrived),
        "drained_s": round(max(at for at, _ in sink.got) - back, 1),
        "most_a_second": max(by_second.values()),
        "attempts_while_down": sink.attempts - len(sink.got),
    }


def run() -> dict[str, float]:
    """The figures."""
    return asyncio.run(_measure())


if __name__ == "__main__":
    json.dump(run(), sys.stdout, indent=1)
