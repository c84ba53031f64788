"""`sightline demo`: the whole main job on one machine, and the proof that the ledger tells the truth.

What it starts stands in `demo_processes.py`. The comparison reads the public API and the district's
truth log, nothing else.
"""

import asyncio
import json
import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from adapters.virtual.blind_truth import compare_spots
from adapters.virtual.compare import compare
from adapters.virtual.demo_alerts import AlertShow
from adapters.virtual.demo_processes import Processes, Wish, end_tasks
from adapters.virtual.demo_result import (
    SHOWN,
    alerts_part,
    blind_part,
    ledger_part,
    plan_part,
    tell,
)
from adapters.virtual.demo_settings import CADENCE_S, LEAST_CADENCE_S, check_cadence
from adapters.virtual.intervals import Rules, WatchedSpan
from adapters.virtual.ledger_api import load_rows, load_spots, load_told
from adapters.virtual.links import Cells, Views
from adapters.virtual.narration import clock_text, script_told
from adapters.virtual.sight import Sight, Viewers, area_density
from adapters.virtual.store_memory import postgres_mb
from adapters.virtual.truth import read_truth
from gateway.domain.camera import ChannelId
from gateway.errors import UsageError

OPEN_END_S = 600.0
"""Length of one script when the demo runs until Ctrl-C; then the next one begins."""
FULL = 12_328
UNTOUCHED_OF_FULL = 11_000
DEMO_PORT = 8080
PLAN_SITES = 50


class Narrator:
    """Tells what happens: on standard error with --json, so that standard output stays one object."""

    def __init__(self, *, as_json: bool) -> None:
        self.console = Console(stderr=as_json, highlight=False)

    def say(self, text: str) -> None:
        """One line with the time in Asia/Shanghai."""
        self.console.print(f"[dim]{clock_text(datetime.now(UTC))}[/]  {text}")


def parse_seconds(text: str) -> float:
    """`180s`, `3m` or `180` as seconds.

    Raises:
        UsageError: it is none of these.
    """
    factor = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        seconds = float(text[:-1]) * factor if factor else float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise UsageError(f"--for {text}: give a time such as 180s or 3m")
    return seconds


