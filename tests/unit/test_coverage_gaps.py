"""What must not stay hidden: unwatched area, unseen parts of places, views and rows that went astray."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fakes.small_model import geojson, model_of
from shapely.geometry import box

from gateway.domain.coverage.figures import CoverageBy, Divided, PlaceFacts, by, designed_area
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.recount import Difference, rows_apart, snapshot, views_apart
from gateway.domain.coverage.sight import Bounds, Cause, Sight, ViewChange
from gateway.domain.coverage.view import ViewState
from gateway.domain.ledger import State

T0 = datetime(2026, 3, 1, tzinfo=UTC)
PAIR = model_of(
    [box(0, 0, 60, 40), box(140, 0, 200, 40)],
    [[(10.0, 20.0), (100.0, 20.0), (100.0, 30.0)], [(150.0, 20.0)], [(100.0, 100.0)]],
    [3.0, 1.0, 2.0],
)
NONE = ("", "", "")
FACTS = PlaceFacts(NONE, NONE, NONE, NONE, NONE, NONE)


def state_with(*views: ViewState) -> CoverageState:
    state = CoverageState(PAIR, geojson)
    changes = []
    for channel, view in zip(PAIR.channels, views, strict=True):
        down = view is ViewState.NOT_SEEING
        cause = Cause(f"o-{channel}", "timeout", None, planned=False, confirmed_at=T0)
        changes.append(ViewChange(channel, view, down, Bounds(None, T0), cause if down else None))
    state.apply(changes, T0)
    return state


def areas_now(state: CoverageState, what: CoverageBy = CoverageBy.GRID) -> list[float | None]:
    """Where something is seen by design."""
    parts = by(what, state, FACTS, Divided({}, {}), designed_area(PAIR))
    return [part.now_m2 for part in parts if part.designed_m2]


def test_area_that_nobody_watches_is_neither_seen_nor_lost() -> None:
    assert sum(area or 0.0 for area in areas_now(state_with(*2 * [ViewState.SEEING]))) == 4800.0
    lost = areas_now(state_with(ViewState.NOT_SEEING, ViewState.SEEING))
    assert sum(area or 0.0 for area in lost) == pytest.approx(2400.0)
    assert None not in lost
    unknown = areas_now(state_with(ViewState.UNKNOWN, ViewState.SEEING))
    assert sorted(area or 0.0 for area in unknown) == pytest.approx([0.0, 0.0, 400.0, 2000.0])
    assert unknown.count(None) == 2
    assert areas_now(state_with(ViewState.UNKNOWN, ViewState.SEEING), CoverageBy.VILLAGE) == [None]
    assert areas_now(state_with(*2 * [ViewState.UNKNOWN])) == 4 * [None]


def test_the_weight_of_a_place_is_told_by_how_its_parts_are_seen() -> None:
    weights = state_with(ViewState.NOT_SEEING, ViewState.SEEING).counters.place_weights()
    well, blind, never = weights[:, 0], weights[:, 3], weights[:, 4]
    assert (well.tolist(), blind.tolist(), never.tolist()) == ([0, 1, 0], [1, 0, 0], [2, 0, 2])
    assert weights.sum() == 6.0


def test_a_view_is_compared_with_the_present_of_the_judge() -> None:
    held = snapshot(state_with(ViewState.NOT_SEEING, ViewState.SEEING))
    first, second = PAIR.channels

    def apart(**present: State) -> set[str]:
        states = dict(zip((first, second), present.values(), strict=False))
        return set(views_apart(held, {c: Sight(state, T0) for c, state in states.items()}))

    assert apart(a=State.OFFLINE, b=State.ONLINE) == set()
    assert apart(a=State.ONLINE, b=State.ONLINE) == {first}
    assert apart(a=State.OFFLINE, b=State.UNKNOWN) == {second}
    assert apart(a=State.OFFLINE) == set()  # one that left the archive
    assert apart(a=State.DECOMMISSIONED, b=State.ONLINE) == set()


def test_open_rows_are_compared_with_those_of_the_store() -> None:
    held = snapshot(state_with(ViewState.NOT_SEEING, ViewState.SEEING))
    (spot,), (interval,) = held.open.values(), held.intervals
    shapeless = replace(spot, polygon=None)  # never changes, and is not compared
    assert rows_apart(held, [shapeless], [interval], set()) == 0
    assert rows_apart(held, [], [], set()) == 2
    assert rows_apart(held, [], [], {spot.id}) == 1
    assert rows_apart(held, [replace(spot, weight=9.0)], [interval], set()) == 1
    more = replace(interval, id="more")
    assert rows_apart(held, [spot], [interval, more], set()) == 1


def test_any_difference_is_one_but_an_answer_that_did_not_come() -> None:
    assert not Difference(stored=None, area_m2=0.9, weight=1e-9)
    for name in ("points", "places", "rows", "area_m2", "weight", "views", "stored"):
        assert Difference(**{name: 1})
    assert Difference(weight=-1.0)
