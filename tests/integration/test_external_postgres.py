"""The whole service on a PostgreSQL of somebody else's, by DSN, as docs/guide/install.md says.

Over TCP and with passwords that a DSN must encode; as the ordinary role that owns the database, and
then as the superuser on the same rows.
"""

import asyncio
import base64
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import asyncpg
import pytest
from fakes.city_server import ADMIN, CityServer, city_server, set_up
from fakes.district import District, until
from fakes.postgres import state_dir
from fakes.service import Service
from fakes.town import Scale, Town

from adapters.postgres.migrations import known
from gateway.domain.ledger import GapReason

pytestmark = pytest.mark.slow

SCALE = Scale(cameras=150, factor=0.08, kills=0, killable=0.5)
PASSWORDS = {"sightline": "Kanarienvogel-4711@/the city's", ADMIN: "Kanarienvogel-4712:#superuser"}
DSN_FILE = "SIGHTLINE_STORE__DSN_FILE"


class CommandLines:
    """What anybody on the machine could read of every process, as `ps` shows it, all the while."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5)

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    line = (folder / "cmdline").read_bytes()
                except OSError:  # ended meanwhile
                    continue
                self.seen.add(line.replace(b"\0", b" "))


@pytest.fixture(scope="module")
def server() -> Iterator[CityServer]:
    with state_dir() as folder, city_server(folder, PASSWORDS) as made:
        asyncio.run(set_up(made))
        yield made


@pytest.fixture
def service(server: CityServer) -> Iterator[Service]:
    """A service whose store is the city's; not started."""
    with state_dir() as folder:
        made = Service(folder, {})
        made.environment[DSN_FILE] = str(folder / "dsn")
        log_in(made, server, "sightline")
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def town(service: Service) -> Iterator[Town]:
    """A small district for it; not yet imported."""
    with (
        state_dir() as folder,
        District(folder, SCALE.cameras, 3, SCALE.killable) as district,
    ):
        for name, values in SCALE.sections(district.ready["canaries"]).items():
            service.sections.setdefault(name, {}).update(values)
        service.write_config()
        yield Town(district, service, SCALE)
        service.close()


def log_in(service: Service, server: CityServer, role: str) -> None:
    """Put the DSN of a role where the environment says that it is."""
    file = Path(service.environment[DSN_FILE])
    file.write_text(server.dsn(role, "sightline") + "\n", encoding="utf-8")
    file.chmod(0o600)


def rows_of(server: CityServer, sql: str) -> list[dict[str, Any]]:
    """Rows straight from the city's server, seen by its administrator."""

    async def read() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(server.dsn(ADMIN, "sightline"))
        try:
            return [dict(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return asyncio.run(read())


def outages(town: Town) -> dict[str, tuple[Any, ...]]:
    """The closed outages as the interface tells them, by id."""
    items = town.service.get("/api/v1/outages?limit=1000")["items"]
    keys = ("channel", "cause", "last_seen_at", "failed_at", "confirmed_at", "ended_at")
    return {row["id"]: tuple(row[key] for key in keys) for row in items if row["ended_at"]}


def forms(secret: str) -> list[bytes]:
    """A password as it is, as in a DSN, and as it would stand in a header or a dump."""
    raw = secret.encode()
    return [raw, quote(secret, safe="").encode(), base64.b64encode(raw), raw.hex().encode()]


def test_the_service_keeps_its_ledger_on_an_external_server_and_never_says_its_password(
    town: Town, server: CityServer
) -> None:
    service, district = town.service, town.district
    with CommandLines() as lines:
        service.sightline("migrate", "--json")
        applied = [row["name"] for row in rows_of(server, "SELECT name FROM sightline.migrations")]
        assert sorted(applied) == [migration.name for migration in known()]
        town.import_archive()
        town.settle()
        assert set(service.states().values()) <= {"o", "x"}
        victim = next(v for v in district.mortal() if not v.device.tls)
        cut = district.apply("gone", "refuse", [victim])
        until("it is down", SCALE.confirm_s, lambda: set(cut.channels) <= town.open_outages())
        cut = district.heal("gone")
        until("it is back", SCALE.back_s, lambda: not town.open_outages())
        before = outages(town)
        (row,) = (row for row in before.values() if row[0] == cut.channels[0])
        failed_at, ended_at = datetime.fromisoformat(row[3]), datetime.fromisoformat(row[5])
        assert cut.ended is not None
        assert cut.began <= failed_at <= cut.ended <= ended_at
        owners = rows_of(server, "SELECT DISTINCT usename AS u FROM pg_stat_activity "
                         "WHERE application_name LIKE 'sightline%'")  # fmt: skip
        assert owners == [{"u": "sightline"}]
        assert service.terminate()[0] == 0, service.tail()

        log_in(service, server, ADMIN)
        service.start()
        service.until_ready()
        assert outages(town) == before, "the same rows are there"
        assert "schema migrated" not in service.log.read_text(encoding="utf-8")
        gaps = [gap for gap in service.rows().gaps if gap.reason is GapReason.NOT_RUNNING]
        assert len(gaps) >= 1, "that it did not run meanwhile is known"
        shown = service.sightline("config", "show", "--json") + service.sightline(
            "doctor", code=None
        )
        assert service.terminate()[0] == 0, service.tail()

    assert not (service.state / "postgres").exists(), "no store of its own was made"
    said = {
        "log": service.log.read_bytes(),
        "outputs": service.outputs.read_bytes(),
        "settings": service.config.read_bytes(),
        "config show, doctor": shown.encode(),
        "ps": b"\n".join(lines.seen),
        "log of the server": server.log.read_bytes(),
    }
    assert str(service.config).encode() in said["ps"], "the service was seen there"
    leaks = [
        (place, form)
        for place, content in said.items()
        for secret in PASSWORDS.values()
        for form in forms(secret)
        if form in content
    ]
    assert not leaks


def test_a_password_that_is_refused_is_told_without_the_password(
    service: Service, server: CityServer
) -> None:
    wrong = CityServer(server.port, {"sightline": PASSWORDS[ADMIN]}, server.log)
    log_in(service, wrong, "sightline")
    told = service.sightline("migrate", code=3)
    assert "InvalidPasswordError" in told
    for form in forms(PASSWORDS[ADMIN]):
        assert form not in told.encode()


def test_the_password_may_come_by_a_password_file_beside_a_dsn_without_one(
    service: Service, server: CityServer
) -> None:
    secret = PASSWORDS["sightline"].replace("\\", "\\\\").replace(":", "\\:")
    passfile = service.folder / "pgpass"
    passfile.write_text(f"127.0.0.1:{server.port}:sightline:sightline:{secret}\n", encoding="utf-8")
    passfile.chmod(0o600)
    del service.environment[DSN_FILE]
    service.environment["PGPASSFILE"] = str(passfile)
    service.sections["store"]["dsn"] = f"postgresql://sightline@127.0.0.1:{server.port}/sightline"
    service.write_config()
    service.sightline("migrate")
    passfile.write_text("", encoding="utf-8")
    service.sightline("migrate", code=3)
