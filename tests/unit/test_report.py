"""The report of a window, put together from sums."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fakes.ledger_rows import at, channel, outage, rollup

from gateway.domain.ledger import RollUp
from gateway.domain.rates import Tally
from gateway.domain.report import (
    COLUMNS,
    DaySums,
    Report,
    build,
    cells,
    days_between,
    headings,
    merged,
    safe_text,
    takeover_seconds,
    window_of,
)

DAY = "2026-03-01"
GROUPS = {channel(1): "a", channel(2): "a", channel(3): "b"}


def sums(rows: list[RollUp], *complete: int) -> dict[str, Tally]:
    found = DaySums(GROUPS, {}, [channel(n) for n in complete])
    found.add([row.added_up() for row in rows[:1]])
    found.add([row.added_up() for row in rows[1:]])
    return found.result()


def test_days_are_those_of_shanghai() -> None:
    since, until = window_of("2026-03-01", "2026-03-02")
    assert since == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert until == datetime(2026, 3, 2, 16, tzinfo=UTC)
    assert days_between("2026-02-27", "2026-03-01") == ("2026-02-27", "2026-02-28", "2026-03-01")


def test_a_day_is_added_up_by_group() -> None:
    found = sums([rollup(1, DAY, 3600.0), rollup(2, DAY, 1800.0), rollup(3, DAY, 0.0)])
    assert found["a"].online_rate == 0.75
    assert found["b"].online_rate == 0.0


def test_channels_of_no_group_are_not_lost() -> None:
    assert sums([rollup(9, DAY)])[""].good_s == 86_400


def test_what_nobody_recorded_of_a_day_that_is_over_was_not_observed() -> None:
    half = replace(rollup(1, DAY), good_s=(3600.0,) * 12 + (0.0,) * 12)
    found = sums([half], 1, 2, 3)
    assert found["a"].unobserved_s == 43_200 + 86_400
    assert found["b"].unobserved_s == 86_400
    assert found["a"].online_rate == 1.0


def test_what_is_not_yet_recorded_of_today_is_not_yet_counted() -> None:
    assert sums([]) == {}


def test_rounding_makes_no_unobserved_second() -> None:
    nearly = replace(rollup(1, DAY), good_s=(3599.99,) * 24)
    assert sums([nearly], 1)["a"].unobserved_s == 0


def test_days_are_merged_by_group() -> None:
    one, other = {"a": Tally(good_s=1)}, {"a": Tally(good_s=2), "b": Tally(bad_s=3)}
    assert merged(one, other) == {"a": Tally(good_s=3), "b": Tally(bad_s=3)}


def test_takeover_seconds_are_cut_by_day() -> None:
    never = replace(outage("t", 1, 0), last_seen_at=None, takeover=True, failed_at=at(0))
    known = outage("o", 2, 0)
    days = ("2026-02-28", "2026-03-01", "2026-03-02")
    found = takeover_seconds([never, known], days, at(600))
    assert found == {(channel(1), "2026-03-01"): 600 * 60}


def test_from_its_acceptance_on_a_takeover_row_counts_as_any_other() -> None:
    never = replace(outage("t", 1, 0, 60), last_seen_at=None, takeover=True, accepted_at=at(20))
    assert takeover_seconds([never], (DAY,), at(90)) == {(channel(1), DAY): 1200.0}


def test_two_takeover_rows_of_a_day_add_up() -> None:
    first = replace(outage("t1", 1, 0, 10), takeover=True)
    second = replace(outage("t2", 1, 20, 30), takeover=True)
    assert takeover_seconds([first, second], (DAY,), at(60)) == {(channel(1), DAY): 1200.0}


def made() -> Report:
    never = replace(outage("t", 3, 0), last_seen_at=None, takeover=True)
    planned = replace(outage("p", 1, 5), planned=True)
    return build(
        first_day=DAY,
        last_day=DAY,
        group_of=GROUPS,
        in_use=GROUPS,
        names={"b": "乙镇", "a": "", "c": "丙镇"},
        sums={"a": Tally(good_s=3600, bad_s=3600), "": Tally(good_s=1)},
        outages=[outage("o1", 1, 10, 20), outage("o2", 2, 30), never, planned],
    )


def test_lines_come_in_the_order_of_their_codes_and_add_up() -> None:
    report = made()
    assert [group.key for group in report.groups] == ["a", "b", ""]
    assert [group.name for group in report.groups] == ["a", "乙镇", "未归属"]
    assert [group.channels for group in report.groups] == [2, 1, 0]
    assert report.total.channels == 3
    assert report.total.sums.good_s == 3601


def test_takeover_and_planned_rows_are_no_outages_of_a_line() -> None:
    report = made()
    assert [group.outages for group in report.groups] == [2, 0, 0]
    assert [group.takeover for group in report.groups] == [0, 1, 0]


def test_bounds_come_from_the_outages_of_the_line() -> None:
    sums = made().groups[0].sums
    assert (sums.slack_start_s, sums.slack_end_s) == (60, 30)


def test_a_line_of_the_table_fits_its_headings() -> None:
    line = cells(made().groups[0])
    assert len(line) == len(headings()) == len(COLUMNS)
    by_key = dict(zip((key for key, _, _ in COLUMNS), line, strict=True))
    assert by_key["online_rate"] == 0.5
    assert by_key["good_h"] == 1.0
    assert cells(made().groups[1])[3] is None


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_text_becomes_a_formula(start: str) -> None:
    assert safe_text(f"{start}cmd|' /C calc'!A0").startswith("'")


def test_other_text_stays_as_it_is() -> None:
    assert safe_text("镇东 = 好") == "镇东 = 好"
    assert safe_text("") == ""
