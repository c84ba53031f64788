"""Backup and restore through the store and through the command."""

import dataclasses
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes import coverage_rows, event_rows
from fakes import ledger_rows as rows
from fakes.postgres import Server

from adapters.postgres.store import PostgresStore
from gateway.domain.camera import DeviceId
from gateway.domain.coverage.rows import CoverageChanges
from gateway.domain.ledger import Changes
from gateway.errors import Conflict, UsageError
from gateway.ports import AuditEntry, IncidentNote, LedgerKind, LedgerQuery, NoteKind, Role, Token
from gateway.ports.coverage import BlindSpotQuery
from gateway.ports.events import EventChanges, EventQuery

CHANGES = Changes(
    sequence=7,
    outages=(rows.FULL_OUTAGE, rows.BARE_OUTAGE),
    faults=(rows.FULL_FAULT, rows.BARE_FAULT),
    incidents=(rows.FULL_INCIDENT, rows.BARE_INCIDENT),
    gaps=rows.GAPS,
    channels=rows.CHANNELS,
    clock_steps=rows.CLOCK_STEPS,
    rollups=(rows.FULL_ROLLUP,),
    memories=rows.MEMORIES,
    watched_until_at=rows.at(6),
)


async def fill(store: PostgresStore) -> None:
    await store.save_import(rows.RECORD, rows.archive())
    later = dataclasses.replace(rows.RECORD, id="import-2", at=rows.at(0))
    await store.save_import(later, rows.archive(5))
    await store.commit(CHANGES)
    await store.save_credentials({"镇东": b"\x00\\\t\n\xff"})
    await store.add_note(
        IncidentNote("n", "i-full", rows.at(1), "op", NoteKind.NOTE, "制表\t换行\n\\N")
    )
    await store.save_token(Token("t", "console", Role.ADMIN, b"\x01" * 32, rows.at(0)))
    for minute in range(3):
        await store.append_audit(AuditEntry(rows.at(minute), "op", "admin", "check", "c", "ok"))
    await fill_coverage_and_events(store)


async def fill_coverage_and_events(store: PostgresStore) -> None:
    record = dataclasses.replace(rows.RECORD, id="places-1")
    await store.coverage.save_places(record, coverage_rows.PLACES)
    await store.coverage.commit(
        CoverageChanges(
            7,
            rows.at(6),
            (coverage_rows.FULL_SPOT, coverage_rows.BARE_SPOT),
            (coverage_rows.FULL_INTERVAL, coverage_rows.BARE_INTERVAL),
            (event_rows.alert("a1", "b-full"),),
        )
    )
    await store.coverage.save_plan(coverage_rows.PLAN)
    await store.events.save_sensors(event_rows.SENSORS)
    await store.events.commit(
        EventChanges(
            (event_rows.FULL_EVENT, event_rows.BARE_EVENT),
            (event_rows.FULL_INCIDENT, event_rows.BARE_INCIDENT),
            (event_rows.FULL_ALERT,),
            (event_rows.RECEIPT,),
            (event_rows.FULL_ORDER,),
        )
    )
    await store.events.save_posture(event_rows.POSTURE)
    await store.events.save_mute(event_rows.MUTE)
    await store.events.save_subscription(DeviceId("10.1.0.1:80"), '{"to": "x"}')


async def everything(store: PostgresStore) -> dict[str, Any]:
    query = LedgerQuery(include_merged=True)
    return {
        "now": await store.load_inventory(),
        "before": await store.load_inventory(rows.at(-1)),
        "imports": list(await store.imports()),
        "credentials": dict(await store.load_credentials()),
        "live": await store.load_live(),
        **{kind.value: (await store.ledger(kind, query)).rows for kind in LedgerKind},
        "rollups": list(await store.rollups("2000-01-01", "2099-01-01")),
        "notes": list(await store.notes(["i-full"])),
        "tokens": list(await store.tokens()),
        "audit": list(await store.audit()),
        "places": await store.coverage.load_places(),
        "coverage": await store.coverage.load(),
        "blind_spots": await store.coverage.blind_spots(BlindSpotQuery()),
        "intervals": await store.coverage.intervals(rows.at(-100), rows.at(100)),
        "plan": await store.coverage.plan("plan-1"),
        "sensors": await store.events.load_sensors(),
        "events_live": await store.events.load(rows.at(1)),
        "events": await store.events.events(EventQuery()),
        "event_incidents": await store.events.incidents(EventQuery()),
        "alerts": await store.events.alerts(),
        "receipts": await store.events.receipts("x-full"),
        "work_orders": await store.events.work_orders(),
    }


@pytest.fixture
async def target(server: Server) -> AsyncIterator[PostgresStore]:
    """A fresh store on each server version."""
    dsn = await server.fresh()
    store = PostgresStore(dsn)
    await store.open()
    yield store
    await store.close()
    await server.drop(dsn)


