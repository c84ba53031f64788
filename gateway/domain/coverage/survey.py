"""Which missing archive fields cost most: the order in which to go and measure (补采顺序).

At stake is the weight of the points that a camera may see and may not see, and that no other view holds for
certain. A field is worth what of it would be decided if the field were known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import shapely

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.archive_view import (
    CIRCLE_DEG,
    ArchiveViews,
    Flags,
    Missing,
    Triple,
    confidence_of,
)
from gateway.domain.coverage.bounds import Views
from gateway.domain.coverage.build import Scene
from gateway.domain.coverage.line_of_sight import Indices
from gateway.domain.coverage.model import Floats, Ints, Polygons
from gateway.domain.coverage.optics import Optics
from gateway.domain.coverage.sectors import Side, sectors


@dataclass(frozen=True, slots=True)
class SurveyItem:
    """One camera worth a visit.

    Attributes:
        weight: at stake at this camera.
        area_m2: what it may see and does not see for certain, for districts without a place list.
        fields: missing fields, the one that decides the most weight first, with that weight.
    """

    channel: ChannelId
    weight: float
    area_m2: float
    fields: tuple[tuple[Missing, float], ...]


@dataclass(frozen=True)
class SurveyOrder:
    """Cameras that lack a field, by weight at stake, then by area; a row of each array a camera.

    Attributes:
        channels: all cameras, as in the model.
        camera: (n,) index into `channels`.
        weight / area_m2: (n,) as in `SurveyItem`.
        worth: (n, fields) weight that each field of `Missing` would decide; nan where it is known.
        by_field: what each field would decide in all.
    """

    channels: tuple[ChannelId, ...]
    camera: Ints
    weight: Floats
    area_m2: Floats
    worth: Floats
    by_field: Mapping[Missing, float]

    def __len__(self) -> int:
        return len(self.camera)

    def item(self, n: int) -> SurveyItem:
        """One row."""
        told = zip(Missing, self.worth[n].tolist(), strict=True)
        fields = sorted((pair for pair in told if pair[1] == pair[1]), key=lambda pair: -pair[1])
        return SurveyItem(
            self.channels[self.camera[n]],
            float(self.weight[n]),
            float(self.area_m2[n]),
            tuple(fields),
        )

    @property
    def items(self) -> tuple[SurveyItem, ...]:
        """All rows."""
        return tuple(self.item(n) for n in range(len(self)))


@dataclass(frozen=True)
class _Doubts:
    """Pairs (camera, point) that may be sightings, (k,) each; the bearing is from north."""

    camera: Indices
    weight: Floats
    px_per_m: Floats
    away_m: Floats
    bearing_deg: Floats


def survey_order(scene: Scene, views: Views | None = None) -> SurveyOrder:
    """Order the cameras that lack a field.

    Args:
        scene: of `build.make_scene`.
        views: its views in each reading, where they are at hand.
    """
    core = views[Side.LOWER] if views else scene.area_views(Side.LOWER)
    utmost = views[Side.UPPER] if views else scene.area_views(Side.UPPER)
    doubts = _doubts(scene, utmost, scene.sightings(core, Side.LOWER)[1])
    told = scene.views
    count = len(told.channels)
    now = _undecided(doubts, told, scene.optics, count)
    worth = np.stack([_worth(scene, doubts, name, now) for name in Missing], axis=1)
    spread_m2 = np.maximum(shapely.area(utmost) - shapely.area(core), 0.0)
    lacking = np.flatnonzero(np.isfinite(worth).any(axis=1))
    channels = np.array(told.channels, object).astype(str)
    order = lacking[np.lexsort((channels[lacking], -spread_m2[lacking], -now[lacking]))]
    return SurveyOrder(
        told.channels,
        order.astype(np.int32),
        now[order],
        spread_m2[order],
        worth[order],
        dict(zip(Missing, np.nansum(worth, axis=0).tolist(), strict=True)),
    )


def _worth(scene: Scene, doubts: "_Doubts", name: Missing, now: Floats) -> Floats:
    """What each camera's field would decide; nan where it is known."""
    known = _undecided(doubts, _known(scene, name), scene.optics, len(now))
    found: Floats = np.where(scene.views.missing[name], np.maximum(now - known, 0.0), np.nan)
    return found


