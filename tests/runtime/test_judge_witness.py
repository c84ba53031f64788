"""No witness, no offline: blindness (semantics §4)."""

import pytest
from fakes.fleet import Fleet, two_townships
from fakes.scene import Scene, quick

from gateway.domain.ledger import GapReason, State
from gateway.domain.observation import Instant, OutageCause

TWO = {"e0": 10.0, "w0": 12.0}


def pair(*, canary: bool = False, witness_s: float = 15.0) -> Scene:
    """One camera a township."""
    inventory = two_townships(cameras=1).build()
    return Scene(inventory, quick(blind_after_s=witness_s), phases=TWO, canary=canary)


def full() -> Scene:
    return Scene(two_townships(cameras=20).build(), canary=False)


def test_a_camera_of_another_branch_bears_witness() -> None:
    s = pair()
    s.down("e0", 15.0)
    s.run(56.0)
    assert len(s.outages_of("e0")) == 1


def test_a_canary_bears_witness_when_nobody_else_answers() -> None:
    s = pair(canary=True)
    s.cut(15.0, 1e9)
    s.run(60.0)
    assert {row.channel for row in s.outages.values()} == {"e0", "w0"}
    assert s.gaps == {}


def test_a_camera_of_the_same_branch_is_no_witness() -> None:
    fleet = two_townships(cameras=2)
    s = Scene(fleet.build(), phases={"e0": 10.0, "e1": 20.0, "w0": 12.0, "w1": 13.0})
    s.cut(15.0, 1e9, ["e0", "w0", "w1"])
    s.run(52.0)
    assert s.outages == {}


def test_an_answer_received_before_the_failure_is_no_witness() -> None:
    s = pair(witness_s=25.0)
    s.down("e0", 39.0)
    s.down("w0", 41.0)
    s.run(60.0)
    assert s.outages == {}


def test_the_verdict_waits_for_the_witness() -> None:
    s = pair(witness_s=60.0)
    s.down("e0", 39.0)
    s.down("w0", 41.0, 71.0)
    s.run(71.0)
    assert s.outages == {}
    s.run(85.0)
    (row,) = s.outages.values()
    assert row.channel == "e0"
    # The witness came at 72; the next failures bear it out.
    assert 72.0 < s.since(row.confirmed_at) <= 81.0
    assert s.since(row.failed_at) == pytest.approx(40.01)


def test_without_a_witness_for_15_s_the_gateway_is_blind_and_suspects_are_unknown() -> None:
    s = full()
    s.cut(60.0, 1e9)
    s.run(78.0)
    assert s.gaps == {}
    assert s.state("e0") is State.ONLINE
    s.run(110.0)
    (gap,) = s.gaps.values()
    assert gap.reason is GapReason.BLIND
    assert gap.ended_at is None
    assert {s.state(c) for c in s.judge.lives} == {State.UNKNOWN}
    assert s.outages == {}
    assert s.incidents == {}


def test_the_gap_lies_between_the_last_and_the_next_good_answer() -> None:
    s = full()
    s.cut(60.0, 200.0)
    last = s.run(60.0).judge.witness.newest
    s.run(260.0)
    (gap,) = s.gaps.values()
    assert gap.started_at == pytest.approx(last, abs=0.1)
    assert 200.0 < s.since(gap.ended_at) < 203.0


def test_nothing_is_confirmed_in_blindness_and_nothing_after_it() -> None:
    s = full()
    s.cut(60.0, 200.0)
    s.run(400.0)
    assert s.outages == {}
    assert s.incidents == {}
    assert {s.state(c) for c in s.judge.lives} == {State.ONLINE}


@pytest.mark.parametrize("length", [16.0, 17.5, 19.0, 21.0, 30.0])
def test_a_short_blindness_invents_nothing_either(length: float) -> None:
    s = full()
    s.cut(60.0, 60.0 + length)
    s.run(200.0)
    assert s.outages == {}
    assert s.incidents == {}


