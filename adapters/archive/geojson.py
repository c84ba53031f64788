"""Reader of GeoJSON (RFC 7946): a feature is a row, its geometry a column of JSON text."""

import json
from typing import Any

import orjson

from adapters.archive.limits import MAX_CELL, MAX_COLUMNS, MAX_ROWS, check_size
from adapters.archive.tables import decode
from gateway.errors import ArchiveError
from gateway.ports import RawTable

GEOMETRY = "geometry"
MAX_GEOMETRY = 4 * 1024 * 1024
"""Characters of one geometry."""


def read_geojson(content: bytes, file: str) -> RawTable:
    """Read a FeatureCollection; row numbers count features from 1.

    Raises:
        ArchiveError: not JSON, not a collection of features, too large; says where.
    """
    check_size(content, file)
    text, encoding = decode(content, file)
    try:
        document = orjson.loads(text.removeprefix("\ufeff"))
    except orjson.JSONDecodeError as error:
        raise ArchiveError(f"{file}: line {error.lineno}: not JSON: {error.msg}") from None
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise ArchiveError(f"{file}: not a GeoJSON FeatureCollection: there is no list of features")
    if len(features) > MAX_ROWS:
        raise ArchiveError(f"{file}: {len(features):,} features; at most {MAX_ROWS:,} are read")
    rows = tuple(
        (number, _row(feature, file, number)) for number, feature in enumerate(features, start=1)
    )
    columns = tuple(dict.fromkeys(column for _, row in rows for column in row))
    if len(columns) > MAX_COLUMNS:
        raise ArchiveError(f"{file}: {len(columns)} properties; at most {MAX_COLUMNS}")
    return RawTable(file, columns, rows, encoding)


def _row(feature: Any, file: str, number: int) -> dict[str, str]:  # noqa: ANN401 - JSON
    where = f"{file}: feature {number}"
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise ArchiveError(f"{where}: not a Feature")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise ArchiveError(f"{where}: its properties are not an object")
    row = {name: _text(value) for name, value in properties.items()}
    if "id" in feature:
        row.setdefault("id", _text(feature["id"]))
    geometry = feature.get("geometry")
    row[GEOMETRY] = "" if geometry is None else orjson.dumps(geometry).decode()
    for name, text in row.items():
        if len(text) > (MAX_GEOMETRY if name == GEOMETRY else MAX_CELL):
            raise ArchiveError(f"{where}: {name[:40]} has {len(text):,} characters: too many")
    return row


def _text(value: Any) -> str:  # noqa: ANN401 - JSON
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.strip()
    return json.dumps(value, ensure_ascii=False)
