"""From WGS-84 degrees to metres in one local plane, and back.

Lambert's equal-area projection around the district: areas are true everywhere; over 60 km lengths are off by
less than 3 cm in a kilometre. pyproj is loaded with the first coordinate, not before.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from gateway.domain.coverage.model import Floats, Polygons, Shape

if TYPE_CHECKING:
    from pyproj import Proj

CENTRE_LON_DEG = 109.7
CENTRE_LAT_DEG = 38.3
DECIMALS = 7
"""Of published degrees: 1 cm."""


class Plane:
    """One local metric projection: x metres east and y metres north of its centre."""

    def __init__(self, lon_deg: float = CENTRE_LON_DEG, lat_deg: float = CENTRE_LAT_DEG) -> None:
        self.lon_deg = lon_deg
        self.lat_deg = lat_deg

    @cached_property
    def _projection(self) -> "Proj":
        from pyproj import Proj

        return Proj(proj="laea", lon_0=self.lon_deg, lat_0=self.lat_deg, datum="WGS84", units="m")

    def to_xy(self, lonlat: Floats) -> Floats:
        """(n, 2) degrees east, degrees north -> (n, 2) metres. What cannot be projected is nan."""
        return self._apply(lonlat, inverse=False)

    def to_lonlat(self, xy: Floats) -> Floats:
        """(n, 2) metres -> (n, 2) degrees east, degrees north."""
        return self._apply(xy, inverse=True)

    def _apply(self, points: Floats, *, inverse: bool) -> Floats:
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        pair = self._projection(
            np.ascontiguousarray(points[:, 0]),
            np.ascontiguousarray(points[:, 1]),
            inverse=inverse,
        )
        found: Floats = np.column_stack(pair)
        found[~np.isfinite(found).all(axis=1)] = np.nan
        return found

    def shapes_to_xy(self, geometries: Iterable[Mapping[str, Any] | None]) -> Polygons:
        """GeoJSON geometries -> an array of shapes in metres; None where one cannot be used.

        Shapes are made valid: of a self-crossing ring remains what it encloses. Never raises
        because of a geometry.
        """
        texts = [_text(geometry) for geometry in geometries]
        shapes: Polygons = np.empty(len(texts), dtype=object)
        if not texts:
            return shapes
        shapes[:] = shapely.from_geojson(np.array(texts, dtype=object), on_invalid="ignore")
        shapes = shapely.force_2d(shapes)
        with np.errstate(invalid="ignore"):
            shapes = shapely.transform(shapes, self.to_xy)
        usable = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
        usable[usable] = np.isfinite(shapely.bounds(shapes[usable])).all(axis=1)
        shapes[~usable] = None
        broken = usable & ~shapely.is_valid(shapes)
        shapes[broken] = shapely.make_valid(shapes[broken], method="structure")
        shapes[usable & shapely.is_empty(shapes)] = None
        return shapes

    def shape_to_xy(self, geometry: Mapping[str, Any]) -> Shape:
        """One GeoJSON geometry in metres; None when it cannot be used."""
        return self.shapes_to_xy([geometry])[0]

    def shape_to_geojson(self, shape: Shape) -> dict[str, Any]:
        """A shape in metres as a GeoJSON geometry: 7 decimals, outer rings counter-clockwise."""

        def degrees(xy: Floats) -> NDArray[np.float64]:
            return np.round(self.to_lonlat(xy), DECIMALS)

        turned = shapely.orient_polygons(shapely.transform(shape, degrees))
        found: dict[str, Any] = shapely.geometry.mapping(turned)
        return found


def _text(geometry: Mapping[str, Any] | None) -> str | None:
    """GeoJSON text; None for what is none (orjson writes NaN as null, which GEOS refuses)."""
    try:
        return orjson.dumps(geometry).decode()
    except orjson.JSONEncodeError:
        return None


DISTRICT = Plane()
