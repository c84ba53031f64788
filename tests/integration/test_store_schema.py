"""The schema: both roads lead to the same one, on every server version."""

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from fakes import ledger_rows
from fakes.absent import absent
from fakes.postgres import OLDEST, Server, installed_postgres

from adapters.postgres import migrations, rows
from adapters.postgres.queries import SQL, parse
from adapters.postgres.store import PostgresStore
from gateway.domain.ledger import Changes
from gateway.errors import UsageError
from gateway.ports import AuditEntry

SCHEMA = (resources.files("adapters.postgres") / "schema.sql").read_text(encoding="utf-8")

CATALOG = {
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, coll.collname, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_collation coll ON coll.oid = a.attcollation
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'sightline'::regnamespace AND c.relkind = 'r' ORDER BY 1, 2""",
    "tables": """
        SELECT relname, reloptions::text FROM pg_class
        WHERE relnamespace = 'sightline'::regnamespace AND relkind IN ('r', 'S') ORDER BY 1""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'sightline'::regnamespace AND contype <> 'n' ORDER BY 1, 2""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'sightline' ORDER BY 1",
    "triggers": """
        SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = 'sightline'::regnamespace AND NOT tgisinternal ORDER BY 1""",
    "functions": """
        SELECT proname, prosrc, proconfig::text, pg_get_function_identity_arguments(oid)
        FROM pg_proc WHERE pronamespace = 'sightline'::regnamespace ORDER BY 1""",
}


