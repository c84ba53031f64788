"""What one change by hand would gain and lose: a camera removed, moved, turned or added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.build import Scene
from gateway.domain.coverage.line_of_sight import point_shapes
from gateway.domain.coverage.model import Csr, Ints, Polygons, Shape
from gateway.domain.coverage.sectors import Sectors
from gateway.domain.planning.lenses import CIRCLE_DEG, Lens
from gateway.domain.planning.sight_lines import intrudes
from gateway.errors import UsageError


@dataclass(frozen=True, slots=True)
class Change:
    """One change by hand.

    Attributes:
        channel: the standing camera; None = a new one.
        xy: where it would stand, metres; None = where it stands.
        azimuth_deg: where it would look; None = as now.
        lens: of a new camera; None = the optics it has.
        remove: it would be taken away.
    """

    channel: ChannelId | None = None
    xy: tuple[float, float] | None = None
    azimuth_deg: float | None = None
    lens: Lens | None = None
    remove: bool = False


@dataclass(frozen=True)
class Now:
    """How it is: made once, asked often.

    Attributes:
        views: of each camera at the area level.
        sees: camera -> points.
        count: how many cameras see each point.
    """

    scene: Scene
    views: Polygons
    sees: Csr
    count: Ints
    number: Mapping[ChannelId, int]
    tree: shapely.STRtree

    @classmethod
    def of(cls, scene: Scene, views: Polygons, sees: Csr) -> "Now":
        """Take a scene with its views."""
        count = np.bincount(sees.index, minlength=len(scene.points.xy)).astype(np.int32)
        number = {channel: c for c, channel in enumerate(scene.views.channels)}
        return cls(scene, views, sees, count, number, shapely.STRtree(views))


@dataclass(frozen=True)
class Difference:
    """What the changes would do.

    Attributes:
        gained / lost: points that become seen, and that are seen no more.
        gained_m2 / lost_m2: ground at the area level, the same way.
        intruding: numbers of the changes after which a camera looks into a prohibited area.
    """

    gained: Ints
    lost: Ints
    gained_m2: float
    lost_m2: float
    intruding: tuple[int, ...]


@dataclass(frozen=True)
class _Stand:
    """A camera as it would be."""

    xy: tuple[float, float]
    azimuth_deg: float
    field_deg: float
    width_px: float
    most_m: float


def what_if(now: Now, changes: Sequence[Change]) -> Difference:
    """Apply all changes together.

    Raises:
        UsageError: a change names a camera that is unknown, has no direction, or comes twice.
    """
    touched = [_number(now, change) for change in changes if change.channel is not None]
    if len(set(touched)) != len(touched):
        raise UsageError("what-if: a camera is named twice")
    new = [(n, _stand(now, change)) for n, change in enumerate(changes) if not change.remove]
    stands = [stand for _, stand in new]
    area = now.scene.optics.area_px_per_m()
    reach = _sectors(now.scene, stands, area)
    views = now.scene.seen(reach)
    count = now.count.copy()
    for camera in touched:
        count[now.sees.of(camera)] -= 1
    np.add.at(count, _sightings(now.scene, stands, reach, views), 1)
    gained_m2, lost_m2 = _areas(now, touched, views)
    bad = intrudes(now.scene, _sectors(now.scene, stands, now.scene.lowest_px_per_m()))
    return Difference(
        np.flatnonzero((now.count == 0) & (count > 0)).astype(np.int32),
        np.flatnonzero((now.count > 0) & (count == 0)).astype(np.int32),
        gained_m2,
        lost_m2,
        tuple(n for (n, _), into in zip(new, bad, strict=True) if into),
    )


def _number(now: Now, change: Change) -> int:
    if change.channel is None or change.channel not in now.number:
        raise UsageError(f"what-if: {change.channel} is no camera in use with a position")
    return now.number[change.channel]


def _stand(now: Now, change: Change) -> _Stand:
    views = now.scene.views
    if change.channel is None:
        if change.xy is None or change.lens is None:
            raise UsageError("what-if: a new camera needs a position and a lens")
        lens = change.lens
        return _Stand(
            change.xy, change.azimuth_deg or 0.0, lens.field_deg, lens.width_px, lens.most_m
        )
    c = _number(now, change)
    azimuth = views.azimuth_deg[c] if change.azimuth_deg is None else change.azimuth_deg
    all_round = views.all_round[c]
    if np.isnan(azimuth) and not all_round:
        raise UsageError(f"what-if: the direction of {change.channel} is not known; give one")
    x, y = change.xy or views.xy[c]
    field, width, most = views.field_deg.mid[c], views.width_px.mid[c], views.distance_m.mid[c]
    if change.lens is not None:
        field, width, most = change.lens.field_deg, change.lens.width_px, change.lens.most_m
    elif all_round:
        field = CIRCLE_DEG
    return _Stand((x, y), float(np.nan_to_num(azimuth)), float(field), float(width), float(most))


def _sectors(scene: Scene, stands: Sequence[_Stand], px_per_m: float) -> Sectors:
    field = np.array([stand.field_deg for stand in stands])
    width = np.array([stand.width_px for stand in stands])
    most = np.array([stand.most_m for stand in stands])
    return Sectors(
        np.array([stand.xy for stand in stands], dtype=np.float64).reshape(-1, 2),
        np.radians([stand.azimuth_deg for stand in stands]),
        np.radians(np.minimum(field, CIRCLE_DEG)) / 2,
        np.minimum(scene.optics.range_m(width, field, px_per_m), most),
    )


def _sightings(scene: Scene, stands: Sequence[_Stand], reach: Sectors, views: Polygons) -> Ints:
    """The points that new cameras see, once for each camera: the rule of `Scene.sightings`."""
    found = [np.empty(0, dtype=np.int32)]
    area = scene.optics.area_px_per_m()
    for density in np.unique(scene.points.px_per_m) if stands else ():
        asked = np.flatnonzero(scene.points.px_per_m == density)
        limit = _sectors(scene, stands, float(density))
        shapes = views if density >= area else scene.seen(limit)
        margin = float(limit.radius_m.max())
        xy, low, high = scene.points.xy[asked], reach.xy.min(axis=0), reach.xy.max(axis=0)
        near = asked[((xy >= low - margin) & (xy <= high + margin)).all(axis=1)]
        tree = shapely.STRtree(point_shapes(scene.points.xy[near]))
        stand, at = tree.query(shapes, predicate="intersects")
        away = scene.points.xy[near[at]] - reach.xy[stand]
        good = np.hypot(away[:, 0], away[:, 1]) <= limit.radius_m[stand]
        found.append(near[at[good]].astype(np.int32))
    return np.concatenate(found)


def _areas(now: Now, touched: Sequence[int], views: Polygons) -> tuple[float, float]:
    """Square metres gained and lost at the area level."""
    before = shapely.union_all(now.views[list(touched)])
    after = shapely.union_all(views)
    changed = shapely.union(before, after)
    near = np.setdiff1d(now.tree.query(changed, predicate="intersects"), touched)
    others: Shape = shapely.union_all(now.views[near])
    gained = shapely.difference(shapely.difference(after, before), others)
    lost = shapely.difference(shapely.difference(before, after), others)
    return float(gained.area), float(lost.area)
