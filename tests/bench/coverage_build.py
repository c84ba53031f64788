"""What the coverage model of the whole district takes: CPU seconds by part, and memory.

`python tests/bench/coverage_build.py [CAMERAS]` measures in this process and prints. The district is made up
here and has the proportions of the real one: 12,328 cameras, 55 % of them in a core of 12 x 12 km,
25 % in 19 towns, the rest in 404 villages; field angles of 40 to 110 degrees, ranges of 20 to 150 m;
3,641 cells, 40,000 buildings that do not overlap in the core, 50,000 listed places, half of them near a
camera. A tenth of the archive fields is missing.
"""

import gc
import json
import pickle
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import shapely

from gateway.coverage_config import load_optics
from gateway.domain.camera import Camera, ChannelId, DeviceId, DivisionCode, GridCell, GridId
from gateway.domain.coverage.bounds import coverage_bounds, covered_m2
from gateway.domain.coverage.build import build_model, make_scene, model_of
from gateway.domain.coverage.model import Floats
from gateway.domain.coverage.place import Footprint, Place, PlaceId, PlaceList
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.survey import survey_order

T = TypeVar("T")
FULL, CELLS, BUILDINGS, PLACES = 12_328, 3_641, 40_000, 50_000
CORE_M, DISTRICT_M = 12_000.0, 83_500.0
TOWNS, VILLAGES = 19, 404
FIELD_DEG, RANGE_M = (40, 110), (20, 150)
CODES = "46153728"
"""`direction_type` by eighths of the circle, clockwise from north."""


def spots(rng: np.random.Generator, count: int, times: float = 1.0) -> Floats:
    """Where cameras stand and places lie: core, towns, villages; `times` as much land and as many of them."""
    core_m, district_m = CORE_M * times**0.5, DISTRICT_M * times**0.5
    found = [rng.uniform(-core_m / 2, core_m / 2, (round(count * 0.55), 2))]
    towns, villages = max(1, round(TOWNS * times)), max(1, round(VILLAGES * times))
    for number, middles, spread_m in (
        (round(count * 0.25), towns, 500.0),
        (count - round(count * 0.55) - round(count * 0.25), villages, 250.0),
    ):
        middle = rng.uniform(-district_m / 2, district_m / 2, (middles, 2))
        found.append(rng.normal(middle[rng.integers(0, middles, number)], spread_m))
    xy: Floats = np.concatenate(found)
    return xy


