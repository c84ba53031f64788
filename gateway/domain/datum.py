"""Datums of coordinates: WGS-84, and the two shifted ones of Chinese map vendors.

GCJ-02 (高德, 腾讯, most vendors' platforms) and BD-09 (百度) are read as WGS-84 by mistake all the
time; in Yuyang that moves a camera by about 490 m and 1290 m. The forward maps are the public
arithmetic; the inverse maps solve them by fixed-point iteration, so that inverse and forward agree
to better than 1e-9 degrees (0.1 mm). How well the public arithmetic agrees with the official,
secret one is not published; comparisons report about a metre, far below what an archive holds.

CGCS2000 equals WGS-84 within decimetres and is taken as it is.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Degrees = NDArray[np.float64]

_SEMI_MAJOR_M = 6_378_245.0  # Krasovsky 1940, as the public arithmetic has it
_ECCENTRICITY_SQUARED = 0.006_693_421_622_965_943
_BD_ANGLE = np.pi * 3000.0 / 180.0
_CHINA = (72.004, 137.8347, 0.8293, 55.8271)  # outside this box GCJ-02 is WGS-84
_ITERATIONS = 12


class Datum(StrEnum):
    """What the numbers of a coordinate pair refer to."""

    WGS84 = "WGS-84"
    GCJ02 = "GCJ-02"
    BD09 = "BD-09"


NAMES: dict[str, Datum] = {
    "wgs84": Datum.WGS84,
    "wgs1984": Datum.WGS84,
    "epsg4326": Datum.WGS84,
    "4326": Datum.WGS84,
    "cgcs2000": Datum.WGS84,
    "epsg4490": Datum.WGS84,
    "国家2000": Datum.WGS84,
    "gcj02": Datum.GCJ02,
    "火星": Datum.GCJ02,
    "国测局": Datum.GCJ02,
    "高德": Datum.GCJ02,
    "腾讯": Datum.GCJ02,
    "bd09": Datum.BD09,
    "bd09ll": Datum.BD09,
    "百度": Datum.BD09,
}
"""Spellings of the archive, without case, blanks, `-`, `_` and `:`."""


def parse_datum(text: str) -> Datum | None:
    """The datum that a cell of the archive names, or None when it names none we know."""
    key = text.strip().casefold()
    for sign in " -_:":
        key = key.replace(sign, "")
    return NAMES.get(key.removesuffix("系").removesuffix("坐标"))


def _gcj02_shift(longitude: Degrees, latitude: Degrees) -> tuple[Degrees, Degrees]:
    x, y = longitude - 105.0, latitude - 35.0
    root = np.sqrt(np.abs(x))
    wave = (20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + wave
    north += (20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    north += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + wave
    east += (20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    east += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    phi = np.radians(latitude)
    magic = 1.0 - _ECCENTRICITY_SQUARED * np.sin(phi) ** 2
    meridian = _SEMI_MAJOR_M * (1.0 - _ECCENTRICITY_SQUARED) / (magic * np.sqrt(magic))
    parallel = _SEMI_MAJOR_M / np.sqrt(magic) * np.cos(phi)
    return np.degrees(east / parallel), np.degrees(north / meridian)


def gcj02_from_wgs84(longitude: Degrees, latitude: Degrees) -> tuple[Degrees, Degrees]:
    """GCJ-02 degrees of WGS-84 degrees; unchanged outside the box around China."""
    west, east, south, north = _CHINA
    inside = (longitude >= west) & (longitude <= east) & (latitude >= south) & (latitude <= north)
    shift_lon, shift_lat = _gcj02_shift(longitude, latitude)
    return (
        np.where(inside, longitude + shift_lon, longitude),
        np.where(inside, latitude + shift_lat, latitude),
    )


def bd09_from_gcj02(longitude: Degrees, latitude: Degrees) -> tuple[Degrees, Degrees]:
    """BD-09 degrees of GCJ-02 degrees."""
    radius = np.hypot(longitude, latitude) + 2e-5 * np.sin(latitude * _BD_ANGLE)
    angle = np.arctan2(latitude, longitude) + 3e-6 * np.cos(longitude * _BD_ANGLE)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006


def from_wgs84(longitude: Degrees, latitude: Degrees, datum: Datum) -> tuple[Degrees, Degrees]:
    """WGS-84 degrees in another datum."""
    if datum is Datum.WGS84:
        return longitude, latitude
    gcj_lon, gcj_lat = gcj02_from_wgs84(longitude, latitude)
    if datum is Datum.GCJ02:
        return gcj_lon, gcj_lat
    return bd09_from_gcj02(gcj_lon, gcj_lat)


def to_wgs84(longitude: Degrees, latitude: Degrees, datum: Datum) -> tuple[Degrees, Degrees]:
    """Degrees of a datum as WGS-84.

    The shift changes by less than 1 % of a step, so each round of `w = p - (f(w) - w)` gains two
    digits; twelve rounds leave nothing but rounding.
    """
    if datum is Datum.WGS84:
        return longitude, latitude
    lon, lat = longitude, latitude
    for _ in range(_ITERATIONS):
        there_lon, there_lat = from_wgs84(lon, lat, datum)
        lon, lat = lon - (there_lon - longitude), lat - (there_lat - latitude)
    return lon, lat


def point_to_wgs84(longitude: float, latitude: float, datum: Datum) -> tuple[float, float]:
    """One point as WGS-84 degrees."""
    lon, lat = to_wgs84(np.array([longitude]), np.array([latitude]), datum)
    return float(lon[0]), float(lat[0])
