"""Rows of a camera file as channels and the devices that answer for them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from types import MappingProxyType

from gateway.domain.archive_context import ArchiveContext
from gateway.domain.archive_devices import DEVICE_KEYS, read_devices
from gateway.domain.archive_endpoints import Row, unique_rows
from gateway.domain.archive_positions import Land, Position, place_positions, read_position
from gateway.domain.archive_table import Cells, Table
from gateway.domain.archive_values import (
    CHOICES,
    narrow,
    parse_choice,
    parse_number,
    parse_yes,
)
from gateway.domain.camera import Camera, ChannelId, Device, DivisionCode, GridId
from gateway.domain.datum import Datum

RETENTION_DAYS = 30
"""Decree 799 of 2025: recordings are kept for 30 days at least."""

REQUIRED: dict[str, frozenset[str]] = {
    "name": frozenset({"", "1", "2", "3", "4", "9"}),
    "township_code": frozenset({"", "1", "2", "3", "4", "9"}),
    "longitude": frozenset({"", "1", "2"}),
    "latitude": frozenset({"", "1", "2"}),
    "direction_type": frozenset({"1"}),
    "install_time": frozenset({"1"}),
    "management_unit": frozenset({"1"}),
    "contact": frozenset({"1"}),
    "record_save_days": frozenset({"1"}),
}
"""Field -> classes of point (监控点位类型; "" = not given) that must have it."""

RANGES: dict[str, tuple[float, float, bool, str]] = {
    "azimuth": (0, 360, True, "direction_out_of_range"),
    "horizontal_field_angle": (0, 360, False, "angle_out_of_range"),
    "vertical_field_angle": (0, 360, False, "angle_out_of_range"),
    "max_view_distance": (0, 20_000, False, "distance_out_of_range"),
    "record_save_days": (0, 36_500, True, "bad_number"),
}
"""Number field -> lowest, highest, whether the lowest itself is allowed, the rule it breaks."""

TAKEN = frozenset(
    {
        *DEVICE_KEYS, "device_id", "name", "manufacturer", "model", "ip_address", "port",
        "source_token", "township_code", "village_code", "grid_id", "longitude", "latitude",
        "datum", "maintainer", "carrier", "contact", "in_use", "geometry",
    }
)  # fmt: skip
"""Keys that become fields of `Camera` or `Device`; all others go into `Camera.archive`."""


def read_cameras(
    tables: Sequence[Table], context: ArchiveContext
) -> tuple[list[Camera], list[Device]]:
    """All channels and devices of the camera files of one import.

    Ids and endpoints are unique across the files. Findings go to each table's own list.
    """
    rows = unique_rows(tables, context)
    land = Land(context.grids, context)
    places: dict[ChannelId, tuple[DivisionCode, DivisionCode, GridId]] = {}
    positions: dict[tuple[str, int], Position] = {}
    for table in tables:
        mine = [row for row in rows if row.table is table]
        found: list[Position] = []
        for row in mine:
            township, village, grid = _read_place(row, context)
            places[row.id] = (township, village, grid)
            _check_required(row, township)
            found.append(
                read_position(table, row.number, row.cells, context, grid=grid, village=village)
            )
        positions |= {(table.file, p.row): p for p in place_positions(table, found, land)}
        _check_columns(table, mine)
    cameras = [_camera(row, places[row.id], positions[row.table.file, row.number]) for row in rows]
    devices, cameras = read_devices(rows, cameras, context)
    return cameras, devices


# --- where it belongs


def _read_place(row: Row, context: ArchiveContext) -> tuple[DivisionCode, DivisionCode, GridId]:
    grid = GridId(row.cells.get("grid_id", ""))
    if grid and context.grids and grid not in context.grids:
        row.table.find("unknown_grid", row.number, "grid_id", row.cells)
        grid = GridId("")
    township = _find_division(row, "township_code", 9, context)
    village = _find_division(row, "village_code", 12, context, within=township)
    if not village and grid in context.grids:
        village = context.grids[grid].village
    if township and village and not village.startswith(township):
        row.table.find(
            "division_mismatch", row.number, "township_code", row.cells, f"village {village}"
        )
        township = DivisionCode("")
    if not township and village:
        township = DivisionCode(village[:9])
    return township, village, grid


def _find_division(
    row: Row, key: str, digits: int, context: ArchiveContext, within: str = ""
) -> DivisionCode:
    text = row.cells.get(key)
    if not text:
        return DivisionCode("")
    code, problem = context.find_division(narrow(text), digits, within)
    if code is None:
        row.table.find(problem, row.number, key, row.cells)
        return DivisionCode("")
    return code


def _point_class(cells: Cells) -> str:
    return parse_choice("point_type", narrow(cells.get("point_type", ""))) or ""


def _check_required(row: Row, township: DivisionCode) -> None:
    point_class = _point_class(row.cells)
    for key, classes in REQUIRED.items():
        if key not in row.table.names or point_class not in classes or row.cells.get(key):
            continue
        if key == "township_code" and township:
            continue
        row.table.find("missing_required", row.number, key, row.cells)


def _check_columns(table: Table, rows: Iterable[Row]) -> None:
    classes = Counter(_point_class(row.cells) for row in rows)
    for key, needed in REQUIRED.items():
        if key in table.names or (key == "township_code" and _has_village(table)):
            continue
        lacking = sum(n for point_class, n in classes.items() if point_class in needed)
        if lacking:
            table.findings.add("missing_column", column=key, seen=f"{lacking} rows need it")


def _has_village(table: Table) -> bool:
    return "village_code" in table.names or "grid_id" in table.names


# --- the channel itself


def _camera(
    row: Row, place: tuple[DivisionCode, DivisionCode, GridId], position: Position
) -> Camera:
    cells = row.cells
    township, village, grid = place
    in_use = True
    if text := cells.get("in_use"):
        said = parse_yes(narrow(text))
        if said is None:
            row.table.find("bad_choice", row.number, "in_use", cells)
        in_use = said is not False
    lon, lat = position.wgs84 or (None, None)
    return Camera(
        id=row.id,
        device=row.device,
        name=cells.get("name", ""),
        source_token=row.token,
        township=township,
        village=village,
        grid=grid,
        manufacturer=cells.get("manufacturer", ""),
        model=cells.get("model", ""),
        longitude=lon,
        latitude=lat,
        in_use=in_use,
        maintainer=cells.get("maintainer", ""),
        carrier=cells.get("carrier", ""),
        contact=cells.get("contact", ""),
        archive=MappingProxyType(_archive(row) | _source_position(position)),
    )


def _archive(row: Row) -> dict[str, str]:
    archive: dict[str, str] = {}
    for key, text in row.cells.items():
        if key in TAKEN:
            continue
        if key in CHOICES:
            value = parse_choice(key, narrow(text))
            if value is None:
                rule = "direction_out_of_range" if key == "direction_type" else "bad_choice"
                row.table.find(rule, row.number, key, row.cells)
                continue
            archive[key] = value
        elif key not in RANGES:
            archive[key] = text
        elif (number := _number(row, key, text)) is not None:
            archive[key] = number
    return archive


def _number(row: Row, key: str, text: str) -> str | None:
    """A number in its range, as text without its unit; None when it is set aside."""
    bare = narrow(text).rstrip("°度米mM天日")
    number = parse_number(bare)
    low, high, closed, rule = RANGES[key]
    if number is None or not low <= number <= high or (number == low and not closed):
        row.table.find("bad_number" if number is None else rule, row.number, key, row.cells)
        return None
    if key == "record_save_days" and number < RETENTION_DAYS:
        row.table.find("retention_under_30_days", row.number, key, row.cells)
    return bare


def _source_position(position: Position) -> dict[str, str]:
    """What was written, wherever that is not simply the result."""
    kept: dict[str, str] = {}
    if position.datum is not Datum.WGS84 or "datum" in position.cells:
        kept["datum"] = str(position.datum)
    if position.wgs84 is None or position.datum is not Datum.WGS84:
        for key in ("longitude", "latitude"):
            if text := position.cells.get(key):
                kept[f"source_{key}"] = text
    return kept
