"""The wall clock of a running gateway is set: no transition, one row that says so, times that agree.

These tests come last (by the name of the file): rows of an hour that never was stay in the store.
"""

import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import fakes
import pytest
from fakes.district import until
from fakes.town import MARKS, TORTURE, Town

pytestmark = MARKS

STEP_S = 3600.0
STEPPED = Path(fakes.__path__[0]) / "stepped.py"
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
BEST = "libfaketime" if LIBRARY.exists() else "injected"
"""The wall clock of the whole process where that is installed, else `time.time` alone."""


class WallClock:
    """The wall clock of the gateway alone; devices, store and truth keep the true time."""

    def __init__(self, file: Path, *, preload: bool) -> None:
        self.file = file
        self.preload = preload
        self.set(0.0)

    def set(self, offset_s: float) -> None:
        """Step it to so much from the true time."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{offset_s:+.0f}" if self.preload else f"{offset_s}")
        new.replace(self.file)


@pytest.fixture(params=["libfaketime", "injected"] if TORTURE else [BEST])
def wall(request: pytest.FixtureRequest, town: Town, tmp_path: Path) -> Iterator[WallClock]:
    """The service started again with a clock that can be stepped, and afterwards without it."""
    preload = request.param == "libfaketime"
    if preload and not LIBRARY.exists():
        pytest.skip("libfaketime is not installed (Debian: apt install libfaketime)")
    town.settle()
    service = town.service
    assert service.terminate()[0] == 0
    clock = WallClock(tmp_path / "offset", preload=preload)
    ordinary = service.command
    if preload:
        service.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(clock.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    else:
        service.command = (sys.executable, str(STEPPED), str(clock.file))
    service.start()
    try:
        yield clock
    finally:
        clock.set(0.0)
        service.terminate()
        service.command, service.environment = ordinary, {}
        service.start()


@pytest.mark.parametrize("step_s", [STEP_S, -STEP_S] if TORTURE else [STEP_S])
def test_a_step_of_the_wall_clock_is_a_row_and_no_transition(
    town: Town, wall: WallClock, step_s: float
) -> None:
    town.settle()
    service, district, scale = town.service, town.district, town.scale
    plain = [v for v in district.mortal() if not v.device.tls]
    staying = district.apply(f"staying{step_s}", "refuse", plain[:2])
    leaving = district.apply(f"leaving{step_s}", "refuse", plain[2:3])
    both = {*staying.channels, *leaving.channels}
    until("they are down", scale.confirm_s, lambda: both <= town.open_outages())
    states = service.states()
    before = service.rows()
    known = {row.id for row in before.outages}
    found_before = {row.id for row in before.faults}
    district.heal(leaving.id)
    until("one is back", scale.back_s, lambda: town.open_outages() == set(staying.channels))
    sent = until("all of it was told", 30, lambda: settled_messages(town))
    ended = {key for key, _, phase, _ in sent if phase == "close"}
    assert {key for key, *_ in sent} - ended, "there is something that could be told again"
    found = service.query("SELECT id FROM sightline.clock_steps")
    told = {row["id"] for row in found}
    wall.set(step_s)
    assert until("the step is a row", 10, lambda: steps(town, told)) == [
        pytest.approx(step_s, abs=2)
    ]
    checks = service.checks()
    until(
        "two more rounds",
        4 * scale.cadence_s + 5,
        lambda: service.checks() > checks + 2 * len(town.watched),
    )
    aside = {*leaving.channels, *town.spoilt}
    after = {c: letter for c, letter in service.states().items() if c not in aside}
    assert after == {c: letter for c, letter in states.items() if c not in aside}
    assert messages(town) == sent, "nothing was told again"
    rows = service.rows()
    assert {row.id for row in rows.outages} == known, "no row was opened, none came twice"
    new = [row for row in rows.faults if row.id not in found_before]
    assert not [row for row in new if row.channel not in town.spoilt]
    (still, *_) = (
        row for row in rows.outages if row.channel in staying.channels and row.ended_at is None
    )
    true = still.failed_at - timedelta(seconds=step_s)
    assert abs((true - staying.began).total_seconds()) < scale.cadence_s + 3, "restamped"
    district.heal(staying.id)
    until("all are back", scale.back_s, lambda: not town.open_outages())
    for row in service.rows().outages:
        if row.id in known and row.channel in both and row.ended_at is not None:
            assert row.ended_at >= row.failed_at >= (row.last_seen_at or row.failed_at)
            assert min(row.bad_s, row.unobserved_s) >= 0
            assert row.bad_s < 60 * 5
    wall.set(0.0)
    two = until("the way back is a row too", 10, lambda: both_steps(town, told))
    assert sorted(two) == [pytest.approx(-STEP_S, abs=2), pytest.approx(STEP_S, abs=2)]


def messages(town: Town) -> set[tuple[str, int, str, str]]:
    """Everything in the outbox: (incident key, revision, phase, message id)."""
    found = town.service.query("SELECT key, revision, phase, id FROM sightline.alerts")
    return {(row["key"], row["revision"], row["phase"], row["id"]) for row in found}


def settled_messages(town: Town) -> set[tuple[str, int, str, str]] | None:
    """The outbox, when nothing was added to it for a cadence."""
    before = messages(town)
    time.sleep(town.scale.cadence_s)
    return before if messages(town) == before else None


def steps(town: Town, known: set[str]) -> list[float] | None:
    """The steps that have been written since, seconds; None = no more than were known."""
    found = town.service.query("SELECT id, step_s FROM sightline.clock_steps ORDER BY noticed_at")
    return [row["step_s"] for row in found if row["id"] not in known] or None


def both_steps(town: Town, known: set[str]) -> list[float] | None:
    found = steps(town, known) or []
    return found if len(found) > 1 else None
