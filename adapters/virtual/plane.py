"""The flat map the district is drawn on: metres east and north of the city centre.

One equirectangular projection. Over the district it stretches east-west by less than 1 %, which no
view distance of a camera notices; positions are published as WGS-84 degrees only.
"""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = NDArray[np.float64]
"""Shape (n, 2): metres east, metres north; or degrees east, degrees north."""

CENTRE_LON = 109.73
CENTRE_LAT = 38.28
_M_PER_DEG_LAT = 111_132.0
_M_PER_DEG_LON = 111_320.0 * math.cos(math.radians(CENTRE_LAT))
_SCALE = np.array([_M_PER_DEG_LON, _M_PER_DEG_LAT])
_CENTRE = np.array([CENTRE_LON, CENTRE_LAT])
DECIMALS = 6
"""Of published degrees: 0.1 m."""


def to_degrees(points: Points) -> Points:
    """Plane to WGS-84, rounded to the published decimals."""
    degrees: Points = np.round(np.asarray(points) / _SCALE + _CENTRE, DECIMALS)
    return degrees


def to_metres(degrees: Points) -> Points:
    """WGS-84 to plane."""
    points: Points = (np.asarray(degrees) - _CENTRE) * _SCALE
    return points


def along(start: tuple[float, float], bearing_deg: float, distance_m: float) -> tuple[float, float]:
    """The point at a distance from `start`; bearings are clockwise from north."""
    angle = math.radians(bearing_deg)
    return start[0] + distance_m * math.sin(angle), start[1] + distance_m * math.cos(angle)


def bearing_deg(start: tuple[float, float], end: tuple[float, float]) -> float:
    """The direction from one point to another, clockwise from north, 0-360."""
    return math.degrees(math.atan2(end[0] - start[0], end[1] - start[1])) % 360.0
