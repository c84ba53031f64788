"""Rows of the lists beside the archive: places, footprints, prohibited areas, candidate sites, sensors."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.archive_context import ArchiveContext
from gateway.domain.archive_fields import plain_name
from gateway.domain.archive_places import VILLAGE_DIGITS
from gateway.domain.archive_table import TOO_LONG_GEOMETRY, Cells, Table
from gateway.domain.archive_values import narrow, parse_number, parse_yes
from gateway.domain.camera import DivisionCode, GridId
from gateway.domain.coverage.geometry_check import check_geometry, too_many_vertices
from gateway.domain.coverage.ladder import Ladder
from gateway.domain.coverage.optics import PlaceKind
from gateway.domain.coverage.place import (
    CandidateSite,
    Footprint,
    Geometry,
    Place,
    PlaceId,
    ProhibitedArea,
    SiteId,
)
from gateway.domain.event import EventKind, Sensor, SensorId

OTHER = "other"
TOWNSHIP_DIGITS = 9

SENSOR_KINDS: Mapping[str, EventKind] = {
    **{
        kind.value: kind
        for kind in (
            EventKind.SMOKE, EventKind.WATER_LEVEL, EventKind.DOOR, EventKind.GAS, EventKind.SOS,
            EventKind.POLE_TILT, EventKind.CABINET_POWER, EventKind.CABINET_TEMPERATURE,
            EventKind.TAMPER, EventKind.TEMPERATURE,
        )
    },
    "烟感": EventKind.SMOKE, "水位": EventKind.WATER_LEVEL, "门磁": EventKind.DOOR,
    "燃气": EventKind.GAS, "紧急求助": EventKind.SOS, "一键报警": EventKind.SOS,
    "立杆倾斜": EventKind.POLE_TILT, "箱体供电": EventKind.CABINET_POWER,
    "箱体温度": EventKind.CABINET_TEMPERATURE, "箱门": EventKind.TAMPER,
}  # fmt: skip
"""What a sensor file calls the kinds of sensors."""


def read_place_rows(
    tables: Sequence[Table],
    context: ArchiveContext,
    kinds: Mapping[str, PlaceKind],
    ladder: Ladder,
) -> list[Place]:
    """The listed places. What a row does not say is taken from its kind when the model is built."""
    named = {
        plain_name(name): key for key, kind in kinds.items() for name in (key, kind.zh, kind.en)
    }
    named |= {str(k.position_type): key for key, k in kinds.items() if k.position_type is not None}
    found: dict[str, Place] = {}
    for table, row, cells, text in _new_rows(tables, found):
        geometry = _geometry(table, row, cells)
        if geometry is None:
            continue
        kind = named.get(plain_name(cells.get("kind", "")), "")
        if not kind:
            table.find("bad_place_kind", row, "kind", cells)
            kind = OTHER
        weight = _number(table, row, cells, "weight", "bad_weight")
        level = narrow(cells.get("level", "")).casefold()
        if level and ladder.step(level) is None:
            table.find("bad_level", row, "level", cells)
            level = ""
        where = _where(table, row, cells, context)
        found[text] = Place(
            id=PlaceId(text),
            name=cells.get("name", text),
            kind=kind,
            geometry=geometry,
            weight=kinds[kind].weight if weight is None else weight,
            level=level,
            township=where.township,
            village=where.village,
            grid=where.grid,
            source=table.file,
        )
    return list(found.values())


def read_footprints(tables: Sequence[Table]) -> list[Footprint]:
    """Footprints of buildings."""
    found: dict[str, Footprint] = {}
    for table, row, cells, text in _new_rows(tables, found):
        geometry = _geometry(table, row, cells, "Polygon")
        if geometry is not None:
            found[text] = Footprint(text, geometry)
    return list(found.values())


def read_prohibited(tables: Sequence[Table]) -> list[ProhibitedArea]:
    """Areas into which no camera may look."""
    found: dict[str, ProhibitedArea] = {}
    for table, row, cells, text in _new_rows(tables, found):
        geometry = _geometry(table, row, cells, "Polygon")
        if geometry is not None:
            name, kind = cells.get("name", ""), cells.get("kind", "")
            found[text] = ProhibitedArea(text, name, kind, geometry)
    return list(found.values())


def read_candidates(tables: Sequence[Table]) -> list[CandidateSite]:
    """Poles, walls and standing sites where a camera could be added."""
    found: dict[str, CandidateSite] = {}
    for table, row, cells, text in _new_rows(tables, found):
        position = _position(table, row, cells)
        if position is None:
            table.find("missing_position", row, "longitude", cells)
            continue
        found[text] = CandidateSite(
            id=SiteId(text),
            name=cells.get("name", text),
            kind=cells.get("kind", ""),
            longitude=position[0],
            latitude=position[1],
            power=parse_yes(cells.get("power", "")),
            network=parse_yes(cells.get("network", "")),
            cost=_number(table, row, cells, "cost", "bad_number"),
        )
    return list(found.values())


def read_sensors(tables: Sequence[Table], context: ArchiveContext) -> list[Sensor]:
    """The sensor registry; two sensors cannot share a topic."""
    found: dict[str, Sensor] = {}
    topics: set[str] = set()
    for table, row, cells, text in _new_rows(tables, found):
        kind = SENSOR_KINDS.get(narrow(cells.get("kind", "")).casefold())
        if kind is None:
            table.find("bad_sensor_kind", row, "kind", cells)
            continue
        topic = cells.get("topic", "")
        if not topic or topic in topics:
            table.find("missing_topic", row, "topic", cells)
            continue
        topics.add(topic)
        longitude, latitude = _position(table, row, cells) or (None, None)
        where = _where(table, row, cells, context)
        found[text] = Sensor(
            id=SensorId(text),
            name=cells.get("name", text),
            kind=kind,
            topic=topic,
            longitude=longitude,
            latitude=latitude,
            township=where.township,
            village=where.village,
            grid=where.grid,
            maintainer=cells.get("maintainer", ""),
            contact=cells.get("contact", ""),
            in_use=parse_yes(cells.get("in_use", "")) is not False,
        )
    return list(found.values())


def _new_rows(
    tables: Sequence[Table], taken: Collection[str]
) -> Iterator[tuple[Table, int, Cells, str]]:
    """Rows with an id that no row before them was taken under."""
    for table in tables:
        for row, cells in table.rows:
            text = narrow(cells.get("id", ""))
            if text and text not in taken:
                yield table, row, cells, text
            else:
                table.find("duplicate_id" if text else "missing_id", row, "id", cells)


def _geometry(table: Table, row: int, cells: Cells, kind: str = "") -> Geometry | None:
    """The geometry of a row, checked; a position in columns is a point."""
    text = cells.get("geometry", "")
    geometry: object = None
    if text:
        try:
            geometry = json.loads(text)
        except (ValueError, RecursionError):
            geometry = None
    elif (position := _position(table, row, cells)) is not None:
        geometry = {"type": "Point", "coordinates": list(position)}
    problem = too_many_vertices() if text == TOO_LONG_GEOMETRY else check_geometry(geometry)
    if problem is None and isinstance(geometry, dict) and str(geometry["type"]).endswith(kind):
        return {"type": geometry["type"], "coordinates": geometry["coordinates"]}
    seen = problem.english if problem else f"it must be a {kind} or Multi{kind}"
    column = "geometry" if text else "longitude"
    table.findings.add("unusable_geometry", row, table.names.get(column, column), text, seen)
    return None


def _position(table: Table, row: int, cells: Cells) -> tuple[float, float] | None:
    """Longitude and latitude of a row; None where it has none that can be used."""
    numbers = [parse_number(cells.get(key, "")) for key in ("longitude", "latitude")]
    longitude, latitude = numbers
    if longitude is None or latitude is None:
        return None
    if check_geometry({"type": "Point", "coordinates": [longitude, latitude]}) is not None:
        table.find("bad_coordinate", row, "longitude", cells)
        return None
    return longitude, latitude


def _number(table: Table, row: int, cells: Cells, key: str, rule: str) -> float | None:
    """A number above 0, or None."""
    text = cells.get(key, "")
    if not text:
        return None
    number = parse_number(text)
    if number is None or not 0 < number < float("inf"):
        table.find(rule, row, key, cells)
        return None
    return number


@dataclass(frozen=True, slots=True)
class _Where:
    township: DivisionCode = DivisionCode("")
    village: DivisionCode = DivisionCode("")
    grid: GridId = GridId("")


def _where(table: Table, row: int, cells: Cells, context: ArchiveContext) -> _Where:
    """Township, village and grid cell that a row names, where they are known."""
    found = {"township_code": DivisionCode(""), "village_code": DivisionCode("")}
    for key, digits in (("township_code", TOWNSHIP_DIGITS), ("village_code", VILLAGE_DIGITS)):
        if text := narrow(cells.get(key, "")):
            code, problem = context.find_division(text, digits)
            if code is None:
                table.find(problem, row, key, cells)
            else:
                found[key] = code
    village = found["village_code"]
    grid = GridId(narrow(cells.get("grid_id", "")))
    if grid and grid not in context.grids:
        table.find("unknown_grid", row, "grid_id", cells)
        grid = GridId("")
    township = found["township_code"] or DivisionCode(village[:TOWNSHIP_DIGITS])
    return _Where(township, village, grid)
