"""Synthetic land: township, village and grid shapes under real names.

No open boundaries of the townships and villages exist, so all of it is made up: an outline that
only resembles the district, the city with its 12 streets as a small oval in the middle, 19 towns
around it with their seats about where they lie on a map of the province. Grid cells are cut first
(a Voronoi diagram of 3,641 points); a village is the union of its cells, a township the union of
its villages, so that each level partitions the one above.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from adapters.virtual import plane
from adapters.virtual.names import is_community, is_street, spoken, stem, townships, villages
from adapters.virtual.plane import Points
from gateway.domain.camera import Division, DivisionCode, GridCell, GridId

Point = tuple[float, float]
GRID_COUNT = 3641
CITY_TILT_DEG = 14.0
"""How far the city's lattice of streets is turned clockwise from north."""

_OUTLINE_DEG = (
    (109.24, 38.60), (109.42, 38.74), (109.58, 38.86), (109.76, 38.89), (109.90, 38.76),
    (110.02, 38.60), (110.20, 38.62), (110.37, 38.52), (110.34, 38.34), (110.19, 38.24),
    (110.12, 38.12), (110.27, 38.00), (110.21, 37.92), (110.00, 37.92), (109.82, 37.93),
    (109.73, 38.06), (109.56, 38.10), (109.40, 38.02), (109.22, 37.98), (109.08, 38.10),
    (109.03, 38.30), (109.09, 38.46),
)  # fmt: skip
_TOWN_SEATS_DEG: Mapping[str, Point] = {
    "610802100": (109.87, 38.03), "610802101": (110.06, 38.02), "610802102": (110.15, 37.95),
    "610802105": (110.03, 38.42), "610802106": (109.80, 38.43), "610802107": (109.93, 38.52),
    "610802108": (109.44, 38.60), "610802109": (109.33, 38.36), "610802111": (109.95, 38.07),
    "610802112": (109.87, 38.21), "610802113": (109.99, 38.18), "610802114": (110.20, 38.43),
    "610802115": (109.57, 38.43), "610802116": (109.55, 38.23), "610802205": (109.79, 38.62),
    "610802206": (109.67, 38.76), "610802207": (109.56, 38.56), "610802208": (109.14, 38.31),
    "610802209": (109.28, 38.13),
}  # fmt: skip
_STREET_SEATS_M: Mapping[str, Point] = {
    "610802001": (900, 700), "610802002": (700, -900), "610802003": (-900, 800),
    "610802004": (-800, -800), "610802005": (2600, 2900), "610802006": (-2900, -1300),
    "610802007": (300, 4000), "610802008": (-2900, 2900), "610802009": (-2300, -3700),
    "610802010": (1100, -4300), "610802011": (-3500, 600), "610802012": (3200, -600),
}  # fmt: skip
_CITY_RADIUS_M = (4700.0, 6000.0)
_POOL_PER_CELL, _LEAST_POOL_PER_CELL = 16, 8
"""Random points a grid cell: on average, and in the most crowded township."""
_VILLAGE_WEIGHT, _COMMUNITY_WEIGHT = 7.9, 11.5


@dataclass(frozen=True, slots=True)
class VillageLand:
    """One village or community on the plane (metres)."""

    code: DivisionCode
    name: str
    township: DivisionCode
    urban: bool
    """In one of the 12 streets of the city."""
    seat: bool
    """Holds the seat of its town."""
    hamlets: tuple[Point, ...]
    """The middle of each of its grid cells, the village's nucleus first."""


@dataclass(frozen=True)
class Geography:
    """The land of one seed; the same for every number of cameras."""

    villages: Mapping[DivisionCode, VillageLand]
    seats: Mapping[DivisionCode, Point]
    """The middle of each street, the seat of each town, metres."""
    cells: tuple[GridCell, ...]
    shapes: tuple[BaseGeometry, ...]
    """The polygons of `cells`, degrees as published."""

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.shapes)

    def cell_of(self, degrees: Points) -> list[int]:
        """The index of the cell that contains each point; -1 outside the district."""
        found = np.full(len(degrees), -1, dtype=np.int64)
        points, cells = self._tree.query(shapely.points(degrees), predicate="intersects")
        # The first cell wins for a point exactly on a shared edge.
        found[points[::-1]] = cells[::-1]
        return [int(index) for index in found]


