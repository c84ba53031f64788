"""Where cameras stand: poles along synthetic streets, village roads and trunk roads.

Every village gets more poles than it needs, each with the direction of its road and its setting;
poles that fall outside the village's own grid cells are dropped. Cameras then take the poles in the
order in which a real programme would have built them: entrances and squares first, lanes last.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from random import Random

import numpy as np

from adapters.virtual import plane
from adapters.virtual.geography import CITY_TILT_DEG, Geography, VillageLand
from gateway.domain.camera import DivisionCode

Point = tuple[float, float]
_CITY_EDGE_M = 6000.0
"""Inside, trunk roads are streets of the lattice."""


class Setting(StrEnum):
    """What a pole stands at."""

    ENTRANCE = "entrance"
    SQUARE = "square"
    JUNCTION = "junction"
    SCHOOL = "school"
    STREET = "street"
    HAMLET = "hamlet"
    TRUNK = "trunk"


_RANK: Mapping[Setting, float] = {
    Setting.ENTRANCE: 0.0,
    Setting.SQUARE: 0.1,
    Setting.SCHOOL: 0.3,
    Setting.JUNCTION: 0.4,
    Setting.TRUNK: 0.6,
    Setting.STREET: 0.7,
    Setting.HAMLET: 0.7,
}
"""When a pole is built: the lower the sooner, mixed by a random part of up to one."""


@dataclass(frozen=True, slots=True)
class Pole:
    """One pole (立杆); `bearing_deg` is the direction of its road."""

    position: Point
    """Metres on the plane."""
    bearing_deg: float
    setting: Setting
    road: str


@dataclass(frozen=True, slots=True)
class Stand:
    """A pole with its published position and the grid cell it stands in."""

    pole: Pole
    longitude: float
    latitude: float
    cell: int
    """Index into `Geography.cells`."""


@dataclass(frozen=True, slots=True)
class Road:
    """A named road as a line on the plane, for the list of places."""

    name: str
    line: tuple[Point, ...]


@dataclass(frozen=True)
class Streets:
    """All poles of a district by village, best first, and the named roads between them."""

    stands: Mapping[DivisionCode, Sequence[Stand]]
    roads: tuple[Road, ...]


def build_streets(seed: int, land: Geography) -> Streets:
    """Lay the roads of a district and set poles along them."""
    rng = Random(f"{seed}:streets")
    lattice, roads = _city_lattice(rng)
    trunks = _trunk_roads(rng, land)
    poles = lattice + [pole for road in trunks for pole in _trunk_poles(road)]
    for village in land.villages.values():
        if not village.urban:
            poles += _village_poles(rng, village, land.seats[village.township])
        poles += _hamlet_poles(rng, village)
    return Streets(_sort_by_village(rng, land, poles), tuple(roads + trunks))


def _sort_by_village(
    rng: Random, land: Geography, poles: Sequence[Pole]
) -> dict[DivisionCode, list[Stand]]:
    degrees = plane.to_degrees(np.array([pole.position for pole in poles]))
    cells = land.cell_of(degrees)
    ranked: dict[DivisionCode, list[tuple[float, Stand]]] = defaultdict(list)
    for pole, (lon, lat), cell in zip(poles, degrees.tolist(), cells, strict=True):
        if cell >= 0:
            stand = Stand(pole, lon, lat, cell)
            ranked[land.cells[cell].village].append((_RANK[pole.setting] + rng.random(), stand))
    return {
        village: [stand for _, stand in sorted(rows, key=lambda row: row[0])]
        for village, rows in ranked.items()
    }


def _city_lattice(rng: Random) -> tuple[list[Pole], list[Road]]:
    """Streets of the city: a tilted lattice, poles at junctions and twice between them."""
    reach = 8400.0
    lines: dict[bool, list[float]] = {}
    for eastward in (False, True):
        offsets = [-reach]
        while offsets[-1] < reach:
            offsets.append(offsets[-1] + rng.uniform(230, 420))
        lines[eastward] = offsets
    poles: list[Pole] = []
    roads: list[Road] = []
    for eastward, prefix in ((False, "经"), (True, "纬")):
        bearing = CITY_TILT_DEG + (90.0 if eastward else 0.0)
        for number, offset in enumerate(lines[eastward], start=1):
            name = f"{prefix}{number}路"
            crossings = [(at, offset) if eastward else (offset, at) for at in lines[not eastward]]
            roads.append(Road(name, tuple(_tilt(point) for point in crossings)))
            for here, there in pairwise(crossings):
                if eastward:  # each junction once
                    poles.append(Pole(_tilt(here), bearing, Setting.JUNCTION, name))
                for share in (0.33, 0.67):
                    at = tuple(a + share * (b - a) for a, b in zip(here, there, strict=True))
                    poles.append(Pole(_tilt((at[0], at[1])), bearing, Setting.STREET, name))
    return poles, roads


def _tilt(point: Point) -> Point:
    angle = math.radians(CITY_TILT_DEG)
    east, north = point
    return (
        east * math.cos(angle) + north * math.sin(angle),
        north * math.cos(angle) - east * math.sin(angle),
    )


def _trunk_roads(rng: Random, land: Geography) -> list[Road]:
    """From each town seat to the nearest one closer to the city, or to the city's edge."""
    seats = {code: at for code, at in land.seats.items() if code[6:9] >= "100"}
    names = {v.township: v.name for v in land.villages.values() if v.seat}
    roads = []
    goal: Point
    for code, at in seats.items():
        own = math.hypot(*at)
        nearer = [(c, p) for c, p in seats.items() if math.hypot(*p) < own - 1000]
        goal_name, goal = "城区", (0.0, 0.0)
        if nearer:
            next_code, next_seat = min(nearer, key=lambda row: math.dist(at, row[1]))
            if math.dist(at, next_seat) <= own * 0.85:
                goal_name, goal = names[next_code], next_seat
        line = [at, goal]
        for bend in (0.12, 0.09, 0.06):
            line = _bent(rng, line, bend)
        roads.append(Road(f"{goal_name}—{names[code]}公路", tuple(line)))
    return roads


