"""30 % of the fleet drops SYNs at once: does any healthy camera wait for it?"""

import asyncio
import json
import os
import sys
from typing import IO

import uvloop

from bench.sweep import Rig, district
from gateway.process import rest_gc
from gateway.runtime.supervisor import supervise

SHARE = 0.3
CADENCE_S = 30.0


async def _watch(cameras: int, ports: dict[str, int], stdin: IO[str]) -> dict[str, object]:
    rig = Rig(cameras, ports, dead=SHARE, cadence_s=CADENCE_S)
    rest_gc()
    stages = rig.pipeline.stages
    work = asyncio.create_task(supervise({n: stages[n] for n in ("poller", "judge")}))
    stats = rig.pipeline.stats
    try:
        await asyncio.sleep(CADENCE_S + 3)
        stats.restart(rig.clock.now())
        await asyncio.sleep(CADENCE_S)
        before = stats.lateness_s.quantile(0.99) or 0.0
        stats.restart(rig.clock.now())
        stdin.write("kill\n")
        stdin.flush()
        await asyncio.sleep(3 * CADENCE_S)
        judge = rig.pipeline.judge
        return {
            "dead_devices": sum(target.dead for target in rig.pipeline.poller.targets.values()),
            "outages": sum(live.outage is not None for live in judge.order),
            "gateway_blind": judge.gap is not None,
            "lateness_p99_s_before": round(before, 4),
            "lateness_p99_s": round(stats.lateness_s.quantile(0.99) or 0.0, 4),
            "lateness_max_s": round(stats.lateness_s.largest, 4),
            "loop_lag_p99_ms": round((stats.loop_lag_s.quantile(0.99) or 0.0) * 1000, 2),
        }
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        for probe in set(rig.pipeline.probes.values()):
            await probe.close()


def run(cameras: int = 12_328) -> dict[str, object]:
    """Two and a half minutes: warm up, one calm cadence, then three with the dead."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with district(cameras, dead=SHARE, later=True) as (ports, stdin):
        return uvloop.run(_watch(cameras, ports, stdin))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 12_328
    sys.stdout.write(json.dumps(run(count), indent=1) + "\n")
