"""Logs: JSON off a terminal, secrets scrubbed."""

import json
import logging
import ssl
from collections.abc import Iterator

import pytest
import structlog

from gateway.log import configure, scrub


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root, asyncios = logging.getLogger(), logging.getLogger("asyncio")
    handlers, level = list(root.handlers), root.level
    filters, calm = list(asyncios.filters), asyncios.level
    yield
    asyncios.filters[:] = filters
    asyncios.setLevel(calm)
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


CLOSED = RuntimeError(
    "unable to perform operation on <TCPTransport closed=True>; the handler is closed"
)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Fatal error on SSL protocol\nprotocol: x\ntransport: y", CLOSED),
        ("Error occurred during shutdown\nprotocol: x", CLOSED),
        ("Future exception was never retrieved\nfuture: x", ConnectionResetError(104, "reset")),
        ("Future exception was never retrieved\nfuture: x", ssl.SSLError(1, "bad record mac")),
    ],
)
def test_a_tls_camera_that_hangs_up_is_no_error_of_ours_but_can_be_seen_for_debugging(
    message: str, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("info", "json")
    logging.getLogger("asyncio").error(message, exc_info=error)
    assert capsys.readouterr().err == ""
    configure("debug", "json")
    logging.getLogger("asyncio").error(message, exc_info=error)
    assert json.loads(capsys.readouterr().err)["level"] == "debug"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Fatal error on SSL protocol", ValueError("data_received() failed")),
        ("Fatal error on SSL protocol", RuntimeError("cannot switch state from 1 to 2")),
        ("Task exception was never retrieved", ConnectionResetError(104, "reset")),
        ("Future exception was never retrieved", KeyError("x")),
        ("Exception in callback f()", CLOSED),
    ],
)
def test_other_trouble_of_the_event_loop_stays_an_error(
    message: str, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("info", "json")
    logging.getLogger("asyncio").error(message, exc_info=error)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["logger"]) == ("error", "asyncio")


def test_the_secret_path_of_a_device_that_pushes_is_not_logged() -> None:
    assert (
        scrub("POST http://h:80/n/abcdefgh234567xy HTTP/1.1") == "POST http://h:80/n/*** HTTP/1.1"
    )
