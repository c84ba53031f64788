"""Views that may not exist (Decree 799): standing cameras that look into a prohibited area."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.bounds import Sure, Views
from gateway.domain.coverage.build import Scene
from gateway.domain.coverage.model import Polygons
from gateway.domain.coverage.place import ProhibitedArea
from gateway.domain.coverage.plane import DISTRICT, Plane
from gateway.domain.coverage.sectors import Side

SURE_OF = {Side.UPPER: Sure.POSSIBLE, Side.EXPECTED: Sure.EXPECTED, Side.LOWER: Sure.CERTAIN}
"""From the widest reading of the archive to the narrowest: the last one that looks in counts."""


@dataclass(frozen=True, slots=True)
class Intrusion:
    """One camera and one area.

    Attributes:
        area / name / kind: of the prohibited area.
        sure: whether it looks in whatever the archive leaves open, as the archive says, or only if
            a missing field is so.
        overlap_m2: of the view with the area, as the archive says (expected).
        most_m2: the same, in the widest reading.
        longitude / latitude: a point within the area, degrees.
    """

    channel: ChannelId
    area: str
    name: str
    kind: str
    sure: Sure
    overlap_m2: float
    most_m2: float
    longitude: float
    latitude: float


def intrusions(
    scene: Scene, views: Views, areas: Iterable[ProhibitedArea], plane: Plane = DISTRICT
) -> tuple[Intrusion, ...]:
    """Who looks where none may: the surest first, then the largest overlap.

    A view counts as far as any place may count on it: where a place asks for less than the area level,
    beyond the views of the model. A PTZ camera counts by its home view: where it could be turned to
    is not judged.

    Args:
        scene: of `build.make_scene`.
        views: its views at the area level in each reading.
        areas: those that the scene was made of.
        plane: of the scene.
    """
    if not len(scene.prohibited):
        return ()
    views = {side: scene.utmost_views(views[side], side) for side in Side}
    told = {area.id: area for area in areas}
    area, camera = np.unique(
        np.concatenate([_pairs(scene, views[s]) for s in Side], axis=1), axis=1
    )
    overlap = {
        side: shapely.area(shapely.intersection(views[side][camera], scene.prohibited[area]))
        for side in Side
    }
    sure = np.zeros(len(area), np.int8)
    for side, counts in SURE_OF.items():
        sure[overlap[side] > scene.optics.intrusion_m2] = counts
    within = shapely.get_coordinates(shapely.point_on_surface(scene.prohibited))
    lonlat = plane.to_lonlat(within)
    found = []
    for n in np.flatnonzero(sure > Sure.NO).tolist():
        one = told[scene.prohibited_ids[area[n]]]
        expected = float(overlap[Side.EXPECTED][n])
        found.append(
            Intrusion(
                scene.views.channels[camera[n]],
                one.id,
                one.name,
                one.kind,
                Sure(int(sure[n])),
                expected,
                max(expected, float(overlap[Side.UPPER][n])),
                float(lonlat[area[n], 0]),
                float(lonlat[area[n], 1]),
            )
        )
    found.sort(key=lambda one: (-one.sure, -one.overlap_m2, -one.most_m2, one.channel, one.area))
    return tuple(found)


def _pairs(scene: Scene, views: Polygons) -> "np.ndarray[tuple[int, int], np.dtype[np.intp]]":
    found: np.ndarray[tuple[int, int], np.dtype[np.intp]] = shapely.STRtree(views).query(
        scene.prohibited, predicate="intersects"
    )
    return found
