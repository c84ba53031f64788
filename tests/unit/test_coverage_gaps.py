"""What the figures must not hide: area that nobody watches, and parts of places that nobody sees."""

from datetime import UTC, datetime

import pytest
from fakes.small_model import geojson, model_of
from shapely.geometry import box

from gateway.domain.coverage.figures import CoverageBy, Divided, PlaceFacts, by, designed_area
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.sight import Bounds, Cause, ViewChange
from gateway.domain.coverage.view import ViewState

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
