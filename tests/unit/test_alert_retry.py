"""When a message is tried again, given up or superseded, and when the center counts as away."""

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.event_rows import alert
from fakes.ledger_rows import at

from gateway.domain.alerting.heartbeat import TYPE, heartbeat
from gateway.domain.alerting.retry import (
    NO_ADDRESS,
    Delivery,
    Reach,
    RetryRules,
    after_attempt,
    compact,
    doubled,
    may_send,
    reached,
    replayed,
    spread,
    without_address,
)
from gateway.domain.alerting.rows import Alert, AlertPhase, AlertState

RULES = RetryRules()
FAILED = Delivery(delivered=False, reason="500")
GOOD = Delivery(delivered=True, reason="200")
GONE = Delivery(delivered=False, retry=False, reason="410 Gone")


def pause_s(
    before: Alert, delivery: Delivery, reach: Reach | None = None, jitter: float = 0.999
) -> float:
    after = after_attempt(before, delivery, reach or Reach(), at(0), RULES, jitter)
    assert after.next_at is not None
    return (after.next_at - at(0)).total_seconds()


def test_pauses_double_with_jitter_up_to_an_hour() -> None:
    pauses = [pause_s(replace(alert("a", "k"), attempts=n), FAILED) for n in range(12)]

    assert [round(p) for p in pauses[:4]] == [5, 10, 20, 40]
    assert pauses[-1] == pytest.approx(3600, rel=0.01)
    assert pause_s(alert("a", "k"), FAILED, jitter=0.0) == 2.5


def test_pauses_never_overflow() -> None:
    assert doubled(5.0, 3600.0, 100_000) == 3600.0
    assert spread(10.0, 0.0) == 5.0


def test_while_the_center_is_away_a_message_waits_for_it_and_not_for_its_own_pause() -> None:
    old = replace(alert("a", "k"), attempts=11)

    assert pause_s(old, FAILED, Reach(5, 0.0, away=True)) <= RULES.probe_most_s


def test_what_the_center_asks_for_is_honoured_up_to_a_bound() -> None:
    asked = Delivery(delivered=False, after_s=120.0, reason="429")
    greedy = Delivery(delivered=False, after_s=1e9, reason="429")

    assert pause_s(alert("a", "k"), asked) == 120.0
    assert pause_s(alert("a", "k"), greedy) == RULES.asked_most_s
    assert reached(Reach(), asked, 1000.0, RULES, 0.5).wait_until_s == 1120.0
    assert reached(Reach(), greedy, 1000.0, RULES, 0.5).wait_until_s == 1000.0 + RULES.asked_most_s


def test_a_center_that_asks_for_an_hour_gets_it_and_no_more_than_an_hour() -> None:
    hour = Delivery(delivered=False, after_s=3600.0, reason="503")
    weeks = Delivery(delivered=False, after_s=2e6, reason="503")

    assert pause_s(alert("a", "k"), hour) == pause_s(alert("a", "k"), weeks) == 3600.0
    assert reached(Reach(), hour, 0.0, RULES, 0.5).wait_until_s == 3600.0


def test_what_is_delivered_is_settled() -> None:
    after = after_attempt(alert("a", "k"), GOOD, Reach(), at(3), RULES, 0.5)

    assert after.state is AlertState.DELIVERED
    assert (after.attempts, after.delivered_at, after.next_at) == (1, at(3), None)


def test_a_refusal_for_good_is_a_dead_letter_with_its_reason() -> None:
    after = after_attempt(alert("a", "k"), GONE, Reach(), at(3), RULES, 0.5)

    assert (after.state, after.reason, after.next_at) == (AlertState.DEAD, "410 Gone", None)


def test_after_three_days_of_failures_a_message_is_given_up() -> None:
    late = at(0) + timedelta(days=3)
    tried = replace(alert("a", "k"), attempts=50)

    before = after_attempt(tried, FAILED, Reach(), late - timedelta(seconds=1), RULES, 0.5)
    after = after_attempt(tried, FAILED, Reach(), late, RULES, 0.5)

    assert before.state is AlertState.PENDING
    assert after.state is AlertState.DEAD
    assert after.reason == "given up after 51 attempts: 500"


