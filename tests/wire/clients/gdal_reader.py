"""Reads layers of OGC API - Features with GDAL's own client and prints what it got.

    python gdal_reader.py URL JOBS

JOBS is a JSON list of objects: `layer`, and options of `pyogrio.raw.read`: `bbox`, `where`, and the open
options of GDAL's OAPIF driver such as PAGE_SIZE. A process of its own, because GDAL blocks its own.
The token comes in GDAL_HTTP_BEARER.
"""

import json
import sys
from typing import Any

import pyogrio  # type: ignore[import-untyped]
import shapely


def read(url: str, layer: str, options: dict[str, Any]) -> dict[str, Any]:
    """The features of a layer: rows of fields, and geometries as WKB in hexadecimal."""
    if "bbox" in options:
        options["bbox"] = tuple(options["bbox"])
    meta, _, geometry, columns = pyogrio.raw.read(url, layer=layer, **options)
    values = [column.astype(object).tolist() for column in columns]
    names = meta["fields"].tolist()
    return {
        "layer": layer,
        "crs": meta["crs"],
        "rows": [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)],
        "geometry": [
            None if one is None else one.wkb_hex for one in shapely.from_wkb(geometry).tolist()
        ],
    }


def main(url: str, jobs: str) -> None:
    """Print the names of all layers, and what each job found."""
    address = f"OAPIF:{url}"
    found = [read(address, options=job, layer=job.pop("layer")) for job in json.loads(jobs)]
    layers = pyogrio.list_layers(address)[:, 0].tolist()
    json.dump({"layers": layers, "found": found}, sys.stdout, default=str)


if __name__ == "__main__":
    main(*sys.argv[1:])
