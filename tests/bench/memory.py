"""How much memory `sightline run` takes to come up with the whole fleet, phase by phase.

`python tests/bench/memory.py` makes a store with 12,328 cameras and a day of roll-ups, starts the
service on it in a process of its own, up to the point where it would begin to poll, and prints the
resident memory after each phase and the highest within it. What polling adds is measured by the
demo. The process that is measured loads what the command line loads and nothing else.
"""

import asyncio
import contextlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.inventory import Inventory
    from gateway.ports import Store

FULL = 12_328
PAGE_MB = resource.getpagesize() / 2**20
BATCH = 1_000


# ---------------------------------------------------------------- the process that is measured


class Phases:
    """Resident memory by phase, megabytes: after it, and the highest within it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def done(self, phase: str) -> None:
        """A phase ends here."""
        after_mb = round(int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MB, 1)
        self.rows.append({"phase": phase, "after_mb": after_mb, "highest_mb": round(_high_mb(), 1)})
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew

    def peak_mb(self) -> float:
        """The highest of all phases."""
        return max(float(row["highest_mb"]) for row in self.rows)


def _high_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Told:
    """A store that notes the memory after each reading call of the service's start."""

    def __init__(self, store: "Store", phases: Phases) -> None:
        self._store = store
        self._phases = phases

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def load_inventory(self, *args: Any, **options: Any) -> "Inventory":
        """The archive."""
        inventory = await self._store.load_inventory(*args, **options)
        self._phases.done("load_inventory")
        return inventory

    async def load_live(self, *args: Any) -> Any:
        """The present."""
        state = await self._store.load_live(*args)
        self._phases.done("load_live")
        return state


async def _start(state_dir: Path, phases: Phases) -> dict[str, Any]:
    from gateway.app import Service
    from gateway.opening import open_store
    from gateway.settings import load
    from gateway.web.app import build, serve

    settings = load(state_dir / "sightline.toml")
    async with open_store(settings) as store:
        phases.done("store open")
        service = Service(settings, Told(store, phases))
        pipeline = await service.prepare()
        phases.done("pipeline")
        runner, _ = await serve(build(service.web_context(pipeline)), "127.0.0.1", 0)
        phases.done("web")
        report = await _report(store, pipeline.inventory, phases)
        await runner.cleanup()
    return report


async def _report(store: "Store", inventory: "Inventory", phases: Phases) -> dict[str, Any]:
    """Today's online rate: what it takes, and the longest time the loop was held."""
    from datetime import UTC, datetime

    from gateway.domain.seconds import day_of
    from gateway.projection import Dimension
    from gateway.reporting import read_report

    now = datetime.now(UTC)
    day = day_of(now.timestamp())
    held_ms: list[float] = []
    watching = asyncio.create_task(_watch_loop(held_ms))
    await asyncio.sleep(0.05)
    held_ms.clear()
    cpu, wall = time.process_time(), time.perf_counter()
    made, _ = await read_report(
        store, inventory, by=Dimension.TOWNSHIP, first_day=day, last_day=day, now_at=now
    )
    took = time.perf_counter() - wall
    cpu = time.process_time() - cpu
    watching.cancel()
    phases.done("online rate")
    return {
        "wall_s": round(took, 3),
        "cpu_s": round(cpu, 3),
        "loop_held_ms": round(max(held_ms), 1),
        "good_h": round(made.total.sums.good_s / 3600, 3),
    }


