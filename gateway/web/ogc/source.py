"""Where the features of a collection come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from aiohttp import web

from gateway.web.ogc.asked import Asked
from gateway.web.reply import encode

Extent = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Found:
    """A page.

    Attributes:
        features: each as GeoJSON text.
        next: sort key of the last one, if there may be more; a page with a next one is never empty (GDAL
            stops at an empty page).
        matched: how many there are in all, where that is known without reading on.
    """

    features: Sequence[bytes]
    next: Sequence[Any] | None = None
    matched: int | None = None


class Source(Protocol):
    """Reads one collection, in the order of a key that a later page can go on after."""

    cursor: tuple[type, ...]
    """Types of the parts of the key."""

    async def page(self, request: web.Request, asked: Asked, after: Sequence[Any] | None) -> Found:
        """Features behind a key; raises `ValueError` for a key that no page ever had."""
        ...

    async def one(self, request: web.Request, feature: str) -> bytes | None:
        """A feature by its id."""
        ...

    async def extent(self, request: web.Request) -> Extent | None:
        """West, south, east, north of all features, where that is known."""
        ...


def as_feature(
    feature: str,
    geometry: Mapping[str, Any] | orjson.Fragment | None,
    properties: Mapping[str, Any],
) -> bytes:
    """A GeoJSON feature."""
    return encode(
        {"type": "Feature", "id": feature, "geometry": geometry, "properties": properties}
    )


def as_point(lon_deg: float | None, lat_deg: float | None) -> dict[str, Any] | None:
    """A GeoJSON point; None where nothing is known."""
    if lon_deg is None or lat_deg is None:
        return None
    return {"type": "Point", "coordinates": (lon_deg, lat_deg)}


def listed(values: Sequence[str]) -> str:
    """Several values in one field: most GIS tables have no lists."""
    return ",".join(values)
