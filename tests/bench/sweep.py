"""Sweeps of the fleet through the real pipeline, schedule collapsed: everything is due now.

CPU seconds are user + system of this process (poller, probe, parse, judge, state), pinned to one core;
the district runs on the other and is not counted.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import uvloop

from adapters.memory import MemoryStore
from adapters.onvif.probe import OnvifProbe
from adapters.onvif.transport import Transport
from bench.district import build
from gateway.domain.camera import CheckBy
from gateway.domain.observation import Instant, Step
from gateway.domain.schedule import Due
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.ports import Credential, LiveState, ProbeContext, Secret
from gateway.process import rest_gc
from gateway.projection import Projection
from gateway.runtime.clock import SystemClock
from gateway.runtime.judge import Judge
from gateway.runtime.judge_rules import judge_rules
from gateway.runtime.pipeline import Pipeline
from gateway.runtime.supervisor import supervise
from gateway.settings import NetworkSettings, PollSettings, Settings

LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """One measured sweep."""

    checks: int
    cpu_s: float
    wall_s: float

    @property
    def ms_per_check(self) -> float:
        """CPU milliseconds a check."""
        return self.cpu_s * 1000 / self.checks


@contextlib.contextmanager
def district(
    cameras: int,
    latency_s: float = 0.0,
    dead: float = 0.0,
    *,
    later: bool = False,
    times: int = 1,
) -> Iterator[tuple[dict[str, int], IO[str]]]:
    """A plain district in its own process; yields its ports and its standard input."""
    command = [
        sys.executable, "-m", "bench.district", "--cameras", str(cameras),
        "--latency", str(latency_s), "--dead", str(dead), "--times", str(times),
        *(["--later"] if later else []),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield json.loads(process.stdout.readline()), process.stdin
    finally:
        process.stdin.close()
        process.wait(timeout=30)


def cpu_s() -> float:
    """User and system CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Rig:
    """The service's pipeline without web and store, on a district's inventory."""

    def __init__(
        self,
        cameras: int,
        ports: dict[str, int],
        *,
        dead: float = 0.0,
        cadence_s: float = 3600.0,
        times: int = 1,
        kept: int = 14_000,
        transport: Transport | None = None,
    ) -> None:
        made = build(cameras, ports, dead=dead, times=times)
        devices = [v.device for v in made.devices]
        self.inventory = Inventory.of(made.channels, devices, made.nodes, made.divisions)
        self.devices = len(devices)
        clock = SystemClock()
        settings = Settings(
            poll=PollSettings(cadence_s=cadence_s, signed_every_s=86_400.0),
            network=NetworkSettings(virtual=True),
        )
        credential = Credential("district", made.username, Secret(made.password))
        context = ProbeContext(clock, {"district": credential}, kept_limit=kept)
        probe = OnvifProbe(context, transport=transport)
        judge = Judge(judge_rules(settings), lambda at: clock.utc(at).timestamp(), clock.now())
        projection = Projection(Inventory(), clock.utc(clock.now()), Feed("bench"))
        self.clock = clock
        self.pipeline = Pipeline(
            settings, clock, MemoryStore("memory:"), {CheckBy.ONVIF: probe}, judge, projection
        )
        self.pipeline.start(self.inventory, LiveState(), "")
        projection.first_round_at = clock.utc(clock.now())  # the counters must not start anew

    async def sweep(self) -> Sweep:
        """Ask every device once, all due now; ends when the judge has taken the last answer."""
        poller, stats = self.pipeline.poller, self.pipeline.stats
        gc.collect()
        before = stats.checks
        cpu, wall = cpu_s(), time.perf_counter()
        now = self.clock.now()
        for target in poller.targets.values():
            poller.routine.put(Due(Instant(now), target.device.id, Step.REACH, routine=True))
        while stats.checks - before < self.devices or len(self.pipeline.observations):
            await asyncio.sleep(0.01)
            if time.perf_counter() - wall > LIMIT_S:
                raise TimeoutError("a sweep did not end")
        return Sweep(stats.checks - before, cpu_s() - cpu, time.perf_counter() - wall)


async def sweeps(rig: Rig, warm: int) -> tuple[Sweep, list[Sweep]]:
    """One cold sweep, and `warm` warm ones on connections that were learned to be kept."""
    rest_gc()
    stages = rig.pipeline.stages
    work = asyncio.create_task(supervise({name: stages[name] for name in ("poller", "judge")}))
    try:
        cold = await rig.sweep()
        sweeps = []
        for number in range(warm + 2 if warm else 0):
            await asyncio.sleep(0.6)
            made = await rig.sweep()
            if number >= 2:
                sweeps.append(made)
        return cold, sweeps
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        for probe in set(rig.pipeline.probes.values()):
            await probe.close()


async def _one(
    cameras: int, ports: dict[str, int], dead: float, warm: int
) -> tuple[Sweep, list[Sweep]]:
    return await sweeps(Rig(cameras, ports, dead=dead), warm)


def run(cameras: int = 12_328, rounds: int = 3) -> dict[str, object]:
    """Cold and warm sweeps, medians of `rounds`."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    colds, warms = [], []
    with district(cameras) as (ports, _):
        for _ in range(rounds):
            cold, warm = uvloop.run(_one(cameras, ports, 0.0, 1))
            colds.append(cold)
            warms += warm
    return {
        "devices": colds[0].checks,
        "channels": cameras,
        "cold_cpu_s": statistics.median(s.cpu_s for s in colds),
        "cold_wall_s": statistics.median(s.wall_s for s in colds),
        "cold_ms_per_check": statistics.median(s.ms_per_check for s in colds),
        "warm_cpu_s": statistics.median(s.cpu_s for s in warms),
        "warm_wall_s": statistics.median(s.wall_s for s in warms),
        "warm_ms_per_check": statistics.median(s.ms_per_check for s in warms),
    }


def run_slow(cameras: int = 12_328, rounds: int = 3) -> dict[str, object]:
    """The wall of a cold sweep with 30 ms of device latency and 3 % of the devices dead."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with district(cameras, latency_s=0.03, dead=0.03) as (ports, _):
        colds = [uvloop.run(_one(cameras, ports, 0.03, 0))[0] for _ in range(rounds)]
    return {
        "wall_s": statistics.median(s.wall_s for s in colds),
        "cpu_s": statistics.median(s.cpu_s for s in colds),
    }


if __name__ == "__main__":
    cameras = int(sys.argv[1]) if len(sys.argv) > 1 else 12_328
    sys.stdout.write(json.dumps(run(cameras), indent=1) + "\n")
