"""Fixtures of the contract suites: each store adapter, on each server there is."""

import os
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from fakes.absent import absent
from fakes.postgres import Server, embedded_server, installed_postgres, installed_server

from gateway import registry
from gateway.ports import Store

STORES = "sightline.stores"


@pytest.fixture(scope="session")
def embedded() -> Iterator[Server]:
    with embedded_server() as server:
        server.prepare()
        yield server


@pytest.fixture(scope="session")
def installed() -> Iterator[Server]:
    binaries = installed_postgres()
    if binaries is None:
        absent("no other PostgreSQL is installed (Debian: apt install postgresql)")
    with installed_server(binaries) as server:
        server.prepare()
        yield server


def _cases() -> list[str]:
    """`adapter` or `adapter-server` for everything registered."""
    cases: list[str] = []
    for name in registry.names(STORES):
        if name == "postgres":
            cases += ["postgres-embedded", "postgres-installed"]
            cases += ["postgres-dsn"] if "SIGHTLINE_TEST_DSN" in os.environ else []
        else:
            cases.append(name)
    return cases


@pytest.fixture(params=_cases())
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty, open store."""
    name, _, where = str(request.param).partition("-")
    server: Server | None = None
    if where == "dsn":
        dsn = os.environ["SIGHTLINE_TEST_DSN"]
        connection = await asyncpg.connect(dsn)
        await connection.execute("DROP SCHEMA IF EXISTS sightline CASCADE")
        await connection.close()
    elif where:
        server = request.getfixturevalue(where)
        dsn = await server.fresh()
    else:
        dsn = f"{name}:"
    made: Store = registry.get(STORES, name)(dsn)
    await made.migrate()
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        if server is not None:
            await server.drop(dsn)