async def test_a_restored_store_equals_the_one_backed_up_on_any_version(
    postgres: PostgresStore, target: PostgresStore, tmp_path: Path
) -> None:
    await fill(postgres)
    written = await postgres.backup(tmp_path / "b.tar.gz")
    read = await target.restore(tmp_path / "b.tar.gz")
    assert written == read
    assert written["cameras"] == 5
    assert await everything(target) == await everything(postgres)


async def test_a_restored_audit_log_goes_on_counting(
    postgres: PostgresStore, target: PostgresStore, tmp_path: Path
) -> None:
    await fill(postgres)
    await postgres.backup(tmp_path / "b.tar.gz")
    await target.restore(tmp_path / "b.tar.gz")
    last = (await target.audit(limit=1))[0].id
    await target.append_audit(AuditEntry(rows.at(9), "op", "admin", "restore", "c", "ok"))
    assert (await target.audit(limit=1))[0].id == last + 1


async def test_the_same_content_gives_the_same_bytes_and_only_its_owner_reads_them(
    postgres: PostgresStore, tmp_path: Path
) -> None:
    await fill(postgres)
    first, second = tmp_path / "1.tar.gz", tmp_path / "2.tar.gz"
    await postgres.backup(first)
    await postgres.backup(second)
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_mode & 0o777 == 0o600
    names = sorted(os.listdir(tmp_path))  # noqa: PTH208 - the quick way in a coroutine
    assert names == ["1.tar.gz", "2.tar.gz"]


async def test_a_store_that_holds_something_is_not_overwritten(
    postgres: PostgresStore, target: PostgresStore, tmp_path: Path
) -> None:
    await fill(postgres)
    await postgres.backup(tmp_path / "b.tar.gz")
    await target.commit(Changes(1))
    with pytest.raises(Conflict, match="not empty"):
        await target.restore(tmp_path / "b.tar.gz")


def repacked(file: Path, name: str, content: bytes) -> Path:
    """A copy of a backup with one member replaced."""
    target = file.with_name("changed.tar.gz")
    with tarfile.open(file) as old, tarfile.open(target, "w:gz") as new:
        for member in old.getmembers():
            stream = old.extractfile(member)
            assert stream is not None
            data = content if member.name == name else stream.read()
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return target


async def test_a_damaged_or_foreign_file_is_refused_and_leaves_nothing(
    postgres: PostgresStore, target: PostgresStore, tmp_path: Path
) -> None:
    await fill(postgres)
    good = tmp_path / "b.tar.gz"
    await postgres.backup(good)
    short = tmp_path / "short.tar.gz"
    short.write_bytes(good.read_bytes()[:-200])
    text = tmp_path / "text.tar.gz"
    text.write_bytes(b"not an archive")
    packed = tmp_path / "packed.tar.gz"
    packed.write_bytes(gzip.compress(b"not a tar"))
    damaged = repacked(good, "outages.copy", b"o\tx\n")
    for file in (short, text, packed, damaged, tmp_path / "none"):
        with pytest.raises(UsageError):
            await target.restore(file)
    manifest = json.dumps({"format": "other", "tables": []}).encode()
    with pytest.raises(UsageError, match="format"):
        await target.restore(repacked(good, "manifest.json", manifest))
    assert await target.load_inventory() == type(rows.archive())()
    await target.restore(good)


async def test_a_backup_into_a_folder_that_is_not_there_is_the_callers_mistake(
    postgres: PostgresStore, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="none"):
        await postgres.backup(tmp_path / "none" / "b.tar.gz")


COMMANDS = """
import typer
from gateway.commands.backup import backup
from gateway.commands.migrate import migrate
app = typer.Typer()
app.command("migrate")(migrate)
app.command("backup")(backup)
app()
"""


def run(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A verb in a process of its own, with its own embedded server."""
    return subprocess.run(
        [sys.executable, "-c", COMMANDS, *arguments],
        env={**os.environ, "SIGHTLINE_STORE__STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_commands_migrate_back_up_and_restore(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    first = json.loads(run(state / "a", "migrate", "--json").stdout)
    assert len(first["applied"]) >= 1
    assert json.loads(run(state / "a", "migrate", "--json").stdout) == {"applied": []}
    written = json.loads(run(state / "a", "backup", str(file), "--json").stdout)
    assert written["rows"]["migrations"] == len(first["applied"])
    refused = run(state / "a", "backup", str(file))
    assert refused.returncode != 0
    assert "--force" in refused.stderr
    restored = run(state / "b", "backup", str(file), "--restore")
    assert restored.returncode == 0, restored.stderr
    assert "Restored from" in restored.stdout
