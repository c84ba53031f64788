"""The state machine of one channel: a total table, and what it makes of checks."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.health import (
    LOST,
    SUSPICION,
    TRANSITIONS,
    Check,
    Health,
    Phase,
    Rules,
    Sign,
    convict,
    next_recheck,
    observe,
    sighted,
    state_of,
    unwatch,
)
from gateway.domain.ledger import State
from gateway.domain.observation import Instant, OutageCause, Verdict

RULES = Rules()


def good(at: float) -> Check:
    return Check(Verdict.ANSWERED, Instant(at), Instant(at + 0.02))


def bad(at: float, took: float = 0.01) -> Check:
    return Check(Verdict.NO_ANSWER, Instant(at), Instant(at + took), OutageCause.REFUSED)


def after(*checks: Check, health: Health | None = None, rules: Rules = RULES) -> Health:
    found = health or Health()
    for check in checks:
        found = observe(found, check, rules)
    return found


def lost(at: float = 100.0) -> Health:
    found = after(good(at - 30), bad(at - 11), bad(at - 6), bad(at - 1))
    return convict(found, Instant(at), RULES)


def test_the_table_is_total() -> None:
    assert set(TRANSITIONS) == set(product(Phase, Sign))


def test_every_phase_can_be_reached_and_left() -> None:
    reached = {Phase.NEW}
    while True:
        more = {to for (start, _), to in TRANSITIONS.items() if start in reached} - reached
        if not more:
            break
        reached |= more
    # AWAITING, RETURNING ... all of them, from NEW.
    assert reached == set(Phase)
    for phase in set(Phase) - {Phase.NEW}:
        assert {to for (start, _), to in TRANSITIONS.items() if start is phase} - {phase}


def test_our_own_trouble_moves_nothing() -> None:
    assert all(TRANSITIONS[phase, Sign.UNTOLD] is phase for phase in Phase)


def test_only_a_conviction_loses_a_channel() -> None:
    for (start, sign), to in TRANSITIONS.items():
        if to in LOST and start not in LOST:
            assert sign is Sign.CONVICTED
            assert start in SUSPICION


def test_only_good_answers_find_a_lost_channel() -> None:
    for (start, sign), to in TRANSITIONS.items():
        if start in LOST and to not in LOST:
            assert sign is Sign.GOOD


def test_three_failures_over_ten_seconds_are_enough() -> None:
    assert after(good(0), bad(30), bad(35), bad(40)).phase is Phase.AWAITING


def test_three_failures_within_ten_seconds_are_not() -> None:
    assert after(good(0), bad(30), bad(33), bad(36)).phase is Phase.SUSPECT


def test_two_failures_are_not_enough_however_far_apart() -> None:
    assert after(good(0), bad(30), bad(60)).phase is Phase.SUSPECT


def test_the_span_goes_from_the_first_start_to_the_last_end() -> None:
    assert after(good(0), bad(30, 3), bad(35, 3), bad(37, 3)).phase is Phase.AWAITING


def test_bounds_of_a_run() -> None:
    health = after(good(0), bad(30, 3), bad(35, 3), bad(40, 3))
    assert (health.first_started, health.failed, health.last_failed) == (30.0, 33.0, 40.0)
    assert health.failures == 3
    assert health.cause is OutageCause.REFUSED


def test_a_failure_without_a_cause_is_a_timeout() -> None:
    check = Check(Verdict.NO_ANSWER, Instant(1.0), Instant(2.0))
    assert after(check).cause is OutageCause.TIMEOUT


def test_a_good_answer_clears_a_suspicion() -> None:
    health = after(good(0), bad(30), bad(35), bad(40), good(45))
    assert health == Health(Phase.UP, Phase.UP)


def test_could_not_tell_neither_counts_nor_resets() -> None:
    untold = Check(Verdict.COULD_NOT_TELL, Instant(36.0), Instant(37.0))
    with_it = after(good(0), bad(30), bad(35), untold, bad(40))
    assert with_it == after(good(0), bad(30), bad(35), bad(40))


def test_one_good_answer_returns_and_the_second_is_back() -> None:
    returning = observe(lost(), good(130), RULES)
    assert returning.phase is Phase.RETURNING
    assert returning.back == pytest.approx(130.02)
    back = observe(returning, good(131), RULES)
    assert back.phase is Phase.UP
    assert back.losses == (100.0,)


def test_a_failure_during_the_return_begins_it_anew() -> None:
    down = after(good(130), bad(131), health=lost())
    assert down.phase is Phase.DOWN
    assert down.back is None
    assert down.last_failed == 131.0


def test_a_conviction_without_suspicion_changes_nothing() -> None:
    up = after(good(0))
    assert convict(up, Instant(1.0), RULES) == up
    down = lost()
    assert convict(down, Instant(200.0), RULES) == down


def test_the_fourth_loss_in_the_window_flaps() -> None:
    health = replace(after(good(0)), losses=(Instant(10), Instant(20), Instant(30)))
    health = convict(after(bad(50), bad(55), bad(60), health=health), Instant(60.0), RULES)
    assert health.flapping
    assert health.losses == (10.0, 20.0, 30.0, 60.0)


def test_old_losses_are_forgotten() -> None:
    health = replace(after(good(0)), losses=(Instant(-2000), Instant(20), Instant(30)))
    health = convict(after(bad(50), bad(55), bad(60), health=health), Instant(60.0), RULES)
    assert not health.flapping
    assert health.losses == (20.0, 30.0, 60.0)


def flapping() -> Health:
    return replace(lost(), flapping=True)


def test_a_flapping_channel_is_calm_after_ten_minutes_of_good_answers() -> None:
    health = after(good(130), good(131), health=flapping())
    assert health.phase is Phase.CALMING
    assert after(good(700), health=health).phase is Phase.CALMING
    calm = after(good(731), health=health)
    assert calm.phase is Phase.UP
    assert not calm.flapping


def test_a_failure_ends_the_calm() -> None:
    health = after(good(130), good(131), bad(600), good(640), health=flapping())
    assert health.phase is Phase.RETURNING
    assert health.back == pytest.approx(640.02)
    assert health.flapping


def test_a_lapse_ends_the_calm() -> None:
    health = unwatch(after(good(130), good(131), health=flapping()), Sign.LAPSED)
    assert health.phase is Phase.DOWN
    assert health.back is None


def test_blindness_does_not_end_the_return() -> None:
    health = unwatch(after(good(130), health=lost()), Sign.BLINDED)
    assert health.phase is Phase.RETURNING
    assert health.back is not None


@pytest.mark.parametrize(
    ("health", "basis"),
    [
        (after(good(0)), Phase.UP),
        (after(good(0), bad(30)), Phase.UP),
        (after(bad(30)), Phase.NEW),
        (unwatch(after(good(0)), Sign.BLINDED), Phase.UP),
    ],
)
def test_blindness_remembers_what_was_before(health: Health, basis: Phase) -> None:
    blind = unwatch(health, Sign.BLINDED)
    assert blind.phase is Phase.UNWATCHED
    assert blind.basis is basis


def test_after_blindness_only_what_was_up_is_believed() -> None:
    assert sighted(unwatch(after(good(0)), Sign.BLINDED)).phase is Phase.UP
    assert sighted(unwatch(after(bad(0)), Sign.BLINDED)).phase is Phase.UNWATCHED
    assert sighted(unwatch(after(good(0)), Sign.LAPSED)).phase is Phase.UNWATCHED


def test_a_lapse_forgets_what_was_before() -> None:
    assert unwatch(after(good(0)), Sign.LAPSED).basis is Phase.UNWATCHED


def test_a_lost_channel_stays_lost_unwatched() -> None:
    assert unwatch(lost(), Sign.BLINDED) == lost()
    assert unwatch(lost(), Sign.LAPSED) == lost()


def test_rechecks_stand_five_and_ten_seconds_after_the_first_start() -> None:
    health = after(good(0), bad(30, 3))
    assert next_recheck(health, RULES, Instant(30.1)) == float(35)
    assert next_recheck(health, RULES, Instant(33)) == float(35)
    assert next_recheck(health, RULES, Instant(35.01)) == float(40)
    assert next_recheck(health, RULES, Instant(52)) == float(55)
    assert next_recheck(Health(), RULES, Instant(7.0)) == float(12)


@pytest.mark.parametrize(
    ("health", "flags", "state"),
    [
        (Health(), {}, State.UNKNOWN),
        (after(good(0)), {}, State.ONLINE),
        (after(good(0)), {"faulty": True}, State.DEGRADED),
        (after(good(0), bad(30)), {}, State.ONLINE),
        (after(good(0), bad(30)), {"faulty": True}, State.DEGRADED),
        (after(bad(30)), {}, State.UNKNOWN),
        (unwatch(after(good(0)), Sign.LAPSED), {}, State.UNKNOWN),
        (lost(), {}, State.OFFLINE),
        (lost(), {"faulty": True}, State.OFFLINE),
        (lost(), {"unwatched": True}, State.UNKNOWN),
        (after(good(130), health=lost()), {}, State.OFFLINE),
        (after(good(130), good(131), health=flapping()), {}, State.OFFLINE),
        (lost(), {"in_maintenance": True, "unwatched": True}, State.MAINTENANCE),
        (lost(), {"in_use": False, "in_maintenance": True}, State.DECOMMISSIONED),
    ],
)
def test_states_by_precedence(health: Health, flags: dict[str, bool], state: State) -> None:
    assert state_of(health, **flags) is state


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["good", "bad", "slow", "untold", "convict", "sighted"]),
            st.sampled_from([Sign.BLINDED, Sign.LAPSED]),
        ),
        max_size=60,
    ),
    st.floats(0.5, 700.0),
)
def test_any_sequence_of_signs_keeps_the_invariants(moves: list[str | Sign], pace: float) -> None:
    health, now = Health(), 0.0
    for move in moves:
        now += pace
        before = health
        if isinstance(move, Sign):
            health = unwatch(health, move)
        elif move == "convict":
            health = convict(health, Instant(now), RULES)
        elif move == "sighted":
            health = sighted(health)
        elif move == "untold":
            health = observe(
                health, Check(Verdict.COULD_NOT_TELL, Instant(now), Instant(now)), RULES
            )
            assert health == before
        else:
            check = good(now) if move == "good" else bad(now, 3.0 if move == "slow" else 0.01)
            health = observe(health, check, RULES)
        _invariants(health)


def _invariants(health: Health) -> None:
    run = (health.first_started, health.failed, health.last_failed)
    if health.phase in SUSPICION or health.phase in LOST:
        assert all(at is not None for at in run)
        assert health.failures >= 1
    if health.phase in SUSPICION:
        assert health.basis in {Phase.NEW, Phase.UP, Phase.UNWATCHED}
    if health.phase in {Phase.UP, Phase.NEW, Phase.UNWATCHED}:
        assert health.failures == 0
        assert not health.flapping
    if health.phase is Phase.AWAITING:
        assert health.failures >= RULES.confirm_failures
    assert (health.back is not None) == (health.phase in {Phase.RETURNING, Phase.CALMING})
    assert len(health.losses) == len(set(health.losses))
