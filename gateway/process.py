"""The process: open files, memory, garbage, and what systemd is told. No decision of the service is here."""

import asyncio
import contextlib
import ctypes
import gc
import os
import resource
import socket
from collections.abc import Callable

import structlog

log = structlog.get_logger("sightline.app")
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Numbers of the options in glibc's malloc.h."""
SPARE_FILES = 1_000
"""Open files for everything that is not a connection to a device."""


def check_open_files(devices: int) -> tuple[int, int]:
    """Raise the soft limit of open files to the hard one; returns (limit, wanted) and says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    wanted = devices + SPARE_FILES
    if soft < wanted:
        log.warning(
            "open-file limit is small for the fleet",
            limit=soft,
            wanted=wanted,
            fix="raise LimitNOFILE; until then fewer connections are kept",
        )
    return soft, wanted


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
