"""What a client asks of a collection: `bbox`, `datetime`, `limit`, `f`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gateway.domain.coverage.model import Floats
from gateway.web.params import Params, parse_time

LIMIT_DEFAULT = 1000
LIMIT_MAX = 10_000
FILTERS = frozenset({"f", "bbox", "datetime", "limit", "cursor"})
FLAT, SOLID = 4, 6
"""Numbers of a box without and with heights (which are left aside: no layer has any)."""
SECOND, TICK = timedelta(seconds=1), timedelta(microseconds=1)


class Format(StrEnum):
    """The one encoding there is."""

    JSON = "json"


@dataclass(frozen=True, slots=True)
class Box:
    """A `bbox` in degrees (CRS84). West of `west` lies its `east` where it crosses the 180th meridian."""

    west: float
    south: float
    east: float
    north: float

    def parts(self) -> Iterator[tuple[float, float, float, float]]:
        """One or two boxes whose west is not east of their east."""
        if self.west <= self.east:
            yield self.west, self.south, self.east, self.north
        else:
            yield self.west, self.south, 180.0, self.north
            yield -180.0, self.south, self.east, self.north

    def holds(self, lon_deg: float | None, lat_deg: float | None) -> bool:
        """Whether a position lies in it; no position lies nowhere."""
        if lon_deg is None or lat_deg is None:
            return False
        return any(w <= lon_deg <= e and s <= lat_deg <= n for w, s, e, n in self.parts())

    def touches(self, bounds: Floats) -> NDArray[np.bool_]:
        """Which of (n, 4) bounds meet it; those of nothing (nan) do not."""
        found = np.zeros(len(bounds), bool)
        left, bottom, right, top = bounds.T
        for w, s, e, n in self.parts():
            found |= (left <= e) & (right >= w) & (bottom <= n) & (top >= s)
        return found

    def meets(self, shapes: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - shapely has no array type
        """Which shapes in degrees share a point with it."""
        found = np.zeros(len(shapes), bool)
        for w, s, e, n in self.parts():
            area = _area(w, s, e, n)
            shapely.prepare(area)
            found |= shapely.intersects(area, shapes)
        return found


def _area(w: float, s: float, e: float, n: float) -> Any:  # noqa: ANN401 - a geometry
    """A box may be as thin as a line or a point: then it is one."""
    if w < e and s < n:
        return shapely.box(w, s, e, n)
    return shapely.Point(w, s) if (w, s) == (e, n) else shapely.LineString([(w, s), (e, n)])


@dataclass(frozen=True, slots=True)
class Asked:
    """A page of a collection.

    Attributes:
        since / until: the half-open window that features with a time must overlap.
    """

    limit: int = LIMIT_DEFAULT
    box: Box | None = None
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, params: Params) -> "Asked":
        """Read the parameters; errors are noted in `params`."""
        params.choice("f", Format)
        box, (since, until) = None, (None, None)
        try:
            if (text := params.given.get("bbox")) is not None:
                box = parse_box(text)
        except ValueError as error:
            params.wrong("bbox", str(error))
        try:
            if (text := params.given.get("datetime")) is not None:
                since, until = parse_window(text)
        except ValueError as error:
            params.wrong("datetime", str(error))
        return cls(_limit(params), box, since, until)


def _limit(params: Params) -> int:
    """More than the most is no error (17-069r4, requirement fc-limit-response-1)."""
    text = params.given.get("limit")
    if text is None:
        return LIMIT_DEFAULT
    digits = text.lstrip("0")
    if not (text.isascii() and text.isdigit() and digits):
        params.wrong("limit", f"must be a whole number from 1; above {LIMIT_MAX} counts as that")
        return LIMIT_DEFAULT
    return LIMIT_MAX if len(digits) > len(str(LIMIT_MAX)) else min(int(digits), LIMIT_MAX)


def parse_box(text: str) -> Box:
    """Four numbers west, south, east, north, or six with the lowest and highest height.

    Raises:
        ValueError: says what is wrong.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError("must be numbers with commas between") from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError("must be finite numbers")
    if len(numbers) == SOLID:
        west, south, low, east, north, high = numbers
        if low > high:
            raise ValueError("has its lowest height above its highest")
    elif len(numbers) == FLAT:
        west, south, east, north = numbers
    else:
        raise ValueError(f"must be {FLAT} numbers, or {SOLID} with heights")
    if south > north:
        raise ValueError("has its south north of its north: west,south,east,north in degrees")
    return Box(west, south, east, north)


def parse_window(text: str) -> tuple[datetime | None, datetime | None]:
    """A moment or an interval as a half-open window; an end that is open (`..`) is None.

    A time without a fraction of a second stands for that whole second: clients that know only seconds
    (GDAL cuts the rest off) would lose what began in it.

    Raises:
        ValueError: says what is wrong.
    """
    first, slash, last = text.partition("/")
    if not slash:
        return parse_time(first), _after(first)
    since = None if first in {"", ".."} else parse_time(first)
    until = None if last in {"", ".."} else _after(last)
    if since is None and last in {"", ".."}:
        raise ValueError("is open at both ends: leave it out")
    if since is not None and until is not None and since >= until:
        raise ValueError("ends before it begins")
    return since, until


def _after(text: str) -> datetime | None:
    """The first moment that a time no longer covers; None at the end of the calendar."""
    at = parse_time(text)
    try:
        return at + (TICK if at.microsecond or "." in text else SECOND)
    except OverflowError:
        return None
