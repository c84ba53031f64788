"""Servers for the integration tests, once a session, and a fresh database for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fakes.absent import absent
from fakes.district import District
from fakes.fault_report import Measured, heading, of_faults, table
from fakes.postgres import (
    Server,
    embedded_server,
    installed_postgres,
    installed_server,
    state_dir,
)
from fakes.town import SCALE, TORTURE, Town, make_town

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
        absent("no other PostgreSQL is installed (Debian: apt install postgresql)")
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


# --- the whole service, for test_faults_*.py


@pytest.fixture(scope="session")
def district() -> Iterator[District]:
    """A virtual district under way; each test leaves it healed."""
    with state_dir() as folder, District(folder, SCALE.cameras, 1, SCALE.killable) as made:
        yield made


@pytest.fixture(scope="session")
def town(district: District) -> Iterator[Town]:
    """The district and a service with an embedded store that watches it, shared by all tests."""
    with state_dir() as folder:
        made = make_town(folder, district, SCALE)
        made.service.start()
        try:
            yield made
        finally:
            made.service.close()
        assert not made.leaks(), "a secret stands in what was written during the tests"


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Notes figures for the summary of `make torture`."""
    properties: list[tuple[str, object]] = request.node.user_properties

    def note(what: str, value: object) -> None:
        properties.append((what, value))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After `make torture`: what docs/design/faults.md says of the last full run, ready to paste."""
    found = [
        report
        for outcome in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.getreports(outcome)
        if isinstance(report, pytest.TestReport) and of_faults(report)
    ]
    if not TORTURE or not found:
        return
    terminalreporter.section("fault matrix")
    for line in (heading(), "", *table(sorted(found, key=lambda report: report.start))):
        terminalreporter.write_line(line)
