"""The demo of 180 s, with somebody reading the API meanwhile, from a process of their own."""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from adapters.virtual.demo import Demo, Narrator
from adapters.virtual.demo_processes import Wish
from gateway.runtime.stats import quantile

LENGTH_S = 180.0
PATHS = ("api/v1/summary?by=township", "api/v1/cameras?limit=100", "metrics", "metrics/devices")


class Read(Demo):
    """A demo whose API is read while its script runs; not while the ledger is compared afterwards."""

    def __init__(self, wish: Wish, tell: Narrator) -> None:
        super().__init__(wish, tell)
        self.took: dict[str, list[float]] = {}

    async def _measured(self, length_s: float) -> dict[str, Any]:
        reading = asyncio.create_task(self._read(length_s))
        try:
            return await super()._measured(length_s)
        finally:
            self.took = await reading

    async def _read(self, length_s: float) -> dict[str, list[float]]:
        reader = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.reader", self.processes.url, str(length_s), *PATHS,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await reader.communicate(f"{self.processes.token}\n".encode())
        if reader.returncode:
            raise RuntimeError(f"the reader ended with {reader.returncode}")
        took: dict[str, list[float]] = json.loads(output)
        return took


def run(cameras: int = 12_328, seed: int = 1, length_s: float = LENGTH_S) -> dict[str, object]:
    """The demo's figures, and the p99 of each read in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder:
        path = Path(folder)
        path.chmod(0o711)
        wish = Wish(seed, cameras, length_s, 30.0, 0, path)
        demo = Read(wish, Narrator(as_json=True))
        result = asyncio.run(demo.run()) or {}
    api = {
        name: {
            "p50_ms": round(quantile(took, 0.5) * 1000, 1),
            "p99_ms": round(quantile(took, 0.99) * 1000, 1),
            "pages": len(took),
        }
        for name, took in demo.took.items()
    }
    cuts = result.get("truth_incidents", [])
    return {
        "demo": result,
        "api": api,
        "cuts": {"nodes": len(cuts), "not_one_incident": sum(bool(c["problems"]) for c in cuts)},
    }


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "120")
    sys.stdout.write(json.dumps(run(), indent=1) + "\n")
