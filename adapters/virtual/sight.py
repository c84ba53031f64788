"""Who sees which place, by brute force from the archive files: every camera against every listed point.

Shares no code with the service's coverage. Rules of docs/design/coverage.md: a wedge around the azimuth,
as far as a metre still has the pixels that the place asks for, cut by buildings. What lies within a hair
of a border is not decided: such a camera *may* see the place, and the comparison leaves the place alone.
"""

import csv
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from adapters.virtual import plane
from gateway.domain.camera import ChannelId
from gateway.resources import data_dir

EDITION = "2015"
_WIDE_DEG = 120.0
_ANGLE_HAIR_DEG, _LENGTH_HAIR, _WALL_HAIR_M, _NEAR_M = 1.5, 0.02, 0.6, 0.7
_OWN_BUILDING_M = 1.0
_CIRCLE_DEG = 360.0


@dataclass(frozen=True, slots=True)
class Viewers:
    """Who sees one place: surely, and at most."""

    surely: frozenset[ChannelId]
    maybe: frozenset[ChannelId]

    @property
    def clear(self) -> bool:
        """Somebody sees it, and there is no doubt about anybody."""
        return bool(self.surely) and self.surely == self.maybe


@dataclass(frozen=True, slots=True)
class _Camera:
    id: ChannelId
    at: tuple[float, float]
    azimuth_deg: float
    field_deg: float
    distance_m: float
    width_px: float

    def range_m(self, px_per_m: float) -> float:
        angle = math.radians(self.field_deg)
        flat = 2 * math.tan(angle / 2) if self.field_deg <= _WIDE_DEG else angle
        return min(self.distance_m, self.width_px / (px_per_m * flat))


def viewers(archive: Mapping[str, str]) -> dict[str, Viewers]:
    """The viewers of each listed *point*; lines and areas are left out.

    Args:
        archive: paths of `cameras`, `places` and `footprints`, as `write_archive` names them.

    Raises:
        ValueError: a camera of the archive has no whole view.
    """
    cameras = _cameras(Path(archive["cameras"]))
    densities = _densities()
    walls = _walls(Path(archive["footprints"]))
    tree = shapely.STRtree(walls)
    places = _points(Path(archive["places"]))
    at = np.array([camera.at for camera in cameras])
    found: dict[str, Viewers] = {}
    for place, kind, point in places:
        near = np.flatnonzero(np.hypot(*(at - np.array(point)).T) < _farthest(cameras))
        surely, maybe = set(), set()
        for index in near.tolist():
            camera = cameras[index]
            sees = _sees(camera, point, densities[kind], walls, tree)
            if sees is not False:
                maybe.add(camera.id)
            if sees:
                surely.add(camera.id)
        found[place] = Viewers(frozenset(surely), frozenset(maybe))
    return found


def _farthest(cameras: Sequence[_Camera]) -> float:
    return max(camera.distance_m for camera in cameras) * (1 + _LENGTH_HAIR) + _NEAR_M


def _sees(
    camera: _Camera,
    point: tuple[float, float],
    px_per_m: float,
    walls: Any,  # noqa: ANN401 - an array of shapes
    tree: shapely.STRtree,
) -> bool | None:
    """True, False, or None within a hair of a border."""
    distance = math.dist(camera.at, point)
    most = camera.range_m(px_per_m)
    hair = _LENGTH_HAIR * most + _NEAR_M
    if distance > most + hair:
        return False
    off = abs((plane.bearing_deg(camera.at, point) - camera.azimuth_deg + 180) % _CIRCLE_DEG - 180)
    half = camera.field_deg / 2
    if off > half + _ANGLE_HAIR_DEG and distance > _NEAR_M:
        return False
    doubt = distance > most - hair or off > half - _ANGLE_HAIR_DEG or distance < _NEAR_M
    line = shapely.LineString([camera.at, point])
    for index in tree.query(line, "dwithin", distance=_WALL_HAIR_M).tolist():
        wall = walls[index]
        if shapely.distance(wall, shapely.Point(camera.at)) <= _OWN_BUILDING_M:
            doubt = True  # it hangs on this building, perhaps
        elif shapely.intersects(shapely.buffer(wall, -_WALL_HAIR_M), line):
            return False
        else:
            doubt = True
    return None if doubt else True


def _cameras(path: Path) -> list[_Camera]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["in_use"] == "1" and row["longitude"]]
    degrees = np.array([(float(row["longitude"]), float(row["latitude"])) for row in rows])
    return [
        _Camera(
            ChannelId(row["device_id"]),
            (x, y),
            float(row["azimuth"]),
            float(row["horizontal_field_angle"]),
            float(row["max_view_distance"]),
            float(row["resolution"].partition("*")[0]),
        )
        for row, (x, y) in zip(rows, plane.to_metres(degrees).tolist(), strict=True)
    ]


def _points(path: Path) -> list[tuple[str, str, tuple[float, float]]]:
    features = [f for f in _features(path) if f["geometry"]["type"] == "Point"]
    degrees = np.array([feature["geometry"]["coordinates"] for feature in features])
    return [
        (feature["properties"]["id"], feature["properties"]["kind"], (x, y))
        for feature, (x, y) in zip(features, plane.to_metres(degrees).tolist(), strict=True)
    ]


def _walls(path: Path) -> Any:  # noqa: ANN401 - an array of shapes
    rings = [np.array(f["geometry"]["coordinates"][0]) for f in _features(path)]
    return np.array([shapely.Polygon(plane.to_metres(ring)) for ring in rings], dtype=object)


def _features(path: Path) -> Iterable[Any]:
    features: Iterable[Any] = json.loads(path.read_text(encoding="utf-8"))["features"]
    return features


def _densities() -> dict[str, float]:
    """Pixels a metre that each kind of place asks for."""
    ladder = _table("pixel_density.toml")["editions"][EDITION]["steps"]
    kinds = _table("place_kinds.toml")["kinds"]
    return {name: float(ladder[kind["level"]]) for name, kind in kinds.items()}


def _table(name: str) -> Any:  # noqa: ANN401 - parsed TOML
    return tomllib.loads((data_dir("config") / name).read_text(encoding="utf-8"))