def cameras(rng: np.random.Generator, at: Floats) -> Iterator[Camera]:
    """An archive with holes."""
    for number, (lon, lat) in enumerate(DISTRICT.to_lonlat(at).tolist()):
        field, distance = int(rng.integers(*FIELD_DEG)), int(rng.integers(*RANGE_M))
        degrees = float(rng.uniform(0, 360))
        fields = {
            "ptz_type": "1" if rng.random() < 0.15 else "3",
            "azimuth": f"{degrees:.1f}",
            "direction_type": CODES[int((degrees + 22.5) // 45) % 8],
            "horizontal_field_angle": str(field),
            "max_view_distance": str(distance),
            "resolution": "3840*2160",
        }
        kept = {key: text for key, text in fields.items() if rng.random() >= 0.1}
        code = f"61080200001320{number:06d}"
        yield Camera(
            ChannelId(code), DeviceId(code), code, model=f"M{field // 10}",
            longitude=lon, latitude=lat, archive=kept,
        )  # fmt: skip


def cells(rng: np.random.Generator, count: int, times: float = 1.0) -> Iterator[GridCell]:
    """The areas nearest to as many middles: small in the core, large in the dunes."""
    middles = shapely.multipoints(spots(rng, count, times))
    half_m = DISTRICT_M * times**0.5 / 2
    edge = shapely.box(-half_m, -half_m, half_m, half_m)
    areas = shapely.get_parts(shapely.voronoi_polygons(middles, extend_to=edge))
    for number, area in enumerate(shapely.intersection(areas, edge)):
        rings = (tuple(tuple(at) for at in DISTRICT.to_lonlat(area.exterior.coords).tolist()),)
        yield GridCell(GridId(f"g{number}"), "", DivisionCode("610802001001"), (rings,))


def buildings(rng: np.random.Generator, count: int, times: float = 1.0) -> Iterator[Footprint]:
    """Turned rectangles on a jittered lattice of the core: none touches another."""
    across = int(np.sqrt(count))
    core_m = CORE_M * times**0.5
    block = core_m / across
    at = np.stack(np.meshgrid(np.arange(across), np.arange(across)), -1).reshape(-1, 2)
    middle = (at + 0.5) * block - core_m / 2 + rng.uniform(-0.1, 0.1, at.shape) * block
    half = rng.uniform(0.1, 0.27, at.shape) * block
    turn = rng.uniform(0, np.pi / 2, len(at))
    corners = half[:, None, :] * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    x = corners[..., 0] * cos - corners[..., 1] * sin + middle[:, :1]
    y = corners[..., 0] * sin + corners[..., 1] * cos + middle[:, 1:]
    rings = DISTRICT.to_lonlat(np.stack((x, y), -1).reshape(-1, 2)).reshape(len(at), 5, 2)
    for number, ring in enumerate(rings.tolist()):
        yield Footprint(f"b{number}", {"type": "Polygon", "coordinates": [ring]})


def places(
    rng: np.random.Generator, count: int, stands: Floats, times: float = 1.0
) -> Iterator[Place]:
    """Points of all weights, half of them near a camera; a fifth must be observed."""
    near = rng.normal(stands[rng.integers(0, len(stands), count // 2)], 40.0)
    xy = np.concatenate((near, spots(rng, count - count // 2, times)))
    for number, at in enumerate(DISTRICT.to_lonlat(xy).tolist()):
        kind = "school" if number % 5 == 0 else "road"
        geometry = {"type": "Point", "coordinates": at}
        yield Place(PlaceId(f"p{number}"), "", kind, geometry, float(rng.integers(1, 4)))


def _timed(seconds: dict[str, float], part: str, work: Callable[[], T]) -> T:
    start = time.process_time()
    found = work()
    seconds[part] = round(time.process_time() - start, 3)
    return found


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(count: int = FULL, seed: int = 1) -> dict[str, Any]:
    """CPU seconds and memory.

    Returns:
        `build_cpu_s`: `build_model` from rows; `cpu_s` of its parts and of what follows from it;
        `build_mb`: how much the highest resident memory rose by a build; `pickle_mb`; and what was
        built, so that figures of different models are not compared.
    """
    rng = np.random.default_rng(seed)
    fleet, grids, told = _rows(rng, count, 1.0)
    optics = load_optics()
    DISTRICT.to_xy(np.zeros((1, 2)))  # PROJ reads its tables once a process
    gc.collect()
    before_mb = _current_mb()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    seconds: dict[str, float] = {}
    model = _timed(seconds, "build", lambda: build_model(fleet, grids, told, optics))
    build_mb = _high_mb() - before_mb
    scene = _timed(seconds, "read and project", lambda: make_scene(fleet, grids, told, optics))
    views = _timed(seconds, "line of sight", scene.area_views)
    _timed(seconds, "places seen", lambda: scene.sightings(views))
    _timed(seconds, "model of a scene", lambda: model_of(scene))
    _timed(seconds, "union by cell", lambda: covered_m2(model.views, model.cells))
    _timed(seconds, "bounds", lambda: coverage_bounds(scene))
    _timed(seconds, "survey order", lambda: survey_order(scene))
    parcel = _timed(seconds, "pickle", lambda: pickle.dumps(model, pickle.HIGHEST_PROTOCOL))
    seconds_of_one = dict(seconds)
    return {
        "cameras": len(model.channels),
        "cells": len(model.grids),
        "buildings": len(scene.obstacles.shapes),
        "points": len(model.point_xy),
        "sightings": len(model.sees.index),
        "neighbours_mean": round(len(model.neighbours.index) / len(model.channels), 2),
        "corners_mean": round(float(shapely.get_num_coordinates(model.views).mean()), 1),
        "build_cpu_s": seconds_of_one.pop("build"),
        "cpu_s": seconds_of_one,
        "build_mb": round(build_mb, 1),
        "pickle_mb": round(len(parcel) / 2**20, 1),
        "peak_rss_mb": round(_peak_mb(), 1),
    }


Rows = tuple[list[Camera], list[GridCell], PlaceList]


def _rows(rng: np.random.Generator, count: int, times: float) -> Rows:
    """An archive of so many cameras with the cells, places and buildings that belong to them."""
    share = count / FULL
    stands = spots(rng, count, times)
    fleet = list(cameras(rng, stands))
    grids = list(cells(rng, round(CELLS * share), times))
    told = PlaceList.of(
        places(rng, round(PLACES * share), stands, times),
        buildings(rng, round(BUILDINGS * share), times),
    )
    return fleet, grids, told


def growth(times: int = 10, seed: int = 1) -> dict[str, float]:
    """CPU seconds of a build of this district, and of `times` as much of everything, land included."""
    seconds: dict[str, float] = {}
    optics = load_optics()
    DISTRICT.to_xy(np.zeros((1, 2)))
    for size in (1, times):
        fleet, grids, told = _rows(np.random.default_rng(seed), FULL * size, float(size))
        _timed(seconds, f"build_{size}x_cpu_s", partial(build_model, fleet, grids, told, optics))
    ratio = seconds[f"build_{times}x_cpu_s"] / seconds["build_1x_cpu_s"] / times
    return {**seconds, "each_camera": round(ratio, 2)}


def _current_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _high_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    found: Mapping[str, str] = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(found["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(*map(int, sys.argv[1:2])), indent=1) + "\n")
