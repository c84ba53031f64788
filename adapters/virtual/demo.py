"""`sightline demo`: the whole main job on one machine, and the proof that the ledger tells the truth.

Everything runs as a person would run it, through the command line: the district as a process of its
own, `sightline import`, `sightline token create`, `sightline run`. The comparison reads the public API
and the district's truth log, nothing else.
"""

import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from rich.console import Console

from adapters.virtual.blind_truth import compare_spots
from adapters.virtual.compare import Rules, WatchedSpan, compare
from adapters.virtual.demo_alerts import AlertShow
from adapters.virtual.demo_result import (
    SHOWN,
    alerts_part,
    blind_part,
    ledger_part,
    plan_part,
    tell,
)
from adapters.virtual.demo_settings import CADENCE_S, LEAST_CADENCE_S, check_cadence, settings_text
from adapters.virtual.ledger_api import load_rows, load_spots
from adapters.virtual.links import Cells
from adapters.virtual.listeners import HeldPort, is_free
from adapters.virtual.narration import archive_told, clock_text, script_told
from adapters.virtual.sight import Viewers, viewers
from adapters.virtual.store_memory import postgres_mb
from adapters.virtual.truth import read_truth
from gateway.domain.camera import ChannelId
from gateway.errors import Unavailable, UsageError

