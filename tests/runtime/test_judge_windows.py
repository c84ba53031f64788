"""Maintenance and scheduled-off windows (semantics §4)."""

from datetime import timedelta

import pytest
from fakes.clock import NOON
from fakes.fleet import two_townships
from fakes.scene import Scene

from gateway.domain.camera import ChannelId, NodeId, Window
from gateway.domain.ledger import State
from gateway.domain.observation import FaultCause


def scene(target: str, start: float, end: float, cameras: int = 4, switches: int = 1) -> Scene:
    """A window from `start` to `end` seconds after the scene begins."""
    fleet = two_townships(cameras, switches)
    fleet.windows.append(
        Window(
            "w",
            ChannelId(target) if target[-1].isdigit() and "-" not in target else NodeId(target),
            NOON + timedelta(seconds=start),
            NOON + timedelta(seconds=end),
        )
    )
    return Scene(fleet.build(), phases={"e0": 10.0}, canary=True)


def test_a_channel_in_a_window_is_in_maintenance_and_then_what_it_is() -> None:
    s = scene("e0", 50.0, 100.0).run(60.0)
    assert s.state("e0") is State.MAINTENANCE
    assert s.state("e1") is State.ONLINE
    s.run(102.0)
    assert s.state("e0") is State.ONLINE


def test_a_window_on_a_node_holds_for_all_below_it() -> None:
    s = scene("east", 50.0, 100.0, 2, 2).run(60.0)
    assert {c for c in s.judge.lives if s.state(c) is State.MAINTENANCE} == {
        "e0",
        "e1",
        "e2",
        "e3",
    }


def test_an_outage_in_a_window_is_planned_and_makes_no_incident() -> None:
    s = scene("e0", 20.0, 300.0)
    s.down("e0", 35.0, 200.0)
    s.run(400.0)
    (row,) = s.outages_of("e0")
    assert row.planned
    assert row.ended_at is not None
    assert s.incidents == {}


def test_seconds_in_a_window_are_maintenance() -> None:
    s = scene("e0", 100.0, 200.0)
    s.down("e0", 105.0, 150.0)
    s.run(300.0)
    seconds = s.seconds("e0")
    assert seconds["maintenance"] == pytest.approx(100.0, abs=1.5)
    assert seconds["bad"] == 0.0
    assert sum(seconds.values()) == pytest.approx(300.0, abs=0.1)


def test_still_down_at_the_end_of_the_window_is_ordinary_from_its_failed_at() -> None:
    s = scene("e0", 20.0, 100.0)
    s.down("e0", 35.0)
    s.run(90.0)
    (planned,) = s.outages_of("e0")
    s.run(150.0)
    (row,) = s.outages_of("e0")
    assert not row.planned
    assert row.failed_at == planned.failed_at
    assert s.state("e0") is State.OFFLINE
    assert [i.root for i in s.incidents.values()] == ["e0"]


def test_a_node_still_down_at_the_end_of_its_window_is_one_incident() -> None:
    s = scene("east", 40.0, 150.0, 10, 5)
    east = [d.host for d in s.inventory.watched if d.host.startswith("e")]
    s.cut(50.0, 1e9, east)
    s.run(149.0)
    assert s.incidents == {}
    assert all(o.planned for o in s.outages.values())
    s.run(200.0)
    (row,) = s.incidents.values()
    assert row.root == "east"
    assert row.children == 50


def test_a_window_that_opens_over_a_running_cut_breaks_nothing() -> None:
    s = scene("east", 90.0, 200.0, 5, 2)
    east = [d.host for d in s.inventory.watched if d.host.startswith("e")]
    s.cut(60.0, 300.0, east)
    s.run(500.0)
    assert all(o.ended_at is not None for o in s.outages.values())
    assert len(s.incidents) <= 1


def test_a_node_convicted_in_a_window_with_an_older_outage_below_it_breaks_nothing() -> None:
    s = scene("east", 80.0, 300.0, 5, 1)
    s.down("e0", 30.0)
    s.run(75.0)
    east = [d.host for d in s.inventory.watched if d.host.startswith("e")]
    s.cut(100.0, 400.0, east)
    s.run(500.0)
    assert len([o for o in s.outages.values() if o.planned]) <= 4


def test_a_takeover_row_makes_no_incident_at_the_end_of_a_window() -> None:
    s = scene("e0", 5.0, 100.0)
    s.down("e0", 0.0)
    s.run(200.0)
    (row,) = s.outages_of("e0")
    assert row.takeover
    assert not row.planned
    assert s.incidents == {}


def test_a_fault_in_a_window_is_planned_until_its_end() -> None:
    s = scene("e0", 20.0, 100.0)
    s.faulty("e0", FaultCause.CLOCK, 35.0)
    s.run(90.0)
    (row,) = s.faults_of("e0")
    assert row.planned
    s.run(105.0)
    (row,) = s.faults_of("e0")
    assert not row.planned
    assert row.ended_at is None


def test_daily_hours_repeat() -> None:
    fleet = two_townships()
    # NOON is 12:00 in Shanghai: from 12:01 to 12:02 every day.
    fleet.windows.append(
        Window("solar", ChannelId("e0"), NOON, None, daily_from_s=43_260, daily_to_s=43_320)
    )
    s = Scene(fleet.build(), canary=True).run(50.0)
    assert s.state("e0") is State.ONLINE
    s.run(70.0)
    assert s.state("e0") is State.MAINTENANCE
    s.run(125.0)
    assert s.state("e0") is State.ONLINE


def test_windows_of_a_new_archive_count_at_once() -> None:
    s = Scene(two_townships().build(), canary=True).run(50.0)
    fleet = two_townships()
    fleet.windows.append(Window("w", ChannelId("e0"), NOON, None))
    s.take(fleet.build())
    s.run(52.0)
    assert s.state("e0") is State.MAINTENANCE
    s.take(two_townships().build())
    s.run(54.0)
    assert s.state("e0") is State.ONLINE