def test_after_a_long_blindness_channels_are_back_to_what_they_were_at_once() -> None:
    s = full()
    s.cut(60.0, 300.0)
    s.run(300.0)
    while s.judge.gap is not None:
        s.run(s.since(s.clock.now()) + 0.25)
    s.run(s.since(s.clock.now()) + 1.0)
    assert {s.state(c) for c in s.judge.lives} == {State.ONLINE}


def test_what_began_in_blindness_and_ended_after_it_proves_nothing() -> None:
    s = full()
    s.cut(60.0, 200.0)
    s.down("e0", 60.0, 208.0, OutageCause.TIMEOUT)
    s.run(300.0)
    assert s.outages_of("e0") == []


def test_a_camera_that_died_in_blindness_is_found_after_it() -> None:
    s = full()
    s.cut(60.0, 200.0)
    s.down("e0", 100.0)
    s.run(300.0)
    (row,) = s.outages_of("e0")
    assert s.since(row.failed_at) > 200.0
    assert s.since(row.last_seen_at) < 60.0


def test_an_open_outage_stays_open_in_blindness_and_counts_it_as_unobserved() -> None:
    s = full()
    s.down("e0", 30.0)
    s.run(100.0)
    s.cut(100.0, 200.0)
    s.run(150.0)
    assert s.state("e0") is State.UNKNOWN
    s.run(250.0)
    assert s.state("e0") is State.OFFLINE
    s.troubles.clear()
    s.run(300.0)
    (row,) = s.outages_of("e0")
    (gap,) = s.gaps.values()
    assert gap.ended_at is not None
    assert row.ended_at is not None
    assert row.unobserved_s == pytest.approx(gap.ended_at - gap.started_at, abs=0.1)
    assert row.bad_s + row.unobserved_s == pytest.approx(row.ended_at - row.failed_at, abs=0.1)


def test_a_check_made_blind_does_not_bound_the_end_of_an_outage() -> None:
    s = full()
    s.down("e0", 30.0, 95.0)
    s.cut(97.0, 160.0)  # e0 is asked once more before the blindness is declared
    s.run(300.0)
    (row,) = s.outages_of("e0")
    assert row.ended_at is not None
    assert s.since(row.last_failed_at) <= 95.0 <= s.since(row.ended_at)


def test_an_unknown_second_exists_only_in_the_blindness() -> None:
    s = full()
    s.run(59.0)
    before = {c: s.seconds(c)["unobserved"] for c in s.judge.lives}
    s.cut(60.0, 200.0)
    s.run(300.0)
    (gap,) = s.gaps.values()
    assert gap.ended_at is not None
    for channel, was in before.items():
        lost = s.seconds(channel)["unobserved"] - was
        assert lost <= gap.ended_at - gap.started_at + 0.1


def test_a_canary_ends_the_blindness() -> None:
    s = Scene(two_townships(cameras=5).build(), canary=True)
    s.run(60.0)
    s.canary_up = False
    s.cut(60.0, 1e9)
    s.run(100.0)
    assert s.judge.gap is not None
    s.canary_up = True
    s.run(103.0)
    assert s.judge.gap is None


def test_in_a_network_without_branches_every_camera_is_its_own_witness() -> None:
    fleet = Fleet()
    fleet.cameras_at("core", ["a", "b", "c", "d", "e"])
    s = Scene(fleet.build(), phases={"a": 1.0, "b": 5.0, "c": 11.0, "d": 17.0, "e": 24.0})
    s.down("a", 15.0)
    s.run(60.0)
    assert [row.channel for row in s.outages.values()] == ["a"]
    assert s.gaps == {}


def test_a_stall_of_our_own_loop_is_a_row_and_no_transition() -> None:
    s = pair(canary=True)
    s.run(30.0)
    s.judge.stalled(Instant(20.0), Instant(21.5))
    s.run(40.0)
    (gap,) = s.gaps.values()
    assert (gap.reason, gap.started_at, gap.ended_at) == (GapReason.STALLED, 20.0, 21.5)
    assert {live.state for live in s.judge.order} == {State.ONLINE}
