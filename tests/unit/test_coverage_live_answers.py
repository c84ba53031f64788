"""What people are told from the live state: headline, parts, redundancy, repair order, availability."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes.small_model import geojson, model_of
from shapely.geometry import box

from gateway.domain.camera import ChannelId, NodeId
from gateway.domain.coverage.availability import (
    Availability,
    AvailabilitySums,
    Span,
    at_moment,
    merged,
)
from gateway.domain.coverage.figures import (
    CoverageBy,
    Divided,
    PlaceFacts,
    Weights,
    by,
    designed_area,
    headline,
)
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.place import PlaceId
from gateway.domain.coverage.redundancy import redundancy
from gateway.domain.coverage.repair import repair_order, roots_of
from gateway.domain.coverage.rows import PlaceInterval, PlaceState
from gateway.domain.coverage.sight import Bounds, Cause, ViewChange
from gateway.domain.coverage.view import ViewState
from gateway.domain.ledger import Incident
from gateway.domain.observation import OutageCause

T0 = datetime(2026, 3, 1, tzinfo=UTC)
ROW = model_of(
    [box(0, 0, 60, 40), box(40, 0, 100, 40), box(160, 0, 190, 40), box(165, 0, 195, 40)],
    [[(10.0, 20.0)], [(50.0, 20.0)], [(90.0, 20.0), (170.0, 20.0)], [(120.0, 150.0)], [(900, 900)]],
    [1.0, 2.0, 4.0, 8.0, 16.0],
)
FACTS = PlaceFacts(
    tuple("abcde"), ("road", "road", "school", "school", "gate"), ("",) * 5,
    ("T",) * 5, ("V",) * 5, ("far",) * 5, (1.0, 2.0, 4.0, 8.0, 16.0), (b"",) * 5, 3,
)  # fmt: skip
DIVIDED = Divided({grid: f"v{n % 2}" for n, grid in enumerate(ROW.grids)}, {"v0": "t0", "v1": "t0"})


def state_with(**views: ViewState) -> CoverageState:
    """A state in which some cameras (`c0`...) do not see well; all at the same time."""
    state, changes = CoverageState(ROW, geojson), []
    for name, view in views.items():
        down = view is ViewState.NOT_SEEING
        cause = Cause(f"o-{name}", "timeout", None, planned=False, confirmed_at=T0)
        channel = ChannelId(f"c000{name[1:]}")
        changes.append(ViewChange(channel, view, down, Bounds(None, T0), cause if down else None))
    state.apply(changes, T0)
    return state


DOWN, WEAK, UNKNOWN = ViewState.NOT_SEEING, ViewState.DEGRADED, ViewState.UNKNOWN


def test_the_headline_tells_what_is_listed_designed_and_seen() -> None:
    told = headline(state_with(c0=DOWN, c1=WEAK, c2=UNKNOWN, c3=UNKNOWN), FACTS)
    assert told.weights == Weights(31.0, 0.0, 4.0, 2.0, 1.0, 24.0)
    assert told.weights.designed == 7.0
    assert told.weights.share(told.weights.blind) == pytest.approx(1 / 31)
    assert (told.places, told.drafts, told.blind_spots) == (5, 3, 1)
    assert told.lost_m2 == pytest.approx(40 * 40)
    assert told.states == {"blind": 1, "unverified": 1, "unknown": 1, "never": 2}


def test_without_a_list_there_is_no_share() -> None:
    empty = CoverageState(model_of([box(0, 0, 60, 40)]), geojson)
    assert headline(empty, PlaceFacts()).weights.share(0.0) is None


def test_the_parts_add_up_to_the_headline() -> None:
    state, designed = state_with(c0=DOWN), designed_area(ROW)
    for what in CoverageBy:
        parts = by(what, state, FACTS, DIVIDED, designed)
        assert sum(part.weights.total for part in parts) == pytest.approx(31.0)
        assert sum(part.weights.blind for part in parts) == pytest.approx(1.0)
        if what is not CoverageBy.KIND:
            assert sum(part.lost_m2 for part in parts) == pytest.approx(40 * 40)
            assert sum(part.designed_m2 for part in parts) == pytest.approx(100 * 40 + 35 * 40)
            assert sum(part.area_m2 for part in parts) == pytest.approx(200 * 200)
    kinds = {part.code: part for part in by(CoverageBy.KIND, state, FACTS, DIVIDED, designed)}
    assert (kinds["road"].places, kinds["road"].weights.total) == (2, 3.0)
    towns = {part.code for part in by(CoverageBy.TOWNSHIP, state, FACTS, DIVIDED, designed)}
    assert towns == {"t0", "T"}  # the place outside all cells counts where it is said to lie


def test_redundancy_names_whom_the_next_failure_would_blind() -> None:
    found = redundancy(state_with())
    assert {one.channel: (one.weight, one.places) for one in found.failures} == {
        "c0000": (1.0, ("p0",)),
        "c0001": (2.0, ("p2",)),
    }
    assert (found.weight_seen, found.weight_single, found.places_single) == (7.0, 3.0, 2)
    after = redundancy(state_with(c1=DOWN, c3=UNKNOWN))
    assert {one.channel: one.weight for one in after.failures} == {"c0000": 3.0, "c0002": 2.0}


def test_the_prophecy_of_redundancy_comes_true() -> None:
    for one in redundancy(state_with()).failures:
        state = state_with(**{f"c{int(one.channel[1:])}": DOWN})
        assert state.weight_lost() == pytest.approx(one.weight)


def test_repairs_are_ordered_by_what_each_visit_restores() -> None:
    state = state_with(c0=DOWN, c1=DOWN, c2=DOWN, c3=DOWN)
    order = repair_order(state, ("n1", "n1", "", ""), 15.0)
    assert [[repair.channel for repair in visit.repairs] for visit in order] == [
        ["c0000", "c0001"],
        ["c0002", "c0003"],
    ]
    first, second = order
    assert (first.node, first.together, first.adds) == ("n1", 5.0, 5.0)
    assert [repair.alone for repair in first.repairs] == [3.0, 4.0]
    assert first.places == ("p0", "p1", "p2")
    assert (second.node, second.adds) == ("", 2.0)
    assert second.lost_m2 == pytest.approx(35 * 40)


def lost_by(**causes: Cause) -> CoverageState:
    """A state in which some cameras (`c0`...) are down, each for its cause."""
    state = CoverageState(ROW, geojson)
    changes = [
        ViewChange(ChannelId(f"c000{name[1:]}"), DOWN, True, Bounds(None, T0), cause)
        for name, cause in causes.items()
    ]
    state.apply(changes, T0)
    return state


def cause_of(row: str, incident: str | None, *, planned: bool = False) -> Cause:
    return Cause(row, "uplink", incident, planned=planned, confirmed_at=T0)


def test_a_failed_uplink_is_one_visit_to_the_node_that_failed() -> None:
    state = lost_by(
        c0=cause_of("a", "up"), c1=cause_of("b", "up"), c2=cause_of("c", "alone"),
        c3=cause_of("d", "up"),
    )  # fmt: skip
    order = repair_order(state, ("n1", "n2", "", "n3"), 500.0, {"up": "town"})
    assert [(one.node, one.incident, [r.channel for r in one.repairs]) for one in order] == [
        ("town", "up", ["c0000", "c0001", "c0003"]), ("", None, ["c0002"]),
    ]  # fmt: skip
    before = repair_order(state, ("n1", "n2", "", "n3"), 0.0)
    assert len(before) == 4, "nobody knows of the incident: one visit an access switch"


def test_what_hangs_on_the_failed_node_itself_goes_with_the_visit_there() -> None:
    state = lost_by(c0=cause_of("a", "up"), c1=cause_of("b", None))
    (visit,) = repair_order(state, ("n1", "n1", "", ""), 0.0, {"up": "n1"})
    assert (visit.node, visit.incident, len(visit.repairs)) == ("n1", "up", 2)


def test_only_open_incidents_of_nodes_say_where_to_go() -> None:
    def incident(name: str, root: str, ended_at: datetime | None = None) -> Incident[datetime]:
        return Incident(name, NodeId(root), OutageCause.UPLINK, None, T0, T0, ended_at)

    told = [incident("up", "town"), incident("single", "c0000"), incident("over", "town", T0)]
    assert roots_of(told, {"town", "core"}) == {"up": "town"}


def test_nobody_is_sent_to_what_is_being_maintained() -> None:
    state = lost_by(c0=cause_of("a", None, planned=True), c1=cause_of("b", None))
    (visit,) = repair_order(state, ("n1", "n1", "", ""), 15.0)
    assert [repair.channel for repair in visit.repairs] == ["c0001"]


def test_cameras_above_each_other_are_two_visits() -> None:
    tower = model_of([box(0, 0, 20, 20), box(0, 150, 20, 170)])
    state, changes = CoverageState(tower, geojson), []
    for channel in tower.channels:
        cause = Cause(channel, "timeout", None, planned=False, confirmed_at=T0)
        changes.append(ViewChange(channel, DOWN, True, Bounds(None, T0), cause))
    state.apply(changes, T0)
    assert len(repair_order(state, ("", ""), 15.0)) == 2
    assert len(repair_order(state, ("", ""), 150.0)) == 1


def test_a_view_within_another_covers_nothing_of_its_own() -> None:
    nested = model_of([box(0, 0, 40, 40), box(10, 10, 20, 20), box(500, 0, 540, 40)])
    assert designed_area(nested).sum() == pytest.approx(40 * 40)


def test_what_an_earlier_visit_restored_counts_once() -> None:
    state = state_with(c0=DOWN, c1=DOWN, c2=DOWN)
    order = repair_order(state, ("", "", "", ""), 0.0)
    assert [(visit.repairs[0].channel, visit.together, visit.adds) for visit in order] == [
        ("c0001", 4.0, 4.0),
        ("c0000", 3.0, 1.0),
        ("c0002", 0.0, 0.0),
    ]
    assert sum(visit.adds for visit in order) == pytest.approx(state.weight_lost())


def hours(h: float) -> datetime:
    return T0 + timedelta(hours=h)


def interval(state: PlaceState, weight: float, start: float, end: float | None) -> PlaceInterval:
    before = None if end is None else hours(end - 0.25)
    ended_at = None if end is None else hours(end)
    return PlaceInterval(
        f"{state}{start}", PlaceId("p"), state, weight, (), hours(start - 0.5), hours(start),
        before, ended_at,
    )  # fmt: skip


def availability(
    rows: list[PlaceInterval],
    gaps: list[Span],
    window: Span,
    weights: list[tuple[datetime, float]],
) -> Availability:
    sums = AvailabilitySums(gaps, window, weights)
    sums.add(rows)
    return sums.result()


def test_availability_is_hours_seen_of_hours_due() -> None:
    rows = [
        interval(PlaceState.BLIND, 2.0, 2, 5),
        interval(PlaceState.PARTLY, 1.0, 22, None),
        interval(PlaceState.UNVERIFIED, 1.0, 6, 7),
        interval(PlaceState.UNKNOWN, 1.0, 8, 10),
    ]
    found = availability(
        rows, [(hours(4), hours(4.5)), (hours(4.25), hours(5))], (T0, hours(24)), [(T0, 10.0)]
    )
    assert found.whole == 240.0
    assert found.unknown == 2.0 + 10.0  # one hour in which nobody watched anything
    assert found.due == 228.0
    assert found.lost == 2.0 * 2 + 1.0 * 2
    assert found.lost_most == 2.0 * 2.5 + 1.0 * 2.5
    assert found.lost_least == 2.0 * 2 + 1.0 * 2  # the last quarter lies in the gap anyway
    assert found.unverified == 1.0
    assert found.share(found.lost) == pytest.approx((228 - 6 - 1) / 228)


def test_nothing_due_has_no_share() -> None:
    assert availability([], [(T0, hours(1))], (T0, hours(1)), [(T0, 5.0)]).share(0.0) is None


def test_each_hour_is_due_by_the_weight_of_its_time() -> None:
    rows = [interval(PlaceState.BLIND, 2.0, 1, 5)]
    weights = [(hours(2), 10.0), (hours(4), 20.0), (hours(6), 30.0)]
    found = availability(rows, [(hours(3), hours(4.5))], (T0, hours(6)), weights)
    assert found.whole == 2 * 10.0 + 2 * 20.0  # before the first weight nothing was counted
    assert found.unknown == 10.0 + 0.5 * 20.0
    assert found.lost == 2.0 * (1 + 0.5)
    nothing = availability(rows, [], (T0, hours(6)), [])
    assert (nothing.whole, nothing.lost, nothing.share(0.0)) == (0.0, 0.0, None)


def test_spans_are_merged_in_order() -> None:
    spans = [(hours(3), hours(4)), (T0, hours(1)), (hours(0.5), hours(2))]
    assert merged(spans) == [(T0, hours(2)), (hours(3), hours(4))]


def test_a_past_moment_is_told_by_the_rows_that_contain_it() -> None:
    rows = [
        interval(PlaceState.BLIND, 2.0, 2, 5),
        interval(PlaceState.UNKNOWN, 1.0, 1, None),
        interval(PlaceState.UNVERIFIED, 4.0, 1, 3),
    ]
    told = {h: at_moment(rows, hours(h)).get("p") for h in (0.5, 2.0, 4.0, 6.0)}
    assert told[0.5] is None
    assert [(p.lost, p.unknown, p.unverified) for p in told.values() if p is not None] == [
        (2.0, 1.0, 4.0),
        (2.0, 1.0, 0.0),
        (0.0, 1.0, 0.0),
    ]


def test_points_outside_all_cells_have_no_cell() -> None:
    assert ROW.point_cell[-1] == -1
    assert np.isclose(designed_area(ROW).sum(), 135 * 40)
