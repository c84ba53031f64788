"""Re-aim before build: standing cameras that would see more if they were turned, one after the other."""

import heapq
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.build import Scene
from gateway.domain.coverage.model import Csr, Floats, Ints
from gateway.domain.coverage.sectors import Sectors, sectors
from gateway.domain.planning.chosen import EPSILON
from gateway.domain.planning.problem import csr_of, totals
from gateway.domain.planning.sight_lines import Indices, SightLines, intrudes, sight_lines


@dataclass(frozen=True, slots=True)
class Turn:
    """A standing camera that should be turned, after those before it have been.

    Attributes:
        azimuth_deg / new_azimuth_deg: as it is and as it should be, clockwise from north.
        gain: weight of what nobody sees by then and it would.
        loss: weight of what only it sees by then and it would not any more.
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


@dataclass(frozen=True)
class Reaimed:
    """Turns in the order to make them, and how it is after them.

    Attributes:
        turns: always the one next that wins most; each camera once at most.
        sees: camera -> points it sees after all of them.
    """

    turns: tuple[Turn, ...]
    sees: Csr


@dataclass(frozen=True)
class _Best:
    """The best direction of some cameras as things stand; arrays are (n,)."""

    direction: Ints
    gain: Floats
    loss: Floats


MOST_TURNS = 1_000
"""More than any office turns before the archive changes; each next one wins less."""


def reaim(scene: Scene, sees: Csr, azimuths: int, most: int = MOST_TURNS) -> Reaimed:
    """The cameras whose turning would gain more than it loses, one after the other.

    Only cameras with a known direction; one that sees all round cannot be turned. No camera is turned
    towards a prohibited area.

    Args:
        scene: archive, points, buildings, prohibited areas.
        sees: camera -> points it sees now.
        azimuths: directions to try.
        most: turns.
    """
    turning = _Turning(scene, sees, azimuths)
    turns: list[Turn] = []
    while len(turns) < most and (turn := turning.next()) is not None:
        turns.append(turn)
    return Reaimed(tuple(turns), turning.sees())


class _Turning:
    """The cameras while one after the other is turned.

    What a camera wins changes only with the points that it sees or could see: after each turn those
    cameras are judged anew that a changed point lies before, and nobody else.
    """

    def __init__(self, scene: Scene, sees: Csr, azimuths: int) -> None:
        views, self.weight = scene.views, scene.points.weight
        cameras, points = len(views.xy), len(self.weight)
        self.scene, self.before = scene, sees
        self.count = np.bincount(sees.index, minlength=points)
        able = np.flatnonzero(np.isfinite(views.azimuth_deg) & ~views.all_round)
        lines = _lines(scene, able, np.arange(points))
        self.ways = np.arange(azimuths) * (360.0 / azimuths)
        order = np.argsort(lines.stand, kind="stable")
        self.point = lines.point[order]
        stand = lines.stand[order]
        self.start = np.searchsorted(stand, np.arange(cameras + 1))
        self.inside = np.stack(
            [lines.within(way, views.field_deg.mid[lines.stand])[order] for way in self.ways]
        )
        camera = np.repeat(np.arange(cameras), np.diff(sees.start))
        self.seen_now = np.isin(stand * points + self.point, camera * points + sees.index)
        turnable = np.isin(camera, able)
        self.before_points = csr_of(
            np.concatenate((self.point, sees.index[turnable])),
            np.concatenate((stand, camera[turnable])),
            points,
        )
        self.forbidden = np.zeros((cameras, azimuths), dtype=bool)
        self.version = np.zeros(cameras, dtype=np.int64)
        self.done = np.zeros(cameras, dtype=bool)
        self.after: dict[int, Ints] = {}
        self.heap: list[tuple[float, ChannelId, int, int, int, float, float]] = []
        self._judge(able)

    def next(self) -> Turn | None:
        """Make the turn that wins most; None when no turn wins anything."""
        while self.heap:
            _, channel, camera, version, way, gain, loss = heapq.heappop(self.heap)
            if self.done[camera] or version != self.version[camera]:
                continue
            one = np.array([camera])
            if intrudes(self.scene, _sectors(self.scene, one, float(self.ways[way])))[0]:
                self.forbidden[camera, way] = True
                self._judge(one)
                continue
            self._turn(camera, way)
            azimuth = float(self.scene.views.azimuth_deg[camera])
            return Turn(channel, azimuth, float(self.ways[way]), gain, loss)
        return None

    def sees(self) -> Csr:
        """Camera -> points, as it is now."""
        rows = [self.after.get(c, self.before.of(c)) for c in range(len(self.done))]
        start = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int32)
        return Csr(start, np.concatenate([np.empty(0, np.int32), *rows]).astype(np.int32))

    def _turn(self, camera: int, way: int) -> None:
        mine = slice(self.start[camera], self.start[camera + 1])
        now = np.sort(self.point[mine][self.inside[way, mine]]).astype(np.int32)
        was = self.before.of(camera)
        self.count[was] -= 1
        self.count[now] += 1
        self.after[camera] = now
        self.done[camera] = True
        changed = np.setxor1d(was, now)
        touched = [self.before_points.of(p) for p in changed.tolist()]
        near = np.unique(np.concatenate([np.empty(0, np.int32), *touched]))
        self._judge(near[~self.done[near]])

    def _judge(self, cameras: NDArray[np.integer]) -> None:
        """Put the best turn of some cameras up for choice, as things stand now."""
        if not len(cameras):
            return
        self.version[cameras] += 1
        best = self._best(cameras)
        for n in np.flatnonzero(best.gain - best.loss > EPSILON).tolist():
            c, gain, loss = int(cameras[n]), float(best.gain[n]), float(best.loss[n])
            channel, version = self.scene.views.channels[c], int(self.version[c])
            entry = (loss - gain, channel, c, version, int(best.direction[n]), gain, loss)
            heapq.heappush(self.heap, entry)

    def _best(self, cameras: NDArray[np.integer]) -> _Best:
        n = len(cameras)
        of, at = _rows(self.start, cameras)
        holder, held = _rows(self.before.start, cameras)
        point = self.before.index[held]
        own = totals(holder, self.weight[point] * (self.count[point] == 1), n)
        count, weight = self.count[self.point[at]], self.weight[self.point[at]]
        unseen, kept = weight * (count == 0), weight * ((count == 1) & self.seen_now[at])
        best = _Best(np.zeros(n, np.int32), np.zeros(n), np.zeros(n))
        for way in range(len(self.ways)):
            then = self.inside[way, at]
            gain = totals(of, unseen * then, n)
            loss = own - totals(of, kept * then, n)
            better = gain - loss > best.gain - best.loss + EPSILON
            better &= ~self.forbidden[cameras, way]
            best.direction[better] = way
            best.gain[better], best.loss[better] = gain[better], loss[better]
        return best


def _rows(start: NDArray[np.integer], chosen: NDArray[np.integer]) -> tuple[Indices, Indices]:
    """The entries of some rows of a list of lists: which of the chosen, and where."""
    sizes = start[chosen + 1] - start[chosen]
    of = np.repeat(np.arange(len(chosen)), sizes)
    within = np.arange(len(of)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return of, np.repeat(start[chosen], sizes) + within


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


def _sectors(scene: Scene, cameras: Indices, azimuth_deg: float) -> Sectors:
    """The views that some cameras would have, as far as any place may count on them."""
    now = sectors(scene.views, scene.optics, scene.lowest_px_per_m()).take(cameras)
    return replace(now, azimuth_rad=np.full(len(cameras), np.radians(azimuth_deg)))
