"""Confirming, returning, flapping (semantics §4), on a district in fake time."""

import pytest
from fakes.fleet import two_townships
from fakes.scene import Scene, quick

from gateway.domain.camera import DeviceId
from gateway.domain.health import Phase
from gateway.domain.ledger import Ending, State
from gateway.domain.observation import OutageCause, Step

E0 = DeviceId("e0:80")
AT_10 = {"e0": 10.0}


def scene(phases: dict[str, float] | None = None) -> Scene:
    return Scene(two_townships().build(), phases=phases or AT_10, canary=True)


def checks_of(s: Scene, device: DeviceId, since: float, until: float) -> list[float]:
    return [at for at, d, step, _ in s.asked if d == device and since <= at < until and step == 1]


def test_a_camera_that_answers_is_online_after_its_first_check() -> None:
    s = scene().run(9.0)
    assert s.state("e0") is State.UNKNOWN
    s.run(10.5)
    assert s.state("e0") is State.ONLINE


def test_three_failures_spanning_ten_seconds_open_an_outage() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.run(60.0)
    (row,) = s.outages_of("e0")
    assert row.cause is OutageCause.REFUSED
    assert s.since(row.last_seen_at) == pytest.approx(10.0)
    assert s.since(row.failed_at) == pytest.approx(40.01)
    assert 50.0 < s.since(row.confirmed_at) <= 51.0
    assert s.since(row.last_failed_at) == pytest.approx(50.0, abs=0.3)
    assert row.ended_at is None
    assert s.state("e0") is State.OFFLINE
    assert row.reason == ("tcp: failed refused",)


def test_rechecks_start_5_and_10_s_after_the_start_of_the_failed_check() -> None:
    s = scene()
    s.down("e0", 15.0, cause=OutageCause.TIMEOUT)
    s.run(54.0)
    assert checks_of(s, E0, 35.0, 54.0) == pytest.approx([40.0, 45.0, 50.0], abs=0.3)


def test_two_failures_only_make_no_row() -> None:
    s = scene()
    s.down("e0", 39.0, 47.0)
    s.run(120.0)
    assert s.outages == {}
    assert s.state("e0") is State.ONLINE


@pytest.mark.parametrize("start", [31.0, 36.0, 39.9])
def test_a_dip_of_nine_seconds_makes_no_row(start: float) -> None:
    s = scene()
    s.down("e0", start, start + 9.0, OutageCause.TIMEOUT)
    s.run(120.0)
    assert s.outages == {}


def test_suspicion_is_not_a_state() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.run(44.0)
    assert s.live("e0").health.phase is Phase.SUSPECT
    assert s.state("e0") is State.ONLINE


def test_while_undecided_a_suspect_is_asked_every_five_seconds() -> None:
    # Only the east falls silent, and nobody in the west answers after it: the verdict waits.
    fleet = two_townships(cameras=1)
    s = Scene(fleet.build(), quick(blind_after_s=60.0), phases={"e0": 10.0, "w0": 12.0})
    s.down("e0", 15.0)
    s.down("w0", 15.0)
    s.run(85.0)
    assert s.outages == {}
    asked = checks_of(s, E0, 39.0, 80.0)
    for at in range(40, 80, 5):
        assert any(at <= when <= at + 0.5 for when in asked), at


def test_could_not_tell_neither_counts_nor_resets_the_run() -> None:
    s = scene()
    s.down("e0", 15.0, 43.0)
    s.untold("e0", 43.0, 48.0)
    s.down("e0", 48.0)
    s.run(54.0)
    assert s.outages == {}
    assert s.live("e0").health.failures == 2
    s.run(60.0)
    (row,) = s.outages_of("e0")
    assert s.since(row.failed_at) == pytest.approx(40.01)
    assert 55.0 < s.since(row.confirmed_at) < 56.0


def test_a_return_takes_two_good_answers_and_ends_at_the_first() -> None:
    s = scene()
    s.down("e0", 15.0, 65.0)
    s.run(70.1)
    assert s.state("e0") is State.OFFLINE
    assert s.live("e0").health.phase is Phase.RETURNING
    s.run(71.0)
    (row,) = s.outages_of("e0")
    assert s.since(row.ended_at) == pytest.approx(70.02)
    assert 50.0 <= s.since(row.last_failed_at) <= 55.3
    assert row.ending is Ending.RECOVERED
    assert s.state("e0") is State.ONLINE
    assert checks_of(s, E0, 69.0, 75.0) == pytest.approx([70.0, 70.25], abs=0.3)


