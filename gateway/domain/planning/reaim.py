"""Re-aim before build: standing cameras that would see more if they were turned."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.build import Scene
from gateway.domain.coverage.model import Csr, Ints
from gateway.domain.coverage.sectors import Sectors, sectors
from gateway.domain.planning.chosen import EPSILON
from gateway.domain.planning.problem import totals
from gateway.domain.planning.sight_lines import Indices, SightLines, intrudes, sight_lines


@dataclass(frozen=True, slots=True)
class Turn:
    """A standing camera that should be turned; each counted as if it were the only one.

    Attributes:
        azimuth_deg / new_azimuth_deg: as it is and as it should be, clockwise from north.
        gain: weight of what nobody sees now and it would.
        loss: weight of what only it sees now and it would not any more.
    """

    channel: ChannelId
    azimuth_deg: float
    new_azimuth_deg: float
    gain: float
    loss: float

    @property
    def net(self) -> float:
        """What is won in all."""
        return self.gain - self.loss


def reaim(scene: Scene, sees: Csr, azimuths: int) -> tuple[Turn, ...]:
    """The cameras whose turning would gain more than it loses, best first.

    Only cameras with a known direction; one that sees all round cannot be turned. No camera is turned
    towards a prohibited area.

    Args:
        scene: archive, points, buildings, prohibited areas.
        sees: camera -> points it sees now.
        azimuths: directions to try.
    """
    views, weight = scene.views, scene.points.weight
    cameras = len(views.xy)
    count = np.bincount(sees.index, minlength=len(weight))
    camera = np.repeat(np.arange(cameras), np.diff(sees.start))
    own = count[sees.index] == 1
    held = totals(camera[own], weight[sees.index[own]], cameras)
    able = np.flatnonzero(np.isfinite(views.azimuth_deg) & ~views.all_round)
    lines = _lines(scene, able, np.flatnonzero(count <= 1))
    only_it = _is_own(lines, camera[own], sees.index[own], len(weight))
    unseen = count[lines.point] == 0
    lines_weight = weight[lines.point]
    best = np.zeros((cameras, 3))
    for azimuth in np.arange(azimuths) * (360.0 / azimuths):
        then = lines.within(azimuth, views.field_deg.mid[lines.stand])
        gain = totals(lines.stand, lines_weight * (unseen & then), cameras)
        loss = held - totals(lines.stand, lines_weight * (only_it & then), cameras)
        better = np.flatnonzero(gain - loss > best[:, 1] - best[:, 2] + EPSILON)
        better = better[~intrudes(scene, _sectors(scene, better, azimuth))]
        best[better] = np.stack((np.full(cameras, azimuth), gain, loss), axis=1)[better]
    found = [
        Turn(views.channels[c], float(views.azimuth_deg[c]), *map(float, best[c]))
        for c in np.flatnonzero(best[:, 1] > 0).tolist()
    ]
    return tuple(sorted(found, key=lambda turn: (-turn.net, turn.channel)))


def _lines(scene: Scene, able: Indices, wanted: Indices) -> SightLines:
    """The clear lines of some cameras, each as far as its own optics see the point well enough."""
    views = scene.views
    densities, which = np.unique(scene.points.px_per_m, return_inverse=True)
    reach = np.zeros((len(densities), len(views.xy)))
    for row, density in enumerate(densities):
        pixels = scene.optics.range_m(views.width_px.mid, views.field_deg.mid, float(density))
        reach[row] = np.minimum(pixels, views.distance_m.mid)
    farthest = reach[:, able].max(axis=0, initial=0.0)
    found = sight_lines(scene, views.xy[able], farthest, wanted)
    found = replace(found, stand=able[found.stand])
    return found.take(found.distance_m <= reach[which.reshape(-1)[found.point], found.stand])


def _is_own(lines: SightLines, camera: Indices, point: Ints, points: int) -> NDArray[np.bool_]:
    """Which lines lead to a point that this camera sees alone."""
    own = camera.astype(np.int64) * points + point
    found: NDArray[np.bool_] = np.isin(lines.stand.astype(np.int64) * points + lines.point, own)
    return found


def _sectors(scene: Scene, cameras: Indices, azimuth_deg: float) -> Sectors:
    """The views that some cameras would have, as far as any place may count on them."""
    now = sectors(scene.views, scene.optics, scene.lowest_px_per_m()).take(cameras)
    return replace(now, azimuth_rad=np.full(len(cameras), np.radians(azimuth_deg)))
