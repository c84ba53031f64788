"""An external database is reached as an ordinary role: its owner, never a superuser."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from fakes.postgres import Server

from adapters.postgres.store import PostgresStore
from gateway.errors import UsageError
from gateway.ports import AuditEntry, Role

OWNER, STRANGER = "plain_owner", "plain_stranger"


@pytest.fixture
async def owned(server: Server) -> AsyncIterator[str]:
    """A fresh database that belongs to an ordinary role."""
    dsn = await server.fresh(template="template0")
    name = dsn.partition("?")[0].rpartition("/")[2]
    connection = await asyncpg.connect(dsn)
    try:
        for role in (OWNER, STRANGER):
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
                await connection.execute(f"CREATE ROLE {role} LOGIN")
        await connection.execute(f"ALTER DATABASE {name} OWNER TO {OWNER}")
    finally:
        await connection.close()
    yield dsn
    await server.drop(dsn)


async def test_the_owner_of_the_database_needs_no_other_right(owned: str) -> None:
    store = PostgresStore(f"{owned}&role={OWNER}")
    await store.open()
    try:
        assert await store.migrate()
        now_at = datetime.now(UTC)
        for days in (500, 1):
            line = AuditEntry(now_at - timedelta(days=days), "cli:x", Role.ADMIN, "a", "b", "done")
            await store.append_audit(line)

        await store.prune(now_at, audit_days=400, rollup_days=1096)

        assert [line.at for line in await store.audit(10)] == [now_at - timedelta(days=1)]
    finally:
        await store.close()


async def test_the_owner_cannot_take_lines_out_of_the_audit_log(owned: str) -> None:
    store = PostgresStore(f"{owned}&role={OWNER}")
    await store.open()
    try:
        await store.migrate()
        await store.append_audit(AuditEntry(datetime.now(UTC), "x", Role.ADMIN, "a", "b", "done"))
    finally:
        await store.close()
    connection = await asyncpg.connect(f"{owned}&role={OWNER}")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute("DELETE FROM sightline.audit")
    finally:
        await connection.close()


async def test_a_role_without_the_right_to_make_the_schema_is_told_so(owned: str) -> None:
    store = PostgresStore(f"{owned}&role={STRANGER}")
    await store.open()
    try:
        with pytest.raises(UsageError, match=r"store\.dsn: permission denied"):
            await store.migrate()
    finally:
        await store.close()
