"""Servers for the integration tests, once a session, and a fresh database for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fakes.postgres import (
    Server,
    embedded_server,
    installed_postgres,
    installed_server,
    state_dir,
)

from adapters.postgres.store import PostgresStore


@pytest.fixture(scope="session")
def embedded() -> Iterator[Server]:
    with embedded_server() as server:
        server.prepare()
        yield server


@pytest.fixture(scope="session")
def installed() -> Iterator[Server]:
    binaries = installed_postgres()
    if binaries is None:
        pytest.skip("no other PostgreSQL is installed (Debian: apt install postgresql)")
    with installed_server(binaries) as server:
        server.prepare()
        yield server


@pytest.fixture(params=["embedded", "installed"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each server there is, in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def postgres(embedded: Server) -> AsyncIterator[PostgresStore]:
    """An open, empty store on the embedded server."""
    dsn = await embedded.fresh()
    store = PostgresStore(dsn, command_timeout_s=2.0)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
        await embedded.drop(dsn)


@pytest.fixture
def state() -> Iterator[Path]:
    """An own state directory."""
    with state_dir() as folder:
        yield folder