def test_one_good_answer_between_failures_is_no_return() -> None:
    s = scene()
    s.down("e0", 15.0, 70.0)
    s.down("e0", 70.1)
    s.run(120.0)
    (row,) = s.outages_of("e0")
    assert row.ended_at is None
    assert s.state("e0") is State.OFFLINE


def test_after_a_return_the_camera_is_asked_who_it_is() -> None:
    s = scene()
    s.down("e0", 15.0, 65.0)
    s.run(75.0)
    assert [step for at, d, step, _ in s.asked if d == E0 and at > 70.0].count(Step.SIGNED) == 1


def test_a_return_whose_second_answer_could_not_be_told_is_asked_again_soon() -> None:
    s = scene()
    s.down("e0", 15.0, 65.0)
    s.untold("e0", 70.1, 72.0)
    s.run(80.0)
    (row,) = s.outages_of("e0")
    assert s.since(row.ended_at) == pytest.approx(70.02)


def test_an_offline_camera_keeps_the_routine_cadence() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.run(300.0)
    assert checks_of(s, E0, 60.0, 300.0) == pytest.approx([70.0 + 30 * i for i in range(8)])


def test_a_channel_without_a_check_for_three_cadences_is_unknown_from_its_last_check() -> None:
    s = scene().run(40.5)
    s.watching = False
    s.run(125.0)
    assert s.state("e0") is State.ONLINE
    s.run(150.0)
    assert s.state("e0") is State.UNKNOWN
    assert s.since(s.records[s.live("e0").camera.id][-1].since_at) == pytest.approx(40.02)


def test_an_offline_channel_without_checks_is_unknown_and_its_row_says_how_long() -> None:
    s = scene()
    s.down("e0", 15.0)
    s.run(70.5)
    s.watching = False
    s.run(250.0)
    assert s.state("e0") is State.UNKNOWN
    s.watching = True
    s.run(281.0)
    assert s.state("e0") is State.OFFLINE
    s.troubles.clear()
    s.run(312.0)
    (row,) = s.outages_of("e0")
    assert row.unobserved_s == pytest.approx(250.0 - 70.0, abs=30.1)
    assert row.ended_at is not None
    assert row.bad_s + row.unobserved_s == pytest.approx(row.ended_at - row.failed_at, abs=0.1)


# --- flapping


def flapper(s: Scene, times: int = 6, first: float = 15.0) -> None:
    for turn in range(times):
        s.down("e0", first + 120 * turn, first + 120 * turn + 60)


def test_the_fourth_loss_in_half_an_hour_is_one_flapping_row_until_ten_calm_minutes() -> None:
    s = scene()
    flapper(s)
    s.run(15 + 5 * 120 + 60 + 30)
    *single, flapping = s.outages_of("e0")
    assert [row.flapping for row in single] == [False, False, False]
    assert all(row.ended_at is not None for row in single)
    assert flapping.flapping
    assert flapping.ended_at is None
    assert s.state("e0") is State.OFFLINE
    s.run(1400.0)
    flapping = s.outages_of("e0")[-1]
    assert len(s.outages_of("e0")) == 4
    # The first of the unbroken good answers: slot 10 + 30 k after 15 + 600 + 60.
    assert s.since(flapping.ended_at) == pytest.approx(700.02)
    assert s.state("e0") is State.ONLINE


def test_a_flapping_rows_downtime_is_its_bad_seconds_never_its_length() -> None:
    s = scene()
    flapper(s)
    s.run(1400.0)
    row = s.outages_of("e0")[-1]
    assert row.ended_at is not None
    # Three losses (the 4th, 5th, 6th), each bad from a failed check at +25 to a good one at +85.
    assert row.bad_s == pytest.approx(180.0, abs=4.0)
    assert row.ended_at - row.failed_at == pytest.approx(300.0, abs=2.0)


def test_losses_that_are_further_apart_than_the_window_do_not_flap() -> None:
    s = Scene(two_townships().build(), quick(flap_window_s=300.0), phases=AT_10)
    flapper(s)
    s.run(1400.0)
    assert len(s.outages_of("e0")) == 6
    assert not any(row.flapping for row in s.outages.values())


def test_a_gap_in_the_checks_breaks_the_calm() -> None:
    s = scene()
    flapper(s)
    s.run(800.0)
    s.watching = False
    s.run(1000.0)
    s.watching = True
    s.run(1400.0)
    assert s.outages_of("e0")[-1].ended_at is None
    s.run(1700.0)
    assert 1000.0 < s.since(s.outages_of("e0")[-1].ended_at) < 1031.0
