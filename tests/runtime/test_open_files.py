"""How many connections are kept under a limit of open files: one arithmetic for service and doctor."""

import resource

import pytest

from gateway.process import OpenFiles, check_open_files
from gateway.settings import PollSettings

POLL = PollSettings()
AT_ONCE = POLL.slots + POLL.dead_slots
FLEET = 11_820


@pytest.mark.parametrize(
    ("limit", "devices", "is_small", "kept"),
    [
        (65_536, FLEET, False, POLL.kept_connections),
        (20_000, FLEET, False, POLL.kept_connections),
        (FLEET + 1_000, FLEET, False, FLEET),  # said to be enough: then every one is kept
        (FLEET + 999, FLEET, True, FLEET - 1 - AT_ONCE),
        (8_192, FLEET, True, 8_192 - 1_000 - AT_ONCE),
        (1_024, FLEET, True, 0),
        (8_192, 0, False, 8_192 - 1_000 - AT_ONCE),  # the archive comes later, and may be large
        (65_536, 0, False, POLL.kept_connections),
    ],
)
def test_what_is_called_enough_keeps_every_connection_and_less_leaves_room_for_checks(
    limit: int, devices: int, is_small: bool, kept: int
) -> None:
    files = OpenFiles.of(limit, devices, POLL)
    assert (files.wanted, files.is_small, files.kept) == (devices + 1_000, is_small, kept)
    in_use = kept + min(AT_ONCE, max(0, devices - kept))
    assert in_use <= max(limit - 1_000, AT_ONCE)


def test_the_warning_says_how_many_are_kept_and_what_that_costs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (8_192, 8_192))
    files = check_open_files(FLEET, POLL)
    assert "at most 3096 connections are kept" in files.cost
    assert "twice the CPU" in files.cost
    out, err = capsys.readouterr()
    assert files.cost in out + err
