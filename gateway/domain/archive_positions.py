"""Positions of cameras: what cells say, whether it can be, and in which datum a batch really is.

The three-hypothesis test: per batch (file, manufacturer, declared datum) the share of cameras that
lie in the grid cell or village they declare is counted under WGS-84, GCJ-02 and BD-09. The shifts
are nearly constant vectors (490 m and 1290 m in Yuyang), so a wrong datum pulls whole batches out.
A batch is suspected when another datum puts at least `MIN_GAIN` more of its cameras right, by a
paired sign test (gained against lost cameras) at `MIN_SIGMA` standard deviations.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from gateway.domain.archive_context import ArchiveContext
from gateway.domain.archive_table import Cells, Table
from gateway.domain.archive_values import (
    decimals,
    is_destroyed_coordinate,
    narrow,
    parse_number,
)
from gateway.domain.camera import DivisionCode, GridCell, GridId
from gateway.domain.datum import Datum, parse_datum, to_wgs84

MIN_BATCH = 10
"""Cameras with a declared, known place below which a batch is not judged."""
MIN_GAIN = 0.1
MIN_SIGMA = 3.0
DISTRICT_MARGIN_DEG = 0.01
"""How far outside all grid cells a camera may stand: about a kilometre."""
FEW_DECIMALS = 3
MOST_EAST_DEG, MOST_NORTH_DEG = 180.0, 90.0

_CHINA_LON, _CHINA_LAT = (73.0, 136.0), (3.0, 54.0)


@dataclass(frozen=True, slots=True)
class Position:
    """Where one row says its camera is.

    Attributes:
        row / cells: of the table.
        source: longitude and latitude as numbers in `datum`, or None: not usable.
        place: the village or grid cell that the row declares, if it is known.
        wgs84: the result; None = not on the map.
    """

    row: int
    cells: Cells
    source: tuple[float, float] | None
    datum: Datum
    manufacturer: str
    grid: GridId
    village: DivisionCode
    wgs84: tuple[float, float] | None = None


def read_position(
    table: Table,
    row: int,
    cells: Cells,
    context: ArchiveContext,
    *,
    grid: GridId,
    village: DivisionCode,
) -> Position:
    """The position as written, with findings for what cannot be one."""
    datum = context.datum
    source = _read_numbers(table, row, cells)
    if text := cells.get("datum"):
        declared = parse_datum(narrow(text))
        if declared is None:
            table.find("bad_datum", row, "datum", cells)
            source = None
        else:
            datum = declared
    return Position(row, cells, source, datum, cells.get("manufacturer", ""), grid, village)


def _read_numbers(table: Table, row: int, cells: Cells) -> tuple[float, float] | None:
    texts = {key: narrow(cells.get(key, "")) for key in ("longitude", "latitude")}
    if not all(texts.values()):
        return None  # the rule of required fields speaks
    if all(parse_number(text) == 0 for text in texts.values()):
        table.find("zero_position", row, "longitude", cells)
        return None
    numbers: list[float] = []
    for key, text in texts.items():
        number = parse_number(text)
        if is_destroyed_coordinate(text):
            table.find("destroyed_coordinate", row, key, cells)
        elif number is None:
            table.find("bad_coordinate", row, key, cells)
        else:
            numbers.append(number)
    if len(numbers) < len(texts):
        return None
    lon, lat = numbers
    if _within(lon, _CHINA_LAT) and _within(lat, _CHINA_LON):
        table.find("swapped_lon_lat", row, "longitude", cells, f"{texts['longitude']}, {lat}")
        return None
    if abs(lon) > MOST_EAST_DEG or abs(lat) > MOST_NORTH_DEG:
        table.find("bad_coordinate", row, "longitude", cells, f"{lon}, {lat}")
        return None
    if all(decimals(text) <= FEW_DECIMALS for text in texts.values()):
        table.find("coarse_coordinate", row, "longitude", cells, f"{lon}, {lat}")
    return lon, lat


def _within(number: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= number <= bounds[1]


class Land:
    """The declared ground truth: shapes of grid cells, of villages (their cells), of the district."""

    def __init__(self, grids: Mapping[GridId, GridCell], context: ArchiveContext) -> None:
        self.cells: dict[GridId, Any] = {}
        by_village: dict[DivisionCode, list[Any]] = defaultdict(list)
        for cell in grids.values():
            if cell.polygons:
                shape = cell_shape(cell)
                self.cells[cell.id] = shape
                by_village[cell.village].append(shape)
        self.villages = {v: shapely.union_all(shapes) for v, shapes in by_village.items() if v}
        self._bounds = context.bounds
        self._tree = shapely.STRtree(list(self.cells.values())) if self.cells else None

    def place(self, position: Position) -> Any:  # noqa: ANN401 - a shapely geometry or None
        """The finest shape that a row declares: its grid cell, else its village."""
        return self.cells.get(position.grid) or self.villages.get(position.village)

    def outside(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points are not in the district."""
        if self._tree is None:
            west, south, east, north = self._bounds
            return (lon < west) | (lon > east) | (lat < south) | (lat > north)
        hits = self._tree.query(
            shapely.points(lon, lat), predicate="dwithin", distance=DISTRICT_MARGIN_DEG
        )
        outside = np.ones(len(lon), dtype=bool)
        outside[hits[0]] = False
        return outside


