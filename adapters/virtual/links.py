"""Which grid cells belong to a position, by measuring every cell: what links in alerts are held against."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from adapters.virtual import plane

NEAREST = 5
_HAIR_M = 1.0
"""The two flat maps differ by less: cells that are as near as that may change places."""


class Cells:
    """All grid cells of a district, as the archive file has them."""

    def __init__(self, grids: Path) -> None:
        features = json.loads(grids.read_text(encoding="utf-8"))["features"]
        self.ids = [str(feature["id"]) for feature in features]
        degrees = np.array([shapely.from_geojson(json.dumps(f["geometry"])) for f in features])
        self.shapes = shapely.transform(degrees, plane.to_metres)

    def problem(self, data: Mapping[str, Any]) -> str:
        """What is wrong with the links of an alert; "" = nothing, or it has no position."""
        place, links = data.get("place") or {}, data.get("links") or []
        if place.get("longitude") is None:
            return ""
        at = plane.to_metres(np.array([[place["longitude"], place["latitude"]]]))[0]
        away = shapely.distance(self.shapes, shapely.Point(at))
        inside = {self.ids[n] for n in np.flatnonzero(away <= _HAIR_M).tolist()}
        told = [link for link in links if link["reason"] != "in_view"]
        holding = [link["grid"] for link in told if link["reason"] == "contains"]
        if len(holding) > 1 or not set(holding) <= inside:
            return f"it lies in {sorted(inside) or 'no cell'}, told was {holding}"
        if not holding and (away <= 0).any():
            return f"it lies in {sorted(inside)}, told was no cell"
        by_id = dict(zip(self.ids, away.tolist(), strict=True))
        for link in told:
            if abs(by_id[link["grid"]] - link["distance_m"]) > _HAIR_M + 0.01 * link["distance_m"]:
                return (
                    f"{link['grid']} is {by_id[link['grid']]:.1f} m away, not {link['distance_m']}"
                )
        farthest = max((by_id[link["grid"]] for link in told), default=0.0)
        nearer = {self.ids[n] for n in np.flatnonzero(away < farthest - _HAIR_M).tolist()}
        left_out = nearer - {link["grid"] for link in told}
        return f"nearer cells are left out: {sorted(left_out)}" if left_out else ""