def _doubts(scene: Scene, utmost: Polygons, settled: Indices) -> _Doubts:
    camera, point = scene.sightings(utmost, Side.UPPER)
    certain = np.zeros(len(scene.points.xy), dtype=bool)
    certain[settled] = True
    open_ = ~certain[point]
    camera, point = camera[open_], point[open_]
    east, north = (scene.points.xy[point] - scene.views.xy[camera]).T
    return _Doubts(
        camera,
        scene.points.weight[point],
        scene.points.px_per_m[point],
        np.hypot(east, north),
        np.degrees(np.arctan2(east, north)),
    )


def _undecided(doubts: _Doubts, views: ArchiveViews, optics: Optics, count: int) -> Floats:
    """The weight that stays undecided at each camera, were `views` all that is known."""
    share = np.zeros(doubts.camera.shape)
    for density in np.unique(doubts.px_per_m):
        asked = np.flatnonzero(doubts.px_per_m == density)
        upper = _seen_share(doubts, asked, views, optics, float(density), Side.UPPER)
        lower = _seen_share(doubts, asked, views, optics, float(density), Side.LOWER)
        share[asked] = np.maximum(upper - lower, 0.0)
    return np.bincount(doubts.camera, doubts.weight * share, minlength=count).astype(np.float64)


def _seen_share(
    doubts: _Doubts,
    asked: Indices,
    views: ArchiveViews,
    optics: Optics,
    density: float,
    side: Side,
) -> Floats:
    """1 where the point lies in the sector, 0 where not; between where it may be turned anyhow."""
    reach = sectors(views, optics, density, side)
    camera = doubts.camera[asked]
    half_deg = np.degrees(reach.half_rad[camera])
    off = doubts.bearing_deg[asked] - np.degrees(reach.azimuth_rad[camera])
    off = np.abs((off + CIRCLE_DEG / 2) % CIRCLE_DEG - CIRCLE_DEG / 2)
    anyhow = views.aimless[camera]
    told = views.azimuth_error_deg[camera] < CIRCLE_DEG / 2
    inside = np.where(anyhow & told, half_deg / (CIRCLE_DEG / 2), off <= half_deg)
    share: Floats = np.where(doubts.away_m[asked] <= reach.radius_m[camera], inside, 0.0)
    return share


def _known(scene: Scene, name: Missing) -> ArchiveViews:
    """The views if one field were no longer missing; its value is the expected one."""
    views, optics = scene.views, scene.optics
    lacks = views.missing[name]
    missing = {**views.missing, name: np.zeros_like(lacks)}
    aimless = views.aimless & (name is not Missing.AZIMUTH)
    known = replace(views, missing=missing, confidence=confidence_of(aimless, missing))
    match name:
        case Missing.AZIMUTH:
            error = np.minimum(views.azimuth_error_deg, optics.azimuth_error_deg)
            return replace(known, azimuth_error_deg=error)
        case Missing.FIELD:
            return replace(known, field_deg=_sure(views.field_deg, lacks, optics.field_error))
        case Missing.DISTANCE:
            return replace(known, distance_m=_sure(views.distance_m, lacks, optics.view_error))
        case _:  # RESOLUTION
            return replace(known, width_px=_sure(views.width_px, lacks, 0.0))


def _sure(triple: Triple, lacks: Flags, error: float) -> Triple:
    """The expected value with the error of a measured one, where it is lacking."""
    return Triple(
        np.where(lacks, triple.mid * (1 - error), triple.lo),
        triple.mid,
        np.where(lacks, triple.mid * (1 + error), triple.hi),
    )
