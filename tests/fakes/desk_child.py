"""A desk over a real store, as a process that may be killed. Arguments: DSN of the store.

It gathers doors for an hour and tells smoke; prints a line when a contact and a sensor are stored.
"""

import asyncio
import sys
from dataclasses import replace

from adapters.postgres.store import PostgresStore
from gateway.domain.alerting.rules import Rule, RuleBook
from gateway.domain.camera import DeviceId
from gateway.domain.event import Event, EventKind, EventSource, SensorId
from gateway.rulebook import load
from gateway.runtime.clock import SystemClock
from gateway.runtime.desk import Desk


def book(digest_s: float = 3600.0) -> RuleBook:
    """The rules that come with Sightline, but doors are gathered."""
    rule = Rule("doors", kinds=(EventKind.DOOR,), recipients=("center",), digest_s=digest_s)
    return replace(load(), rules=(rule, *load().rules))


def smoke(name: str, clock: SystemClock, *, active: bool = True) -> Event:
    """A signal of the smoke sensor."""
    at = clock.utc(clock.now())
    return Event(name, EventSource.MQTT, EventKind.SMOKE, at, sensor=SensorId("s1"), active=active)


def door(name: str, clock: SystemClock, *, active: bool = True) -> Event:
    """A contact of a device that is no channel."""
    at = clock.utc(clock.now())
    device = DeviceId("10.1.0.2:80")
    return Event(
        name, EventSource.ONVIF_PULL, EventKind.DOOR, at, device=device, active=active, token="1"
    )


async def main(dsn: str) -> None:
    """Until killed."""
    store = PostgresStore(dsn, command_timeout_s=5.0)
    await store.open()
    clock = SystemClock()
    desk = Desk(store, clock, book(), recipients=("center",))
    await desk.load()
    loop = asyncio.create_task(desk.run())
    await desk.deliver([smoke("a", clock), door("d", clock)])
    sys.stdout.write("stored\n")
    sys.stdout.flush()
    await loop


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
