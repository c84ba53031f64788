"""Faults (semantics §3): answers, but one check fails."""

from dataclasses import replace

import pytest
from fakes.fleet import two_townships
from fakes.scene import Scene

from gateway.domain.camera import ChannelId, DeviceId
from gateway.domain.ledger import Ending, State
from gateway.domain.observation import FaultCause, Finding, Instant, Observation, Step
from gateway.domain.seconds import Kind
from gateway.runtime.judge import Ask


def scene() -> Scene:
    return Scene(two_townships().build(), phases={"e0": 10.0}, canary=True)


def ask_signed(s: Scene, name: str) -> None:
    s.judge.asks.append(Ask(DeviceId(f"{name}:80"), Step.SIGNED, s.clock.now()))


def test_a_fault_of_an_unsigned_check_takes_three_findings_in_a_row() -> None:
    s = scene()
    s.faulty("e0", FaultCause.BAD_RESPONSE, 15.0)
    s.run(46.0)
    assert s.faults == {}
    assert s.state("e0") is State.ONLINE
    s.run(51.0)
    (row,) = s.faults_of("e0")
    assert row.cause is FaultCause.BAD_RESPONSE
    assert s.since(row.last_seen_at) == pytest.approx(10.0)
    assert s.since(row.failed_at) == pytest.approx(40.02)
    assert 50.0 < s.since(row.confirmed_at) < 50.5
    assert row.reason == ("as scripted",)
    assert s.state("e0") is State.DEGRADED


def test_two_findings_make_no_fault() -> None:
    s = scene()
    s.faulty("e0", FaultCause.BAD_RESPONSE, 38.0, 48.0)
    s.run(120.0)
    assert s.faults == {}


def test_a_fault_ends_at_the_first_check_without_it() -> None:
    s = scene()
    s.faulty("e0", FaultCause.CLOCK, 15.0, 65.0)
    s.run(80.0)
    (row,) = s.faults_of("e0")
    assert s.since(row.ended_at) == pytest.approx(70.02)
    assert 50.0 <= s.since(row.last_failed_at) <= 65.0
    assert row.ending is Ending.RECOVERED
    assert s.state("e0") is State.ONLINE


def test_a_signed_check_needs_to_say_it_once() -> None:
    s = scene().run(20.0)
    ask_signed(s, "e0")
    s.run(25.0)
    s.faulty("e0", FaultCause.AUTH, 26.0)
    s.run(30.0)
    ask_signed(s, "e0")
    s.run(35.0)
    (row,) = s.faults_of("e0")
    assert row.cause is FaultCause.AUTH
    assert 20.0 <= s.since(row.last_seen_at) < 21.0
    assert 30.0 <= s.since(row.failed_at) < 31.0


def test_at_most_one_fault_is_open_a_channel_and_cause() -> None:
    s = scene()
    s.faulty("e0", FaultCause.CLOCK, 15.0, 200.0)
    s.faulty("e0", FaultCause.BAD_RESPONSE, 105.0, 300.0)
    s.run(250.0)
    assert [row.cause for row in s.faults_of("e0")] == [FaultCause.CLOCK, FaultCause.BAD_RESPONSE]
    assert set(s.live("e0").faults) == {FaultCause.BAD_RESPONSE}
    assert s.state("e0") is State.DEGRADED


def test_a_second_fault_has_a_bound_of_its_own_while_the_first_is_open() -> None:
    s = scene()
    s.faulty("e0", FaultCause.CLOCK, 15.0)
    s.faulty("e0", FaultCause.BAD_RESPONSE, 105.0)
    s.run(200.0)
    second = s.faults_of("e0")[1]
    assert s.since(second.last_seen_at) == pytest.approx(100.0)
    assert s.since(second.failed_at) == pytest.approx(130.02)


def test_an_outage_leaves_faults_open_and_unobserved() -> None:
    s = scene()
    s.faulty("e0", FaultCause.CLOCK, 15.0)
    s.run(60.0)
    s.down("e0", 75.0, 185.0)
    s.run(150.0)
    assert s.state("e0") is State.OFFLINE
    assert s.faults_of("e0")[0].ended_at is None
    s.run(250.0)
    (fault,) = s.faults_of("e0")
    (outage,) = s.outages_of("e0")
    assert fault.ended_at is None
    assert outage.ended_at is not None
    assert fault.unobserved_s == pytest.approx(outage.ended_at - outage.failed_at)
    assert s.state("e0") is State.DEGRADED


