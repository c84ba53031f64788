"""Servers left over from a process that was killed: found by what they are, never by a pid file.

A pid file may be older than a reboot or the container, and its number may belong to any program.
A process counts as a server of a data directory only if it is a postgres that stands in it.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import structlog

from gateway.errors import StoreUnavailable

log = structlog.get_logger("sightline.postgres")


def serving(data: Path) -> list[int]:
    """The processes of any server on this data directory, without those that have ended."""
    if not sys.platform.startswith("linux"):
        pid = _pid_in_file(data)
        return [pid] if pid is not None and _alive(pid) else []
    data = data.resolve()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                is_postgres = (entry / "comm").read_text().startswith("postgres")
                if is_postgres and (entry / "cwd").readlink() == data:
                    found.append(int(entry.name))
    return found


async def end(data: Path) -> None:
    """Return when no server runs on this data directory; its own next start then recovers it.

    Call it only with the lock held. A server whose service was just killed is stopping by itself.

    Raises:
        StoreUnavailable: it does not end.
    """
    for number, patience_s in ((None, 1.0), (signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0)):
        left = serving(data)
        if number is not None and left:
            log.warning("postgres_orphan", pids=left, signal=number.name)
            _signal_postmaster(data, left, number)
        if await _gone(data, patience_s):
            _remove_stale_pid_file(data)
            return
    for pid in serving(data):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not await _gone(data, 5.0):
        raise StoreUnavailable(f"store: another PostgreSQL runs on {data}: {serving(data)}")
    _remove_stale_pid_file(data)


async def _gone(data: Path, patience_s: float) -> bool:
    for _ in range(int(patience_s / 0.02)):
        if not serving(data):
            return True
        await asyncio.sleep(0.02)
    return not serving(data)


def _signal_postmaster(data: Path, pids: list[int], number: signal.Signals) -> None:
    postmaster = _pid_in_file(data)
    for pid in [postmaster] if postmaster in pids else pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _remove_stale_pid_file(data: Path) -> None:
    """Only where its number lives on in another program; else PostgreSQL judges it itself."""
    pid = _pid_in_file(data)
    if pid is not None and _alive(pid):
        log.warning("postgres_stale_pid_file", pid=pid)
        (data / "postmaster.pid").unlink(missing_ok=True)


def _pid_in_file(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
