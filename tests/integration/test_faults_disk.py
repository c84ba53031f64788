"""A full disk below the store: nothing acknowledged is lost, and it heals when there is room again."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from fakes.absent import absent
from fakes.fault_report import Measured
from fakes.ledger_rows import outage
from fakes.town import MARKS

from adapters.postgres.store import PostgresStore
from gateway.domain.ledger import Changes, Outage
from gateway.errors import StoreUnavailable
from gateway.ports import LedgerKind, LedgerQuery

pytestmark = MARKS

DISK_MB = 192
BATCH = 1000
"""Rows a commit: enough of them fill the disk within seconds."""
STEP_BYTES = 64 * 1024
BATCHES = 400
HEALS_S = 30.0
NO_ROOM = r"no room on the disk of /.*/postgres: \d+ bytes free$"
SEGMENTS = 12
"""16 MB each; more than there may be."""


@pytest.fixture
def small_disk(state: Path) -> Iterator[Path]:
    """A file system of its own, small, in memory."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0711", "none", str(state)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        absent(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield state
    finally:
        subprocess.run(["umount", "--lazy", str(state)], check=True)


@pytest.fixture
async def store(small_disk: Path) -> AsyncIterator[PostgresStore]:
    """A store with a server of its own on the small disk."""
    store = PostgresStore(f"embedded:{small_disk}", command_timeout_s=5.0)
    await store.migrate()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def fill(folder: Path) -> Path:
    """Take all room that is left, as somebody else's log would."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        while True:
            os.posix_fallocate(file.fileno(), file.tell(), STEP_BYTES)
            file.seek(STEP_BYTES, os.SEEK_CUR)
    assert shutil.disk_usage(folder).free < STEP_BYTES
    return ballast


def batch(number: int) -> tuple[Outage[datetime], ...]:
    first = number * BATCH
    return tuple(outage(f"c{n}", n, n, ended=n + 1) for n in range(first, first + BATCH))


async def write(store: PostgresStore, number: int, acknowledged: set[str]) -> None:
    rows = batch(number)
    await store.commit(Changes(number + 1, outages=rows))
    acknowledged |= {row.id for row in rows}


async def stored(store: PostgresStore) -> list[str]:
    page = await store.ledger(LedgerKind.OUTAGES, LedgerQuery(limit=1_000_000))
    return [row.id for row in page.rows]


async def use_up_the_log(store: PostgresStore) -> None:
    """Make the server want a new segment of its log: it gives up, and cannot recover without room."""
    message = "SELECT pg_logical_emit_message(true, 'ballast', repeat('x', 4000000))::text"
    for _ in range(SEGMENTS * 4):
        try:
            await store._database.value(message)
        except StoreUnavailable:
            return
    pytest.fail("the disk is full, and the log still grew")


async def checkpointer(store: PostgresStore) -> int:
    """A process of the server that lives as long as nothing crashes."""
    sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
    return int(await store._database.value(sql))


async def until_refused(store: PostgresStore, acknowledged: set[str]) -> int:
    """Write on until the store has had enough; the number of the batch that it refused."""
    for number in range(1, BATCHES):
        try:
            await write(store, number, acknowledged)
        except StoreUnavailable:
            return number
    pytest.fail("the disk is full, and every commit was taken")


async def until_taken(store: PostgresStore, number: int, acknowledged: set[str]) -> float:
    """The recorder's way: the same rows again until they are taken; how many seconds that took."""
    began = time.monotonic()
    while True:
        try:
            await write(store, number, acknowledged)
        except StoreUnavailable:
            assert time.monotonic() - began < HEALS_S, "there is room, and it still takes nothing"
            await asyncio.sleep(0.2)
        else:
            return time.monotonic() - began


@pytest.mark.parametrize("short", ["tables", "log"])
async def test_a_full_disk_is_an_unavailable_store_that_heals_by_itself_when_there_is_room(
    store: PostgresStore, small_disk: Path, short: str, measured: Measured
) -> None:
    acknowledged: set[str] = set()
    await write(store, 0, acknowledged)
    before = await checkpointer(store)
    ballast = fill(small_disk)
    if short == "log":
        await use_up_the_log(store)
    refused = await until_refused(store, acknowledged)
    with pytest.raises(StoreUnavailable, match=NO_ROOM) as told:
        await write(store, refused, set())  # and again, not once only
    assert str(small_disk) in str(told.value)
    ballast.unlink()
    healed_s = await until_taken(store, refused, acknowledged)
    found = await stored(store)
    assert len(found) == len(set(found)), "doubled"
    assert acknowledged == set(found), "lost, or half of a batch"
    assert (await checkpointer(store) != before) == (short == "log"), "it had to recover"
    measured("rows", len(found))
    measured("takes rows again after, s", round(healed_s, 1))
