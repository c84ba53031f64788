"""The sectors that views cover on an empty plain: middle, certain core, and utmost extent."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gateway.domain.coverage.archive_view import CIRCLE_DEG, ArchiveViews
from gateway.domain.coverage.model import Confidence, Floats
from gateway.domain.coverage.optics import Optics


class Side(StrEnum):
    """Which reading of an uncertain archive."""

    LOWER = "lower"
    """What is certain: the narrowed core of views that do not rest on assumptions."""
    EXPECTED = "expected"
    UPPER = "upper"
    """What may be seen: widened wedges; a disc where the direction is not known."""


@dataclass(frozen=True)
class Sectors:
    """One sector a camera; arrays are (n,).

    Attributes:
        xy: (n, 2) where it stands.
        azimuth_rad: the middle, clockwise from north; anything for a disc.
        half_rad: half its angle; pi = a disc.
        radius_m: 0 = it sees nothing.
    """

    xy: Floats
    azimuth_rad: Floats
    half_rad: Floats
    radius_m: Floats

    def take(self, chosen: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> "Sectors":
        """Some of them."""
        return Sectors(
            self.xy[chosen],
            self.azimuth_rad[chosen],
            self.half_rad[chosen],
            self.radius_m[chosen],
        )


def sectors(
    views: ArchiveViews, optics: Optics, px_per_m: float, side: Side = Side.EXPECTED
) -> Sectors:
    """What each camera would see at a density if nothing stood in its way.

    Without a direction, the expected view is a disc of the same area as the wedge that it must be: nothing
    says where that lies, but the sum is right, and what is near the pole is the likeliest.
    """
    field, distance, width = views.field_deg, views.distance_m, views.width_px
    if side is Side.LOWER:
        angle = field.lo - 2 * views.azimuth_error_deg
        angle[views.all_round] = CIRCLE_DEG
        radius = np.minimum(optics.range_m(width.lo, field.hi, px_per_m), distance.lo)
        radius[(views.confidence == Confidence.DEFAULT) | (angle <= 0)] = 0.0
    elif side is Side.UPPER:
        angle = field.hi + 2 * views.azimuth_error_deg
        radius = np.minimum(optics.range_m(width.hi, field.lo, px_per_m), distance.hi)
    else:
        angle = np.where(views.aimless, CIRCLE_DEG, field.mid)
        radius = np.minimum(optics.range_m(width.mid, field.mid, px_per_m), distance.mid)
        radius[views.aimless] *= np.sqrt(field.mid[views.aimless] / CIRCLE_DEG)
    return Sectors(
        views.xy,
        np.radians(np.nan_to_num(views.azimuth_deg)),
        np.radians(np.clip(angle, 0.0, CIRCLE_DEG)) / 2,
        radius,
    )


def reaches(views: ArchiveViews, optics: Optics, px_per_m: float) -> Sectors:
    """The disc that each turning camera could look around in; radius 0 for the others."""
    home = sectors(views, optics, px_per_m)
    radius = np.minimum(
        optics.range_m(views.width_px.mid, views.field_deg.mid, px_per_m), views.distance_m.mid
    )
    radius = np.where(views.turning, radius, 0.0)
    return Sectors(home.xy, home.azimuth_rad, np.full(radius.shape, np.pi), radius)