SIGHTLINE = (sys.executable, "-m", "gateway")
START_LIMIT_S = 120.0
STOP_LIMIT_S = 20.0
OPEN_END_S = 600.0
"""Length of one script when the demo runs until Ctrl-C; then the next one begins."""
FULL = 12_328
UNTOUCHED_OF_FULL = 11_000
DEMO_PORT = 8080
PLAN_SITES = 50


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    seed: int
    cameras: int
    length_s: float | None
    cadence_s: float
    port: int
    state_dir: Path
    as_json: bool


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
    exit code is 1 where they differ.
    """
    length_s = parse_seconds(for_) if for_ else None
    check_cadence(cadence)
    folder = make_folder(state_dir)
    wish = Wish(seed, cameras, length_s, cadence, port, folder.resolve(), as_json)
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
    """One demo: starts the processes, narrates, compares, stops what it started."""

    def __init__(self, wish: Wish, tell: Narrator) -> None:
        self.wish = wish
        self.say = tell.say
        self.scale = wish.cadence_s / CADENCE_S
        self.truth = wish.state_dir / "truth.jsonl"
        self.config = wish.state_dir / "sightline.toml"
        self.port = wish.port
        self.held: HeldPort | None = None
        self.token = ""
        self.archive: dict[str, str] = {}
        self.alerts = AlertShow(wish.state_dir / "alerts", self.scale, tell.say)
        self.district: asyncio.subprocess.Process | None = None
        self.gateway: asyncio.subprocess.Process | None = None
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self.port}"

    async def run(self) -> dict[str, Any] | None:
        """The whole demo; the result, or None when it was to run until Ctrl-C."""
        try:
            ready = await self._start_district()
            await self._write_config(ready)
            await self._import(ready)
            await self._start_gateway()
            await self._first_round()
            if self.wish.length_s is None:
                await self._until_interrupted()
                return None
            return await self._measured(self.wish.length_s)
        finally:
            await self._stop()
            await self.alerts.close()

    # --- starting

    async def _start_district(self) -> dict[str, Any]:
        self.say(f"building the virtual district, seed {self.wish.seed} 正在生成虚拟辖区 …")
        archive = self.wish.state_dir / "archive"
        self.district = await asyncio.create_subprocess_exec(
            *SIGHTLINE, "virtual", "--control",
            "--seed", str(self.wish.seed), "--cameras", str(self.wish.cameras),
            "--cadence", str(self.wish.cadence_s),
            "--archive", str(archive), "--truth", str(self.truth),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read_events())
        ready = await self._event("ready", START_LIMIT_S)
        mix = ready["mix"]
        self.say(
            f"[bold]{ready['channels']:,}[/] channels on {ready['devices']:,} devices answer on "
            f"loopback 虚拟设备已就绪（{mix.get('nvrs', '')} 台 NVR）"
        )
        return ready

    async def _read_events(self) -> None:
        if self.district is None or self.district.stdout is None:
            return
        while line := await self.district.stdout.readline():
            with suppress(ValueError):
                await self.events.put(json.loads(line))
        await self.events.put({"event": "ended"})

    async def _event(self, kind: str, limit_s: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    event = await self.events.get()
                    if event["event"] == kind:
                        return event
                    self._narrate(event)
                    if event["event"] == "ended":
                        raise Unavailable("the district ended by itself")
        except TimeoutError as error:
            raise Unavailable(f"the district said no {kind!r} within {limit_s:.0f} s") from error

    def _narrate(self, event: dict[str, Any]) -> None:
        if event["event"] == "trouble":
            self.say(f"[yellow]{event['en']}[/]  {event['zh']}")
        elif event["event"] == "error":
            self.say(f"[red]district: {event['message']}[/]")

    async def _write_config(self, ready: dict[str, Any]) -> None:
        if not self.port or not is_free(self.port):
            self.held = HeldPort()
            self.port = self.held.number
        more = await self.alerts.start(self.url)
        cadence_s = self.wish.cadence_s
        text = settings_text(self.wish.state_dir, self.port, cadence_s, ready, more)
        self.config.write_text(text, encoding="utf-8")

    async def _import(self, ready: dict[str, Any]) -> None:
        self.archive = archive = ready["archive"]
        files = [archive[name] for name in ("divisions", "nodes", "grids", "cameras", "windows")]
        begun = asyncio.get_running_loop().time()
        credentials = ("--credentials", archive["credentials"])
        text = await self._sightline("import", *files, *credentials, "--yes", "--json")
        took = asyncio.get_running_loop().time() - begun
        told = archive_told(json.loads(text)["counts"])
        self.say(f"archive imported in {took:.1f} s: {told.en} 一机一档已导入：{told.zh}")
        lists = (archive["places"], archive["candidates"], archive["sensors"])
        await self._sightline("import", *lists, "--yes", "--json")
        for kind in ("footprints", "prohibited"):
            await self._sightline("import", kind, archive[kind], "--yes", "--json")
        made = await self._sightline("token", "create", "demo", "--role", "admin", "--json")
        self.token = str(json.loads(made)["token"])

    async def _sightline(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *SIGHTLINE, *arguments, "--config", str(self.config),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        stdout, stderr = await process.communicate()
        if process.returncode:
            verb = " ".join(arguments[:2])
            told = (stderr + stdout).decode(errors="replace")[-2000:]
            raise Unavailable(f"sightline {verb} ended with {process.returncode}: {told}")
        return stdout.decode()

    async def _start_gateway(self) -> None:
        log = (self.wish.state_dir / "gateway.log").open("ab")
        self.gateway = await asyncio.create_subprocess_exec(
            *SIGHTLINE, "run", "--config", str(self.config),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()
        self.say(
            f"the gateway is starting 网关启动中；console: [bold]{self.url}/#token={self.token}[/]"
        )

    async def _first_round(self) -> None:
        limit = START_LIMIT_S + 3 * self.wish.cadence_s
        shown = ""
        try:
            async with asyncio.timeout(limit):
                while True:
                    await asyncio.sleep(0.25)
                    self._check_alive()
                    reasons = await self._reasons()
                    if reasons is not None and not reasons:
                        break
                    text = "; ".join(reasons or ["not listening yet"])
                    if text.partition(":")[0] != shown:
                        shown = text.partition(":")[0]
                        self.say(f"[dim]{text}[/]")
        except TimeoutError as error:
            raise Unavailable(f"no first full round within {limit:.0f} s: {shown}") from error
        self.say("every device was asked once: the first full round is done 首轮巡检完成")

    def _check_alive(self) -> None:
        if self.gateway is not None and self.gateway.returncode is not None:
            tail = (self.wish.state_dir / "gateway.log").read_text(errors="replace")[-2000:]
            raise Unavailable(f"the gateway ended with {self.gateway.returncode}: {tail}")

    async def _reasons(self) -> list[str] | None:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/readyz") as response:
                body = await response.json()
        except (aiohttp.ClientError, ValueError):
            return None
        return [str(reason) for reason in body.get("reasons", [])]

    # --- the show

    async def _until_interrupted(self) -> None:
        self.say(
            f"open [bold]{self.url}/#token={self.token}[/] — Ctrl-C ends the demo 按 Ctrl-C 结束"
        )
        while True:
            await self._order({"do": "start", "length_s": OPEN_END_S * self.scale})
            started = await self._while_alive("started", 10.0)
            show = asyncio.create_task(self._signals(started, OPEN_END_S * self.scale))
            try:
                await self._while_alive("finished", 2 * OPEN_END_S * self.scale + 60.0)
            finally:
                await _ended(show)

    async def _while_alive(self, kind: str, limit_s: float) -> dict[str, Any]:
        """The district's next event of a kind; at once trouble when the gateway ends meanwhile."""
        if self.gateway is None:
            raise Unavailable("the gateway is not running")
        event = asyncio.create_task(self._event(kind, limit_s))
        end = asyncio.create_task(self.gateway.wait())
        try:
            await asyncio.wait({event, end}, return_when=asyncio.FIRST_COMPLETED)
            self._check_alive()
            return await event
        finally:
            for task in (event, end):
                task.cancel()
            await asyncio.gather(event, end, return_exceptions=True)

    async def _measured(self, length_s: float) -> dict[str, Any]:
        await self._order({"do": "start", "length_s": length_s})
        started = await self._event("started", 10.0)
        told = script_told(started["kinds"])
        self.say(f"the script begins: {told.en} 脚本开始：{told.zh}")
        seen = asyncio.create_task(asyncio.to_thread(viewers, self.archive))
        show = asyncio.create_task(self._signals(started, length_s))
        try:
            return await self._proved(length_s, started, seen, show)
        finally:
            await _ended(seen, show)

    async def _signals(self, started: dict[str, Any], length_s: float) -> None:
        """What sensors and a camera tell beside the script."""
        sensors = Path(self.archive["sensors"])
        await self.alerts.run(self.url, sensors, started.get("spare"), self._order, length_s)

    async def _proved(
        self,
        length_s: float,
        started: dict[str, Any],
        seen: "asyncio.Task[dict[str, Viewers]]",
        show: "asyncio.Task[None]",
    ) -> dict[str, Any]:
        await self._while_alive("finished", length_s + 30.0)
        ended = datetime.now(UTC)
        stats = await self._get("api/v1/stats")
        channels = await self._channels()
        rows = await load_rows(self.url, self.token)
        await self._order({"do": "stats"})
        district = await self._event("stats", 10.0)
        memory = {
            "gateway": stats["peak_rss_mb"],
            "postgres": postgres_mb(int(stats["pid"])),
            "district": round(float(district.get("rss_mb", 0.0)), 1),
        }
        span = WatchedSpan(datetime.fromisoformat(started["at"]), ended, frozenset(channels))
        untouched = UNTOUCHED_OF_FULL if self.wish.cameras == FULL else 0
        rules = Rules.scaled(self.scale, cadence_s=self.wish.cadence_s, untouched=untouched)
        truth = read_truth(self.truth)
        verdict = compare(truth, rows, span, rules)
        seen_by = await seen
        blind = compare_spots(truth, await load_spots(self.url, self.token), seen_by, span, rules)
        await show
        cells = await asyncio.to_thread(Cells, Path(self.archive["grids"]))
        alerts = self.alerts.verdict(truth, cells, ended, rules.due_s)
        plan = json.loads(await self._sightline("plan", "--sites", str(PLAN_SITES), "--json"))
        result = {
            "ok": verdict.ok and not blind.missed and not blind.invented and alerts.ok,
            "seed": self.wish.seed,
            "cameras": len(channels),
            "devices": stats["devices"],
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

    async def _get(self, path: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{self.url}/{path}") as response,
        ):
            response.raise_for_status()
            body: dict[str, Any] = await response.json()
        return body

    async def _channels(self) -> Sequence[ChannelId]:
        wall = await self._get("api/v1/wall")
        return [ChannelId(str(item[0])) for item in wall["channels"]]

    async def _order(self, order: Mapping[str, Any]) -> None:
        if self.district is None or self.district.stdin is None:
            raise Unavailable("the district is not running")
        self.district.stdin.write(json.dumps(dict(order)).encode() + b"\n")
        await self.district.stdin.drain()

    async def _stop(self) -> None:
        """End what was started: the gateway first, so that it does not record the end."""
        for process in (self.gateway, self.district):
            if process is None or process.returncode is not None:
                continue
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_LIMIT_S):
                    await process.wait()
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)


async def _ended(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel what still runs, and let nothing be said of it."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
