"""What people are told of an embedded store whose disk has no room."""

import shutil
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from adapters.postgres.database import foreign_errors
from adapters.postgres.room import LEAST_BYTES, shortage
from gateway.errors import StoreUnavailable


class Usage(NamedTuple):
    """As `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The free bytes of every disk; set the last one."""
    found = [0]
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 0, found[-1]))
    return found


def test_a_disk_with_less_than_two_segments_of_log_is_named_with_its_bytes(
    free: list[int],
) -> None:
    free.append(LEAST_BYTES - 1)
    assert shortage(Path("/srv/store")) == "no room on the disk of /srv/store: 33554431 bytes free"
    free.append(LEAST_BYTES)
    assert shortage(Path("/srv/store")) == ""


def test_a_server_that_says_that_it_found_no_room_is_believed(free: list[int]) -> None:
    free.append(10**9)  # a quota ends before the disk does
    said = asyncpg.DiskFullError("could not extend file")
    assert shortage(Path("/srv/store"), said).endswith("/srv/store: 1000000000 bytes free")
    assert shortage(Path("/srv/store"), TimeoutError()) == ""


def test_a_folder_that_cannot_be_looked_at_is_no_shortage(tmp_path: Path) -> None:
    assert shortage(tmp_path / "gone", asyncpg.DiskFullError("full")) == ""


def test_the_reason_of_a_store_that_does_not_answer_has_both(free: list[int]) -> None:
    free.append(4096)
    with (
        pytest.raises(StoreUnavailable) as told,
        foreign_errors(lambda error: shortage(Path("/srv/store"), error)),
    ):
        raise ConnectionRefusedError(111, "Connection refused")
    assert str(told.value) == (
        "store: ConnectionRefusedError: [Errno 111] Connection refused; "
        "no room on the disk of /srv/store: 4096 bytes free"
    )
