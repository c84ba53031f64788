"""Who sees what, by brute force from the archive files: every camera against every point.

Shares no code with the service's coverage. Rules of docs/design/coverage.md: a wedge around the azimuth,
as far as a metre still has the pixels that the place asks for, cut by buildings. What lies within a hair
of a border is not decided: such a camera *may* see the place, and the comparison leaves the place alone.
"""

import csv
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from adapters.virtual import plane
from adapters.virtual.plane import Points
from gateway.domain.camera import ChannelId
from gateway.resources import data_dir

EDITION = "2015"
_WIDE_DEG = 120.0
_ANGLE_HAIR_DEG, _LENGTH_HAIR, _WALL_HAIR_M, _NEAR_M = 1.5, 0.02, 0.6, 0.7
_OWN_BUILDING_M = 1.0
_CIRCLE_DEG = 360.0
GROUND_STEP_M = 3.0
_ALONG = (0.3, 0.5, 0.7, 0.9)
"""Where along its axis a camera is asked what it sees, parts of its range."""


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


class Sight:
    """All cameras of an archive and the buildings in between.

    Args:
        archive: paths of `cameras`, `places` and `footprints`, as `write_archive` names them.

    Raises:
        ValueError: a camera of the archive has no whole view.
    """

    def __init__(self, archive: Mapping[str, str]) -> None:
        self._places = Path(archive["places"])
        self._cameras = _cameras(Path(archive["cameras"]))
        self._walls = _walls(Path(archive["footprints"]))
        self._tree = shapely.STRtree(self._walls)
        self._at = np.array([camera.at for camera in self._cameras])
        farthest = max(camera.distance_m for camera in self._cameras)
        self._farthest_m = farthest * (1 + _LENGTH_HAIR) + _NEAR_M
        self._by_id = {camera.id: camera for camera in self._cameras}
        self.at = {camera.id: camera.at for camera in self._cameras}

    def viewers(self) -> dict[str, Viewers]:
        """The viewers of each listed *point*; lines and areas are left out."""
        densities = _densities()
        points = _points(self._places)
        return {place: self.of_point(at, densities[kind]) for place, kind, at in points}

    def of_point(self, point: tuple[float, float], px_per_m: float) -> Viewers:
        """Who sees a point of the plane at a density."""
        near = np.flatnonzero(np.hypot(*(self._at - np.array(point)).T) < self._farthest_m)
        surely, maybe = set(), set()
        for index in near.tolist():
            camera = self._cameras[index]
            sees = _sees(camera, point, px_per_m, self._walls, self._tree)
            if sees is not False:
                maybe.add(camera.id)
            if sees:
                surely.add(camera.id)
        return Viewers(frozenset(surely), frozenset(maybe))

    def is_alone(self, channel: ChannelId, px_per_m: float) -> bool:
        """It sees some ground along its axis for sure that no other camera may see."""
        camera = self._by_id.get(channel)
        if camera is None:
            return False
        reach = camera.range_m(px_per_m)
        axis = [plane.along(camera.at, camera.azimuth_deg, part * reach) for part in _ALONG]
        return any(
            seen.surely == seen.maybe == {channel}
            for seen in (self.of_point(point, px_per_m) for point in axis)
        )

    def ground(self, channel: ChannelId, px_per_m: float) -> tuple[Points, Points]:
        """Points of the ground that a camera sees for sure, and those that it may see.

        They lie `GROUND_STEP_M` apart.
        """
        camera = self._by_id[channel]
        reach = camera.range_m(px_per_m) * (1 + _LENGTH_HAIR) + _NEAR_M
        steps = np.arange(-reach, reach + GROUND_STEP_M, GROUND_STEP_M)
        surely, maybe = [], [camera.at]
        for x in (camera.at[0] + steps).tolist():
            for y in (camera.at[1] + steps).tolist():
                sees = _sees(camera, (x, y), px_per_m, self._walls, self._tree)
                if sees is not False:
                    maybe.append((x, y))
                if sees:
                    surely.append((x, y))
        return np.array(surely).reshape(-1, 2), np.array(maybe)


def area_density() -> float:
    """Pixels a metre at which a square metre of ground counts as seen."""
    edition = _table("pixel_density.toml")["editions"][EDITION]
    return float(edition["steps"][edition["area_level"]])


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
