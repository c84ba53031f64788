"""The processes of a demo: a virtual district, the gateway that watches it, and what they are told.

Everything runs as a person would run it, through the command line.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from adapters.virtual.demo_settings import settings_text
from adapters.virtual.legacy import NEVER_ALIVE
from adapters.virtual.listeners import HeldPort, is_free
from adapters.virtual.model import Legacy
from adapters.virtual.narration import archive_told
from gateway.errors import Unavailable

SIGHTLINE = (sys.executable, "-m", "gateway")
START_LIMIT_S = 120.0
STOP_LIMIT_S = 20.0
_START_FIELD = 19
"""`starttime` of proc(5), counted from the field after the name."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    seed: int
    cameras: int
    length_s: float | None
    cadence_s: float
    port: int
    state_dir: Path


class Processes:
    """What a demo starts, talks to and stops.

    Args:
        wish: of the command line.
        say: tells people.

    Attributes:
        import_s / ready_s: seconds from the start of this process until the inventory was imported, and until
            the console answered with the first full round running; None = not yet.
        truth: the district's log of what it really did.
        token: of an administrator; known once the archive is imported.
        archive: the district's files by name; known once the archive is imported.
        district / gateway: None = not started.
        events: what the district said, and nobody has taken yet.
    """

    def __init__(self, wish: Wish, say: Callable[[str], None]) -> None:
        self.wish = wish
        self.say = say
        self.truth = wish.state_dir / "truth.jsonl"
        self.config = wish.state_dir / "sightline.toml"
        self.port = wish.port
        self.held: HeldPort | None = None
        self.token = ""
        self.archive: dict[str, str] = {}
        self.district: asyncio.subprocess.Process | None = None
        self.gateway: asyncio.subprocess.Process | None = None
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        self.import_s: float | None = None
        self.ready_s: float | None = None

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def console(self) -> str:
        """Its console, opened by whoever has this address."""
        return f"{self.url}/#token={self.token}"

    # --- starting

    async def start_district(self) -> dict[str, Any]:
        """Start it; what it says when all of its devices answer."""
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
        ready = await self.event("ready", START_LIMIT_S)
        mix = ready["mix"]
        never = sum(mix.get(f"legacy_{kind}", 0) for kind in NEVER_ALIVE)
        nonsense = sum(mix.get(f"legacy_{kind}", 0) for kind in Legacy) - never
        self.say(
            f"[bold]{ready['channels']:,}[/] channels on {ready['devices']:,} devices answer on "
            f"loopback 虚拟设备已就绪（{mix.get('nvrs', '')} 台 NVR）"
        )
        self.say(
            f"{never} of them were never alive, {nonsense} have only ever answered nonsense "
            f"存量故障：{never} 路从未应答，{nonsense} 路应答内容一直损坏"
        )
        return ready

    async def _read_events(self) -> None:
        if self.district is None or self.district.stdout is None:
            return
        while line := await self.district.stdout.readline():
            with suppress(ValueError):
                await self.events.put(json.loads(line))
        await self.events.put({"event": "ended"})

    async def event(self, kind: str, limit_s: float) -> dict[str, Any]:
        """The district's next event of a kind; others are told to people.

        Raises:
            Unavailable: none came in time, or the district ended.
        """
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

    def choose_port(self) -> None:
        """The wanted port of the gateway, or any free one."""
        if not self.port or not is_free(self.port):
            self.held = HeldPort()
            self.port = self.held.number

    def write_config(self, ready: Mapping[str, Any], more: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the settings: for what the district said, with further sections."""
        cadence_s = self.wish.cadence_s
        text = settings_text(self.wish.state_dir, self.port, cadence_s, ready, more)
        self.config.write_text(text, encoding="utf-8")

    async def import_archive(self, ready: Mapping[str, Any]) -> None:
        """Import what the district wrote, and make the token."""
        self.archive = archive = ready["archive"]
        files = [archive[name] for name in ("divisions", "nodes", "grids", "cameras", "windows")]
        begun = asyncio.get_running_loop().time()
        credentials = ("--credentials", archive["credentials"])
        text = await self.sightline("import", *files, *credentials, "--yes", "--json")
        took = asyncio.get_running_loop().time() - begun
        told = archive_told(json.loads(text)["counts"])
        self.say(f"archive imported in {took:.1f} s: {told.en} 一机一档已导入：{told.zh}")
        lists = (archive["places"], archive["candidates"], archive["sensors"])
        await self.sightline("import", *lists, "--yes", "--json")
        for kind in ("footprints", "prohibited"):
            await self.sightline("import", kind, archive[kind], "--yes", "--json")
        self.import_s = process_age_s()
        made = await self.sightline("token", "create", "demo", "--role", "admin", "--json")
        self.token = str(json.loads(made)["token"])

    async def sightline(self, *arguments: str) -> str:
        """What a command prints.

        Raises:
            Unavailable: it ended with another code than 0.
        """
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

    async def start_gateway(self) -> None:
        """Start it; it is not ready yet."""
        log = (self.wish.state_dir / "gateway.log").open("ab")
        self.gateway = await asyncio.create_subprocess_exec(
            *SIGHTLINE, "run", "--config", str(self.config),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()
        self.say(f"the gateway is starting 网关启动中；console: [bold]{self.console}[/]")

    async def first_round(self) -> None:
        """Wait until every device was asked once.

        Raises:
            Unavailable: that takes too long, or the gateway ended.
        """
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
                    if reasons is not None and self.ready_s is None:
                        await self._console_answers()
                    text = "; ".join(reasons or ["not listening yet"])
                    if text.partition(":")[0] != shown:
                        shown = text.partition(":")[0]
                        self.say(f"[dim]{text}[/]")
        except TimeoutError as error:
            raise Unavailable(f"no first full round within {limit:.0f} s: {shown}") from error
        if self.ready_s is None:
            await self._console_answers()
        self.say("every device was asked once: the first full round is done 首轮巡检完成")

    async def _console_answers(self) -> None:
        """Note when the console first answered; the first full round was running then."""
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/") as response:
                if response.ok:
                    self.ready_s = process_age_s()
                    self.say(
                        f"the console answers {self.ready_s:.0f} s after the start 控制台已可用"
                    )
        except aiohttp.ClientError:
            return

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

    # --- talking

    async def while_alive(self, kind: str, limit_s: float) -> dict[str, Any]:
        """The district's next event of a kind; at once trouble when the gateway ends meanwhile."""
        if self.gateway is None:
            raise Unavailable("the gateway is not running")
        event = asyncio.create_task(self.event(kind, limit_s))
        end = asyncio.create_task(self.gateway.wait())
        try:
            await asyncio.wait({event, end}, return_when=asyncio.FIRST_COMPLETED)
            self._check_alive()
            return await event
        finally:
            await end_tasks(event, end)

    async def get(self, path: str) -> dict[str, Any]:
        """An object of the gateway's API."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{self.url}/{path}") as response,
        ):
            response.raise_for_status()
            body: dict[str, Any] = await response.json()
        return body

    async def order(self, order: Mapping[str, Any]) -> None:
        """Tell the district what to do."""
        if self.district is None or self.district.stdin is None:
            raise Unavailable("the district is not running")
        self.district.stdin.write(json.dumps(dict(order)).encode() + b"\n")
        await self.district.stdin.drain()

    async def stop(self) -> None:
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


def process_age_s() -> float:
    """Seconds since this process was started, the imports before its first line included."""
    fields = (
        Path("/proc/self/stat")
        .read_text(encoding="ascii", errors="replace")
        .rpartition(")")[2]
        .split()
    )
    started_s = int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK")
    return round(time.clock_gettime(time.CLOCK_BOOTTIME) - started_s, 1)


async def end_tasks(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel what still runs, and let nothing be said of it."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