def _bent(rng: Random, line: Sequence[Point], bend: float) -> list[Point]:
    """The line with each middle moved sideways by up to `bend` of its length."""
    finer = [line[0]]
    for (ax, ay), (bx, by) in pairwise(line):
        shift = rng.uniform(-bend, bend)
        finer += [((ax + bx) / 2 - shift * (by - ay), (ay + by) / 2 + shift * (bx - ax)), (bx, by)]
    return finer


def _trunk_poles(road: Road, every_m: float = 700.0) -> list[Pole]:
    """Poles along a trunk road outside the city."""
    poles = []
    for start, end in pairwise(road.line):
        length = math.dist(start, end)
        bearing = plane.bearing_deg(start, end)
        for step in range(int(length // every_m)):
            at = plane.along(start, bearing, (step + 0.5) * every_m)
            if math.hypot(*at) > _CITY_EDGE_M:
                poles.append(Pole(at, bearing, Setting.TRUNK, road.name))
    return poles


def _village_poles(rng: Random, village: VillageLand, seat: Point) -> list[Pole]:
    """A main street towards the town seat with side lanes, entrances at both ends, a square."""
    middle = village.hamlets[0]
    bearing = plane.bearing_deg(middle, seat) if middle != seat else rng.uniform(0, 360)
    street = f"{village.name}主街"
    half = rng.uniform(420, 620) if village.seat else rng.uniform(180, 340)
    step = 85.0 if village.seat else 60.0
    poles = [
        Pole(plane.along(middle, bearing, 18.0), bearing, Setting.SQUARE, street),
        Pole(plane.along(middle, bearing + 90, 70.0), bearing, Setting.SCHOOL, street),
        Pole(plane.along(middle, bearing, half + 40), bearing, Setting.ENTRANCE, street),
        Pole(plane.along(middle, bearing + 180, half + 40), bearing, Setting.ENTRANCE, street),
    ]
    lanes = 0
    for index in range(-int(half / step), int(half / step) + 1):
        at = plane.along(middle, bearing, index * step)
        crossing = index % (1 if village.seat else 2) == 0
        poles.append(Pole(at, bearing, Setting.JUNCTION if crossing else Setting.STREET, street))
        if crossing:
            lanes += 1
            for side in (90, -90):
                for depth in range(1, 5 if village.seat else 3):
                    lane_end = plane.along(at, bearing + side, depth * step)
                    lane = f"{village.name}{lanes}巷"
                    poles.append(Pole(lane_end, bearing + 90, Setting.STREET, lane))
    return poles


def _hamlet_poles(rng: Random, village: VillageLand) -> list[Pole]:
    """A few poles in the middle of every grid cell, so that no cell is without a place for one."""
    poles = []
    for serial, middle in enumerate(village.hamlets, start=1):
        bearing = rng.uniform(0, 180)
        lane = f"{village.name}第{serial}组"
        reach = 22.0 if village.urban else 45.0
        offsets = (0.0,) if village.urban else (-1.5, -0.5, 0.5, 1.5)
        poles += [
            Pole(plane.along(middle, bearing, offset * reach), bearing, Setting.HAMLET, lane)
            for offset in offsets
        ]
    return poles
