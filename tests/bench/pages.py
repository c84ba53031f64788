"""What a page costs the event loop: the web side on 12,328 channels, nothing else going on.

CPU of the whole process a request, the reading client included: an upper bound of the loop's time.
"""

import asyncio
import json
import statistics
import sys
import time

import aiohttp
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


async def read(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> None:
    """One page, as compressed as it comes: unpacking is no work of the service."""
    async with http.get(url, headers=headers) as response:
        response.raise_for_status()
        await response.read()


async def measure(cameras: int) -> dict[str, object]:
    """Median CPU milliseconds a request, by path."""
    found: dict[str, object] = {}
    async with (
        running(district(cameras, 31), device_metrics=True) as service,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        for path in PATHS:
            for _ in range(3):
                await read(http, service.url + path, service.headers())
            await asyncio.sleep(1.0)
            spent = []
            for _ in range(ROUNDS):
                begun = time.process_time()
                await read(http, service.url + path, service.headers())
                spent.append((time.process_time() - begun) * 1000)
            found[path] = round(statistics.median(spent), 2)
    return found


def run(cameras: int = 12_328) -> dict[str, object]:
    """Measure on uvloop."""
    return uvloop.run(measure(cameras))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=1) + "\n")
