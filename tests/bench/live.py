"""The demo of 180 s, with somebody reading the API meanwhile."""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from adapters.virtual.demo import Demo, Narrator
from adapters.virtual.demo_processes import Wish
from gateway.runtime.stats import quantile

LENGTH_S = 180.0
EVERY_S = 0.5
PATHS = ("api/v1/summary?by=township", "api/v1/cameras?limit=100", "metrics", "metrics/devices")


class Read(Demo):
    """A demo whose API is read while it runs."""

    def __init__(self, wish: Wish, tell: Narrator) -> None:
        super().__init__(wish, tell)
        self.took: dict[str, list[float]] = {path: [] for path in PATHS}

    async def _measured(self, length_s: float) -> dict[str, Any]:
        reader = asyncio.create_task(self._read())
        try:
            return await super()._measured(length_s)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self) -> None:
        headers = {"Authorization": f"Bearer {self.processes.token}"}
        async with aiohttp.ClientSession(headers=headers) as http:
            number = 0
            while True:
                path = PATHS[number % len(PATHS)]
                number += 1
                begun = time.perf_counter()
                async with http.get(f"{self.processes.url}/{path}") as response:
                    await response.read()
                self.took[path].append(time.perf_counter() - begun)
                await asyncio.sleep(EVERY_S)


def run(cameras: int = 12_328, seed: int = 1) -> dict[str, object]:
    """The demo's figures, and the p99 of each read in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder:
        path = Path(folder)
        path.chmod(0o711)
        wish = Wish(seed, cameras, LENGTH_S, 30.0, 0, path)
        demo = Read(wish, Narrator(as_json=True))
        result = asyncio.run(demo.run()) or {}
    api = {
        name: {
            "p50_ms": round(quantile(took, 0.5) * 1000, 1),
            "p99_ms": round(quantile(took, 0.99) * 1000, 1),
        }
        for name, took in demo.took.items()
    }
    return {"demo": result, "api": api}


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "120")
    sys.stdout.write(json.dumps(run(), indent=1) + "\n")