def demo(
    for_: Annotated[
        str, typer.Option("--for", help="End by itself, e.g. 180s from the end of the first round.")
    ] = "",
    seed: Annotated[
        int, typer.Option(help="The same seed gives the same district and script.")
    ] = 1,
    cameras: Annotated[int, typer.Option(min=50, max=FULL, help="Channels.")] = FULL,
    cadence: Annotated[
        float, typer.Option(help=f"Routine interval, seconds, from {LEAST_CADENCE_S:.0f} on.")
    ] = CADENCE_S,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Of the console and API; 0 = any free one.")
    ] = DEMO_PORT,
    state_dir: Annotated[
        Path | None, typer.Option(help="Keep everything here; default: a folder that is removed.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
) -> None:
    """Watch the virtual district: store, 12,328 cameras, a script of troubles, the gateway.

    Without --for it runs until Ctrl-C. With it, the ledger is compared with the truth at the end, and the
    exit code is 1 where they differ, or where it was ended before.
    """
    length_s = parse_seconds(for_) if for_ else None
    check_cadence(cadence)
    folder = make_folder(state_dir)
    wish = Wish(seed, cameras, length_s, cadence, port, folder.resolve())
    tell = Narrator(as_json=as_json)
    try:
        # A demo that is told to end ends what it started.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        result = asyncio.run(Demo(wish, tell).run())
    except KeyboardInterrupt:
        result = None
    finally:
        if state_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
    if result is None:
        if length_s is not None:
            tell.say("[red]ended before the comparison: nothing is proved[/]  未完成比对")
            raise typer.Exit(1)
        return
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    if not result["ok"]:
        raise typer.Exit(1)


def make_folder(wanted: Path | None) -> Path:
    """The folder of a demo; one that is there already stays as its owner made it."""
    if wanted is not None and wanted.is_dir():
        return wanted
    folder = wanted or Path(tempfile.mkdtemp(prefix="sightline-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # the store's own user must get through when root runs the demo
    return folder


class Demo:
    """One demo: has the processes started, narrates, compares, has them stopped."""

    def __init__(self, wish: Wish, tell: Narrator) -> None:
        self.wish = wish
        self.say = tell.say
        self.scale = wish.cadence_s / CADENCE_S
        self.processes = Processes(wish, tell.say)
        self.alerts = AlertShow(wish.state_dir / "alerts", self.scale, tell.say)

    async def run(self) -> dict[str, Any] | None:
        """The whole demo; the result, or None when it was to run until Ctrl-C."""
        try:
            await self._start()
            if self.wish.length_s is None:
                await self._until_interrupted()
                return None
            return await self._measured(self.wish.length_s)
        finally:
            await self.processes.stop()
            await self.alerts.close()

    async def _start(self) -> None:
        """Everything, up to the end of the first full round."""
        ready = await self.processes.start_district()
        self.processes.choose_port()
        self.processes.write_config(ready, await self.alerts.start(self.processes.url))
        await self.processes.import_archive(ready)
        await self.processes.start_gateway()
        await self.processes.first_round()

    async def _until_interrupted(self) -> None:
        sight = self._sight()
        self.say(f"open [bold]{self.processes.console}[/] — Ctrl-C ends the demo 按 Ctrl-C 结束")
        while True:
            await self.processes.order({"do": "start", "length_s": OPEN_END_S * self.scale})
            started = await self.processes.while_alive("started", 10.0)
            show = asyncio.create_task(self._signals(started, OPEN_END_S * self.scale, sight))
            try:
                await self.processes.while_alive("finished", 2 * OPEN_END_S * self.scale + 60.0)
            finally:
                await end_tasks(show)

    async def _measured(self, length_s: float) -> dict[str, Any]:
        await self.processes.order({"do": "start", "length_s": length_s})
        started = await self.processes.event("started", 10.0)
        told = script_told(started["kinds"])
        self.say(f"the script begins: {told.en} 脚本开始：{told.zh}")
        sight = self._sight()
        seen = asyncio.create_task(self._seen(sight))
        show = asyncio.create_task(self._signals(started, length_s, sight))
        try:
            return await self._proved(length_s, started, seen, show)
        finally:
            await end_tasks(sight, seen, show)

    def _sight(self) -> "asyncio.Task[Sight]":
        return asyncio.create_task(asyncio.to_thread(Sight, self.processes.archive))

    async def _seen(self, sight: "asyncio.Task[Sight]") -> tuple[Sight, dict[str, Viewers]]:
        """All cameras, and who sees each listed place."""
        all_ = await sight
        return all_, await asyncio.to_thread(all_.viewers)

    async def _signals(
        self, started: dict[str, Any], length_s: float, sight: "asyncio.Task[Sight]"
    ) -> None:
        """What sensors and cameras tell beside the script."""
        sensors, spare = Path(self.processes.archive["sensors"]), started.get("spare")
        order = self.processes.order
        await self.alerts.run(self.processes.url, sensors, spare, order, length_s, sight)

    async def _proved(
        self,
        length_s: float,
        started: dict[str, Any],
        seen: "asyncio.Task[tuple[Sight, dict[str, Viewers]]]",
        show: "asyncio.Task[None]",
    ) -> dict[str, Any]:
        processes = self.processes
        await processes.while_alive("finished", length_s + 30.0)
        ended = datetime.now(UTC)
        stats = await processes.get("api/v1/stats")
        channels = await self._channels()
        rows = await load_rows(processes.url, processes.token)
        await processes.order({"do": "stats"})
        district = await processes.event("stats", 10.0)
        memory = {
            "gateway": stats["peak_rss_mb"],
            "postgres": postgres_mb(int(stats["pid"])),
            "district": round(float(district.get("rss_mb", 0.0)), 1),
        }
        span = WatchedSpan(datetime.fromisoformat(started["at"]), ended, frozenset(channels))
        untouched = UNTOUCHED_OF_FULL if self.wish.cameras == FULL else 0
        rules = Rules.scaled(self.scale, cadence_s=self.wish.cadence_s, untouched=untouched)
        truth = read_truth(processes.truth)
        verdict = compare(truth, rows, span, rules)
        sight, seen_by = await seen
        spots = await load_spots(processes.url, processes.token)
        blind = await asyncio.to_thread(
            compare_spots, truth, spots, seen_by, span, rules,
            alone=lambda channel: sight.is_alone(channel, area_density()),
            confirmed={row.id: row.confirmed_at for row in rows.outages},
        )  # fmt: skip
        await show
        cells = await asyncio.to_thread(Cells, Path(processes.archive["grids"]))
        views = Views(sight, cells, truth, rules.due_s)
        told = await load_told(processes.url, processes.token)
        alerts = self.alerts.verdict(truth, cells, views, told, ended, rules.due_s)
        plan = json.loads(await processes.sightline("plan", "--sites", str(PLAN_SITES), "--json"))
        result = {
            "ok": verdict.ok and blind.ok and alerts.ok,
            "seed": self.wish.seed,
            "cameras": len(channels),
            "devices": stats["devices"],
            "import_s": processes.import_s,
            "ready_s": processes.ready_s,
            "memory_mb": memory,
            **ledger_part(stats, verdict),
            "blind_spots": blind_part(blind),
            "plan": plan_part(plan),
            "alerts": alerts_part(alerts),
            "offences": [
                asdict(offence)
                for offence in (*alerts.offences, *blind.offences, *verdict.offences)[:SHOWN]
            ],
            "refused_logins_max": district.get("refused_logins_max_in_31_min"),
        }
        tell(result, self.say)
        return result

    async def _channels(self) -> Sequence[ChannelId]:
        wall = await self.processes.get("api/v1/wall")
        return [ChannelId(str(item[0])) for item in wall["channels"]]
