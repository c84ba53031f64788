"""A store of an older release is brought up to date by those who may, never by a question."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from fakes.postgres import Server

from adapters.postgres import migrations
from adapters.postgres.store import PostgresStore
from gateway.cli import main
from gateway.errors import NoSchema, NotMigrated
from gateway.opening import open_store
from gateway.settings import Settings, StoreSettings

ALL = migrations.known()
OLDER, LAST = ALL[:-1], ALL[-1].name
CAMERAS = "设备编码,设备名称,IP地址,端口\n61080200001320000001,东门,192.0.2.1,80\n"


def asked(*call: str) -> object:
    return pytest.param(call, id=" ".join(call))


CALLS = [
    asked("report"),
    asked("audit"),
    asked("plan", "--sites", "1"),
    asked("probe", "6108"),
    asked("probe", "--survey"),
    asked("coverage", "summary"),
    asked("coverage", "bounds"),
    asked("coverage", "redundancy"),
    asked("coverage", "repair-order"),
    asked("coverage", "survey-order"),
    asked("coverage", "intrusions"),
    asked("coverage", "blind-spots"),
    asked("coverage", "availability"),
    asked("coverage", "at", "2026-03-01T00:00:00Z"),
    asked("token", "list"),
    asked("token", "create", "x", "--role", "viewer"),
    asked("token", "revoke", "x"),
    asked("keys", "rotate"),
    asked("posture", "list"),
    asked("posture", "end", "x"),
    asked("posture", "set", "heightened", "--area", "all", "--reason", "x", "--for", "1h"),
    asked("backup", "{folder}/out.tar.gz"),
    asked("backup", "{folder}/in.tar.gz", "--restore"),
    asked("import", "{folder}/cameras.csv", "--dry-run"),
]


def applied(dsn: str) -> list[str]:
    """The migrations that a database has."""

    async def read() -> list[str]:
        connection = await asyncpg.connect(dsn)
        try:
            if not await connection.fetchval("SELECT to_regclass('sightline.migrations')::text"):
                return []
            rows = await connection.fetch("SELECT name FROM sightline.migrations ORDER BY name")
            return [row["name"] for row in rows]
        finally:
            await connection.close()

    return asyncio.run(read())


async def _older(dsn: str) -> None:
    store = PostgresStore(dsn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "known", lambda: OLDER)
        await store.migrate()
    await store.close()


@contextlib.contextmanager
def configured(embedded: Server, folder: Path, *, older: bool) -> Iterator[tuple[str, Path]]:
    """An empty database, or one of the release before, and the settings that name it."""
    dsn = asyncio.run(embedded.fresh(template="template0"))
    try:
        if older:
            asyncio.run(_older(dsn))
        config = folder / "sightline.toml"
        config.write_text(
            f'[store]\ndsn = "{dsn}"\nstate_dir = "{folder / "state"}"\n', encoding="utf-8"
        )
        (folder / "cameras.csv").write_text(CAMERAS, encoding="utf-8")
        (folder / "in.tar.gz").write_bytes(b"")
        yield dsn, config
    finally:
        asyncio.run(embedded.drop(dsn))


def called(config: Path, *call: str) -> int:
    """The exit code of a command."""
    arguments = [one.replace("{folder}", str(config.parent)) for one in call]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--json", "--config", str(config)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture(scope="module")
def older(embedded: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with configured(embedded, tmp_path_factory.mktemp("older"), older=True) as found:
        yield found


@pytest.mark.parametrize("call", CALLS)
def test_a_command_that_asks_or_adds_leaves_an_older_schema_as_it_is(
    older: tuple[str, Path], call: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    dsn, config = older
    code = called(config, *call)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert applied(dsn) == [one.name for one in OLDER]
    assert (code, told["error"]) == (2, "NotMigrated"), told
    assert f"it lacks {LAST}" in told["problems"][0]
    assert "run `sightline migrate`" in told["problems"][0]


def test_a_diagnosis_tells_an_older_schema_from_none(
    older: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    dsn, config = older
    called(config, "doctor")
    (line,) = [one for one in json.loads(capsys.readouterr().out) if one["what"] == "store"]
    assert line["level"] == "warn"
    assert "older than this release" in line["found"]
    assert "sightline migrate" in line["fix"]
    assert applied(dsn) == [one.name for one in OLDER]


@pytest.mark.parametrize("call", [("migrate",), ("import", "{folder}/cameras.csv", "--yes")])
def test_migrate_and_an_import_bring_an_older_schema_up_to_date(
    embedded: Server, tmp_path: Path, call: tuple[str, ...]
) -> None:
    with configured(embedded, tmp_path, older=True) as (dsn, config):
        assert called(config, *call) == 0
        assert applied(dsn) == [one.name for one in ALL]
        assert called(config, "token", "list") == 0


async def test_the_service_brings_an_older_schema_up_to_date(
    embedded: Server, tmp_path: Path
) -> None:
    dsn = await embedded.fresh(template="template0")
    try:
        await _older(dsn)
        settings = Settings(store=StoreSettings(dsn=dsn, state_dir=tmp_path))
        with pytest.raises(NotMigrated):
            async with open_store(settings):
                pass
        async with open_store(settings, claim=True) as store:
            await store.check_schema()
        async with open_store(settings, create=False):
            pass
    finally:
        await embedded.drop(dsn)


@pytest.mark.parametrize(
    "call",
    [("import", "{folder}/cameras.csv", "--yes"), ("token", "create", "x", "--role", "viewer")],
)
def test_the_first_use_makes_the_schema_of_an_empty_store(
    embedded: Server, tmp_path: Path, call: tuple[str, ...]
) -> None:
    with configured(embedded, tmp_path, older=False) as (dsn, config):
        assert called(config, *call) == 0
        assert applied(dsn) == [one.name for one in ALL]


def test_a_question_to_an_empty_store_makes_nothing(
    embedded: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with configured(embedded, tmp_path, older=False) as (dsn, config):
        assert called(config, "import", "{folder}/cameras.csv", "--dry-run") == 0
        assert applied(dsn) == []
        capsys.readouterr()
        assert called(config, "report") == 2
        told = json.loads(capsys.readouterr().out)
        assert (told["error"], applied(dsn)) == ("NoSchema", [])
        assert "sightline import FILE" in told["problems"][0]


async def test_an_empty_database_has_no_schema(embedded: Server) -> None:
    dsn = await embedded.fresh(template="template0")
    store = PostgresStore(dsn)
    await store.open()
    try:
        with pytest.raises(NoSchema):
            await store.check_schema()
    finally:
        await store.close()
        await embedded.drop(dsn)
