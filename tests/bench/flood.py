"""The load of the event benches, in a process of its own: devices that are pulled, and the center.

`python -m bench.flood FOLDER` writes the archive and prints one JSON line when all
answer. Each line on standard input is an order (`{"do": "steady" | "storm", "seconds": s, "rate": r}`),
answered by one line: what was offered and, by device, when its signal was made and when the center had it.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvloop
from fakes.event_load import far_apart

from adapters.virtual.center import VirtualCenter
from adapters.virtual.command import choose_ports, raise_file_limit
from adapters.virtual.control import lines_of
from adapters.virtual.device import LiveDevice
from adapters.virtual.events import PullPoint
from adapters.virtual.files import write_archive
from adapters.virtual.model import EventQuirk, Personality, VirtualDevice, VirtualDistrict
from adapters.virtual.server import DistrictServer
from adapters.virtual.signals import SIGNALS, Message, iso
from bench.district import build

SECRET = "whsec_" + "QUJD" * 8
BATCH, WORTHY_OF_STORM = 100, 2
"""Messages of one reply in the storm, and how many of them make an incident."""
STORMY = 300
"""Devices in the storm."""
BURST = 50
"""Messages of one reply at the steady rate: the first opens an incident, the others repeat it."""
WAITS_MOST = 1
"""Replies that a device keeps for who is slow; what comes beyond is kept back, and counted."""


@dataclass
class Burst:
    """Messages that are told in one reply; stands in a pull point's queue like one message."""

    messages: tuple[Message, ...]

    def xml(self, address: str) -> str:
        """All of them."""
        return "".join(message.xml(address) for message in self.messages)


@dataclass
class Load:
    """Devices, center, and what they saw."""

    server: DistrictServer
    pulled: list[VirtualDevice]
    center: VirtualCenter
    made_at: dict[str, float] = field(default_factory=dict)
    told_at: dict[str, float] = field(default_factory=dict)
    offered: int = 0
    kept_back: int = 0
    worthy: int = 0

    def heard(self, event: dict[str, Any]) -> None:
        """The center has a message."""
        self.told_at.setdefault(event["data"]["source"]["id"], time.time())

    def tell(self, device: VirtualDevice, burst: Burst) -> bool:
        """Let a device tell; False when its queue is full."""
        point = self.point(device)
        if point is None or len(point.waiting_messages) >= WAITS_MOST:
            self.kept_back += len(burst.messages)
            return False
        self.offered += len(burst.messages)
        point.waiting_messages.append(burst)  # type: ignore[arg-type]
        point.end_wait()
        return True

    def point(self, device: VirtualDevice) -> PullPoint | None:
        """Where the gateway pulls it."""
        live: LiveDevice = self.server.devices[device.device.id]
        return live.pulls.newest

    def waiting(self) -> int:
        """Devices at which a pull waits."""
        return sum(self.point(device) is not None for device in self.pulled)

    def begin(self) -> None:
        """Count from here."""
        self.made_at, self.told_at = {}, {}
        self.offered = self.kept_back = self.worthy = 0

    async def steady(self, seconds: float, rate: float) -> None:
        """`rate` messages a second; each burst is another device's and opens an incident."""
        single = [v for v in self.pulled if len(v.channels) == 1]
        chosen = far_apart(
            single, [(v.channels[0].longitude, v.channels[0].latitude) for v in single]
        )
        count = round(seconds * rate / BURST)
        if len(chosen) < count:
            raise ValueError(f"{len(chosen)} devices far apart, {count} are needed")
        began = time.monotonic()
        for number, device in enumerate(chosen[:count]):
            await asyncio.sleep(began + number * BURST / rate - time.monotonic())
            one = _message("digital_input")
            if self.tell(device, Burst((one,) * BURST)):
                self.made_at[str(device.channels[0].id)] = time.time()
                self.worthy += BURST

    async def storm(self, seconds: float, rate: float) -> None:
        """`rate` messages a second in full replies, the devices in turn."""
        began = time.monotonic()
        for number in range(round(seconds * rate / BATCH)):
            await asyncio.sleep(began + number * BATCH / rate - time.monotonic())
            device = self.pulled[number % min(STORMY, len(self.pulled))]
            plain, worthy = _message("motion"), _message("digital_input")
            messages = (worthy,) * WORTHY_OF_STORM + (plain,) * (BATCH - WORTHY_OF_STORM)
            if self.tell(device, Burst(messages)):
                self.worthy += WORTHY_OF_STORM

    async def drained(self, within_s: float = 30.0) -> None:
        """Wait until every device has told what it keeps."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            points = [self.point(device) for device in self.pulled]
            if not any(point is not None and point.waiting_messages for point in points):
                return
            await asyncio.sleep(0.1)

    def report(self) -> dict[str, Any]:
        """What was offered, and what came of it."""
        return {
            "offered": self.offered, "kept_back": self.kept_back, "worthy": self.worthy,
            "made_at": self.made_at, "told_at": self.told_at, "center": self.center.report(),
        }  # fmt: skip


def _message(name: str) -> Message:
    signal, now = SIGNALS[name], time.time()
    return Message(signal, signal.token, "true", now, told_at=iso(now))


def district(devices: int, pulled: int, ports: dict[str, int]) -> tuple[VirtualDistrict, int]:
    """A plain district in which only so many devices have an event service; returns how many have."""
    made = build(devices, ports)
    mute = Personality(events=EventQuirk.NO_EVENTS)
    able = [v.device.id for v in made.devices if len(v.channels) == 1][:pulled]
    known = frozenset(able)
    rows = tuple(v if v.device.id in known else replace(v, personality=mute) for v in made.devices)
    return replace(made, devices=rows), len(able)


async def _serve(wish: argparse.Namespace) -> None:
    ports = choose_ports(0)
    made, _ = district(wish.devices, wish.pulled, ports)
    raise_file_limit(made)
    archive = write_archive(made, wish.folder / "archive")
    server = DistrictServer(made)
    await server.start()
    able = [v for v in made.devices if v.personality.events is None]
    async with VirtualCenter((SECRET,)) as center:
        load = Load(server, able, center)
        center.on_taken = load.heard
        paths = {name: str(path) for name, path in archive.items()}
        _say({"archive": paths, "center": center.url, "pulled": len(able)})
        async for line in lines_of(sys.stdin):
            order = json.loads(line)
            if order["do"] == "waiting":
                _say({"waiting": load.waiting()})
            elif order["do"] == "report":
                _say(load.report())
            else:
                play = load.steady if order["do"] == "steady" else load.storm
                load.begin()
                await play(order["seconds"], order["rate"])
                await load.drained()
                _say(load.report())
    await server.close()


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--devices", type=int, default=3000)
    parser.add_argument("--pulled", type=int, default=2400)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
