"""What a page costs the event loop: the web side on 12,328 channels, nothing else going on.

CPU of the whole process a request, the reading client included: an upper bound of the loop's time.
"""

import asyncio
import json
import statistics
import sys
import time

import uvloop
from fakes.web_service import district, running

PATHS = (
    "/api/v1/summary?by=township",
    "/api/v1/cameras?limit=100",
    "/api/v1/wall",
    "/metrics",
    "/metrics/devices",
)
ROUNDS = 20


async def measure(cameras: int) -> dict[str, object]:
    """Median CPU milliseconds a request, by path."""
    found: dict[str, object] = {}
    async with running(district(cameras, 31), device_metrics=True) as service:
        for path in PATHS:
            for _ in range(3):
                await service.call("GET", path)
            await asyncio.sleep(1.0)
            spent = []
            for _ in range(ROUNDS):
                begun = time.process_time()
                status, _, _ = await service.call("GET", path)
                spent.append((time.process_time() - begun) * 1000)
                if status != 200:
                    raise RuntimeError(f"{path}: {status}")
            found[path] = round(statistics.median(spent), 2)
    return found


def run(cameras: int = 12_328) -> dict[str, object]:
    """Measure on uvloop."""
    return uvloop.run(measure(cameras))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=1) + "\n")