def test_seconds_with_a_fault_open_are_good_and_degraded_from_its_failed_at() -> None:
    s = scene()
    s.faulty("e0", FaultCause.CLOCK, 15.0, 105.0)
    s.run(200.0)
    (row,) = s.faults_of("e0")
    s.seconds("e0")
    live = s.live("e0")
    book = s.judge.accountant.book
    degraded = book.owned(live.index, Kind.DEGRADED)
    assert row.ended_at is not None
    assert degraded == pytest.approx(row.ended_at - row.failed_at, abs=0.01)


def test_a_fault_does_not_stop_the_camera_from_bearing_witness() -> None:
    s = Scene(two_townships(cameras=1).build(), phases={"e0": 10.0, "w0": 12.0})
    s.faulty("w0", FaultCause.BAD_RESPONSE, 0.0)
    s.down("e0", 15.0)
    s.run(60.0)
    assert len(s.outages_of("e0")) == 1


def off_by(s: Scene, offset_of: dict[str, float], rounds: int = 4) -> None:
    """Every device answers every 10 s, its clock so much from ours; over 5 s is a finding."""
    for _ in range(rounds):
        s.clock.move(10.0)
        batch = []
        for device in s.inventory.watched:
            offset_s = offset_of.get(device.host, 0.0)
            answer = s.answer(device.id, Step.REACH, s.clock.now() - 0.5)
            found = (Finding(FaultCause.CLOCK, f"{offset_s:+.0f} s"),) if abs(offset_s) > 5 else ()
            answer = replace(answer, clock_offset_s=offset_s, found=found)
            (camera,) = s.inventory.channels_of[device.id]
            batch.append(Observation(camera.id, device.id, answer))
        s.give(batch, s.clock.now())


def everybody(s: Scene, offset_s: float) -> dict[str, float]:
    return {device.host: offset_s for device in s.inventory.watched}


def test_one_clock_that_is_off_is_a_fault_of_its_device() -> None:
    s = scene()
    off_by(s, {"e0": 600.0})
    assert [(row.channel, row.cause) for row in s.faults.values()] == [("e0", FaultCause.CLOCK)]


def test_an_offset_that_most_devices_share_is_our_own_clocks_and_nobodys_fault() -> None:
    s = scene()
    off_by(s, everybody(s, -3600.0), rounds=8)
    assert s.faults == {}
    assert {s.state(c) for c in s.judge.lives} == {State.ONLINE}


def test_while_our_clock_is_wrong_a_device_that_is_off_otherwise_is_still_found() -> None:
    s = scene()
    off_by(s, everybody(s, 3600.0) | {"e0": 0.0, "w1": 7200.0}, rounds=8)
    assert [row.channel for row in s.faults.values()] == ["w1"]


def test_a_fault_of_a_clock_stays_open_while_our_own_clock_is_wrong() -> None:
    s = scene()
    off_by(s, {"e0": 600.0})
    off_by(s, everybody(s, 3600.0), rounds=8)
    (row,) = s.faults.values()
    assert row.ended_at is None, "measured against a wrong clock: it says nothing"
    s.judge.clock_was_set()
    off_by(s, {})
    (row,) = s.faults.values()
    assert row.ending is Ending.RECOVERED


def test_when_our_clock_is_set_findings_of_before_count_no_more() -> None:
    s = scene()
    off_by(s, {"e0": 600.0}, rounds=2)
    s.judge.clock_was_set()
    off_by(s, {"e0": 600.0}, rounds=1)
    assert s.faults == {}, "three in a row, measured by one clock"
    off_by(s, {"e0": 600.0}, rounds=2)
    assert len(s.faults) == 1


def test_an_answer_of_an_old_address_is_not_taken_for_the_new_one() -> None:
    s = scene().run(12.0)
    live = s.live("e0")
    answer = s.answer(DeviceId("e0:80"), Step.REACH, s.clock.now())
    s.give([Observation(ChannelId("e0"), DeviceId("old:80"), answer)], s.clock.now())
    assert live.seen == Instant(s.start + 10.0)
