"""A restart takes up what the store knows (semantics §6); new archives while running (§4)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes.clock import NOON, FakeClock
from fakes.fleet import Fleet, two_townships
from fakes.scene import Scene

from gateway.domain.camera import ChannelId, Device, DeviceId
from gateway.domain.ledger import Ending, GapReason, State
from gateway.domain.observation import FaultCause, Instant
from gateway.inventory import Inventory


def scene(clock: FakeClock | None = None) -> Scene:
    return Scene(two_townships().build(), phases={"e0": 10.0}, canary=True, clock=clock)


def without(inventory: Inventory, name: str) -> Inventory:
    """A new archive that leaves a camera out."""
    cameras = [replace(c, in_use=False) if c.id == name else c for c in inventory.cameras.values()]
    return replace_cameras(inventory, cameras)


def replace_cameras(inventory: Inventory, cameras: list) -> Inventory:  # type: ignore[type-arg]
    return Inventory.of(cameras, inventory.devices.values(), inventory.nodes.values())


# --- restart


def test_an_open_outage_is_still_open_after_a_restart_and_not_doubled() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.run(100.0)
    again = s.restarted(20.0)
    assert again.state("e0") is State.UNKNOWN
    again.run(120.0)
    (row,) = again.outages_of("e0")
    assert row.id == s.outages_of("e0")[0].id
    assert row.ended_at is None
    assert again.state("e0") is State.OFFLINE
    assert len(again.incidents) == 1
    assert row.incident in again.incidents


def test_an_outage_that_ended_meanwhile_closes_with_an_honest_gap() -> None:
    s = scene()
    s.down("e0", 15.0, 150.0)
    s.run(100.0)
    again = s.restarted(200.0)
    again.run(60.0)
    (row,) = again.outages_of("e0")
    stopped, first_good = s.start + 100.0, again.start
    assert row.ended_at is not None
    assert row.last_failed_at == pytest.approx(stopped - 30.0, abs=1.0)
    assert first_good <= row.ended_at <= first_good + 31.0
    assert row.unobserved_s == pytest.approx(row.ended_at - stopped, abs=0.5)
    assert row.bad_s + row.unobserved_s == pytest.approx(row.ended_at - row.failed_at, abs=0.5)
    assert all(i.ended_at is not None for i in again.incidents.values())


def test_the_hole_is_one_gateway_gap() -> None:
    s = scene().run(100.0)
    again = s.restarted(200.0)
    (gap,) = again.gaps.values()
    assert gap.reason is GapReason.NOT_RUNNING
    assert gap.started_at == s.start + 100.0
    assert gap.ended_at == again.start


def test_a_gap_that_was_open_is_closed_at_the_last_known_moment() -> None:
    s = scene().run(60.0)
    s.canary_up = False
    s.cut(60.0, 1e9)
    s.run(100.0)
    again = s.restarted(50.0)
    blind = [g for g in again.gaps.values() if g.reason is GapReason.BLIND]
    assert [g.ended_at for g in blind] == [s.start + 100.0]


def test_channels_are_unknown_after_a_restart_until_they_are_asked() -> None:
    s = scene().run(100.0)
    again = s.restarted(20.0)
    assert {again.state(c) for c in again.judge.lives} == {State.UNKNOWN}
    again.run(31.0)
    assert {again.state(c) for c in again.judge.lives} == {State.ONLINE}


def test_an_outage_found_after_a_restart_begins_at_watched_until_minus_one_cadence() -> None:
    s = scene().run(100.0)
    s.down("e0", 110.0)
    again = s.restarted(200.0)
    again.run(60.0)
    (row,) = again.outages_of("e0")
    assert row.last_seen_at is not None
    assert row.last_seen_at <= s.start + 110.0
    assert row.last_seen_at >= s.start + 100.0 - 30.0


def test_what_was_watched_is_held_back_by_whoever_answered_least_lately() -> None:
    s = scene().run(100.0)
    oldest = min(live.seen for live in s.judge.order if live.seen is not None)
    assert s.judge.known_until(s.clock.now()) == min(s.clock.now(), oldest + 30.0)
    s.down("e0", 101.0)
    s.run(138.0)  # its check at 130 has failed, and it is not yet decided
    suspect = s.live("e0").seen
    assert suspect is not None
    known = s.judge.known_until(s.clock.now())
    assert known <= suspect + 30.0 < s.clock.now()
    s.run(200.0)
    assert s.outages_of("e0")
    assert s.judge.known_until(s.clock.now()) > known + 30.0, "its row is written: it may be told"


def test_a_second_crash_before_everybody_was_asked_leaves_one_hole() -> None:
    s = scene().run(100.0)
    watched = s.clock.now()
    again = s.restarted(20.0)
    again.run(2.0)
    assert again.judge.known_until(again.clock.now()) == watched
    again.run(60.0)
    assert again.judge.known_until(again.clock.now()) > watched + 40.0


@pytest.mark.parametrize("said_s", [101.0, 129.0, 131.0, 136.0, 139.5])
@pytest.mark.parametrize("down_s", [100.5, 103.0, 128.0])
def test_a_crash_while_a_loss_is_undecided_leaves_bounds_that_hold_the_truth(
    said_s: float, down_s: float
) -> None:
    # Asked at 100 and 130: seen at 100, failed at 130, decided at 140; killed at 139.6.
    s = scene().run(99.0)
    s.down("e0", down_s)
    s.run(said_s)
    said = s.judge.known_until(s.clock.now())
    s.run(139.6)
    assert s.outages_of("e0") == []
    again = s.restarted(60.0, watched_until=said)
    again.run(60.0)
    (row,) = again.outages_of("e0")
    assert row.last_seen_at is not None
    assert row.last_seen_at <= s.start + down_s <= row.failed_at
    (gap,) = again.gaps.values()
    assert gap.started_at == said


def test_who_is_known_to_be_lost_holds_nothing_back() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.run(400.0)
    assert s.outages_of("e0")
    assert s.judge.known_until(s.clock.now()) >= s.clock.now() - 1.0


def test_who_left_the_archive_holds_nothing_back() -> None:
    s = scene().run(100.0)
    s.take(without(s.inventory, "e0"))
    s.run(400.0)
    assert s.judge.known_until(s.clock.now()) >= s.clock.now() - 1.0


def test_who_was_asked_late_holds_back_what_is_said_about_everybody() -> None:
    s = scene().run(100.0)
    s.watching = False  # nobody is asked, and nobody is unknown yet
    s.run(160.0)
    oldest = min(live.seen for live in s.judge.order if live.seen is not None)
    assert s.judge.known_until(s.clock.now()) == oldest + 30.0 < s.clock.now()


def test_a_device_not_asked_since_the_start_holds_back_only_until_it_counts_as_unknown() -> None:
    s = scene().run(100.0)
    watched = s.clock.now()
    again = s.restarted(20.0)
    again.watching = False
    again.run(29.0)
    assert again.judge.known_until(again.clock.now()) == watched
    again.run(91.0)
    assert again.judge.known_until(again.clock.now()) == again.clock.now()


def test_rows_written_after_watched_until_was_do_not_make_a_second_hole_begin_in_the_first() -> (
    None
):
    s = scene().run(100.0)
    said = Instant(s.start + 5.0)  # the rows know of good answers up to 30 s
    again = s.restarted(20.0, watched_until=said)
    again.run(2.0)
    assert again.judge.known_until(again.clock.now()) == said


def test_open_faults_and_incidents_are_told_to_readers_that_start_empty() -> None:
    s = scene()
    s.faulty("e1", FaultCause.CLOCK, 5.0)
    s.down("e0", 15.0)
    s.run(150.0)
    again = s.restarted(20.0)
    first = again.batches[0]
    assert [row.channel for row in first.faults] == ["e1"]
    assert [row.root for row in first.incidents] == ["e0"]
    assert [row.channel for row in first.outages] == ["e0"]


def test_a_takeover_row_stays_one_after_a_restart() -> None:
    s = scene()
    s.down("e0", 0.0)
    s.run(100.0)
    again = s.restarted(20.0)
    again.run(200.0)
    (row,) = again.outages_of("e0")
    assert row.takeover
    assert again.live("e0").takeover
    assert again.incidents == {}


def test_a_township_that_is_down_stays_one_incident_through_a_restart() -> None:
    s = Scene(two_townships(5, 4).build(), canary=True)
    east = [d.host for d in s.inventory.watched if d.host.startswith("e")]
    s.cut(50.0, 600.0, east)
    s.run(120.0)
    again = s.restarted(20.0)
    s.cut(50.0, 600.0, east)
    again.run(200.0)
    assert len(again.incidents) == 1
    assert len(again.outages) == 20
    again.run(700.0)
    (row,) = again.incidents.values()
    assert row.ending is Ending.RECOVERED


def test_an_incident_whose_members_are_all_closed_ends_at_the_restart() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.run(150.0)
    (incident,) = s.incidents.values()
    (outage,) = s.outages.values()
    s.outages[outage.id] = replace(outage, ended_at=s.clock.now(), ending=Ending.RECOVERED)
    again = s.restarted(20.0)
    assert again.incidents[incident.id].ended_at is not None


def test_a_first_start_has_no_gap() -> None:
    assert scene().gaps == {}


def test_seconds_of_the_day_go_on_after_a_restart() -> None:
    # From 12:59: the hour of the crash is not the first one of the day.
    s = scene(FakeClock(wall=NOON + timedelta(minutes=59))).run(200.0)
    s.flush()
    again = s.restarted(200.0)
    again.run(100.0)
    seconds = again.seconds("e0")
    assert sum(seconds.values()) == pytest.approx(500.0, abs=0.5)
    # What was not flushed, the pause, and the wait for the first check are unobserved.
    assert seconds["unobserved"] == pytest.approx(200.0 + 10.0 + 30.0, abs=31.0)


def test_a_restart_after_midnight_keeps_the_rows_of_the_day_before() -> None:
    # 23:58:20 in Shanghai; the process dies 100 s later and is back at 00:05.
    clock = FakeClock(wall=datetime(2026, 11, 23, 15, 57, 0, tzinfo=UTC))
    s = scene(clock).run(100.0)
    s.flush()
    (before,) = [r for r in s.rollups.values() if r.channel == "e0"]
    again = s.restarted(380.0)
    again.flush()
    rows = {r.day: r for r in again.rollups.values() if r.channel == "e0"}
    assert set(rows) == {"2026-11-23", "2026-11-24"}
    assert rows["2026-11-23"].good_s == before.good_s
    assert sum(rows["2026-11-23"].unobserved_s) > 75.0
    assert sum(rows["2026-11-24"].unobserved_s) == pytest.approx(300.0, abs=1.0)


# --- a new archive


def test_a_camera_missing_from_a_new_archive_is_decommissioned_and_its_rows_closed() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.faulty("e1", FaultCause.CLOCK, 5.0)
    s.run(150.0)
    s.take(without(without(s.inventory, "e0"), "e1"))
    s.run(160.0)
    (outage,) = s.outages_of("e0")
    (fault,) = s.faults_of("e1")
    assert outage.ending is fault.ending is Ending.DECOMMISSIONED
    assert s.since(outage.ended_at) == 150.0
    assert s.state("e0") is State.DECOMMISSIONED
    (incident,) = s.incidents.values()
    assert incident.ending is Ending.DECOMMISSIONED


def test_a_decommissioned_camera_owns_no_more_seconds() -> None:
    s = scene().run(100.0)
    s.take(without(s.inventory, "e0"))
    s.run(200.0)
    s.flush()
    assert sum(sum(s.rollups[key].good_s) for key in s.rollups if key[0] == "e0") <= 100.0


def test_a_camera_taken_back_into_the_archive_does_not_own_its_absence() -> None:
    s = scene().run(100.0)
    full = s.inventory
    s.take(without(full, "e0"))
    s.run(5000.0)
    s.take(full)
    s.run(5100.0)
    assert sum(s.seconds("e0").values()) == pytest.approx(200.0, abs=1.0)
    assert s.state("e0") is State.ONLINE


def test_a_changed_address_resets_to_unknown() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.run(150.0)
    moved = Device(DeviceId("new:80"), "new", 80, s.inventory.devices[DeviceId("e0:80")].node)
    cameras = [
        replace(c, device=moved.id) if c.id == "e0" else c for c in s.inventory.cameras.values()
    ]
    s.take(
        Inventory.of(cameras, [*s.inventory.devices.values(), moved], s.inventory.nodes.values())
    )
    assert s.state("e0") is State.UNKNOWN
    s.run(151.0)
    (row,) = s.outages_of("e0")
    assert row.ending is Ending.ADDRESS_CHANGED
    s.run(200.0)
    assert s.state("e0") is State.ONLINE


def test_a_camera_that_left_while_nobody_watched_has_its_rows_closed_at_the_start() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.faulty("e1", FaultCause.CLOCK, 5.0)
    s.run(150.0)
    again = s.restarted(20.0, without(without(s.inventory, "e0"), "e1"))
    assert again.outages_of("e0")[0].ending is Ending.DECOMMISSIONED
    assert again.faults_of("e1")[0].ending is Ending.DECOMMISSIONED
    assert all(i.ended_at is not None for i in again.incidents.values())
    assert again.state("e0") is State.DECOMMISSIONED


def test_since_when_a_camera_is_decommissioned_survives_a_restart() -> None:
    s = scene().run(50.0)
    s.take(without(s.inventory, "e0"))
    s.run(100.0)
    again = s.restarted(20.0)
    assert again.live("e0").since == pytest.approx(s.start + 50.0)


def test_seconds_written_before_an_import_are_not_lost_by_it() -> None:
    s = scene().run(100.0)
    s.flush()
    s.take(without(s.inventory, "w3"))
    s.run(130.0)
    assert sum(s.seconds("e0").values()) == pytest.approx(130.0, abs=0.5)
    s.flush()
    assert sum(s.rollups[next(k for k in s.rollups if k[0] == "e0")].good_s) > 100.0


def test_a_new_camera_begins_with_the_import() -> None:
    s = scene().run(100.0)
    fleet = two_townships()
    fleet.cameras_at("east-0", ["e9"])
    s.take(fleet.build())
    s.run(200.0)
    assert s.state("e9") is State.ONLINE
    assert sum(s.seconds("e9").values()) == pytest.approx(100.0, abs=0.5)
    assert sum(s.seconds("e0").values()) == pytest.approx(200.0, abs=0.5)


def test_an_open_incident_survives_an_import() -> None:
    s = Scene(two_townships(4, 2).build(), canary=True)
    east = [d.host for d in s.inventory.watched if d.host.startswith("e")]
    s.cut(50.0, 400.0, east)
    s.run(120.0)
    s.take(without(s.inventory, "w0"))
    s.run(600.0)
    (row,) = s.incidents.values()
    assert row.children == 8
    assert row.ending is Ending.RECOVERED


def test_a_camera_that_is_gone_altogether_leaves_nothing_behind() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.run(150.0)
    fleet = two_townships()
    fleet.cameras = [c for c in fleet.cameras if c.id != "e0"]
    s.take(fleet.build())
    s.run(200.0)
    assert s.outages_of("e0")[0].ending is Ending.DECOMMISSIONED
    assert ChannelId("e0") not in s.judge.lives
    assert s.judge.incidents.cases == {}


def test_an_empty_archive_can_be_judged() -> None:
    s = Scene(Fleet().build())
    s.run(10.0)
    assert s.judge.lives == {}
