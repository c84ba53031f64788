"""Writes a district as the archive files that `sightline import` reads.

| file | columns |
| --- | --- |
| `cameras.csv` | `CAMERA_COLUMNS`: one row a channel (UTF-8 with BOM, as spreadsheets write it) |
| `nodes.csv` | id, kind, name, parent_id, maintainer, carrier, contact |
| `divisions.csv` | code, name, parent, source |
| `windows.csv` | id, target, starts_at, ends_at, daily_from, daily_to, reason |
| `grids.geojson` | id, name, village_code, township_code, beat, posts, synthetic; Polygon or MultiPolygon |
| `places.geojson` | id, name, kind, weight, synthetic; Point, LineString or Polygon |
| `footprints.geojson` | id, synthetic; Polygon: buildings |
| `prohibited.geojson` | id, name, kind, synthetic; Polygon: where no camera may look |
| `candidates.csv` | id, name, kind, longitude, latitude, power, network, cost: poles to come |
| `sensors.csv` | id, name, kind, topic, longitude, latitude, township_code, village_code, grid_id |
| `credentials.csv` | name, username, password; readable by its owner only |

`cameras.csv` names an access switch in `node_id`; devices with several channels are rows of
`nodes.csv` too, of kind `device`, with `host:port` as id. Times are ISO 8601 with offset, `daily_*`
are `HH:MM` of Asia/Shanghai, booleans are 1 and 0, coordinates are decimal degrees.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from adapters.virtual.fleet import CREDENTIAL_SET
from adapters.virtual.model import VirtualDevice, VirtualDistrict
from adapters.virtual.names import SYNTHETIC, division_rows
from adapters.virtual.plane import DECIMALS
from adapters.virtual.sensors import SENSOR_COLUMNS, build_sensors, sensor_rows
from gateway.domain.camera import Camera, GridCell

GBT_COLUMNS = (
    "civil_code", "block", "grassroots_code", "point_type", "address", "point_common_name",
    "ptz_type", "imaging_type", "supply_light", "position_type", "capture_position_type",
    "room_type", "direction_type", "azimuth", "horizontal_field_angle", "vertical_field_angle",
    "max_view_distance", "function_type", "install_time", "management_unit", "record_save_days",
)  # fmt: skip
"""Fields of the device archive by their GB/T 28181 keys, beyond those that the service uses."""
EXTRA_COLUMNS = ("resolution", "pole_number", "mount_height_m")
"""Fields of longer provincial archives; an importer that does not know them keeps them."""
CAMERA_COLUMNS = (
    "device_id", "name", "manufacturer", "model", "ip_address", "port", "tls", "path", "check_by",
    "source_token", "credential_set", "serial_number", "mac", "node_id", "township_code",
    "village_code", "grid_id", "longitude", "latitude", "datum", "maintainer", "carrier", "contact",
    "in_use", *GBT_COLUMNS, *EXTRA_COLUMNS,
)  # fmt: skip
NODE_COLUMNS = ("id", "kind", "name", "parent_id", "maintainer", "carrier", "contact")
DIVISION_COLUMNS = ("code", "name", "parent", "source")
WINDOW_COLUMNS = ("id", "target", "starts_at", "ends_at", "daily_from", "daily_to", "reason")
CANDIDATE_COLUMNS = (
    "id", "name", "kind", "longitude", "latitude", "power", "network", "cost",
)  # fmt: skip
CREDENTIAL_COLUMNS = ("name", "username", "password")


def write_archive(district: VirtualDistrict, folder: Path) -> dict[str, Path]:
    """Write all files of a district into `folder` (made if missing), over older ones.

    Returns:
        The paths by name: cameras, nodes, divisions, windows, candidates, sensors, grids, places, footprints,
        prohibited, credentials.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables: Mapping[str, tuple[Sequence[str], Iterable[Sequence[str]]]] = {
        "cameras": (CAMERA_COLUMNS, _camera_rows(district.devices)),
        "nodes": (NODE_COLUMNS, _node_rows(district)),
        "divisions": (DIVISION_COLUMNS, _division_rows(district)),
        "windows": (WINDOW_COLUMNS, _window_rows(district)),
        "candidates": (CANDIDATE_COLUMNS, _candidate_rows(district)),
        "sensors": (SENSOR_COLUMNS, sensor_rows(build_sensors(district))),
    }
    features = {
        "grids": _grid_features(district.grids),
        "places": _place_features(district),
        "footprints": _building_features(district),
        "prohibited": _private_features(district),
    }
    written = {}
    for name, (columns, rows) in tables.items():
        written[name] = folder / f"{name}.csv"
        written[name].write_bytes(_table(columns, rows))
    for name, rows_ in features.items():
        written[name] = folder / f"{name}.geojson"
        collection = {"type": "FeatureCollection", "features": list(rows_)}
        written[name].write_bytes(orjson.dumps(collection))
    written["credentials"] = folder / "credentials.csv"
    secret = (CREDENTIAL_SET, district.username, district.password)
    _write_private(written["credentials"], _table(CREDENTIAL_COLUMNS, [secret]))
    return written


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8-sig")


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else could read, not even while it is being written."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _degrees(value: float | None) -> str:
    return "" if value is None else f"{value:.{DECIMALS}f}"


