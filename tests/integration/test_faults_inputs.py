"""Wrong settings, bad archives, an archive that changes while the service runs, too few open files."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.district import until
from fakes.town import MARKS, TORTURE, Town, write_cameras

from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Ending

pytestmark = MARKS

TAKEN_S = 10.0
"""A new archive takes effect within so many seconds."""

WRONG_SETTINGS = """
[poll]
cadence_s = -1
check_s = "soon"
speed = 11
[web]
port = 99999
[log]
level = "loud"
[store]
audit_days = 7
"""
WRONG_KEYS = {
    "poll.cadence_s", "poll.check_s", "poll.speed", "web.port", "log.level", "store.audit_days",
}  # fmt: skip


def test_a_start_with_bad_settings_is_refused_with_every_key_at_once(
    town: Town, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(WRONG_SETTINGS)
    said = town.service.sightline("run", "--config", str(wrong), code=2)
    assert {
        line.removeprefix("sightline: ").partition(":")[0] for line in said.splitlines()
    } == WRONG_KEYS
    wrong.write_text("[poll\n")
    assert "not valid TOML" in town.service.sightline("run", "--config", str(wrong), code=2)


def test_bad_archives_write_nothing_and_say_why_while_the_service_goes_on(
    town: Town, tmp_path: Path
) -> None:
    town.settle()
    service = town.service
    known = service.get("/api/v1/imports")["items"]
    rows = town.cameras
    vanished = write_cameras(rows[: len(rows) * 9 // 10], tmp_path / "vanished.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(bytes(range(256)) * 40)
    assert "--yes" in service.sightline("import", vanished, code=1)
    assert "binary.csv" in service.sightline("import", str(binary), code=2)
    assert "dry run" in service.sightline(
        "import", write_cameras(rows[:-1], tmp_path / "less.csv"), "--dry-run"
    )
    assert service.get("/api/v1/imports")["items"] == known
    assert len(service.states()) >= len(rows)
    assert not service.reasons()


def test_a_new_archive_takes_effect_within_ten_seconds_while_the_service_runs(
    town: Town, tmp_path: Path
) -> None:
    town.settle()
    service, district = town.service, town.district
    rows = town.cameras
    plain = [v for v in district.mortal() if not v.device.tls]
    gone, moved, twin = (
        next(r for r in rows if r["device_id"] == v.channels[0].id) for v in plain[:3]
    )
    dying = plain[0]
    district.apply("gone", "refuse", [dying])
    lost = {ChannelId(gone["device_id"])}
    until("it is down", town.scale.confirm_s, lambda: lost <= town.open_outages())

    # One leaves the archive while it is down, one gets the address of a device that left with it,
    # one is new.
    added = {**twin, "device_id": twin["device_id"][:-4] + "9999", "name": "新增点位"}
    changed = [row for row in rows if row not in (gone, moved, twin)]
    moved = {**moved, "ip_address": twin["ip_address"], "serial_number": "", "mac": ""}
    added = {**added, "ip_address": plain[1].device.host, "serial_number": "", "mac": ""}
    changed += [moved, added]
    before = datetime.now(UTC)
    service.sightline("import", write_cameras(changed, tmp_path / "cameras.csv"), "--yes")
    began = time.monotonic()
    try:
        until(
            "the new archive is polled",
            TAKEN_S + town.scale.cadence_s,
            lambda: states_are(
                service.states(),
                {
                    gone["device_id"]: "x",
                    twin["device_id"]: "x",
                    moved["device_id"]: "o",
                    added["device_id"]: "o",
                },
            ),
        )
        assert time.monotonic() - began < TAKEN_S + town.scale.cadence_s
        (row,) = (
            r
            for r in service.rows().outages
            if r.channel in lost and r.ending is Ending.DECOMMISSIONED
        )
        assert row.ended_at is not None
        assert row.ended_at >= before - timedelta(seconds=1)
        summary = service.get("/api/v1/summary")["fleet"]
        assert summary["decommissioned"] == 2
        district.heal("gone")
    finally:
        service.sightline("import", write_cameras(rows, tmp_path / "again.csv"), "--yes")


def states_are(found: dict[str, str], wanted: dict[str, str]) -> bool:
    return wanted.items() <= found.items()


@pytest.mark.parametrize("limit", [2000 if TORTURE else 400])
def test_too_few_open_files_are_told_and_every_camera_is_still_polled(
    town: Town, limit: int
) -> None:
    town.settle()
    service = town.service
    assert service.terminate()[0] == 0
    size = service.log.stat().st_size
    ordinary, service.command = (
        service.command,
        ("sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *service.command),
    )
    try:
        service.start()
        said = events(service.log, size)
        (warning,) = (
            line for line in said if line["event"] == "open-file limit is small for the fleet"
        )
        assert (warning["limit"], warning["level"]) == (limit, "warning")
        assert "LimitNOFILE" in warning["fix"]
        assert (warning["wanted"], warning["kept"]) == (len(town.watched) + 1000, 0)
        service.until_ready()
        town.settle()
        checks = service.checks()
        until(
            "one more round",
            4 * town.scale.cadence_s,
            lambda: service.checks() > checks + len(town.watched),
        )
        assert len(list(Path(f"/proc/{service.pid}/fd").iterdir())) < limit
        assert set(service.states().values()) <= {"o", "d", "x"}
    finally:
        service.terminate()
        service.command = ordinary
        service.start()


def events(log: Path, after: int) -> list[dict[str, Any]]:
    """Lines of a log from a position on."""
    found = []
    for line in log.read_bytes()[after:].decode().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
