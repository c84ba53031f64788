"""One service on one store: the second is told, the first lives through a restart of the server."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest
from fakes.district import until
from fakes.postgres import Server, serving
from fakes.service import Service

from adapters.postgres import claim
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.store import PostgresStore
from gateway.domain.ledger import Changes
from gateway.errors import StoreTaken, StoreUnavailable

END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
TAKE = "SELECT pg_try_advisory_lock(hashtext('sightline.service'))"


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "TRY_S", 0.2)


async def end_sessions(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(END_SESSIONS)
    await connection.close()


async def opened(dsn: str) -> PostgresStore:
    store = PostgresStore(dsn, command_timeout_s=2.0)
    await store.open()
    return store


async def test_a_second_claim_is_refused_until_the_first_lets_go(server: Server) -> None:
    dsn = await server.fresh()
    first, second = await opened(dsn), await opened(dsn)
    try:
        await first.claim()
        await first.claim()
        with pytest.raises(StoreTaken) as told:
            await second.claim()
        assert dsn not in str(told.value)
        await second.tokens()  # a command beside the service may read
        await first.close()
        await second.claim()
        await second.commit(Changes(1))
    finally:
        await first.close()
        await second.close()
        await server.drop(dsn)


async def test_a_claim_whose_session_was_ended_is_taken_again_before_the_next_batch(
    embedded: Server,
) -> None:
    dsn = await embedded.fresh()
    first, second = await opened(dsn), await opened(dsn)
    try:
        await first.claim()
        await end_sessions(dsn)
        await asyncio.sleep(0.1)
        await first.commit(Changes(1))
        with pytest.raises(StoreTaken):
            await second.claim()
    finally:
        await first.close()
        await second.close()
        await embedded.drop(dsn)


async def test_who_lost_the_claim_to_another_writes_no_batch_and_is_told(embedded: Server) -> None:
    dsn = await embedded.fresh()
    first, second = await opened(dsn), await opened(dsn)
    try:
        await first.claim()
        await end_sessions(dsn)
        await second.claim()
        with pytest.raises(StoreUnavailable, match="another"):
            await first.commit(Changes(1))
        with pytest.raises(StoreTaken):
            await first.claim()
        await second.close()
        with pytest.raises(StoreTaken):  # its picture of the fleet is old: it may not come back
            await first.claim()
    finally:
        await first.close()
        await second.close()
        await embedded.drop(dsn)


async def test_our_own_former_session_does_not_count_as_another(embedded: Server) -> None:
    """A line that was cut silently: the server still keeps the session, we do not."""
    dsn = await embedded.fresh()
    store = await opened(dsn)
    try:
        await store.claim()
        kept, store._claim._connection = store._claim._connection, None
        assert kept is not None
        await store.claim()
        await asyncio.sleep(0.1)
        assert kept.is_closed()
    finally:
        await store.close()
        await embedded.drop(dsn)


async def test_a_service_keeps_store_and_claim_when_the_command_that_owned_the_server_ends(
    state: Path,
) -> None:
    store = PostgresStore(f"embedded:{state}", command_timeout_s=2.0)
    try:
        with serving(state):
            await store.migrate()
            await store.claim()
        async with asyncio.timeout(15):
            while not await took(store):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert store.embedded is not None
        assert store.embedded.pid is not None
        other = PostgresStore(f"embedded:{state}", command_timeout_s=2.0)
        await other.open()
        with pytest.raises(StoreTaken):
            await other.claim()
        await other.close()
    finally:
        await store.close()


async def took(store: PostgresStore) -> bool:
    """Whether a batch was written; first it is not, for the server is gone."""
    try:
        await store.commit(Changes(1))
    except StoreUnavailable:
        return False
    return True


def second_run(first: Service) -> subprocess.CompletedProcess[str]:
    """Another `sightline run` with the same state directory."""
    config = first.folder / "second.toml"
    config.write_text(f'[store]\nstate_dir = "{first.state}"\n[web]\nport = 0\n')
    return subprocess.run(
        [*first.command, "run", "--config", str(config)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_second_service_ends_with_3_also_after_a_restart_of_the_store(state: Path) -> None:
    first = Service(state, {})
    first.start()
    try:
        for _ in range(2):
            second = second_run(first)
            assert second.returncode == 3, second.stderr
            assert "another `sightline run` works on this store" in second.stderr
            assert "Traceback" not in second.stderr
            os.kill(first.postmaster(), signal.SIGKILL)
            until("the claim is taken again", 15, lambda: "taken again" in first.tail())
        assert first.is_serving()
    finally:
        first.close()


def test_a_service_that_lost_its_claim_to_another_ends_with_3_and_says_so(state: Path) -> None:
    first = Service(state, {})
    first.start()
    try:
        asyncio.run(take_over(first))
        assert first.process is not None
        assert first.process.poll() == 3
        assert "another `sightline run` works on this store" in first.tail()
        assert "Traceback" not in first.tail()
    finally:
        first.close()


async def take_over(first: Service) -> None:
    """Be the other service that gets the lock when the session of the first one ends."""
    server = EmbeddedPostgres(first.state)  # attached, and its owner when the first one ends
    connection = await asyncpg.connect(await server.start())
    try:
        async with asyncio.timeout(5):
            while not await connection.fetchval(TAKE):
                await connection.execute(END_SESSIONS)
        assert first.process is not None
        await asyncio.to_thread(first.process.wait, 20)
    finally:
        connection.terminate()
        await server.stop()