def test_what_is_replayed_late_is_tried_often_enough_again() -> None:
    dead = replace(alert("a", "k"), attempts=50, state=AlertState.DEAD)
    again = replayed(dead, (), at(0) + timedelta(days=9), "值班员")
    assert isinstance(again, Alert)

    after = after_attempt(again, FAILED, Reach(), at(0) + timedelta(days=9), RULES, 0.5)

    assert (again.state, again.attempts) == (AlertState.PENDING, 0)
    assert after.state is AlertState.PENDING


def test_a_dead_letter_is_not_replayed_after_a_newer_message_was_told() -> None:
    dead = replace(alert("a", "k"), state=AlertState.DEAD)
    newer = replace(alert("b", "k", 2), state=AlertState.DELIVERED)
    dead_too = replace(alert("b", "k", 2), state=AlertState.DEAD)

    assert replayed(dead, [newer], at(1), "x") == (
        "revision 2 of the same incident is delivered and says more"
    )
    assert isinstance(replayed(dead, [dead_too], at(1), "x"), Alert)
    assert (
        replayed(newer, [], at(1), "x") == "only dead letters are replayed; this one is delivered"
    )


def test_failures_in_a_row_make_the_center_away_and_any_proper_answer_brings_it_back() -> None:
    reach = Reach()
    for _ in range(RULES.away_after - 1):
        reach = reached(reach, FAILED, 1000.0, RULES, 0.999)
        assert not reach.away
        assert reach.wait_until_s <= 1000.0
    waits = []
    for _ in range(8):
        reach = reached(reach, FAILED, 1000.0, RULES, 0.999)
        assert reach.away
        waits.append(reach.wait_until_s - 1000.0)

    assert waits == sorted(waits)
    assert waits[0] == pytest.approx(RULES.probe_first_s, rel=0.01)
    assert waits[-1] == pytest.approx(RULES.probe_most_s, rel=0.01)
    assert reached(reach, GOOD, 1000.0, RULES, 0.5) == Reach()
    assert reached(reach, GONE, 1000.0, RULES, 0.5) == Reach()


def test_one_message_at_a_time_feels_for_a_center_that_is_away() -> None:
    away = Reach(5, 1000.0, away=True)

    assert not may_send(away, 0, 999.0)
    assert may_send(away, 0, 1000.0)
    assert not may_send(away, 1, 1000.0)
    assert may_send(Reach(), 7, 0.0)


def test_of_several_that_wait_the_newest_is_sent_and_the_others_are_superseded() -> None:
    rows = [alert("c", "k", 3, phase=AlertPhase.CLOSE), alert("a", "k", 1), alert("b", "k", 2)]

    newest, older = compact(rows)

    assert newest.id == "c"
    assert [(a.id, a.state, a.superseded_by) for a in older] == [
        ("a", AlertState.SUPERSEDED, "c"),
        ("b", AlertState.SUPERSEDED, "c"),
    ]
    assert {a.reason for a in older} == {"closed before it was delivered"}


def test_an_update_supersedes_too_and_one_alone_supersedes_nothing() -> None:
    newest, older = compact([alert("a", "k", 1), alert("b", "k", 2)])

    assert newest.id == "b"
    assert older[0].reason == "told again before it was delivered"
    assert compact([alert("a", "k", 1)]) == (alert("a", "k", 1), ())


def test_a_heartbeat_says_what_waits_and_never_repeats_an_id() -> None:
    def beat(number: int) -> Alert:
        return heartbeat(
            "center",
            "sightline://x",
            at(0),
            number=number,
            every_s=60,
            pending=3,
            oldest_s=4.44,
            last_delivered_at=None,
        )

    first = beat(1)

    assert first.body["type"] == TYPE
    assert first.body["id"] == first.id != beat(2).id
    assert first.body["data"] == {
        "number": 1,
        "every_s": 60,
        "pending": 3,
        "oldest_pending_s": 4.4,
        "last_delivered_at": None,
    }


def test_the_message_of_a_recipient_without_an_address_is_a_dead_letter_that_can_be_replayed() -> (
    None
):
    dead = without_address(replace(alert("a", "k"), attempts=2, next_at=at(5)))

    assert (dead.state, dead.attempts, dead.next_at) == (AlertState.DEAD, 2, None)
    assert dead.reason == NO_ADDRESS
    again = replayed(dead, [], at(9), "duty")
    assert isinstance(again, Alert)
    assert again.state is AlertState.PENDING
