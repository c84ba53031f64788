"""The live ledger of coverage for 12,328 cameras and 50,000 places, on hand-made views of 21 corners.

Geometry of the archive and of footprints is another part's business: here a view is a ragged wedge of 80 m,
and the density is set by how many others it overlaps.
"""

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from fakes.small_model import district

from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.model import CoverageModel
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.recount import recount, snapshot
from gateway.domain.coverage.sight import Bounds, Cause, ViewChange
from gateway.domain.coverage.view import ViewState

CAMERAS, PLACES = 12_328, 50_000
T0 = datetime(2026, 1, 1, tzinfo=UTC)
SINGLES, STORM, TRANSITIONS = 4_000, 1_000, 100_000
DOWN_MOST = 0.02
"""Of the fleet, at a time, while single changes are measured."""


def new_state(model: CoverageModel) -> CoverageState:
    """Everything seen; shapes are told in degrees, as the service does."""
    return CoverageState(model, DISTRICT.shape_to_geojson)


def change(model: CoverageModel, camera: int, view: ViewState, second: float) -> ViewChange:
    """One change of a view."""
    down = view is ViewState.NOT_SEEING
    when = Bounds(T0 + timedelta(seconds=second - 30), T0 + timedelta(seconds=second))
    cause = Cause(f"o{camera}/{second}", "timeout", None, planned=False, confirmed_at=when.at)
    return ViewChange(model.channels[camera], view, down, when, cause if down else None)


def single_changes(model: CoverageModel, seed: int) -> dict[str, float]:
    """Milliseconds of one change at a time, to the rows."""
    chance, state = random.Random(seed), new_state(model)  # noqa: S311
    down: list[int] = []
    took: list[float] = []
    for second in range(SINGLES):
        back = len(down) > DOWN_MOST * len(model.channels) or (down and chance.random() < 0.4)
        camera = (
            down.pop(chance.randrange(len(down))) if back else chance.randrange(len(model.channels))
        )
        if not back:
            down.append(camera)
        one = change(model, camera, ViewState.SEEING if back else ViewState.NOT_SEEING, second)
        began = time.perf_counter()
        state.apply([one], one.when.at)
        took.append(1e3 * (time.perf_counter() - began))
    return {
        "mean_ms": float(np.mean(took)),
        "p50_ms": float(np.quantile(took, 0.5)),
        "p99_ms": float(np.quantile(took, 0.99)),
    }


def storm(model: CoverageModel) -> dict[str, float]:
    """Seconds until the rows of 1,000 outages that come in one batch, and in batches of 20."""
    cameras = random.Random(7).sample(range(len(model.channels)), STORM)  # noqa: S311
    changes = [change(model, camera, ViewState.NOT_SEEING, 0.0) for camera in cameras]
    found = {}
    for name, size in (("one_batch_s", STORM), ("batches_of_20_s", 20)):
        state = new_state(model)
        began = time.perf_counter()
        for first in range(0, STORM, size):
            state.apply(changes[first : first + size], T0)
        found[name] = time.perf_counter() - began
    return found


def everybody(model: CoverageModel) -> dict[str, float]:
    """Seconds until the whole fleet is unknown, and seen again: the gateway went blind."""
    state, found = new_state(model), {}
    for name, view in (("unknown_s", ViewState.UNKNOWN), ("seen_again_s", ViewState.SEEING)):
        changes = [change(model, camera, view, 1.0) for camera in range(len(model.channels))]
        began = time.perf_counter()
        state.apply(changes, T0)
        found[name] = time.perf_counter() - began
    return found


def random_walk(model: CoverageModel) -> dict[str, float]:
    """100,000 random transitions among all states of a view, then a recount."""
    chance, state = random.Random(3), new_state(model)  # noqa: S311
    views = list(ViewState)
    began = time.perf_counter()
    for second in range(TRANSITIONS):
        camera = chance.randrange(len(model.channels))
        one = change(model, camera, chance.choice(views), second)
        state.apply([one], one.when.at)
    walked = time.perf_counter() - began
    began = time.perf_counter()
    difference = recount(snapshot(state))
    return {
        "mean_ms": 1e3 * walked / TRANSITIONS,
        "recount_s": time.perf_counter() - began,
        "wrong_counts": difference.points + difference.places + difference.rows,
        "area_drift_m2": difference.area_m2,
        "weight_drift": abs(difference.weight),
    }


def run() -> dict[str, Any]:
    """All of it."""
    sparse = district(CAMERAS, 1.4, points=PLACES)
    dense = district(CAMERAS, 20.0, points=PLACES)
    return {
        "neighbours": float(np.diff(sparse.neighbours.start).mean()),
        "neighbours_dense": float(np.diff(dense.neighbours.start).mean()),
        "single": single_changes(sparse, 1),
        "single_dense": single_changes(dense, 2),
        "storm": storm(sparse),
        "everybody": everybody(sparse),
        "walk": random_walk(sparse),
    }


def growth(times: int = 10) -> dict[str, Any]:
    """One change at a time in this fleet and in one `times` as large, as dense: flat is good."""
    sizes = {size: district(CAMERAS * size, 1.4, points=PLACES * size) for size in (1, times)}
    found = {size: single_changes(model, 1) for size, model in sizes.items()}
    ratio = found[times]["p50_ms"] / found[1]["p50_ms"]
    return {**{f"single_{size}x": one for size, one in found.items()}, "ratio": round(ratio, 2)}