def build_geography(seed: int, divisions: tuple[Division, ...]) -> Geography:
    """Draw the district; takes about half a second."""
    rng = Random(f"{seed}:geography")
    outline = _outline(rng)
    city = _city(rng)
    counts = _cells_per_village(rng, divisions)
    land: dict[DivisionCode, VillageLand] = {}
    seats: dict[DivisionCode, Point] = {}
    areas = {True: city, False: shapely.difference(outline, city)}
    pools = _pools(rng, areas, divisions, counts)
    members = defaultdict(list)
    for village in villages(divisions):
        members[village.code[:9]].append(village)
    for township in townships(divisions):
        seats[township.code] = _seat(township.code)
        pool, area = pools[township.code], areas[is_street(township.code)]
        for one in _settle(rng, township, members[township.code], pool, counts, area):
            land[one.code] = one
            if one.seat:
                seats[township.code] = one.hamlets[0]
    ordered = [land[village.code] for village in villages(divisions)]
    towns = [v for v in ordered if not v.urban]
    streets = [v for v in ordered if v.urban]
    shapes = _cut(streets, areas[True]) | _cut(towns, areas[False])
    cells = [cell for village in ordered for cell in _number(village, shapes[village.code])]
    return Geography(land, seats, tuple(c for c, _ in cells), tuple(s for _, s in cells))


def _seat(code: str) -> Point:
    if code in _STREET_SEATS_M:
        return _STREET_SEATS_M[code]
    east, north = plane.to_metres(np.array([_TOWN_SEATS_DEG[code]]))[0]
    return float(east), float(north)


def _roughened(rng: Random, line: list[Point], rounds: int, bend: float) -> BaseGeometry:
    """A closed line as an area, its edges broken by displacing midpoints again and again."""
    for _ in range(rounds):
        finer: list[Point] = []
        for (ax, ay), (bx, by) in zip(line, line[1:] + line[:1], strict=True):
            shift = rng.uniform(-bend, bend)
            middle = ((ax + bx) / 2 - shift * (by - ay), (ay + by) / 2 + shift * (bx - ax))
            finer += [(ax, ay), middle]
        line = finer
    return shapely.make_valid(Polygon(line))


def _outline(rng: Random) -> BaseGeometry:
    corners = plane.to_metres(np.array(_OUTLINE_DEG)).tolist()
    return _roughened(rng, [(x, y) for x, y in corners], 5, 0.13)


def _city(rng: Random) -> BaseGeometry:
    """An oval around the centre with a waved edge."""
    phase = [rng.uniform(0, 2 * math.pi) for _ in range(4)]
    edge: list[Point] = []
    for step in range(24):
        angle = 2 * math.pi * step / 24
        wave = 1 + sum(0.04 * math.sin((n + 2) * angle + p) for n, p in enumerate(phase))
        east, north = _CITY_RADIUS_M
        edge.append((east * wave * math.cos(angle), north * wave * math.sin(angle)))
    return _roughened(rng, edge, 3, 0.15)


