"""Logs: JSON off a terminal, secrets scrubbed."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from gateway.log import configure, scrub


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("rtsp://admin:hunter2@10.0.0.1/live", "rtsp://***@10.0.0.1/live"),
        ("Authorization: Digest username=admin, response=abc", "Authorization: ***"),
        (
            "<wsse:Password Type='x'>hunter2</wsse:Password>",
            "<wsse:Password>***</wsse:Password>",
        ),
        ("<Password>\nhunter2\n</Password>", "<Password>***</Password>"),
        ("nothing secret here: 10.0.0.1:80", "nothing secret here: 10.0.0.1:80"),
    ],
)
def test_credentials_are_taken_out(text: str, clean: str) -> None:
    assert scrub(text) == clean


def test_off_a_terminal_a_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "auto")
    structlog.get_logger("sightline.test").info("hello", camera="a", url="http://u:secret@h/")
    written = capsys.readouterr().err
    line = json.loads(written)
    assert line["event"] == "hello"
    assert line["camera"] == "a"
    assert line["logger"] == "sightline.test"
    assert line["level"] == "info"
    assert line["ts"].endswith("Z")
    assert "secret" not in written


def test_lines_of_other_libraries_are_scrubbed_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    logging.getLogger("other").warning("failed for http://u:secret@h/")
    written = capsys.readouterr().err
    assert "secret" not in written
    assert json.loads(written)["event"] == "failed for http://***@h/"


def test_tracebacks_are_scrubbed_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    try:
        int("http://u:secret@h/")
    except ValueError:
        structlog.get_logger("sightline.test").exception("failed")
    written = capsys.readouterr().err
    assert "ValueError" in written
    assert "secret" not in written


def test_on_demand_a_line_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "console")
    structlog.get_logger("sightline.test").info("hello")
    written = capsys.readouterr().err
    assert "hello" in written
    assert not written.startswith("{")


def test_lines_below_the_level_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    configure("warning", "json")
    structlog.get_logger("sightline.test").info("hello")
    written = capsys.readouterr().err
    assert written == ""
