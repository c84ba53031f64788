"""The peak memory of `sightline run` on the whole fleet, in three shapes: fleet, coverage, pulls.

One district and one store; the service is started three times, each in a process of its own, and asked
for its peak: with coverage and pulled events off, with coverage, and with both, as it is by default.
About ten minutes. `python -m bench.footprint 500` tries it on a small fleet.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from adapters.virtual.demo_processes import Processes, Wish

CADENCE_S = 30.0
WATCH_S = 60.0
"""After the first full round: another one, and what is written a few times a minute."""
STILL_S = 20.0
"""So long without another pull point, and all there will be are there."""
PULLS_S = 400.0
"""50 subscriptions a second are begun at most: four minutes for the fleet."""
SHAPES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "fleet_only": {"coverage": {"enabled": False}, "events": {"pull": False}},
    "with_coverage": {"coverage": {"enabled": True}, "events": {"pull": False}},
    "with_pulls": {"coverage": {"enabled": True}, "events": {"pull": True}},
}


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


async def _pull_points(processes: Processes) -> int:
    """Devices whose events are pulled now, by the service's own metrics."""
    async with aiohttp.ClientSession() as http, http.get(f"{processes.url}/metrics") as response:
        page = await response.text()
    for line in page.splitlines():
        if line.startswith('sightline_pull_points{state="pulling"}'):
            return int(float(line.rpartition(" ")[2]))
    return 0


async def _until_pulled(processes: Processes) -> int:
    """Wait until the number of pull points stays; returns it."""
    most, since = 0, time.monotonic()
    ends = since + PULLS_S
    while time.monotonic() < min(ends, since + STILL_S):
        await asyncio.sleep(1.0)
        now = await _pull_points(processes)
        if now > most:
            most, since = now, time.monotonic()
    return most


async def _shape(
    processes: Processes,
    ready: dict[str, Any],
    more: Mapping[str, Mapping[str, Any]],
    watch_s: float,
) -> dict[str, Any]:
    processes.write_config(ready, more)
    await processes.start_gateway()
    assert processes.gateway is not None
    await processes.first_round()
    pulled = await _until_pulled(processes) if more["events"]["pull"] else 0
    await asyncio.sleep(watch_s)
    stats = await processes.get("api/v1/stats")
    processes.gateway.terminate()
    async with asyncio.timeout(30):
        await processes.gateway.wait()
    return {"peak_mb": stats["peak_rss_mb"], "checks": stats["checks"], "pull_points": pulled}


async def _measure(cameras: int, watch_s: float, folder: Path) -> dict[str, Any]:
    processes = Processes(Wish(1, cameras, None, CADENCE_S, 0, folder), _say)
    try:
        ready = await processes.start_district()
        processes.choose_port()
        processes.write_config(ready, SHAPES["fleet_only"])
        await processes.import_archive(ready)
        return {
            name: await _shape(processes, ready, more, watch_s) for name, more in SHAPES.items()
        }
    finally:
        await processes.stop()


def run(cameras: int = 12_328, watch_s: float = WATCH_S) -> dict[str, Any]:
    """Peak memory, checks made and pull points at the end, by shape."""
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder:
        path = Path(folder)
        path.chmod(0o711)  # the store's own user must get through where root runs this
        return asyncio.run(_measure(cameras, watch_s, path))


if __name__ == "__main__":
    numbers = dict(zip(("cameras", "watch_s"), map(int, sys.argv[1:]), strict=False))
    sys.stdout.write(json.dumps(run(**numbers), indent=1) + "\n")