def share_out(total: int, weights: Sequence[float], least: int = 0) -> list[int]:
    """Split `total` by weight into whole numbers of at least `least` (largest remainders)."""
    spare = total - least * len(weights)
    if spare < 0:
        raise ValueError(f"{total} cannot give {len(weights)} parts {least} each")
    whole = sum(weights)
    exact = [spare * weight / whole for weight in weights]
    parts = [int(value) for value in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for index in by_remainder[: spare - sum(parts)]:
        parts[index] += 1
    return [least + part for part in parts]


def _cells_per_village(rng: Random, divisions: tuple[Division, ...]) -> dict[DivisionCode, int]:
    rows = villages(divisions)
    weights = [
        (_COMMUNITY_WEIGHT if is_community(row.name) else _VILLAGE_WEIGHT) * rng.uniform(0.7, 1.3)
        for row in rows
    ]
    shares = share_out(GRID_COUNT, weights, least=3)
    return {row.code: cells for row, cells in zip(rows, shares, strict=True)}


def _pools(
    rng: Random,
    areas: Mapping[bool, BaseGeometry],
    divisions: tuple[Division, ...],
    counts: Mapping[DivisionCode, int],
) -> dict[DivisionCode, Points]:
    """Random points of each township: those nearest to its seat, in the city or outside."""
    cells: dict[DivisionCode, int] = defaultdict(int)
    for village, count in counts.items():
        cells[DivisionCode(village[:9])] += count
    pools: dict[DivisionCode, Points] = {}
    for urban, area in areas.items():
        codes = [t.code for t in townships(divisions) if is_street(t.code) == urban]
        seats = np.array([_seat(code) for code in codes])
        batch = 4 * _POOL_PER_CELL * sum(cells[code] for code in codes)
        points = np.empty((0, 2))
        pools |= dict.fromkeys(codes, points)
        while any(len(pools[code]) < _LEAST_POOL_PER_CELL * cells[code] for code in codes):
            points = np.concatenate([points, _scatter(rng, area, batch)])
            owner = _nearest(points, seats)
            pools |= {code: points[owner == index] for index, code in enumerate(codes)}
    return pools


def _scatter(rng: Random, area: BaseGeometry, tries: int) -> Points:
    """The random points of an area's bounding box that fall into the area."""
    west, south, east, north = area.bounds
    unit = np.array([rng.random() for _ in range(tries)]).reshape(-1, 2)
    points: Points = unit * (east - west, north - south) + (west, south)
    inside = shapely.contains_xy(area, points[:, 0], points[:, 1])
    return points[inside]


def _nearest(points: Points, centres: Points) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The index of the nearest centre of each point."""
    gaps = (points[:, :1] - centres[:, 0]) ** 2
    gaps += (points[:, 1:] - centres[:, 1]) ** 2
    return np.asarray(gaps.argmin(axis=1), dtype=np.int64)


def _spread(rng: Random, pool: Points, count: int, rounds: int = 4) -> Points:
    """`count` middles spread over a pool of points (Lloyd's rounds, few: land is not regular)."""
    centres = pool[rng.sample(range(len(pool)), count)]
    for _ in range(rounds):
        owner = _nearest(pool, centres)
        members = np.bincount(owner, minlength=count)
        sums = np.stack([np.bincount(owner, pool[:, axis], count) for axis in (0, 1)], axis=1)
        filled = members > 0
        centres[filled] = sums[filled] / members[filled, None]
    return centres


def _inside(area: BaseGeometry, middles: Points, pool: Points) -> Points:
    """Middles that fell outside the area (it is not convex) move to the nearest point inside."""
    outside = ~shapely.contains_xy(area, middles[:, 0], middles[:, 1])
    middles[outside] = pool[_nearest(middles[outside], pool)]
    return middles


def _divide(
    rng: Random, pool: Points, rows: Sequence[Division], counts: Mapping[DivisionCode, int]
) -> list[Points]:
    """Part a pool of points among the villages of a township, in the order of `rows`.

    Villages with more cells get the parts with more land, but the seat of a town (the first row)
    gets the part nearest to where it lies. A division that gives a village fewer than two points a
    cell is drawn again.
    """
    seat = np.array([_seat(rows[0].code[:9])])
    while True:
        centres = _spread(rng, pool, len(rows))
        owner = _nearest(pool, centres)
        parts = sorted((pool[owner == part] for part in range(len(rows))), key=len, reverse=True)
        largest_first = sorted(rows, key=lambda row: -counts[row.code])
        shares = {row.code: part for row, part in zip(largest_first, parts, strict=True)}
        if not is_street(DivisionCode(rows[0].code[:9])):
            middles = np.array([part.mean(axis=0) for part in parts])
            near = largest_first[int(_nearest(seat, middles)[0])].code
            shares[rows[0].code], shares[near] = shares[near], shares[rows[0].code]
        if all(len(shares[row.code]) >= 2 * counts[row.code] for row in rows):
            return [shares[row.code] for row in rows]


def _settle(
    rng: Random,
    township: Division,
    members: Sequence[Division],
    pool: Points,
    counts: Mapping[DivisionCode, int],
    area: BaseGeometry,
) -> list[VillageLand]:
    """Give each village of a township its hamlets, one a grid cell."""
    urban = is_street(township.code)
    seat_row = next((r for r in members if stem(r.name) == stem(township.name)), members[0])
    rows = [seat_row, *(row for row in members if row is not seat_row)]
    found = []
    for row, part in zip(rows, _divide(rng, pool, rows, counts), strict=True):
        hamlets = _inside(area, _spread(rng, part, counts[row.code]), part)
        middle = hamlets.mean(axis=0)
        nearest_first = hamlets[((hamlets - middle) ** 2).sum(axis=1).argsort()]
        found.append(
            VillageLand(
                row.code,
                spoken(row.name),
                township.code,
                urban,
                not urban and row is seat_row,
                tuple((float(x), float(y)) for x, y in nearest_first),
            )
        )
    return found


def _cut(
    settled: Sequence[VillageLand], area: BaseGeometry
) -> dict[DivisionCode, list[BaseGeometry]]:
    """The Voronoi cells of all hamlets, cut to an area, by village."""
    hamlets = [hamlet for village in settled for hamlet in village.hamlets]
    diagram = shapely.voronoi_polygons(
        shapely.multipoints(hamlets), extend_to=area.envelope, ordered=True
    )
    raw = shapely.get_parts(diagram)
    shapely.prepare(area)
    edge = ~shapely.covers(area, raw)
    raw[edge] = shapely.intersection(raw[edge], area)
    lists = iter(raw)
    return {village.code: [next(lists) for _ in village.hamlets] for village in settled}


def _number(
    village: VillageLand, shapes: Sequence[BaseGeometry]
) -> list[tuple[GridCell, BaseGeometry]]:
    """Name a village's cells, numbered west to east, north to south (DB6101/T 3185)."""
    band_m = 400.0 if village.urban else 2500.0
    order = sorted(
        range(len(shapes)),
        key=lambda i: (-round(village.hamlets[i][1] / band_m), village.hamlets[i][0]),
    )
    cells = []
    for serial, index in enumerate(order, start=1):
        shape = shapely.transform(shapes[index], plane.to_degrees)
        cell = GridCell(
            GridId(f"{village.code}{serial:03d}"),
            f"{village.name}第{serial}网格",
            village.code,
            _rings(shape),
            f"{village.name}警务区",
            _posts(f"{village.code}{serial:03d}", village.code),
        )
        cells.append((cell, shape))
    return cells


def _posts(grid: str, village: DivisionCode) -> dict[str, str]:
    """Who is to be informed, as numbers of posts in the center's directory; a third has no volunteers."""
    found = {
        "grid_worker": f"GW-{grid}",
        "beat_officer": f"BO-{village}",
        "village_chief": f"VC-{village}",
    }
    if int(grid) % 3:
        found["volunteers"] = f"TC-{village[:9]}"
    return found


def _rings(shape: BaseGeometry) -> tuple[tuple[tuple[Point, ...], ...], ...]:
    """Polygons as GeoJSON wants them: outer ring counterclockwise, first point repeated last."""
    parts = shape.geoms if isinstance(shape, MultiPolygon) else [shape]
    return tuple(
        tuple(
            tuple((float(x), float(y)) for x, y in ring.coords)
            for ring in (part.exterior, *part.interiors)
        )
        for part in shapely.orient_polygons(np.array(list(parts)))
        if isinstance(part, Polygon)
    )