def cell_shape(cell: GridCell) -> Any:  # noqa: ANN401 - a shapely geometry
    """A grid cell as a shapely geometry."""
    polygons = [Polygon(rings[0], rings[1:]) for rings in cell.polygons]
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)


@dataclass(frozen=True, slots=True)
class DatumEvidence:
    """What the three-hypothesis test found for one batch.

    Attributes:
        cameras: in the batch; `judged`: those with a declared and known place.
        share: per datum, the share of the judged that lie where they say.
        best: the datum that fits best, when it beats the declared one clearly; else the declared.
    """

    manufacturer: str
    declared: Datum
    cameras: int
    judged: int
    share: Mapping[Datum, float]
    best: Datum

    def __str__(self) -> str:
        """The evidence as a sentence."""
        shares = ", ".join(f"{self.share[d]:.0%} as {d}" for d in Datum)
        return (
            f"best {self.best}, taken as {self.declared}; {self.cameras} cameras"
            f"{f' of {self.manufacturer}' if self.manufacturer else ''}, {self.judged} with a "
            f"known grid or village, inside it: {shares}; declare it in a datum column"
        )


def judge_batch(batch: Sequence[Position], land: Land) -> DatumEvidence | None:
    """Try the three hypotheses on one batch; None when it is too small to tell."""
    judged = [(p.source, land.place(p)) for p in batch if p.source is not None]
    pairs = [(source, place) for source, place in judged if place is not None]
    if len(pairs) < MIN_BATCH:
        return None
    points = np.array([source for source, _ in pairs])
    places = np.array([place for _, place in pairs], dtype=object)
    inside: dict[Datum, NDArray[np.bool_]] = {}
    for datum in Datum:
        lon, lat = to_wgs84(points[:, 0], points[:, 1], datum)
        inside[datum] = shapely.intersects_xy(places, lon, lat)
    declared = batch[0].datum
    best = max(Datum, key=lambda d: (int(inside[d].sum()), d is declared))
    gained = int((inside[best] & ~inside[declared]).sum())
    lost = int((inside[declared] & ~inside[best]).sum())
    clear = (
        gained - lost >= MIN_SIGMA * (gained + lost) ** 0.5
        and gained - lost >= MIN_GAIN * len(pairs)
        and best is not declared
    )
    share = {d: float(inside[d].mean()) for d in Datum}
    return DatumEvidence(
        batch[0].manufacturer,
        declared,
        len(batch),
        len(pairs),
        share,
        best if clear else declared,
    )


def place_positions(table: Table, positions: Sequence[Position], land: Land) -> list[Position]:
    """Convert all positions of a file to WGS-84; batches in doubt and strays are set aside."""
    batches: dict[tuple[str, Datum], list[Position]] = defaultdict(list)
    for position in positions:
        if position.source is not None:
            batches[position.manufacturer, position.datum].append(position)
    placed = {p.row: p for p in positions}
    for (manufacturer, datum), batch in batches.items():
        evidence = judge_batch(batch, land)
        if evidence is not None and evidence.best is not datum:
            columns = f"{table.names.get('longitude', '')},{table.names.get('latitude', '')}"
            table.findings.add("suspected_datum", 0, columns, manufacturer, str(evidence))
            continue
        points = np.array([p.source for p in batch])
        lon, lat = to_wgs84(points[:, 0], points[:, 1], datum)
        for position, x, y, stray in zip(batch, lon, lat, land.outside(lon, lat), strict=True):
            if stray:
                seen = f"{x:.6f}, {y:.6f}"
                table.find("outside_district", position.row, "longitude", position.cells, seen)
            else:
                placed[position.row] = replace(position, wgs84=(float(x), float(y)))
    return list(placed.values())
