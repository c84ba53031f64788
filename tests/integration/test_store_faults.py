"""A store that dies, freezes or comes back: nothing acknowledged is lost, nothing is doubled."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fakes.ledger_rows import outage

from adapters.postgres import orphans
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.store import PostgresStore
from gateway.domain.ledger import Changes
from gateway.errors import StoreUnavailable
from gateway.ports import LedgerKind, LedgerQuery


@pytest.fixture
async def own(state: Path) -> AsyncIterator[PostgresStore]:
    """A store with a server of its own, which the test may kill."""
    store = PostgresStore(f"embedded:{state}", command_timeout_s=1.0)
    await store.migrate()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def server_of(store: PostgresStore) -> EmbeddedPostgres:
    assert store.embedded is not None
    return store.embedded


def postmaster(store: PostgresStore) -> int:
    pid = server_of(store).pid
    assert pid is not None
    return pid


async def until_it_answers(store: PostgresStore, within_s: float) -> float:
    """Seconds until a ping succeeds."""
    started = time.monotonic()
    while True:
        with contextlib.suppress(StoreUnavailable):
            await store._database.value("SELECT 1")
            return time.monotonic() - started
        assert time.monotonic() - started < within_s
        await asyncio.sleep(0.01)


async def until_ended(store: PostgresStore) -> None:
    """Return when the supervisor has seen the server end."""
    async with asyncio.timeout(5):
        while server_of(store).pid is not None:  # noqa: ASYNC110 - another process, no event
            await asyncio.sleep(0.01)


async def until_started_again(store: PostgresStore, times: int, within_s: float) -> None:
    """Return when the server stands anew for the nth time and answers.

    An answer alone says little: backends outlive their postmaster for a moment, and answer.
    """
    async with asyncio.timeout(within_s):
        while server_of(store).restarts < times:  # noqa: ASYNC110 - another process, no event
            await asyncio.sleep(0.01)
    await until_it_answers(store, within_s)


class Writers:
    """Tasks that commit row after row, each repeated until it is acknowledged."""

    def __init__(self, store: PostgresStore, count: int) -> None:
        self._store = store
        self.acknowledged: set[str] = set()
        self.refused = 0
        self.gap_s = 0.0
        self._last = time.monotonic()
        self._stopping = False
        self._tasks = [asyncio.create_task(self._write(n)) for n in range(count)]

    async def _write(self, writer: int) -> None:
        number = 0
        while not self._stopping:
            number += 1
            row = outage(f"w{writer}-{number}", writer * 1_000_000 + number, number)
            while not self._stopping:
                try:
                    await self._store.commit(Changes(number, outages=(row,)))
                except StoreUnavailable:
                    self.refused += 1
                    await asyncio.sleep(0.02)
                    continue
                self.acknowledged.add(row.id)
                now = time.monotonic()
                self.gap_s = max(self.gap_s, now - self._last)
                self._last = now
                break

    async def go_on(self, within_s: float) -> None:
        """Return when rows are acknowledged again."""
        before = len(self.acknowledged)
        async with asyncio.timeout(within_s):
            while len(self.acknowledged) == before:  # noqa: ASYNC110 - rows, no event
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)


async def stored(store: PostgresStore) -> list[str]:
    page = await store.ledger(LedgerKind.OUTAGES, LedgerQuery(limit=1_000_000))
    return [row.id for row in page.rows]


@pytest.mark.parametrize("with_children", [False, True])
async def test_kill_9_of_the_server_under_load_loses_and_doubles_nothing(
    own: PostgresStore, with_children: bool
) -> None:
    writers = Writers(own, 8)
    for times in (1, 2):
        await asyncio.sleep(0.4)
        victims = orphans.serving(server_of(own).place.data) if with_children else []
        for pid in victims or [postmaster(own)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await until_started_again(own, times, within_s=10)
        await writers.go_on(within_s=5)
    await writers.stop()
    found = await stored(own)
    assert len(found) == len(set(found))
    assert writers.acknowledged <= set(found)
    assert len(found) - len(writers.acknowledged) <= 8  # at most the last of each is in doubt
    assert writers.refused > 0
    assert server_of(own).restarts == 2
    assert writers.gap_s < 5.0


async def test_one_killed_backend_resets_the_server_and_the_pool_recovers(
    own: PostgresStore,
) -> None:
    backend = await own._database.value("SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGKILL)
    assert await until_it_answers(own, within_s=5) < 3.0
    await own.commit(Changes(1, outages=(outage("a", 1, 0),)))
    assert server_of(own).restarts == 0


@contextlib.contextmanager
def frozen(data: Path) -> Iterator[None]:
    """Every process of the server stopped, as on a hung disk."""
    pids = orphans.serving(data)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def test_a_frozen_server_is_unavailable_within_the_command_timeout_and_then_recovers(
    own: PostgresStore,
) -> None:
    await own.commit(Changes(1, outages=(outage("before", 1, 0),)))

    async def attempt(number: int) -> float:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await own.commit(Changes(2, outages=(outage(f"during-{number}", 100 + number, 0),)))
        return time.monotonic() - started

    with frozen(server_of(own).place.data):
        # more at once than the pool has connections, twice: it must not lock itself up
        for round_ in range(2):
            waits = await asyncio.gather(*(attempt(10 * round_ + n) for n in range(10)))
            assert max(waits) < 1.0 + 0.6
    assert await until_it_answers(own, within_s=5) < 3.0
    after = [Changes(3, outages=(outage(f"after-{n}", 200 + n, 0),)) for n in range(10)]
    await asyncio.gather(*(own.commit(changes) for changes in after))
    found = await stored(own)
    assert len(found) == len(set(found))
    assert {"before", *(f"after-{n}" for n in range(10))} <= set(found)


async def test_closing_while_the_server_is_frozen_takes_seconds_not_for_ever(
    own: PostgresStore,
) -> None:
    other = PostgresStore(server_of(own).dsn, command_timeout_s=1.0)
    await other.open()
    with frozen(server_of(own).place.data):
        started = time.monotonic()
        await other.close()
        assert time.monotonic() - started < 4.0


async def test_a_server_that_keeps_ending_is_reported_and_still_restarted(
    own: PostgresStore,
) -> None:
    for times in range(3):
        await until_started_again(own, times, within_s=10)
        os.kill(postmaster(own), signal.SIGKILL)
        await until_ended(own)
    async with asyncio.timeout(5):
        while server_of(own).trouble is None:  # noqa: ASYNC110 - the supervisor counts, no event
            await asyncio.sleep(0.01)
    with pytest.raises(StoreUnavailable, match="3 times"):
        await own.ping()
    await until_it_answers(own, within_s=15)


async def test_a_server_that_is_not_there_is_unavailable(state: Path) -> None:
    store = PostgresStore(f"postgresql://nobody@/none?host={state}", command_timeout_s=1.0)
    with pytest.raises(StoreUnavailable):
        await store.open()
    await store.close()


async def test_a_database_that_went_away_is_unavailable_not_a_crash(own: PostgresStore) -> None:
    await server_of(own).stop()
    for _ in range(8):
        with pytest.raises(StoreUnavailable):
            await own.commit(Changes(1, outages=(outage("a", 1, 0),)))
