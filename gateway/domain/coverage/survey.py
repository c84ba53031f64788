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
from gateway.domain.coverage.build import Scene
from gateway.domain.coverage.line_of_sight import Indices
from gateway.domain.coverage.model import Floats, Polygons
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


@dataclass(frozen=True, slots=True)
class SurveyOrder:
    """Cameras by weight at stake, then by area; and what each field would decide in all."""

    items: tuple[SurveyItem, ...]
    by_field: Mapping[Missing, float]


@dataclass(frozen=True)
class _Doubts:
    """Pairs (camera, point) that may be sightings, (k,) each; the bearing is from north."""

    camera: Indices
    weight: Floats
    px_per_m: Floats
    away_m: Floats
    bearing_deg: Floats


def survey_order(scene: Scene) -> SurveyOrder:
    """Order the cameras that lack a field."""
    core = scene.area_views(Side.LOWER)
    utmost = scene.area_views(Side.UPPER)
    doubts = _doubts(scene, utmost, scene.sightings(core, Side.LOWER)[1])
    count = len(scene.views.channels)
    now = _undecided(doubts, scene.views, scene.optics, count)
    worth = {
        name: np.where(
            lacks,
            np.maximum(now - _undecided(doubts, _known(scene, name), scene.optics, count), 0.0),
            0.0,
        )
        for name, lacks in scene.views.missing.items()
    }
    spread_m2 = np.maximum(shapely.area(utmost) - shapely.area(core), 0.0)
    lacking = np.flatnonzero(np.logical_or.reduce(list(scene.views.missing.values())))
    items = [
        SurveyItem(
            scene.views.channels[c],
            float(now[c]),
            float(spread_m2[c]),
            tuple(
                sorted(
                    ((n, float(worth[n][c])) for n in Missing if scene.views.missing[n][c]),
                    key=lambda pair: -pair[1],
                )
            ),
        )
        for c in lacking
    ]
    items.sort(key=lambda item: (-item.weight, -item.area_m2, item.channel))
    return SurveyOrder(tuple(items), {name: float(values.sum()) for name, values in worth.items()})


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
