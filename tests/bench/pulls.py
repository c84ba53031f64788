"""Idle pull points of the fleet: memory and CPU each, and replies a second.

The district runs on the other core and is not counted. Every reply is a whole one: signed anew, read, told to
an observer. What the judge does with it is measured by the sweeps.
"""

import asyncio
import ctypes
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from adapters.onvif.pull import OnvifPullSource
from bench.district import build
from bench.sweep import cpu_s, district
from gateway.domain.camera import DeviceId
from gateway.domain.event import Event
from gateway.domain.observation import Observation
from gateway.metrics import PULLS
from gateway.ports import Credential, Secret
from gateway.ports.events import PullContext, PullLimits
from gateway.process import rest_gc
from gateway.runtime.clock import SystemClock

PAGE = resource.getpagesize()
FULL = 12_328
_LIMIT_S = 120.0


class _Told:
    """Counts what the source tells, as cheaply as can be."""

    def __init__(self) -> None:
        self.observed = 0
        self.events = 0

    def observe(self, _observation: Observation) -> None:
        """One observation."""
        self.observed += 1

    async def deliver(self, events: Sequence[Event]) -> None:
        """Some events."""
        self.events += len(events)

    async def save(self, _device: DeviceId, _reference: str) -> None:
        """One reference."""


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names only


def _replies() -> float:
    return float(PULLS.labels("empty")._value.get())


async def _measure(
    cameras: int, ports: dict[str, int], pull_s: float, seconds: float
) -> dict[str, Any]:
    made = build(cameras, ports)
    devices = {v.device.id: v.device for v in made.devices}
    channels = {v.device.id: v.channels for v in made.devices}
    told = _Told()
    credential = Credential("district", made.username, Secret(made.password))
    limits = PullLimits(pull_s=pull_s, creations_per_s=300.0)
    rest_gc()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what building the district left must not hide what comes
    before = _rss(), _descriptors()
    source = OnvifPullSource(
        PullContext(
            SystemClock(), {"district": credential}, devices, channels, told.deliver, told.observe,
            told.save, limits=limits,
        )
    )  # fmt: skip
    running = asyncio.create_task(source.run())
    cpu, wall = cpu_s(), time.perf_counter()
    while source.pulling < len(devices) * 0.995:
        await asyncio.sleep(0.1)
        if time.perf_counter() - wall > _LIMIT_S:
            raise TimeoutError(f"{source.pulling} of {len(devices)} pulls: {source.states()}")
    created = cpu_s() - cpu
    await asyncio.sleep(pull_s)  # everyone has been answered once
    gc.collect()
    memory, descriptors = _rss() - before[0], _descriptors() - before[1]
    cpu, wall, replies, seen = cpu_s(), time.perf_counter(), _replies(), told.observed
    await asyncio.sleep(seconds)
    cpu, wall, replies = cpu_s() - cpu, time.perf_counter() - wall, _replies() - replies
    states = source.states()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    count = len(devices)
    per_reply_ms = cpu / replies * 1000
    return {
        "pull_points": count,
        "states": states,
        "bytes_each": round(memory / count),
        "descriptors": descriptors,
        "creation_cpu_ms_each": round(created / count * 1000, 3),
        "replies_per_s": round(replies / wall, 1),
        "observations_per_s": round((told.observed - seen) / wall, 1),
        "cpu_ms_per_reply": round(per_reply_ms, 4),
        "core_share": round(cpu / wall, 4),
        "core_share_of_12328": round(FULL / pull_s * per_reply_ms / 1000, 4),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def run(cameras: int = FULL, pull_s: float = 24.0, seconds: float = 48.0) -> dict[str, Any]:
    """The whole fleet, idle."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with district(cameras) as (ports, _):
        return uvloop.run(_measure(cameras, ports, pull_s, seconds))


if __name__ == "__main__":
    found = run(*(int(argument) for argument in sys.argv[1:2]))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
