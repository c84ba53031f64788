"""Reader of GeoJSON (RFC 7946): a feature is a row, its geometry a column of JSON text."""

import json
from collections.abc import Callable
from typing import Any

import orjson

from adapters.archive.limits import MAX_CELL, MAX_COLUMNS, MAX_ROWS, check_size, fitting
from adapters.archive.tables import decode
from gateway.errors import ArchiveError
from gateway.ports import RawTable

GEOMETRY = "geometry"


def read_geojson(content: bytes, file: str) -> RawTable:
    """Read a FeatureCollection; row numbers count features from 1.

    Raises:
        ArchiveError: not JSON, not a collection of features, too large; says where.
    """
    check_size(content, file)
    text, encoding = decode(content, file)
    document, write = _parsed(text.removeprefix("\ufeff"), file)
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise ArchiveError(f"{file}: not a GeoJSON FeatureCollection: there is no list of features")
    if len(features) > MAX_ROWS:
        raise ArchiveError(f"{file}: {len(features):,} features; at most {MAX_ROWS:,} are read")
    rows = tuple(
        (number, _row(feature, file, number, write))
        for number, feature in enumerate(features, start=1)
    )
    columns = tuple(dict.fromkeys(column for _, row in rows for column in row))
    if len(columns) > MAX_COLUMNS:
        raise ArchiveError(f"{file}: {len(columns)} properties; at most {MAX_COLUMNS}")
    return RawTable(file, columns, rows, encoding)


def _parsed(text: str, file: str) -> tuple[Any, Callable[[Any], str]]:
    """The document, and what writes parts of it as text again.

    Some tools write NaN and Infinity, which JSON does not have. They are read, so that their row is
    refused for it, and not the file.
    """
    try:
        return orjson.loads(text), lambda value: orjson.dumps(value).decode()
    except orjson.JSONDecodeError as error:
        wrong = ArchiveError(f"{file}: line {error.lineno}: not JSON: {error.msg}")
    try:
        document = json.loads(text)
        orjson.dumps(document)  # what else is no JSON stays refused, such as half of a character
    except (TypeError, ValueError, RecursionError):
        raise wrong from None
    return document, lambda value: json.dumps(value, separators=(",", ":"))


def _row(
    feature: Any,  # noqa: ANN401 - JSON
    file: str,
    number: int,
    write: Callable[[Any], str],
) -> dict[str, str]:
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
    for name, text in row.items():
        if name != GEOMETRY and len(text) > MAX_CELL:
            raise ArchiveError(f"{where}: {name[:40]} has {len(text):,} characters: too many")
    row[GEOMETRY] = "" if geometry is None else fitting(write(geometry))
    return row


def _text(value: Any) -> str:  # noqa: ANN401 - JSON
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.strip()
    return json.dumps(value, ensure_ascii=False)
