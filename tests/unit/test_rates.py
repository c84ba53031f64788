"""Sums and rates of owned seconds."""

from dataclasses import replace
from typing import Any

import pytest
from fakes.ledger_rows import FULL_OUTAGE, at, channel, outage, rollup
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ledger import DaySeconds
from gateway.domain.rates import RATES, Tally, overlap_s, slack_of, tally, tally_by

SECONDS = st.floats(0, 3600)


def day(number: int, **kinds: float) -> DaySeconds:
    """A day with so many seconds of each kind in every hour."""
    plain = replace(rollup(number, "2026-03-01"), good_s=(0.0,) * 24, bad_s=(0.0,) * 24)
    hours: dict[str, Any] = {name: (value,) * 24 for name, value in kinds.items()}
    return replace(plain, **hours).added_up()


def test_all_seconds_have_an_owner() -> None:
    parts = {
        "good_s": 100.0,
        "bad_s": 20.0,
        "bad_upstream_s": 30.0,
        "maintenance_s": 40.0,
        "unobserved_s": 10.0,
    }
    found = tally([day(1, **parts), day(2, **parts)])
    assert found.elapsed_s == 2 * 24 * 200
    assert found.denominator_s == 2 * 24 * 150


def test_rates_leave_out_what_nobody_saw_and_what_was_planned() -> None:
    found = Tally(good_s=90, bad_s=10, bad_upstream_s=100, maintenance_s=500, unobserved_s=900)
    assert found.online_rate == pytest.approx(0.45)
    assert found.online_rate_without_upstream == pytest.approx(0.9)


def test_good_condition_counts_open_faults_against_the_camera() -> None:
    assert Tally(good_s=80, bad_s=20, degraded_s=30).good_condition_rate == pytest.approx(0.5)


def test_there_is_no_rate_of_nothing() -> None:
    nothing = Tally(unobserved_s=86_400)
    assert [getattr(nothing, name) for name in RATES] == [None] * len(RATES)
    assert nothing.as_dict()["online_rate"] is None


def test_bad_seconds_of_the_takeover_list_stand_apart() -> None:
    found = tally([day(1, bad_s=100.0)], {(channel(1), "2026-03-01"): 1000.0})
    assert (found.bad_s, found.takeover_s) == (1400.0, 1000.0)
    assert found.elapsed_s == 2400.0


def test_no_more_is_set_apart_than_was_bad() -> None:
    found = tally([day(1, bad_s=10.0)], {(channel(1), "2026-03-01"): 1e9})
    assert (found.bad_s, found.takeover_s) == (0.0, 240.0)


def test_groups_are_added_up_apart() -> None:
    days = [day(1, good_s=1.0), day(2, good_s=2.0), day(3, good_s=3.0)]
    found = tally_by(days, lambda one: "odd" if int(one) % 2 else "even")
    assert {key: sums.good_s for key, sums in found.items()} == {"odd": 96.0, "even": 48.0}


def test_sums_show_all_their_parts() -> None:
    shown = Tally(good_s=3.0, bad_s=1.0).as_dict()
    assert shown["total_good_s"] == 3.0
    assert shown["total_elapsed_s"] == 4.0
    assert shown["online_rate"] == 0.75


def test_an_overlap_is_cut_at_the_window() -> None:
    assert overlap_s(at(0), at(10), at(2), at(4)) == 120
    assert overlap_s(at(0), at(1), at(2), at(4)) == 0
    assert overlap_s(None, at(1), at(0), at(4)) == 0
    assert overlap_s(at(1), None, at(0), at(4)) == 0


def test_an_outage_may_have_begun_and_ended_earlier() -> None:
    found = slack_of(outage("o", 1, 10, 20), at(0), at(60))
    assert (found.slack_start_s, found.slack_end_s) == (30, 30)


def test_an_open_outage_has_not_ended() -> None:
    assert slack_of(outage("o", 1, 10), at(0), at(60)).slack_end_s == 0


def test_unobserved_seconds_are_no_slack() -> None:
    assert slack_of(outage("o", 1, 10, 20, unobserved_s=40.0), at(0), at(60)).slack_end_s == 0


def test_planned_and_takeover_rows_have_no_slack() -> None:
    assert slack_of(FULL_OUTAGE, at(0), at(60)) == Tally()


@given(SECONDS, SECONDS, SECONDS, SECONDS, SECONDS)
def test_the_rate_lies_within_its_bounds(
    good: float, bad: float, upstream: float, early: float, late: float
) -> None:
    found = Tally(
        good_s=good, bad_s=bad, bad_upstream_s=upstream, slack_start_s=early, slack_end_s=late
    )
    low, rate, high = found.online_rate_low, found.online_rate, found.online_rate_high
    if low is None or rate is None or high is None:
        assert found.denominator_s == 0
        return
    assert 0 <= low <= rate <= high <= 1


@given(st.lists(st.tuples(SECONDS, SECONDS), max_size=5))
def test_adding_up_in_parts_gives_the_same(parts: list[tuple[float, float]]) -> None:
    days = [day(n, good_s=good, bad_s=bad) for n, (good, bad) in enumerate(parts)]
    whole, sums = tally(days), sum((tally([one]) for one in days), Tally())
    assert whole.good_s == pytest.approx(sums.good_s)
    assert whole.elapsed_s == pytest.approx(sums.elapsed_s)
