"""`sightline run` as a process of its own: what its signals do."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.district import SIGHTLINE, until
from fakes.postgres import state_dir
from fakes.service import Service

KEPT = {"store": {"dsn": "memory:"}, "log": {"level": "info", "format": "json"}}
RULES = "[[rules]]\nname = 3\nloud = true\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    with state_dir() as made:
        yield made


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:
    """Under way, with a store in memory."""
    made = Service(folder, KEPT)
    made.start()
    try:
        yield made
    finally:
        made.close()


def said(service: Service, event: str) -> list[dict[str, Any]]:
    """The lines of its log with an event that begins so."""
    whole, _, _ = service.log.read_text().rpartition("\n")
    lines = map(json.loads, whole.splitlines())
    return [line for line in lines if line["event"].startswith(event)]


def hang_up(service: Service, event: str, lines: int = 1) -> list[dict[str, Any]]:
    """Send SIGHUP; the lines that it made, when there are so many."""
    before = len(said(service, event))
    os.kill(service.pid, signal.SIGHUP)
    until(f"it says: {event}", 10, lambda: len(said(service, event)) >= before + lines)
    return said(service, event)[before:]


def test_sighup_checks_the_settings_anew_tells_what_is_wrong_and_the_service_goes_on(
    service: Service,
) -> None:
    (line,) = hang_up(service, "the settings are valid; they take effect at a restart")
    assert line["changed"] == []
    service.sections["poll"] = {"cadence_s": 15.0}
    service.sections["coverage"] = {"visit_m": 20}
    service.write_config()
    (line,) = hang_up(service, "the settings are valid; they take effect at a restart")
    assert line["changed"] == ["poll.cadence_s", "coverage.visit_m"]
    assert service.is_serving()

    service.sections["poll"] = {"cadence_s": -1, "speed": 11}
    service.write_config()
    lines = hang_up(service, "a setting is wrong", 2)
    assert {line["key"].partition(":")[0] for line in lines} == {"poll.cadence_s", "poll.speed"}
    assert {line["level"] for line in lines} == {"error"}
    service.config.write_text("[poll")
    (line,) = hang_up(service, "a setting is wrong")
    assert "not valid TOML" in line["key"]
    rules = service.folder / "rules.toml"
    rules.write_text(RULES)
    service.sections["poll"], service.sections["events"] = {}, {"rules": str(rules)}
    service.write_config()
    keys = [line["key"] for line in hang_up(service, "a setting is wrong")]
    assert any(key.startswith("rules.0.loud:") for key in keys)

    assert service.is_serving()
    assert service.ask("/livez").json["limit_s"] == 90.0, "as it was started"
    assert service.terminate()[0] == 0


def test_the_end_of_its_terminal_ends_the_service_as_sigterm_does(folder: Path) -> None:
    service = Service(folder, KEPT)
    ours, terminal = pty.openpty()
    with service.log.open("ab") as log:
        service.process = subprocess.Popen(
            [*SIGHTLINE, "run", "--config", str(service.config)],
            stdin=terminal, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        until("it serves", 30, service.is_serving)
        for _ in range(2):  # the shell, and the kernel
            os.kill(service.pid, signal.SIGHUP)
        assert service.process.wait(10) == 0
    finally:
        service.close()
        os.close(ours)
        os.close(terminal)
