"""What the archive says about each view, and what is assumed where it is silent.

Every quantity is a triple lower / middle / upper: the middle makes the view that is used, the ends
make lower and upper coverage (`bounds.py`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gateway.domain.archive_values import parse_choice, parse_number
from gateway.domain.camera import Camera, ChannelId, StructureType
from gateway.domain.coverage.model import Confidence, Floats, Ints
from gateway.domain.coverage.optics import Assumed, Optics
from gateway.domain.coverage.plane import Plane

Flags = NDArray[np.bool_]
CIRCLE_DEG = 360.0
COMPASS_DEG: Mapping[str, float] = {
    "1": 90.0, "2": 270.0, "3": 180.0, "4": 0.0, "5": 135.0, "6": 45.0, "7": 225.0, "8": 315.0,
}  # fmt: skip
"""`direction_type` of GB/T 28181: the direction the camera looks TO."""


class Missing(StrEnum):
    """Archive fields that make a view uncertain when they are not there."""

    AZIMUTH = "azimuth"
    FIELD = "horizontal_field_angle"
    DISTANCE = "max_view_distance"
    RESOLUTION = "resolution"


@dataclass(frozen=True)
class Triple:
    """Lower end, middle and upper end of one quantity, (n,) each."""

    lo: Floats
    mid: Floats
    hi: Floats


@dataclass(frozen=True)
class ArchiveViews:
    """The cameras that have a position, and what is known of their views; arrays are (n,).

    Attributes:
        azimuth_deg: clockwise from north; nan = not known, or all round.
        azimuth_error_deg: how far it may be off.
        field_deg / distance_m / width_px: field angle, view distance, picture width. A distance of
            inf = not limited but by the pixels.
        all_round: it sees 360 degrees by its structure.
        turning: PTZ: it has a reach beside its home view.
        missing: per archive field, whether the camera lacks it.
    """

    channels: tuple[ChannelId, ...]
    xy: Floats
    azimuth_deg: Floats
    azimuth_error_deg: Floats
    field_deg: Triple
    distance_m: Triple
    width_px: Triple
    all_round: Flags
    turning: Flags
    confidence: Ints
    missing: Mapping[Missing, Flags]

    @property
    def aimless(self) -> Flags:
        """Not even the 8-way code of its direction is known."""
        return np.isnan(self.azimuth_deg) & ~self.all_round


def read_views(cameras: Iterable[Camera], optics: Optics, plane: Plane) -> ArchiveViews:
    """Read the cameras in use that have a position, in their order."""
    placed = [c for c in cameras if c.in_use and _has_position(c)]
    lonlat = np.array([(c.longitude, c.latitude) for c in placed], dtype=np.float64)
    xy = plane.to_xy(lonlat.reshape(-1, 2))
    inside: Flags = np.isfinite(xy[:, 0])
    placed = [c for c, good in zip(placed, inside, strict=True) if good]
    structure = np.array([_structure(c) for c in placed], dtype=np.int32)
    azimuth, error = _directions(placed, optics)
    field = _column(_positive(c, "horizontal_field_angle", CIRCLE_DEG) for c in placed)
    distance = _column(_positive(c, "max_view_distance", math.inf) for c in placed)
    width = _column(optics.width_of(_resolution(c), c.model) for c in placed)
    all_round = (np.isin(structure, list(optics.all_round)) & np.isnan(azimuth)) | (
        field >= CIRCLE_DEG
    )
    missing = {
        Missing.AZIMUTH: ~all_round & ~(error <= optics.azimuth_error_deg),
        Missing.FIELD: np.isnan(field) & ~all_round,
        Missing.DISTANCE: np.isnan(distance),
        Missing.RESOLUTION: np.isnan(width),
    }
    groups = _groups(placed, structure)
    return ArchiveViews(
        channels=tuple(c.id for c in placed),
        xy=xy[inside],
        azimuth_deg=np.where(all_round, np.nan, azimuth),
        azimuth_error_deg=error,
        field_deg=_fields(field, all_round, structure, groups, optics),
        distance_m=_filled(distance, groups, optics.view_m, optics.view_error, optics),
        width_px=_filled(width, groups, optics.width_px, 0.0, optics),
        all_round=all_round,
        turning=np.isin(structure, list(optics.turning)),
        confidence=confidence_of(np.isnan(azimuth) & ~all_round, missing),
        missing=missing,
    )


def _has_position(camera: Camera) -> bool:
    return camera.longitude is not None and camera.latitude is not None


def _structure(camera: Camera) -> int:
    code = parse_choice("ptz_type", camera.archive.get("ptz_type", ""))
    return int(code) if code else int(StructureType.FIXED)


def _resolution(camera: Camera) -> str:
    return camera.archive.get("resolution") or camera.archive.get("分辨率") or ""


def _column(values: Iterable[float | None]) -> Floats:
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)


def _positive(camera: Camera, key: str, most: float) -> float | None:
    """A number in (0, most], or None."""
    text = camera.archive.get(key, "")
    number = parse_number(text) if text else None
    return number if number is not None and 0.0 < number <= most else None


def _directions(cameras: Sequence[Camera], optics: Optics) -> tuple[Floats, Floats]:
    """Azimuth (nan = not known) and its error, degrees."""
    azimuth = np.full(len(cameras), np.nan)
    error = np.full(len(cameras), CIRCLE_DEG / 2)
    for c, camera in enumerate(cameras):
        found = direction_of(camera)
        if found is not None:
            azimuth[c] = found[0] % CIRCLE_DEG
            error[c] = optics.azimuth_error_deg if found[1] else optics.compass_error_deg
    return azimuth, error


def direction_of(camera: Camera) -> tuple[float, bool] | None:
    """Where the archive says that a camera looks to.

    Some files write degrees where the 8-way code belongs: what is no code, but a number up to 360,
    counts as measured.

    Returns:
        Degrees clockwise from north, -360 to 360, and whether they were measured; None = not known.
    """
    for key in ("azimuth", "direction_type"):
        text = camera.archive.get(key, "")
        if key == "direction_type" and text:
            code = parse_choice(key, text)
            if code is not None and "." not in text:
                return COMPASS_DEG[code], False
        degrees = parse_number(text) if text else None
        if degrees is not None and abs(degrees) <= CIRCLE_DEG:
            return degrees, True
    return None


def confidence_of(aimless: Flags, missing: Mapping[Missing, Flags]) -> Ints:
    """The `Confidence` of each view.

    Args:
        aimless: not even the 8-way code of its direction is known.
        missing: fields that the archive lacks.
    """
    pixels = missing[Missing.FIELD] | missing[Missing.RESOLUTION]
    default = aimless | (missing[Missing.DISTANCE] & pixels)
    surveyed = ~missing[Missing.AZIMUTH] & ~missing[Missing.FIELD] & ~missing[Missing.DISTANCE]
    found: Ints = np.where(
        default, Confidence.DEFAULT, np.where(surveyed, Confidence.SURVEYED, Confidence.DERIVED)
    ).astype(np.int32)
    return found


def _groups(cameras: Sequence[Camera], structure: Ints) -> tuple[Ints, ...]:
    """Group numbers, the finest first: same maker and model, same structure."""
    names: dict[tuple[str, str], int] = {}
    models = [names.setdefault((c.manufacturer, c.model), len(names)) for c in cameras]
    bare = [-1 if not c.model else g for c, g in zip(cameras, models, strict=True)]
    return np.array(bare, dtype=np.int32), structure


def _fields(
    known: Floats, all_round: Flags, structure: Ints, groups: tuple[Ints, ...], optics: Optics
) -> Triple:
    found = _filled(known, groups, optics.field_deg, optics.field_error, optics)
    for kind, degrees in optics.field_by_structure.items():
        silent = np.isnan(known) & (structure == kind)
        for side in (found.lo, found.mid, found.hi):
            side[silent] = degrees
    for side in (found.lo, found.mid, found.hi):
        side[all_round] = CIRCLE_DEG
        np.minimum(side, CIRCLE_DEG, out=side)
    return found


def _filled(
    known: Floats, groups: tuple[Ints, ...], assumed: Assumed, error: float, optics: Optics
) -> Triple:
    """Known values with their error; unknown ones from their group, else as assumed.

    The middle of a group is its root mean square: areas come out right on average.
    """
    lo, mid, hi = (np.full(known.shape, value) for value in (assumed.lo, assumed.mid, assumed.hi))
    told = ~np.isnan(known)
    for group in reversed(groups):
        for number in np.unique(group[~told & (group >= 0)]):
            members = group == number
            values = known[members & told]
            if values.size >= optics.least:
                silent = members & ~told
                lo[silent], hi[silent] = np.quantile(values, optics.quantiles)
                mid[silent] = np.clip(math.sqrt(np.mean(values**2)), lo[silent], hi[silent])
    lo[told], mid[told], hi[told] = (
        known[told] * (1 - error),
        known[told],
        known[told] * (1 + error),
    )
    return Triple(lo, mid, hi)
