"""Private PostgreSQL servers for tests: the embedded one, and another version where installed.

Each runs in a process of its own, once a session; a test gets a database made from a template.
"""

import asyncio
import contextlib
import itertools
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from adapters.postgres.store import PostgresStore

TEMPLATE = "template_sightline"
_numbers = itertools.count(1)

_SERVE = """
import asyncio, json, sys
from pathlib import Path
from adapters.postgres.embedded import EmbeddedPostgres

async def main():
    server = EmbeddedPostgres(Path(sys.argv[1]))
    dsn = await server.start()
    print(json.dumps({"dsn": dsn, "pid": server.pid}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()

import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
asyncio.run(main())
"""


@dataclass(frozen=True)
class Server:
    """A running server; `dsn` ends with the name of a database that may be replaced."""

    name: str
    dsn: str

    def database(self, name: str) -> str:
        """The DSN of another database."""
        head, _, query = self.dsn.partition("?")
        return f"{head.rpartition('/')[0]}/{name}?{query}"

    async def fresh(self, template: str = TEMPLATE) -> str:
        """The DSN of a new database with the current schema."""
        name = f"t{os.getpid()}_{next(_numbers)}"
        await self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.database(name)

    async def drop(self, dsn: str) -> None:
        """Remove a database made by `fresh`."""
        name = dsn.partition("?")[0].rpartition("/")[2]
        await self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def prepare(self) -> None:
        """Make the template; in a thread, because the caller's may have a running loop."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, self._prepare()).result()

    async def _prepare(self) -> None:
        # these servers only live for the tests; those that are killed run with fsync
        await self._run("ALTER SYSTEM SET fsync = off")
        await self._run("SELECT pg_reload_conf()")
        await self._run(f"CREATE DATABASE {TEMPLATE}")
        store = PostgresStore(self.database(TEMPLATE))
        await store.migrate()
        await store.close()

    async def _run(self, sql: str) -> None:
        connection = await asyncpg.connect(self.database("postgres"))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


@contextlib.contextmanager
def state_dir() -> Iterator[Path]:
    """A short, empty folder that another user can pass through (root drops to one)."""
    folder = Path(tempfile.mkdtemp(prefix="sl-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """The embedded server, owned by a process of its own: (that process, DSN, postmaster)."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        answer = json.loads(process.stdout.readline())
        yield process, answer["dsn"], answer["pid"]
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


@contextlib.contextmanager
def embedded_server() -> Iterator[Server]:
    """The embedded server of a session."""
    with state_dir() as folder, serving(folder) as (_, dsn, _):
        yield Server("embedded", dsn)


OLDEST = 15
"""The oldest major version that the store is to run on (Debian 12's)."""


def installed_postgres(packages: Path = Path("/usr/lib/postgresql")) -> Path | None:
    """The folder of a PostgreSQL installed on this machine, or None.

    The oldest that must do is the one to prove it on: a newer one is closer to the embedded one.
    """
    found = {
        int(program.parents[1].name): program
        for program in packages.glob("*/bin/postgres")
        if program.parents[1].name.isdecimal()
    }
    fit = [major for major in sorted(found) if major >= OLDEST]
    program = found[fit[0]] if fit else shutil.which("postgres")
    return Path(program).resolve().parent if program else None


@contextlib.contextmanager
def installed_server(binaries: Path) -> Iterator[Server]:
    """A private server from an installed PostgreSQL, never as root."""
    user = _unprivileged() if os.geteuid() == 0 else None
    with state_dir() as folder:
        home = folder / "pg"
        home.mkdir(mode=0o700)
        if user is not None:
            os.chown(home, user.pw_uid, user.pw_gid)
        as_user: dict[str, Any] = (
            {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}
        )
        subprocess.run(
            [binaries / "initdb", "-D", home / "data", "-U", "sightline", "-A", "trust", "-N"],
            check=True,
            capture_output=True,
            cwd="/",
            **as_user,
        )
        process = subprocess.Popen(
            [binaries / "postgres", "-D", home / "data", "-k", home, "-c", "listen_addresses="],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **as_user,
        )
        try:
            _wait_until_ready(home / "data" / "postmaster.pid")
            yield Server("installed", f"postgresql://sightline@/postgres?host={home}")
        finally:
            process.send_signal(2)
            process.wait(20)


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise LookupError("no unprivileged user")


def _wait_until_ready(pid_file: Path) -> None:
    for _ in range(1000):
        with contextlib.suppress(OSError):
            if pid_file.read_text().rstrip().endswith("ready"):
                return
        time.sleep(0.02)
    raise TimeoutError(f"{pid_file}: the server is not ready")
