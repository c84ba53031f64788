"""The live ledger of coverage against counts from scratch and replays by brute force."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import shapely
from fakes.small_model import geojson, model_of, shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, box

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.intervals import CADENCE_S, CADENCES
from gateway.domain.coverage.live import CoverageState, Rows
from gateway.domain.coverage.recount import lost_area, recount, snapshot
from gateway.domain.coverage.rows import BlindSpot, PlaceInterval, PlaceState
from gateway.domain.coverage.sight import Bounds, Cause, ViewChange
from gateway.domain.coverage.view import ViewState

T0 = datetime(2026, 3, 1, tzinfo=UTC)
CAMERAS = 7
RANDOM = np.random.default_rng(5)
VIEWS = [
    Point(*RANDOM.uniform(60, 140, 2)).buffer(RANDOM.uniform(25, 60), 4) for _ in range(CAMERAS)
]
PLACES = [[tuple(RANDOM.uniform(20, 180, 2)) for _ in range(1 + i % 4)] for i in range(12)]
TOWN = model_of(VIEWS, PLACES, [1.0 + i % 3 for i in range(12)])
STATES = list(ViewState)


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def change(camera: int, view: ViewState, second: float, width: float = 5.0) -> ViewChange:
    down = view is ViewState.NOT_SEEING
    cause = Cause(f"o{camera}-{second:g}", "timeout", None, planned=False, confirmed_at=at(second))
    when = Bounds(at(second - width), at(second))
    return ViewChange(ChannelId(f"c{camera:04d}"), view, down, when, cause if down else None)


def new_state(model: Any = TOWN) -> CoverageState:
    return CoverageState(model, geojson)


class Ledger:
    """Rows by id, as a store would keep them."""

    def __init__(self) -> None:
        self.spots: dict[str, BlindSpot] = {}
        self.intervals: dict[str, PlaceInterval] = {}

    def take(self, rows: Rows) -> None:
        self.spots |= {row.id: row for row in rows.blind_spots}
        self.intervals |= {row.id: row for row in rows.intervals}

    def open_spots(self) -> list[BlindSpot]:
        return [row for row in self.spots.values() if row.ended_at is None]


steps = st.lists(
    st.tuples(st.integers(0, CAMERAS - 1), st.sampled_from(STATES)), min_size=1, max_size=25
)


@given(steps)
@settings(max_examples=60, deadline=None)
def test_any_order_of_downs_and_ups_equals_a_recount(moves: list[tuple[int, ViewState]]) -> None:
    state, ledger = new_state(), Ledger()
    for second, (camera, view) in enumerate(moves):
        ledger.take(state.apply([change(camera, view, second)], at(second)))
        difference = recount(snapshot(state))
        assert not difference, difference
    assert {row.id for row in ledger.open_spots()} == {row.id for row in state.open.values()}
    lost = sum(row.area_now_m2 for row in ledger.open_spots())
    assert lost == pytest.approx(lost_area(TOWN, state.counters.down).area, abs=1e-6)
    assert state.pieces.lost_m2.sum() == pytest.approx(lost, abs=1e-6)


@given(steps)
@settings(max_examples=30, deadline=None)
def test_one_batch_leaves_the_same_present_as_one_by_one(
    moves: list[tuple[int, ViewState]],
) -> None:
    changes = [change(camera, view, second) for second, (camera, view) in enumerate(moves)]
    one, many = new_state(), new_state()
    for second, single in enumerate(changes):
        one.apply([single], at(second))
    many.apply(changes, at(len(moves)))
    assert not recount(snapshot(many))
    assert (one.counters.counts == many.counters.counts).all()
    assert (
        lost_area(TOWN, one.counters.down)
        .symmetric_difference(lost_area(TOWN, many.counters.down))
        .area
        < 1e-6
    )
    # What became unknown keeps the row it had, for a while: only after that are both alike.
    for state in (one, many):
        state.settle(at(len(moves) + 2 * CADENCES * CADENCE_S))
    assert {g: (row.state, row.causes) for g, row in one.intervals.open.items()} == {
        g: (row.state, row.causes) for g, row in many.intervals.open.items()
    }


@given(st.permutations(range(CAMERAS)))
@settings(max_examples=30, deadline=None)
def test_blind_places_never_shrink_when_one_more_camera_fails(order: list[int]) -> None:
    state, blind = new_state(), 0.0
    for second, camera in enumerate(order):
        state.apply([change(camera, ViewState.NOT_SEEING, second)], at(second))
        now = state.weight_lost()
        assert now >= blind
        blind = now
    rows = state.open.values()
    assert sum(row.weight for row in rows) == pytest.approx(blind)
    assert sum(row.area_m2 for row in rows) == pytest.approx(shapely.union_all(TOWN.views).area)


def seen_at(camera_views: list[ViewState], seers: Iterable[int]) -> ViewState | None:
    return min((camera_views[c] for c in seers), key=_rank, default=None)


def _rank(view: ViewState) -> int:
    return {"seeing": 0, "degraded": 1, "unverified": 1, "unknown": 2, "not_seeing": 3}[view]


@given(steps)
@settings(max_examples=60, deadline=None)
def test_the_intervals_add_up_to_a_brute_force_replay(moves: list[tuple[int, ViewState]]) -> None:
    span = 200.0  # each step lasts longer than what is forgiven
    state, ledger = new_state(), Ledger()
    views = [ViewState.SEEING] * CAMERAS
    replayed: dict[tuple[str, int], float] = {}
    for step, (camera, view) in enumerate(moves):
        ledger.take(state.apply([change(camera, view, step * span)], at(step * span)))
        ledger.take(state.settle(at(step * span + span - 1)))
        views[camera] = view
        for point, place in enumerate(TOWN.point_place.tolist()):
            best = seen_at(views, TOWN.seen_by.of(point).tolist())
            if best is not None and best is not ViewState.SEEING:
                key = (f"p{place}", _rank(best))
                weight = TOWN.point_weight[point] * span
                replayed[key] = replayed.get(key, 0.0) + float(weight)
    end = at(len(moves) * span)
    summed: dict[tuple[str, int], float] = {}
    ranks = {PlaceState.BLIND: 3, PlaceState.PARTLY: 3, PlaceState.UNKNOWN: 2}
    for row in ledger.intervals.values():
        seconds = ((row.ended_at or end) - row.started_at).total_seconds()
        key = (row.place, ranks.get(row.state, 1))
        summed[key] = summed.get(key, 0.0) + seconds * row.weight_lost
    assert {k: v for k, v in summed.items() if v} == pytest.approx(replayed)


LEFT, RIGHT = box(0, 0, 60, 40), box(40, 0, 100, 40)
PAIR = model_of([LEFT, RIGHT], [[(50.0, 20.0)], [(10.0, 20.0)]])


def test_what_both_saw_belongs_to_the_one_lost_last() -> None:
    state = new_state(PAIR)
    (first,) = state.apply([change(0, ViewState.NOT_SEEING, 10)], at(20)).blind_spots
    assert (first.area_m2, first.places, first.joint) == (40 * 40, ("p1",), ())
    (second,) = state.apply([change(1, ViewState.NOT_SEEING, 15)], at(25)).blind_spots
    assert (second.area_m2, second.places, second.joint) == (60 * 40, ("p0",), ("c0000",))
    assert (second.last_seen_at, second.failed_at) == (at(10), at(15))
    ended, left = state.apply([change(0, ViewState.SEEING, 30)], at(30)).blind_spots
    assert ended.id == first.id
    assert (ended.last_failed_at, ended.ended_at, ended.area_now_m2) == (at(25), at(30), 0.0)
    assert left.id == second.id
    assert (left.area_now_m2, left.area_m2, left.ended_at) == (40 * 40, 60 * 40, None)


def test_a_joint_loss_begins_with_the_latest_cause_and_ends_with_the_first_return() -> None:
    state, ledger = new_state(PAIR), Ledger()
    ledger.take(state.apply([change(0, ViewState.NOT_SEEING, 10)], at(20)))
    ledger.take(state.apply([change(1, ViewState.NOT_SEEING, 15)], at(25)))
    ledger.take(state.apply([change(1, ViewState.SEEING, 40)], at(40)))
    ledger.take(state.apply([change(0, ViewState.SEEING, 50)], at(50)))
    joint = next(row for row in ledger.intervals.values() if row.place == "p0")
    assert joint.causes == ("c0000", "c0001")
    assert (joint.after_at, joint.started_at) == (at(10), at(15))
    assert (joint.before_at, joint.ended_at) == (at(35), at(40))
    assert not ledger.open_spots()


def test_a_spot_that_another_camera_sees_again_in_whole_is_closed() -> None:
    inner = model_of([box(0, 0, 100, 40), box(10, 10, 20, 20)])
    state = new_state(inner)
    state.apply([change(0, ViewState.NOT_SEEING, 1)], at(1))
    state.apply([change(1, ViewState.NOT_SEEING, 2)], at(2))
    rows = state.apply([change(0, ViewState.SEEING, 9)], at(9)).blind_spots
    assert {row.channel: row.ended_at for row in rows} == {"c0000": at(9), "c0001": at(9)}
    assert not state.apply([change(1, ViewState.SEEING, 12)], at(12)).blind_spots


def test_a_weak_view_weakens_places_and_loses_no_area() -> None:
    state = new_state(PAIR)
    rows = state.apply([change(0, ViewState.DEGRADED, 5)], at(5))
    assert not rows.blind_spots
    assert [(row.place, row.state) for row in rows.intervals] == [("p1", PlaceState.UNVERIFIED)]
    assert state.counters.place_state(1) is PlaceState.UNVERIFIED


def test_a_short_unknown_belongs_to_what_was_known_before() -> None:
    state = new_state(PAIR)
    state.apply([change(0, ViewState.UNKNOWN, 0)], at(0))
    assert state.counters.place_state(1) is PlaceState.UNKNOWN
    assert not state.settle(at(60)).intervals
    state.intervals.watched_again(at(60))  # a gateway gap ended
    assert not state.settle(at(120)).intervals
    assert not state.apply([change(0, ViewState.SEEING, 130)], at(130)).intervals
    state.apply([change(0, ViewState.UNKNOWN, 200)], at(200))
    (row,) = state.settle(at(300)).intervals
    assert (row.state, row.started_at) == (PlaceState.UNKNOWN, at(200))


def test_three_cadences_are_forgiven_those_of_the_slowest_camera_that_sees() -> None:
    # The first camera alone sees p1, both see p0, nobody p2.
    points = [[(50.0, 20.0)], [(10.0, 20.0)], [(190.0, 190.0)]]
    state = new_state(model_of([LEFT, RIGHT], points))
    state.intervals.pace(np.array([10.0, 60.0]))
    state.apply([change(c, ViewState.UNKNOWN, 0) for c in range(2)], at(0))
    assert not state.settle(at(29)).intervals
    assert [row.place for row in state.settle(at(30)).intervals] == ["p1"]
    assert not state.settle(at(179)).intervals
    assert [row.place for row in state.settle(at(180)).intervals] == ["p0"]


def test_a_spot_stays_open_while_nobody_watches_its_camera() -> None:
    state = new_state(PAIR)
    (opened,) = state.apply([change(0, ViewState.NOT_SEEING, 5)], at(5)).blind_spots
    held = change(0, ViewState.NOT_SEEING, 5)
    unwatched = ViewChange(held.channel, ViewState.UNKNOWN, True, Bounds(at(9), at(9)), held.cause)
    rows = state.apply([unwatched], at(20))
    assert [(row.id, row.observed_until_at) for row in rows.blind_spots] == [(opened.id, at(9))]
    assert state.counters.place_state(1) is PlaceState.UNKNOWN
    assert not recount(snapshot(state))
    (back,) = state.apply([held], at(30)).blind_spots
    assert (back.observed_until_at, back.ended_at) == (None, None)


def test_an_incident_that_becomes_known_is_written_into_the_row() -> None:
    state = new_state(PAIR)
    first = change(0, ViewState.NOT_SEEING, 5)
    state.apply([first], at(5))
    assert first.cause is not None
    cause = Cause(first.cause.row, "uplink", "inc-1", planned=False, confirmed_at=at(5))
    later = ViewChange(first.channel, first.view, True, first.when, cause)
    (row,) = state.apply([later], at(6)).blind_spots
    assert (row.incident, row.failed_at) == ("inc-1", at(5))
    assert not state.apply([later], at(7)).blind_spots


def test_the_shapes_of_open_spots_are_what_is_left_of_them() -> None:
    state = new_state(model_of([LEFT, RIGHT, box(500, 0, 540, 40)], [[(520.0, 20.0)]]))
    for camera in range(3):
        state.apply([change(camera, ViewState.NOT_SEEING, camera)], at(camera))
    state.apply([change(0, ViewState.SEEING, 9)], at(9))
    told = {row.channel: shape.area for row, shape in state.lost_shapes()}
    assert told == {"c0001": pytest.approx(40 * 40), "c0002": pytest.approx(40 * 40)}
    assert state.open[2].grids == ()  # outside all cells


def test_places_beyond_the_area_of_a_view_open_a_spot_without_a_shape() -> None:
    twin = model_of([LEFT, LEFT], [[(10.0, 20.0)]])
    far = replace(twin, views=shapes([LEFT, box(10, 10, 20, 20)]))
    state = new_state(far)
    state.apply([change(0, ViewState.NOT_SEEING, 1)], at(1))
    inner = state.apply([change(1, ViewState.NOT_SEEING, 2)], at(2)).blind_spots
    assert [row.places for row in inner] == [("p0",)]
    alone = new_state(replace(twin, views=shapes([LEFT, box(0, 0, 0.01, 0.01)])))
    alone.apply([change(0, ViewState.NOT_SEEING, 1)], at(1))
    (row,) = alone.apply([change(1, ViewState.NOT_SEEING, 2)], at(2)).blind_spots
    assert (row.polygon, row.area_m2, row.weight) == (None, 0.0, 1.0)
    assert list(alone.lost_shapes())


def test_a_channel_without_a_view_changes_nothing() -> None:
    state = new_state(PAIR)
    stranger = ViewChange(ChannelId("x"), ViewState.NOT_SEEING, True, Bounds(None, T0))
    assert state.apply([stranger], T0) == Rows()
