"""Postures (平战联控): which holds where, grid cells included, and what planned windows bring."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.domain.alerting.posture import (
    PlannedPosture,
    ended_at,
    is_division,
    is_known_division,
    level_at,
    occurrences,
    planned_problems,
    to_end,
    unknown_areas,
)
from gateway.domain.alerting.rows import Posture, PostureLevel
from gateway.errors import Refused

NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)
"""A Monday, 12:00 in Asia/Shanghai."""
HOUR = timedelta(hours=1)
HIGH, CALM = PostureLevel.HEIGHTENED, PostureLevel.ROUTINE
CELL = Posture("c", HIGH, "610802101201001", NOON, NOON + HOUR, "值班长", "演练")
WINDOW = PlannedPosture("夜间", "夜间加强")


def brought(window: PlannedPosture, hours: float = 24.0) -> list[tuple[str, str]]:
    found = occurrences([window], NOON, NOON + hours * HOUR)
    times = [(row.from_at.isoformat()[5:16], row.until_at) for row in found]
    return [(begins, ends.isoformat()[5:16]) for begins, ends in times if ends is not None]


def test_a_posture_of_a_cell_holds_in_that_cell_only() -> None:
    assert level_at([CELL], "610802101201", NOON, "610802101201001") is HIGH
    assert level_at([CELL], "610802101201", NOON, "610802101201002") is CALM
    assert level_at([CELL], "610802101201", NOON) is CALM


def test_a_cell_weighs_more_than_its_village_whatever_its_code_is() -> None:
    odd = replace(CELL, area="g7", level=CALM)
    village = replace(CELL, id="v", area="610802101201")

    assert level_at([odd, village], "610802101201", NOON, "g7") is CALM
    assert level_at([odd, village], "610802101201", NOON, "g8") is HIGH


def test_the_code_of_a_cell_is_no_beginning_of_another() -> None:
    assert level_at([replace(CELL, area="g1")], "610802101201", NOON, "g10") is CALM
    assert level_at([replace(CELL, area="g1")], "610802101201", NOON, "g1") is HIGH


def test_what_a_person_set_goes_before_what_was_planned_for_the_same_area() -> None:
    (planned,) = occurrences([replace(WINDOW, areas=("610802101",))], NOON, NOON + HOUR)
    taken_back = Posture("0", CALM, "610802101", NOON - HOUR, NOON + HOUR, "值班长", "不办了")
    assert level_at([planned], "610802101201", NOON) is HIGH
    assert level_at([planned, taken_back], "610802101201", NOON) is CALM
    narrower = replace(planned, area="610802101201")
    assert level_at([narrower, taken_back], "610802101201", NOON) is HIGH


def test_a_window_without_limits_is_the_whole_day_every_day_in_the_district() -> None:
    (row, *_) = occurrences([WINDOW], NOON, NOON + HOUR)

    assert (row.area, row.level, row.actor) == ("", HIGH, "schedule")
    assert row.reason == "夜间: 夜间加强"
    assert brought(WINDOW, 24) == [("03-02T00:00", "03-03T00:00"), ("03-03T00:00", "03-04T00:00")]


def test_a_span_past_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    night = replace(WINDOW, hours=("22:00-06:00",), weekdays=("mon",))

    assert brought(night, 24 * 7) == [("03-02T22:00", "03-03T06:00")]
    early = list(occurrences([night], NOON + 15 * HOUR, NOON + 15 * HOUR))
    assert [row.from_at.day for row in early] == [2]


def test_a_window_is_bounded_by_its_days_and_brings_one_posture_an_area_and_span() -> None:
    window = replace(
        WINDOW,
        areas=("610802001", "g7"),
        hours=("08:00-09:00", "18:00-24:00"),
        from_day=date(2026, 3, 3),
        until_day=date(2026, 3, 3),
    )
    rows = list(occurrences([window], NOON, NOON + 96 * HOUR))

    assert len({row.id for row in rows}) == 4
    assert {row.area for row in rows} == {"610802001", "g7"}
    assert {row.from_at.day for row in rows} == {3}
    assert list(occurrences([window], NOON + 96 * HOUR, NOON + 97 * HOUR)) == []


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (replace(WINDOW, name=""), "short texts"),
        (replace(WINDOW, reason=" "), "short texts"),
        (replace(WINDOW, weekdays=("monday",)), "'monday' is none of mon"),
        (replace(WINDOW, hours=("8-9",)), "is not HH:MM-HH:MM"),
        (replace(WINDOW, from_day=date(2026, 3, 2), until_day=date(2026, 3, 1)), "lies before"),
    ],
)
def test_what_is_wrong_with_a_window_is_said(window: PlannedPosture, told: str) -> None:
    (problem,) = planned_problems([window])

    assert problem.startswith("postures.0")
    assert told in problem


def test_areas_of_windows_that_are_nowhere_are_told_with_their_place_and_reason() -> None:
    good = replace(WINDOW, name="good", areas=("", "610802", "610802001", "g7"))
    bad = replace(WINDOW, name="bad", areas=("g9", "610803", "610802001"))
    divisions, grids = {"610802", "610802001", "610802001004"}, {"g7"}

    assert unknown_areas([good], divisions, grids) == []
    cell, division = unknown_areas([good, bad], divisions, grids)
    assert cell.startswith("postures.1 (bad): areas: 'g9' is neither")
    assert division.startswith("postures.1 (bad): areas: '610803': no division")
    assert len(unknown_areas([bad], (), grids)) == 1  # an archive without divisions tells nothing


def test_names_of_windows_are_their_own() -> None:
    good = replace(WINDOW, hours=("08:00-09:00",), from_day=date(2026, 3, 2))
    (problem,) = planned_problems([good, good])

    assert "stands at 0 too" in problem


def test_areas_are_beginnings_of_division_codes() -> None:
    assert all(is_division(area) for area in ("", "6", "610802001004"))
    assert not any(is_division(area) for area in ("x", "6108020010041", "６"))


def test_one_that_has_not_begun_never_holds_once_it_was_ended() -> None:
    ended = ended_at(replace(CELL, from_at=NOON + HOUR), NOON)

    assert (ended.from_at, ended.until_at) == (NOON, NOON)
    assert level_at([ended], "", NOON, CELL.area) is CALM


def test_only_what_people_set_can_be_ended() -> None:
    assert to_end([CELL], "c") is CELL
    with pytest.raises(Refused, match="no posture"):
        to_end([CELL], "x")
    with pytest.raises(Refused, match="set routine"):
        to_end([CELL], "planned-x")


@pytest.mark.parametrize(
    ("area", "known"),
    [("", True), ("6108", True), ("610802001", True), ("610802999", False), ("g7", False)],
)
def test_an_area_is_the_beginning_of_a_division_of_the_archive(area: str, *, known: bool) -> None:
    assert is_known_division(area, ["610802001", "610802002"]) is known


def test_without_an_archive_any_division_may_be_meant() -> None:
    assert is_known_division("610802999", [])
