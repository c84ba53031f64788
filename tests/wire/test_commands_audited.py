"""What commands write into the audit log, and how it is shown."""

import asyncio
import csv
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.postgres import serving, state_dir
from rich.console import Console

from adapters.postgres.store import PostgresStore
from gateway.commands.audit import table_of
from gateway.commands.audited import actor
from gateway.ports import AuditEntry
from gateway.vault import Vault

HEAD = "device_id,name,ip_address,port,credential_set"
LOGIN = ("district", "viewer", 'p&ss<w>"rd 榆阳 %')
CODE = "61080200001320000001"


async def sealed_in(dsn: str) -> Mapping[str, bytes]:
    """The credential sets of a store, as they lie there."""
    store = PostgresStore(dsn)
    await store.open()
    try:
        return await store.load_credentials()
    finally:
        await store.close()


def test_who_acts_is_the_user_of_the_system_not_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert actor() == f"cli:{pwd.getpwuid(os.geteuid()).pw_name}"


def test_commands_that_do_something_are_lines_of_the_audit_log(tmp_path: Path) -> None:
    cameras = tmp_path / "cameras.csv"
    # TEST-NET-1: no camera answers there, and the probe ends within its 3 s
    cameras.write_text(f"{HEAD}\n{CODE},东门,192.0.2.1,80,district\n", encoding="utf-8")
    logins = tmp_path / "logins.csv"
    with logins.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("name", "username", "password"), LOGIN])
    with state_dir() as state, serving(state) as (_, dsn, _):
        environ = os.environ | {"SIGHTLINE_STORE__STATE_DIR": str(state)}

        def sightline(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "gateway", *arguments],
                env=environ, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip

        backup = str(tmp_path / "backup.tar.gz")
        calls = (
            ("import", str(cameras), "--credentials", str(logins), "--yes"),
            ("token", "create", "desk", "--role", "viewer"),
            ("keys", "rotate", "--json"),
            ("probe", CODE[:12]),
            ("probe", "nix"),
            ("backup", backup),
        )
        done = [sightline(*call) for call in calls]
        assert [one.returncode for one in done] == [0, 0, 0, 1, 2, 0]
        rotated = json.loads(done[2].stdout)
        assert (rotated["credential_sets"], len(rotated["keys"])) == (1, 1)
        vault = Vault.open(state / "keys")
        assert list(vault.key_ids) == rotated["keys"]
        (login,) = vault.unseal_all(asyncio.run(sealed_in(dsn))).values()
        assert (login.name, login.username, login.password.reveal()) == LOGIN
        lines = json.loads(sightline("audit", "--json").stdout)["items"]
    assert [line["action"] for line in reversed(lines)] == [
        "import", "token.create", "keys.rotate", "camera.probe", "backup"
    ]  # fmt: skip
    assert {line["actor"] for line in lines} == {actor()}
    assert (lines[1]["target"], lines[0]["target"]) == (CODE, backup)
    assert (lines[2]["target"], lines[2]["detail"]) == (rotated["keys"][0], "1 credential set")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_log_is_shown_whole_on_every_terminal(width: int) -> None:
    entry = AuditEntry(
        at=datetime(2026, 3, 1, 16, 0, tzinfo=UTC),
        actor="token:值班台[1]",
        role="operator",
        action="incident.acknowledge",
        target="20260301-outage-61080200001320000001",
        result="accepted",
        detail="note 0123456789abcdef0123456789abcdef",
        address="2001:db8::1234:5678",
        id=1234567,
    )
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(table_of([entry]))
    console.file.close()
    rows = [line.split("│")[1:-1] for line in console.export_text().splitlines() if "│" in line]
    shown = ["".join(cell.strip() for cell in column) for column in zip(*rows, strict=True)]
    assert "…" not in "".join(shown)
    for column, text in (
        (0, "1234567"),
        (2, entry.actor),
        (2, entry.role),
        (2, entry.address),
        (3, entry.action),
        (3, entry.target),
        (4, entry.detail.replace(" ", "")),
    ):
        assert text in shown[column].replace(" ", "")
    assert "2026-03-02" in shown[1]
    assert "+08:00" in shown[1]
