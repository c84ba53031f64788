"""The outbox on a real server: the order of cursors, many alerts, a service that was replaced."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from fakes.coverage_rows import BARE_SPOT
from fakes.event_rows import BARE_EVENT, alert, event_incident
from fakes.ledger_rows import at, outage
from fakes.postgres import Server

from adapters.postgres.queries import SQL
from adapters.postgres.store import PostgresStore
from gateway.domain.alerting.rows import Alert, AlertState
from gateway.domain.coverage.rows import CoverageChanges
from gateway.domain.ledger import Changes
from gateway.errors import StoreUnavailable
from gateway.ports.events import EventChanges

INSERT = """
    INSERT INTO sightline.alerts (id, key, revision, phase, recipient, created_at, body, state,
        attempts, reason)
    SELECT 'slow', 'slow', 1, 'open', 'center', now(), '{}', 'pending', 0, ''"""
WAITERS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def until(connection: "asyncpg.Connection[Any]", query: str, wanted: int) -> None:
    async with asyncio.timeout(5.0):
        while await connection.fetchval(query) != wanted:  # noqa: ASYNC110 - the server's locks
            await asyncio.sleep(0.01)


async def test_a_reader_never_misses_an_alert_that_commits_later_with_a_smaller_cursor(
    server: Server,
) -> None:
    dsn = await server.fresh()
    store = PostgresStore(dsn)
    await store.open()
    slow = await asyncpg.connect(dsn)
    try:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute(SQL["alerts_lock"])
        await slow.execute(INSERT)  # it has its cursor, and is not yet seen
        others = [
            asyncio.create_task(
                store.coverage.commit(CoverageChanges(1, at(0), alerts=(alert("c", "c"),)))
            ),
            asyncio.create_task(store.commit(Changes(1, alerts=(alert("j", "j"),)))),
            asyncio.create_task(store.events.commit(EventChanges(alerts=(alert("e", "e"),)))),
        ]
        await until(slow, WAITERS, 3)
        assert await store.events.alerts() == []
        await transaction.commit()
        await asyncio.gather(*others)
        first, *rest = await store.events.alerts()
        assert first.id == "slow"
        assert {a.id for a in rest} == {"c", "j", "e"}
    finally:
        await slow.close()
        await store.close()
        await server.drop(dsn)


async def test_three_writers_at_once_and_a_reader_that_only_looks_ahead(
    postgres: PostgresStore,
) -> None:
    count = 60
    seen: list[str] = []
    done = asyncio.Event()

    async def read() -> None:
        after = 0
        while True:
            last = done.is_set()
            found = await postgres.events.alerts(after_cursor=after, limit=7)
            seen.extend(a.id for a in found)
            after = found[-1].cursor if found else after
            if last and not found:
                return

    async def judge() -> None:
        for n in range(count):
            rows = (outage(f"o{n}", n, 0),)
            incident = (event_incident(f"x{n}", 0),)
            batch = Changes(n, rows, alerts=(alert(f"j{n}", f"j{n}"),), event_incidents=incident)
            await postgres.commit(batch)

    async def cover() -> None:
        for n in range(count):
            alerts = (alert(f"c{n}", f"c{n}"),)
            await postgres.coverage.commit(CoverageChanges(n, at(n), (BARE_SPOT,), alerts=alerts))

    async def desk() -> None:
        for n in range(count):
            alerts = (alert(f"e{n}", f"e{n}"),)
            await postgres.events.commit(
                EventChanges((BARE_EVENT,), (event_incident(f"y{n}", 0),), alerts)
            )

    reader = asyncio.create_task(read())
    await asyncio.gather(judge(), cover(), desk())
    done.set()
    await reader
    assert sorted(seen) == sorted(f"{who}{n}" for who in "jce" for n in range(count))


async def test_batches_without_alerts_wait_for_nobody_who_adds_some(
    postgres: PostgresStore,
) -> None:
    async with postgres._database.connection() as slow, slow.transaction():
        await slow.execute(SQL["alerts_lock"])
        await postgres.commit(Changes(1, outages=(outage("o", 1, 0),)))
        await postgres.coverage.commit(CoverageChanges(1, at(0), (BARE_SPOT,)))
        await postgres.events.commit(EventChanges(events=(BARE_EVENT,)))


async def test_what_is_due_is_found_at_once_among_a_hundred_thousand_settled(
    postgres: PostgresStore,
) -> None:
    await postgres._database.execute(
        """
        INSERT INTO sightline.alerts (id, key, revision, phase, recipient, created_at, body, state,
            attempts, reason)
        SELECT 'old' || n, 'k' || n / 5, 1 + n % 5,
            CASE n % 5 WHEN 0 THEN 'open' ELSE 'update' END, 'center', now(), '{}', 'delivered', 1,
            ''
        FROM generate_series(0, 99999) AS n"""
    )
    new = tuple(alert(f"a{n}", f"k{n}", 6) for n in range(5000))
    await postgres.events.commit(EventChanges(alerts=new))
    took: list[float] = []
    found: Sequence[Alert] = ()
    for _ in range(5):
        began = time.perf_counter()
        found = await postgres.events.due_alerts("center", at(9), 100)
        took.append(time.perf_counter() - began)
    assert [a.id for a in found] == [f"a{n}" for n in range(100)]
    assert min(took) < 0.05
    assert len((await postgres.events.load(at(9))).revisions) == 20_000


async def test_a_service_that_lost_the_store_writes_no_coverage_no_events_and_settles_nothing(
    server: Server,
) -> None:
    dsn = await server.fresh()
    former, latter = PostgresStore(dsn), PostgresStore(dsn)
    await former.open()
    await latter.open()
    try:
        await former.claim()
        await former.events.commit(EventChanges(alerts=(alert("a", "a"),)))
        await latter._database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        )
        await latter.claim()
        with pytest.raises(StoreUnavailable):
            await former.coverage.commit(CoverageChanges(1, at(0), (BARE_SPOT,)))
        with pytest.raises(StoreUnavailable):
            await former.events.commit(EventChanges(events=(BARE_EVENT,)))
        with pytest.raises(StoreUnavailable):
            await former.events.settle_alerts([alert("a", "a", state=AlertState.DELIVERED)])
        assert [a.state for a in await latter.events.alerts()] == [AlertState.PENDING]
        assert (await latter.coverage.load()).blind_spots == ()
    finally:
        await former.close()
        await latter.close()
        await server.drop(dsn)


async def test_cursors_go_on_rising_after_a_restore(
    postgres: PostgresStore, server: Server, tmp_path: Any
) -> None:
    await postgres.events.commit(EventChanges(alerts=(alert("a", "a"), alert("b", "b"))))
    await postgres.backup(tmp_path / "backup")
    dsn = await server.fresh()
    target = PostgresStore(dsn)
    await target.open()
    try:
        await target.restore(tmp_path / "backup")
        await target.events.commit(EventChanges(alerts=(alert("c", "c"),)))
        cursors = [(a.id, a.cursor) for a in await target.events.alerts()]
        assert [name for name, _ in cursors] == ["a", "b", "c"]
        assert cursors[2][1] > cursors[1][1] > cursors[0][1] > 0
    finally:
        await target.close()
        await server.drop(dsn)
