"""The process: open files, memory, garbage, and what systemd is told. No decision of the service is here."""

import asyncio
import contextlib
import ctypes
import gc
import os
import resource
import socket
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.settings import PollSettings

log = structlog.get_logger("sightline.app")
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Numbers of the options in glibc's malloc.h."""
SPARE_FILES = 1_000
"""Open files for everything that is not a connection to a device."""
FRESH_COST = "a check of any other device connects anew, at about twice the CPU"


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """What a limit of open files allows for a fleet.

    Attributes:
        limit: open files of the process, at most.
        wanted: one a device, and `SPARE_FILES`: with so many every connection can be kept.
        kept: idle connections that are kept, at most.
    """

    limit: int
    wanted: int
    kept: int

    @classmethod
    def of(cls, limit: int, devices: int, poll: PollSettings) -> "OpenFiles":
        """Where there are too few, the checks that may be under way at once come first.

        A device has one connection, idle or in use. Before the first import nobody knows how many.
        """
        room = limit - SPARE_FILES
        if not 0 < devices <= room:
            room -= poll.slots + poll.dead_slots
        return cls(limit, devices + SPARE_FILES, max(0, min(poll.kept_connections, room)))

    @property
    def is_small(self) -> bool:
        """Whether connections are closed that could have been kept."""
        return self.limit < self.wanted

    @property
    def cost(self) -> str:
        """How many connections are kept, and what the others cost."""
        return f"at most {self.kept} connections are kept; {FRESH_COST}"


def check_open_files(devices: int, poll: PollSettings) -> OpenFiles:
    """Raise the soft limit of open files to the hard one, and say so where that is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    files = OpenFiles.of(soft, devices, poll)
    if files.is_small:
        log.warning(
            "open-file limit is small for the fleet",
            limit=files.limit,
            wanted=files.wanted,
            kept=files.kept,
            fix=f"raise LimitNOFILE; until then {files.cost}",
        )
    return files


def rest_gc() -> None:
    """Take what was just loaded out of the garbage collector's rounds.

    A fleet is some million objects that live as long as the process: walking them in a full
    collection stalls the loop for most of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def calm_malloc() -> None:
    """Give large blocks back to the system when they are freed (glibc only).

    A TLS connection takes a buffer of 256 kB. glibc raises its threshold after the first of them is
    freed and then cuts them out of the heap, which grows by some 50 MB in minutes.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 128 * 1024)
        libc.mallopt(M_ARENA_MAX, 1)  # a heap a worker thread would be kept for ever


async def feed_watchdog(age_s: Callable[[], float], limit_s: float) -> None:
    """Feed systemd's watchdog from progress, never from a free-running timer; until cancelled.

    Args:
        age_s: seconds since the last progress.
        limit_s: nothing is fed when progress is older, and than the half of `WATCHDOG_USEC`.
    """
    interval_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    while True:
        await asyncio.sleep(interval_s or 10.0)
        if interval_s and age_s() < max(interval_s, limit_s):
            notify("WATCHDOG=1")


def notify(state: str) -> None:
    """Tell systemd (`Type=notify`); nothing happens elsewhere."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)
