"""Reads a layer of OGC API - Features with GDAL's own client and prints what it got.

    python gdal_reader.py URL LAYER [OPTIONS]

OPTIONS is a JSON object: `bbox`, `where` and open options of GDAL's OAPIF driver such as PAGE_SIZE. A process of
its own, because GDAL blocks the one it runs in. The token comes in GDAL_HTTP_BEARER.
"""

import json
import sys
from typing import Any

import pyogrio  # type: ignore[import-untyped]
import shapely


def read(url: str, layer: str, options: dict[str, Any]) -> dict[str, Any]:
    """The features of a layer: fields, geometries as WKB in hexadecimal, rows; and what GDAL is."""
    meta, _, geometry, columns = pyogrio.raw.read(f"OAPIF:{url}", layer=layer, **options)
    shapes = shapely.from_wkb(geometry)
    values = [column.astype(object).tolist() for column in columns]
    names = meta["fields"].tolist()
    return {
        "gdal": pyogrio.__gdal_version_string__,
        "crs": meta["crs"],
        "rows": [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)],
        "geometry": [None if one is None else one.wkb_hex for one in shapes],
    }


def main(url: str, layer: str, options: str = "{}") -> None:
    """Print the layer, or, for the layer "-", the names of all."""
    if layer == "-":
        print(json.dumps(pyogrio.list_layers(f"OAPIF:{url}")[:, 0].tolist()))
    else:
        print(json.dumps(read(url, layer, json.loads(options)), default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
