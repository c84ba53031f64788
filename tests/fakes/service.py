"""`sightline run` as a child process that may be killed, frozen, stopped and started again."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from fakes.district import SIGHTLINE, until

from adapters.postgres import orphans
from adapters.virtual.ledger_api import load_rows
from adapters.virtual.listeners import HeldPort
from adapters.virtual.rows import LedgerRows
from gateway.domain.ledger import GapReason
from gateway.errors import Unavailable

_CLEAN = 1
"""DBState of pg_control after a proper shutdown: the next start needs no recovery."""


@dataclass(frozen=True)
class Reply:
    """An answer over HTTP."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Service:
    """One state directory, and the process that serves it, if any.

    Attributes:
        log: where every run writes to; one file, so that it can be searched for secrets.
        outputs: what other commands said.
        sections: the settings, by section; written anew at each start.
    """

    def __init__(self, folder: Path, sections: Mapping[str, Mapping[str, Any]]) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "sightline.toml"
        self.log = folder / "gateway.log"
        self.outputs = folder / "outputs.log"
        self.held = HeldPort()  # also while nobody serves
        self.port = self.held.number
        self.sections = {name: dict(values) for name, values in sections.items()}
        self.sections.setdefault("store", {})["state_dir"] = str(self.state)
        self.sections.setdefault("web", {})["port"] = self.port
        self.command: Sequence[str] = SIGHTLINE
        self.environment: dict[str, str] = {}
        self.token = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.write_config()

    # --- settings and commands

    def write_config(self) -> None:
        """Write the settings file."""
        lines: list[str] = []
        for section, values in self.sections.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def sightline(self, *arguments: str, code: int | None = 0) -> str:
        """Run another command; returns its standard output, or all of it when it is to fail.

        Args:
            arguments: of `sightline`.
            code: how it must end; None = any way.
        """
        config = () if "--config" in arguments else ("--config", str(self.config))
        done = subprocess.run(
            [*SIGHTLINE, *arguments, *config],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, **self.environment},
        )  # fmt: skip
        with self.outputs.open("a", encoding="utf-8") as file:
            file.write(done.stdout + done.stderr)
        assert code in {None, done.returncode}, (
            arguments,
            done.returncode,
            done.stdout,
            done.stderr,
        )
        return done.stdout if code == 0 else done.stdout + done.stderr

    # --- the process

    @property
    def pid(self) -> int:
        """Of the running service."""
        assert self.process is not None
        return self.process.pid

    def spawn(self) -> float:
        """Start it, and return at once with the monotonic time of the start."""
        assert self.process is None or self.process.returncode is not None
        self.write_config()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "run", "--config", str(self.config)],
                stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **self.environment},
            )  # fmt: skip
        return time.monotonic()

    def start(self, within_s: float = 30.0) -> float:
        """Start it and wait until it serves; returns how long that took."""
        began = self.spawn()
        until("the service serves", within_s, self.is_serving)
        return time.monotonic() - began

    def is_serving(self) -> bool:
        """Whether /livez answers 200. Fails when the process has ended."""
        assert self.process is not None
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.tail()}"
        with contextlib.suppress(OSError):
            return self.ask("/livez").status == 200
        return False

    def reasons(self) -> list[str]:
        """Why it is not ready; empty = ready."""
        try:
            reply = self.ask("/readyz")
        except OSError:
            return ["not listening"]
        return [str(reason) for reason in reply.json["reasons"]]

    def until_ready(self, within_s: float = 40.0) -> None:
        """Wait for the end of the first round and a store that answers."""
        until("ready", within_s, lambda: not self.reasons())

    def kill(self) -> None:
        """kill -9, and nothing else: the store must notice by itself."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def terminate(self, within_s: float = 10.0) -> tuple[int, float]:
        """SIGTERM; returns exit code and seconds until the end."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(within_s)
        return self.process.returncode, time.monotonic() - began

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self.process is None or self.process.poll() is not None:
            return
        try:
            self.terminate(20.0)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def rss_mb(self) -> float:
        """Resident memory now."""
        fields = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    # --- its store

    @property
    def data(self) -> Path:
        """The data directory of the embedded store."""
        (found,) = (self.state / "postgres").glob("data-*")
        return found.resolve()

    def postmaster(self) -> int:
        """Process id of the store's first process."""
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def store_processes(self) -> list[int]:
        """All processes of the store, whosever children they are."""
        return orphans.serving(self.data)

    def store_is_clean(self) -> bool:
        """Whether the store was shut down properly: its next start recovers nothing."""
        content = (self.data / "global" / "pg_control").read_bytes()
        return bool(struct.unpack_from("=I", content, 16)[0] == _CLEAN)

    @contextlib.contextmanager
    def store_frozen(self) -> Iterator[None]:
        """Every process of the store stopped, as on a hung disk."""
        pids = self.store_processes()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows straight from the store."""

        async def read() -> list[dict[str, Any]]:
            socket = (self.state / "postgres").resolve() / "run"
            connection = await asyncpg.connect(
                host=str(socket), user="sightline", database="sightline"
            )
            try:
                return [dict(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()

        return asyncio.run(read())

    # --- its interface

    def ask(self, path: str, method: str = "GET", body: Mapping[str, Any] | None = None) -> Reply:
        """One request; never raises for a status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body)
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return Reply(response.status, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON of a page that must be there, asked for again while the store or the machine is busy."""
        reply = until("an answer", 25, lambda: self._unless_away(path))
        assert reply.status == 200, (path, reply)
        return reply.json

    def _unless_away(self, path: str) -> Reply | None:
        with contextlib.suppress(TimeoutError):
            reply = self.ask(path)
            return None if reply.status == 503 else reply  # as its Retry-After asks for
        return None

    def post(self, path: str, **body: str) -> Any:
        """The JSON of an order that must be accepted."""
        reply = self.ask(path, "POST", body)
        assert reply.status in {200, 201}, (path, reply)
        return reply.json

    def rows(self) -> LedgerRows:
        """The whole ledger, as everybody reads it."""
        rows = until("the ledger", 15, self._rows_unless_away)
        # A stall of the loop is told as a row too; on a busy machine there may be some.
        watched = tuple(gap for gap in rows.gaps if gap.reason is not GapReason.STALLED)
        return replace(rows, gaps=watched)

    def _rows_unless_away(self) -> LedgerRows | None:
        with contextlib.suppress(
            Unavailable
        ):  # as for one page: the store may be slow for a moment
            return asyncio.run(load_rows(f"http://127.0.0.1:{self.port}", self.token))
        return None

    def states(self) -> dict[str, str]:
        """The letter of state of every channel (docs/guide/api.md)."""
        wall = self.get("/api/v1/wall")
        return {
            item[0]: letter for item, letter in zip(wall["channels"], wall["states"], strict=True)
        }

    def metrics(self) -> str:
        """The page of /metrics, made now (it is kept for a second)."""
        time.sleep(1.05)
        return self.ask("/metrics").body.decode()

    def checks(self) -> int:
        """How many checks have been made since the first round."""
        return int(self.get("/api/v1/stats")["checks"])


def histogram(page: str, name: str) -> dict[float, float]:
    """Cumulative counts of a histogram by upper bound."""
    found = re.findall(rf'^{name}_bucket{{le="([^"]+)"}} (\S+)$', page, re.MULTILINE)
    return {float(bound.replace("+Inf", "inf")): float(count) for bound, count in found}


def share_within(before: str, after: str, name: str, bound: float) -> tuple[float, float]:
    """Between two pages: the share of samples up to a bound, and how many samples there were."""
    old, new = histogram(before, name), histogram(after, name)
    total = new[float("inf")] - old.get(float("inf"), 0.0)
    return (new[bound] - old.get(bound, 0.0)) / max(1.0, total), total


def utc(text: str) -> datetime:
    """A time of the interface."""
    return datetime.fromisoformat(text)