async def catalog(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    connection = await asyncpg.connect(dsn)
    try:
        return {name: [tuple(r) for r in await connection.fetch(q)] for name, q in CATALOG.items()}
    finally:
        await connection.close()


async def major_of(server: Server) -> int:
    connection = await asyncpg.connect(server.database("postgres"))
    try:
        return int(await connection.fetchval("SHOW server_version_num")) // 10_000
    finally:
        await connection.close()


async def test_every_test_of_both_servers_runs_on_postgresql_15_and_18(
    embedded: Server, installed: Server, record_property: Callable[[str, object], None]
) -> None:
    majors = {"embedded": await major_of(embedded), "installed": await major_of(installed)}
    record_property("PostgreSQL", majors)
    if majors["installed"] > OLDEST:
        absent(f"PostgreSQL {OLDEST} is not installed, the tests run on {majors['installed']}")
    assert majors == {"embedded": 18, "installed": OLDEST}


def test_of_several_installed_servers_the_oldest_that_must_do_is_taken(tmp_path: Path) -> None:
    for name in ("9.6", "10", "15", "16", "17", "common"):
        folder = tmp_path / name / "bin"
        folder.mkdir(parents=True)
        (folder / "postgres").touch()
    assert installed_postgres(tmp_path) == tmp_path / "15" / "bin"
    (tmp_path / "15" / "bin" / "postgres").unlink()
    assert installed_postgres(tmp_path) == tmp_path / "16" / "bin"


@pytest.fixture
async def empty(server: Server) -> AsyncIterator[str]:
    dsn = await server.fresh(template="template0")
    yield dsn
    await server.drop(dsn)


async def test_a_fresh_schema_equals_the_migrated_one(server: Server, empty: str) -> None:
    connection = await asyncpg.connect(empty)
    await connection.execute(SCHEMA)
    await connection.close()
    migrated = await server.fresh()
    try:
        fresh = await catalog(empty)
        assert len(fresh["columns"]) > 150
        assert fresh == await catalog(migrated)
    finally:
        await server.drop(migrated)


async def test_the_schema_is_the_same_on_every_server_version(
    embedded: Server, installed: Server
) -> None:
    here, there = await embedded.fresh(), await installed.fresh()
    assert await catalog(here) == await catalog(there)


async def test_two_migrators_at_once_apply_each_migration_once(empty: str) -> None:
    stores = [PostgresStore(empty) for _ in range(4)]
    applied = await asyncio.gather(*(store.migrate() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations.known())]


async def test_an_older_schema_says_that_migrate_is_needed(empty: str) -> None:
    store = PostgresStore(empty)
    await store.open()
    try:
        with pytest.raises(UsageError, match="sightline migrate"):
            await store.load_live()
    finally:
        await store.close()


async def test_a_schema_newer_than_the_release_is_refused(empty: str) -> None:
    store = PostgresStore(empty)
    await store.migrate()
    await store.close()
    connection = await asyncpg.connect(empty)
    await connection.execute(SQL["migration_done"], "9999_later", "x")
    await connection.close()
    with pytest.raises(UsageError, match="newer than this release"):
        await store.open()


def test_an_edited_migration_is_noticed() -> None:
    (first, *_) = migrations.known()
    with pytest.raises(UsageError, match="edited"):
        migrations.missing([(first.name, "other")], migrations.known())


def test_migrations_are_numbered_without_gap() -> None:
    numbers = [int(m.name.partition("_")[0]) for m in migrations.known()]
    assert numbers == list(range(1, len(numbers) + 1))


def unexplained(schema: str) -> list[str]:
    """Tables without a comment line above, and columns without one beside them."""
    found = [
        name
        for above, name in re.findall(r"(?m)^(.*)\nCREATE TABLE (\S+)", schema)
        if not above.startswith("-- ")
    ]
    for table, body in re.findall(r"(?ms)^CREATE TABLE (\S+) \(\n(.*?)^\)", schema):
        columns = re.split(r"(?m)^    (?=[a-z])", body)[1:]
        found += [f"{table}.{c.split()[0]}" for c in columns if " -- " not in c]
    return found


def test_every_table_and_column_of_the_schema_is_explained() -> None:
    assert SCHEMA.count("CREATE TABLE") == 42
    assert unexplained(SCHEMA) == []
    bare = re.sub(r"(?m)^-- .*\n|  -- .*", "", SCHEMA)
    assert len(unexplained(bare)) > 150


@pytest.mark.parametrize(
    "kind",
    [k for k in vars(rows).values() if isinstance(k, rows.Kind)],
    ids=lambda k: k.table,
)
async def test_each_field_of_a_row_has_its_column(
    postgres: PostgresStore, kind: rows.Kind[Any]
) -> None:
    found = {r["name"]: set(r["columns"]) for r in await postgres._database.fetch(SQL["tables"])}
    versions = kind in (*rows.ARCHIVE, *rows.PLACE_LIST)
    versioned = {"valid_from", "valid_to"} if versions else set()
    extra = {"audit": {"fingerprint"}, "device_memory": {"device"}}.get(kind.table, set())
    assert found[kind.table] == set(kind.fields) | versioned | extra


def test_a_query_named_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="twice"):
        parse("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE sightline.audit SET actor = 'somebody else'",
        "DELETE FROM sightline.audit",
        "SET sightline.pruning = 'on'; DELETE FROM sightline.audit",
        "TRUNCATE sightline.audit",
    ],
)
async def test_the_audit_log_can_only_grow(server: Server, sql: str) -> None:
    dsn = await server.fresh()
    store = PostgresStore(dsn)
    await store.open()
    entry = AuditEntry(datetime.now(UTC), "op", "operator", "check", "c1", "ok")
    await store.append_audit(entry)
    connection = await asyncpg.connect(dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute(sql)
        (line,) = await store.audit()
        assert dataclasses.replace(line, id=0) == entry
    finally:
        await connection.close()
        await store.close()
        await server.drop(dsn)


async def test_the_past_is_found_by_its_span_however_many_rows_lie_before_and_after(
    postgres: PostgresStore,
) -> None:
    async with postgres._database.connection(60.0) as connection:
        await connection.execute("""
            INSERT INTO sightline.place_intervals
                (id, place, state, weight_lost, causes, started_at, ended_at)
            SELECT n::text, n::text, 'blind', 1, '{}', t, t + interval '10 minutes'
            FROM (SELECT n, timestamptz '2025-01-01Z' + n * interval '1 minute' AS t
                  FROM generate_series(1, 50000) AS n) AS many""")
        await connection.execute("ANALYZE sightline.place_intervals")
        moment = datetime(2025, 1, 20, tzinfo=UTC)
        asked = {
            "past_weights": (moment,),
            "past_places": (moment, None, 20),
            "list_place_intervals": (moment, moment + timedelta(hours=1), None),
        }
        for name, arguments in asked.items():
            plan = await connection.fetch(f"EXPLAIN {SQL[name]}", *arguments)
            told = "\n".join(row[0] for row in plan)
            assert "place_intervals_by_span" in told, told
            assert "Seq Scan on place_intervals" not in told, told
    assert (await postgres.coverage.past(moment, 20)).lost == 10.0


async def test_an_unchanged_row_is_not_written_again(postgres: PostgresStore) -> None:
    batch = Changes(1, outages=(ledger_rows.FULL_OUTAGE,), channels=ledger_rows.CHANNELS)
    versions = "SELECT array_agg(xmin::text) FROM sightline.outages"
    await postgres.commit(batch)
    before = await postgres._database.value(versions)
    await postgres.commit(batch)
    assert await postgres._database.value(versions) == before
