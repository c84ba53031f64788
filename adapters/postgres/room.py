"""Whether the disk below the embedded server has room left, said with its path and its bytes."""

import shutil
from pathlib import Path

import asyncpg

LEAST_BYTES = 32 * 2**20
"""Two segments of the write-ahead log: with less the server cannot go on, nor recover."""


def shortage(folder: Path, error: BaseException | None = None) -> str:
    """What is wrong with the disk of a folder; empty = nothing that we can see.

    Args:
        folder: where the server's data are.
        error: what the server or the driver said. That it found no room counts for itself: a quota
            or a reserve may end before the disk does.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    if free >= LEAST_BYTES and not isinstance(error, asyncpg.DiskFullError):
        return ""
    return f"no room on the disk of {folder}: {free} bytes free"