def _camera_rows(devices: Iterable[VirtualDevice]) -> Iterator[Sequence[str]]:
    for virtual in devices:
        for camera in virtual.channels:
            yield _camera_row(virtual, camera)


def _camera_row(virtual: VirtualDevice, camera: Camera) -> Sequence[str]:
    device = virtual.device
    return (
        camera.id,
        camera.name,
        camera.manufacturer,
        camera.model,
        device.host,
        str(device.port),
        str(int(device.tls)),
        device.path,
        device.check_by,
        camera.source_token,
        device.credential_set,
        device.serial,
        device.mac,
        device.node,
        camera.township,
        camera.village,
        camera.grid,
        _degrees(camera.longitude),
        _degrees(camera.latitude),
        "WGS84",
        camera.maintainer,
        camera.carrier,
        camera.contact,
        str(int(camera.in_use)),
        *(camera.archive.get(key, "") for key in (*GBT_COLUMNS, *EXTRA_COLUMNS)),
    )


def _node_rows(district: VirtualDistrict) -> Iterator[Sequence[str]]:
    for node in district.nodes:
        care = (node.maintainer, node.carrier, node.contact)
        yield (node.id, node.kind, node.name, node.parent or "", *care)


def _division_rows(district: VirtualDistrict) -> Iterator[Sequence[str]]:
    sources = {row.division.code: row.source for row in division_rows()}
    for one in district.divisions:
        yield (one.code, one.name, one.parent or "", sources.get(one.code, SYNTHETIC))


def _window_rows(district: VirtualDistrict) -> Iterator[Sequence[str]]:
    for window in district.windows:
        yield (
            window.id,
            window.target,
            window.starts_at.isoformat(),
            window.ends_at.isoformat() if window.ends_at else "",
            _clock(window.daily_from_s),
            _clock(window.daily_to_s),
            window.reason,
        )


def _clock(seconds: int | None) -> str:
    return "" if seconds is None else f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}"


def _grid_features(grids: Iterable[GridCell]) -> Iterator[Mapping[str, object]]:
    for cell in grids:
        single = len(cell.polygons) == 1
        yield {
            "type": "Feature",
            "id": cell.id,
            "properties": {
                "id": cell.id,
                "name": cell.name,
                "village_code": cell.village,
                "township_code": cell.village[:9],
                "beat": cell.beat,
                **cell.posts,
                "synthetic": True,
            },
            "geometry": {
                "type": "Polygon" if single else "MultiPolygon",
                "coordinates": cell.polygons[0] if single else cell.polygons,
            },
        }


def _place_features(district: VirtualDistrict) -> Iterator[Mapping[str, object]]:
    for place in district.places:
        yield {
            "type": "Feature",
            "id": place.id,
            "properties": {
                "id": place.id,
                "name": place.name,
                "kind": place.kind,
                "weight": place.weight,
                "synthetic": True,
            },
            "geometry": place.geometry,
        }


def _building_features(district: VirtualDistrict) -> Iterator[Mapping[str, object]]:
    for one in district.buildings:
        properties = {"id": one.id, "synthetic": True}
        yield {"type": "Feature", "id": one.id, "properties": properties, "geometry": one.geometry}


def _private_features(district: VirtualDistrict) -> Iterator[Mapping[str, object]]:
    for area in district.private_areas:
        properties = {"id": area.id, "name": area.name, "kind": area.kind, "synthetic": True}
        yield {
            "type": "Feature",
            "id": area.id,
            "properties": properties,
            "geometry": area.geometry,
        }


def _candidate_rows(district: VirtualDistrict) -> Iterator[Sequence[str]]:
    for pole in district.poles:
        yield (
            pole.id,
            pole.name,
            pole.kind,
            _degrees(pole.longitude),
            _degrees(pole.latitude),
            _known(pole.power),
            _known(pole.network),
            "" if pole.cost is None else f"{pole.cost:.0f}",
        )


def _known(value: bool | None) -> str:  # noqa: FBT001 - a cell of a table
    return "" if value is None else str(int(value))
