"""What the ledger means for views, and the state of coverage after a restart."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.small_model import geojson, model_of
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.present import CameraFacts
from gateway.domain.coverage.recount import recount, snapshot
from gateway.domain.coverage.restart import Known, restart
from gateway.domain.coverage.rows import PlaceState
from gateway.domain.coverage.sight import Bounds, Sight, SightBook
from gateway.domain.coverage.view import ViewState, view_state
from gateway.domain.ledger import Changes, ChannelRecord, Fault, Outage, State
from gateway.domain.observation import FaultCause, OutageCause

T0 = datetime(2026, 3, 1, tzinfo=UTC)
TOWN = model_of(
    [box(0, 0, 60, 40), box(40, 0, 100, 40), box(50, 20, 150, 60)],
    [[(10.0, 20.0)], [(50.0, 10.0)], [(55.0, 30.0)], [(140.0, 50.0), (45.0, 30.0)]],
)


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def name(camera: int) -> ChannelId:
    return ChannelId(f"c{camera:04d}")


def outage(camera: int, second: float, end: float | None = None) -> Outage[datetime]:
    row = Outage(
        f"o{camera}-{second:g}", name(camera), OutageCause.TIMEOUT,
        at(second - 40), at(second - 12), at(second), at(second),
    )  # fmt: skip
    return row if end is None else replace(row, last_failed_at=at(end - 5), ended_at=at(end))


def fault(camera: int, cause: FaultCause, second: float, end: float | None = None) -> Any:
    row = Fault(
        f"f{camera}-{cause}-{second:g}", name(camera), cause,
        at(second - 40), at(second - 12), at(second), at(second),
    )  # fmt: skip
    return row if end is None else replace(row, last_failed_at=at(end - 5), ended_at=at(end))


def record(camera: int, state: State, second: float) -> ChannelRecord[datetime]:
    return ChannelRecord(name(camera), state, at(second))


def online(count: int = 3) -> SightBook:
    book = SightBook()
    book.load({name(c): Sight(State.ONLINE, T0) for c in range(count)})
    return book


def test_an_outage_takes_the_view_and_its_end_gives_it_back() -> None:
    book = online()
    (down,) = book.apply(
        Changes(1, outages=(outage(0, 60),), channels=(record(0, State.OFFLINE, 48),))
    )
    assert (down.view, down.down, down.when) == (
        ViewState.NOT_SEEING, True, Bounds(at(20), at(48)),
    )  # fmt: skip
    (up,) = book.apply(
        Changes(2, outages=(outage(0, 60, 90),), channels=(record(0, State.ONLINE, 90),))
    )
    assert (up.view, up.down, up.when) == (ViewState.SEEING, False, Bounds(at(85), at(90)))


def test_an_outage_that_came_and_went_between_two_looks_is_told_twice() -> None:
    told = online().apply(Changes(1, outages=(outage(0, 60, 90),)))
    assert [one.view for one in told] == [ViewState.NOT_SEEING, ViewState.SEEING]


def test_two_outages_that_came_and_went_are_four_changes() -> None:
    rows = (outage(0, 60, 90), outage(0, 150, 180))
    told = online().apply(Changes(1, outages=rows, channels=(record(0, State.ONLINE, 180),)))
    assert [(one.down, one.when.at) for one in told] == [
        (True, at(48)), (False, at(90)), (True, at(138)), (False, at(180)),
    ]  # fmt: skip


def test_maintenance_without_an_answer_does_not_see() -> None:
    book = online()
    assert not book.apply(Changes(1, channels=(record(0, State.MAINTENANCE, 10),)))
    (down,) = book.apply(Changes(2, outages=(replace(outage(0, 60), planned=True),)))
    assert down.cause is not None
    assert (down.cause.name, down.cause.planned) == ("maintenance", True)


def test_an_unwatched_outage_still_holds_its_area() -> None:
    book = online()
    book.apply(Changes(1, outages=(outage(0, 60),), channels=(record(0, State.OFFLINE, 48),)))
    (held,) = book.apply(Changes(2, channels=(record(0, State.UNKNOWN, 70),)))
    assert (held.view, held.down, held.when.at) == (ViewState.UNKNOWN, True, at(70))


def test_faults_of_the_stream_and_of_the_picture() -> None:
    book = online()
    (weak,) = book.apply(Changes(1, faults=(fault(0, FaultCause.PICTURE, 60),)))
    (gone,) = book.apply(Changes(2, faults=(fault(0, FaultCause.STREAM, 70),)))
    (back,) = book.apply(Changes(3, faults=(fault(0, FaultCause.STREAM, 70, 90),)))
    assert [one.view for one in (weak, gone, back)] == [
        ViewState.DEGRADED, ViewState.NOT_SEEING, ViewState.DEGRADED,
    ]  # fmt: skip
    assert (gone.down, back.when) == (True, Bounds(at(85), at(90)))


def test_offline_without_a_row_is_its_own_cause() -> None:
    (down,) = online().apply(Changes(1, channels=(record(0, State.OFFLINE, 48),)))
    assert down.cause is not None
    assert (down.cause.name, down.when.at) == ("unreachable", at(48))


def test_a_channel_that_was_not_known_begins_with_its_first_row() -> None:
    book = SightBook()
    (lost,) = book.apply(Changes(1, outages=(outage(7, 60),)))
    assert lost.view is ViewState.NOT_SEEING
    (seen,) = book.apply(Changes(2, channels=(record(8, State.ONLINE, 61),)))
    assert seen.view is ViewState.SEEING


def test_a_decommissioned_channel_tells_nothing() -> None:
    gone: Changes[datetime] = Changes(1, channels=(record(0, State.DECOMMISSIONED, 9),))
    assert not online().apply(gone)


def test_bounds_are_never_before_what_they_follow() -> None:
    early, late = Bounds(None, at(5)), Bounds(at(8), at(9))
    assert early.not_before(late) == late
    assert late.not_before(early) == late
    assert Bounds(None, at(9)).not_before(early) == Bounds(None, at(9))


class Judged:
    """The rows of a random day, and the present they lead to."""

    def __init__(self) -> None:
        self.book, self.state = online(), CoverageState(TOWN, geojson)
        self.ledger: dict[str, Any] = {}
        self.open: dict[int, Any] = {}
        self.spots: dict[str, Any] = {}
        self.intervals: dict[str, Any] = {}

    def flip(self, camera: int, second: float) -> Changes[datetime]:
        """A camera is lost, or comes back; odd ones lose their stream."""
        held = self.open.pop(camera, None)
        if held is None:
            stream = fault(camera, FaultCause.STREAM, second)
            row = stream if camera % 2 else outage(camera, second)
            self.open[camera] = row
        else:
            row = replace(held, last_failed_at=at(second - 5), ended_at=at(second))
        self.ledger[row.id] = row
        if isinstance(row, Fault):
            return Changes(0, faults=(row,))
        state = State.OFFLINE if held is None else State.ONLINE
        return Changes(0, outages=(row,), channels=(record(camera, state, second),))

    def take(self, changes: Changes[datetime], second: float) -> None:
        rows = self.state.apply(self.book.apply(changes), at(second))
        self.keep(rows)

    def keep(self, rows: Any) -> None:
        self.spots |= {row.id: row for row in rows.blind_spots}
        self.intervals |= {row.id: row for row in rows.intervals}

    def present(self) -> dict[ChannelId, Sight]:
        found = {name(c): Sight(State.ONLINE, T0) for c in range(3)}
        for camera, row in self.open.items():
            sight = found[name(camera)]
            if isinstance(row, Fault):
                sight.faults = {row.cause: row}
            else:
                sight.state, sight.since_at, sight.outage = State.OFFLINE, row.failed_at, row
        return found


@given(st.lists(st.integers(0, 2), min_size=1, max_size=14), st.integers(0, 14))
@settings(max_examples=80, deadline=None)
def test_after_a_crash_anywhere_the_rows_are_those_of_a_service_that_never_crashed(
    flips: list[int], crash: int
) -> None:
    whole, broken, second = Judged(), Judged(), 0.0
    for step, camera in enumerate(flips):
        second = 60.0 * (step + 1)
        whole.take(whole.flip(camera, second), second)
        changes = broken.flip(camera, second)
        if step < crash:
            broken.take(changes, second)
    as_of = at(60.0 * min(crash, len(flips)) + 1)
    known = Known(
        as_of,
        [row for row in broken.spots.values() if row.ended_at is None],
        [row for row in broken.intervals.values() if row.ended_at is None],
        list(broken.ledger.values()),
        broken.present(),
        at(second + 30),
    )
    state, _, rows = restart(TOWN, geojson, known)
    broken.keep(rows)
    assert not recount(snapshot(state))
    assert set(broken.intervals) == set(whole.intervals)
    for row in whole.intervals.values():
        mine = broken.intervals[row.id]
        assert (mine.started_at, mine.ended_at) == (row.started_at, row.ended_at)
    assert set(broken.spots) == set(whole.spots)
    for spot in whole.spots.values():
        mine = broken.spots[spot.id]
        told = (mine.failed_at, mine.ended_at, mine.joint, mine.places)
        assert told == (spot.failed_at, spot.ended_at, spot.joint, spot.places)
        assert mine.area_now_m2 == pytest.approx(spot.area_now_m2)


def test_the_first_start_begins_with_the_present() -> None:
    present = {
        name(0): Sight(State.OFFLINE, at(48), outage(0, 60)),
        name(1): Sight(State.DECOMMISSIONED, at(50)),
        name(2): Sight(State.UNKNOWN, at(50)),
    }
    state, _, rows = restart(TOWN, geojson, Known(None, (), (), [outage(0, 60)], present, at(70)))
    (spot,) = rows.blind_spots
    assert (spot.channel, spot.failed_at) == ("c0000", at(48))
    assert state.counters.place_state(3) is PlaceState.UNKNOWN


def test_what_an_import_changed_is_brought_up_to_date() -> None:
    judged = Judged()
    for step, camera in enumerate((0, 2)):
        judged.take(judged.flip(camera, 60.0 * (step + 1)), 60.0 * (step + 1))
    smaller = model_of([box(0, 0, 60, 40), box(40, 0, 45, 40)], [[(10.0, 20.0)]])
    known = Known(
        at(200), list(judged.state.open.values()), list(judged.state.intervals.open.values()),
        [*judged.ledger.values(), outage(9, 20, 30), outage(8, 20)], judged.present(), at(200),
    )  # fmt: skip
    state, _, rows = restart(smaller, geojson, known)
    ended = {row.channel: row.ended_at for row in rows.blind_spots}
    assert ended == {"c0000": None, "c0002": at(200)}
    assert state.open[0].area_now_m2 == pytest.approx(55 * 40)
    assert state.open[0].area_m2 == pytest.approx(40 * 40)
    ended_rows = {row.id: row.ended_at for row in rows.intervals if row.ended_at is not None}
    assert ended_rows
    assert set(ended_rows.values()) == {at(200)}
    assert set(ended_rows) <= {row.id for row in known.intervals}
    assert {row.place for row in state.intervals.open.values()} == {"p0"}
    assert not recount(snapshot(state))


def test_another_weight_after_an_import_begins_another_row() -> None:
    judged = Judged()
    judged.take(judged.flip(0, 60.0), 60.0)
    stored = list(judged.state.intervals.open.values())
    heavier = replace(TOWN, point_weight=TOWN.point_weight * 3)
    known = Known(
        at(200), list(judged.state.open.values()), stored, list(judged.ledger.values()),
        judged.present(), at(210),
    )  # fmt: skip
    state, _, rows = restart(heavier, geojson, known)
    ended = {row.id: row for row in rows.intervals if row.ended_at is not None}
    assert {row.id for row in stored} == set(ended)
    assert {row.ended_at for row in ended.values()} == {at(200)}
    fresh = {row.place: row for row in rows.intervals if row.ended_at is None}
    assert set(fresh.values()) == set(state.intervals.open.values())
    for old in stored:
        assert fresh[old.place].started_at == at(200)
        assert fresh[old.place].weight_lost == pytest.approx(3 * old.weight_lost)
    assert not recount(snapshot(state))


@pytest.mark.parametrize(
    ("counted", "begins"),
    [
        (None, Bounds(at(20), at(48))),
        (at(10), Bounds(at(20), at(48))),
        (at(30), Bounds(at(30), at(48))),
        (at(48), Bounds(at(48), at(48))),
        (at(55), Bounds(at(55), at(55))),
    ],
)
def test_no_row_of_an_import_begins_before_the_import_counts(
    counted: datetime | None, begins: Bounds
) -> None:
    present = {name(c): Sight(State.ONLINE, T0) for c in range(3)}
    present[name(0)] = Sight(State.OFFLINE, at(48), outage(0, 60))
    known = Known(at(70), (), (), [outage(0, 60)], present, at(80), counted)
    _, _, rows = restart(TOWN, geojson, known)
    (row,) = rows.intervals
    assert Bounds(row.after_at, row.started_at) == begins
    assert [spot.failed_at for spot in rows.blind_spots] == [at(48)]


def test_cameras_without_facts_are_blank() -> None:
    assert CameraFacts().node_name == {}


@pytest.mark.parametrize(
    ("state", "answers", "faults", "view"),
    [
        (State.ONLINE, True, set(), ViewState.SEEING),
        (State.DEGRADED, True, {FaultCause.CLOCK}, ViewState.SEEING),
        (State.DEGRADED, True, {FaultCause.PICTURE, FaultCause.TLS}, ViewState.UNVERIFIED),
        (State.MAINTENANCE, True, set(), ViewState.SEEING),
        (State.MAINTENANCE, False, set(), ViewState.NOT_SEEING),
        (State.UNKNOWN, True, {FaultCause.STREAM}, ViewState.UNKNOWN),
        (State.OFFLINE, False, set(), ViewState.NOT_SEEING),
    ],
)
def test_what_the_state_of_a_channel_means_for_its_view(
    state: State, answers: bool, faults: set[FaultCause], view: ViewState
) -> None:
    assert view_state(state, faults, answers=answers) is view