async def _watch_loop(held_ms: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        held_ms.append((time.perf_counter() - before - 0.001) * 1000)


def _child(state_dir: Path) -> None:
    phases = Phases()
    phases.done("python")
    import uvloop

    import gateway.cli
    import gateway.commands.run  # noqa: F401 - what `sightline run` loads
    from gateway.log import configure

    configure("warning", "json")
    phases.done("imports")
    report = uvloop.run(_start(state_dir, phases))
    heavy = {"zeep", "scipy", "cv2", "python_calamine", "xlsxwriter"}
    result = {
        "phases": phases.rows,
        "peak_mb": phases.peak_mb(),
        "report": report,
        "heavy_imports": sorted(heavy & set(sys.modules)),
    }
    sys.stdout.write(json.dumps(result) + "\n")


# ---------------------------------------------------------------- the store it starts on


async def _fill(state_dir: Path, cameras: int) -> None:
    """A store as a day of running leaves it: archive, states, device memories, roll-ups."""
    from adapters.virtual.files import write_archive
    from adapters.virtual.fleet import build_district
    from gateway.commands.import_ import ImportRequest, run_import
    from gateway.opening import open_store
    from gateway.settings import load

    ports = {"port": 20001, "tls_port": 20002, "killable_port": 20003, "canary_port": 20004}
    district = build_district(1, cameras, **ports)
    files = write_archive(district, state_dir / "archive")
    settings = load(state_dir / "sightline.toml")
    async with open_store(settings) as store:
        wanted = [files[name] for name in ("divisions", "nodes", "grids", "cameras", "windows")]
        await run_import(
            store, settings, wanted, ImportRequest(credentials=files["credentials"], yes=True)
        )
        inventory = await store.load_inventory()
        for changes in _day(inventory):
            await store.commit(changes)


def _day(inventory: "Inventory") -> Iterator[Any]:
    """What a day of watching writes: every channel good, one in fifty was down for a while."""
    from datetime import UTC, datetime, timedelta
    from itertools import islice

    from gateway.domain.ledger import Changes, ChannelRecord, RollUp, State
    from gateway.domain.observation import AuthScheme, DeviceMemory
    from gateway.domain.seconds import day_of

    now = datetime.now(UTC)
    zero = (0.0,) * 24
    sequence = 1
    numbered = enumerate(inventory.cameras)
    while batch := list(islice(numbered, BATCH)):
        rollups, records = [], []
        for number, channel in batch:
            bad = tuple(12.25 + number % 7 if number % 50 == hour else 0.0 for hour in range(24))
            good = tuple(3599.5 - lost - number % 11 / 8 for lost in bad)
            late = tuple(0.5 + number % 11 / 8 for _ in bad)
            p50, p95 = (2.0 + number % 5,) * 24, (11.314 + number % 3,) * 24
            rollups.append(
                RollUp(channel, day_of(now.timestamp()), good, bad, zero, zero, late, zero,
                       (120,) * 24, p50, p95)
            )  # fmt: skip
            hour_ago = now - timedelta(hours=1)
            records.append(ChannelRecord(channel, State.ONLINE, hour_ago, hour_ago, hour_ago))
        yield Changes(sequence, channels=tuple(records), rollups=tuple(rollups))
        sequence += 1
    devices = iter(inventory.devices)
    while names := list(islice(devices, BATCH)):
        memory = DeviceMemory(AuthScheme.WSSE, keeps=True)
        yield Changes(sequence, memories=tuple((name, memory) for name in names))
        sequence += 1
    yield Changes(sequence, watched_until_at=now - timedelta(seconds=20))


@contextlib.contextmanager
def filled_store(cameras: int = FULL) -> Iterator[Path]:
    """A folder with settings and a filled embedded store; removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="sl-", dir="/tmp"))
    folder.chmod(0o711)  # the store's own user must get through where root runs this
    try:
        prepare(folder, cameras)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare(folder: Path, cameras: int = FULL) -> None:
    """Fill an empty folder; in a process of its own, whose memory nobody counts."""
    (folder / "sightline.toml").write_text(
        f'[store]\nstate_dir = "{folder / "state"}"\n[network]\nvirtual = true\n[web]\nport = 0\n'
    )
    subprocess.run(
        [sys.executable, __file__, "fill", folder, str(cameras)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def start_on(folder: Path) -> dict[str, Any]:
    """Start the service on a filled folder, in a process of its own; what it took."""
    done = subprocess.run(
        [sys.executable, __file__, "start", folder], check=True, capture_output=True, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(cameras: int = FULL) -> dict[str, Any]:
    """Memory of a start by phase.

    Returns:
        `phases`: a list of {phase, after_mb, highest_mb}; `peak_mb`; `report`: wall and CPU seconds
        of today's online rate and the longest time it held the loop; `heavy_imports`: libraries
        that the service has no business to load.
    """
    with filled_store(cameras) as folder:
        return start_on(folder)


def main(arguments: list[str]) -> None:
    """`fill FOLDER CAMERAS`, `start FOLDER`, or nothing: both, and print."""
    match arguments:
        case ["fill", folder, cameras]:
            asyncio.run(_fill(Path(folder), int(cameras)))
        case ["start", folder]:
            _child(Path(folder))
        case _:
            result = measure(*map(int, arguments))
            for row in result.pop("phases"):
                after, highest = row["after_mb"], row["highest_mb"]
                sys.stdout.write(f"{row['phase']:16} {after:7.1f} MB  {highest:7.1f} highest\n")
            sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
