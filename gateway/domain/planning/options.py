"""What each candidate site could see: one option for each direction and lens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.domain.coverage.build import Scene
from gateway.domain.coverage.model import Csr, Floats, Ints
from gateway.domain.coverage.sectors import Sectors
from gateway.domain.planning.lenses import Catalogue, Lens
from gateway.domain.planning.problem import csr_of
from gateway.domain.planning.reduce import only
from gateway.domain.planning.sight_lines import (
    Indices,
    SightLines,
    intrudes,
    sight_lines,
    stands_in,
)


@dataclass(frozen=True)
class Options:
    """Cameras that could be mounted, by site; arrays are (n,).

    Attributes:
        site / azimuth_deg / lens: of each option; `lens` is a number in `lenses`.
        covers: option -> points, at the level their places ask for.
        lenses: to choose from.
        sites_inside: sites left out because they stand in a prohibited area.
        intruding: options left out because they would look into one.
    """

    site: Ints
    azimuth_deg: Floats
    lens: Ints
    covers: Csr
    lenses: tuple[Lens, ...]
    sites_inside: tuple[int, ...] = ()
    intruding: int = 0

    def sectors(self, scene: Scene, xy: Floats, chosen: Indices) -> Sectors:
        """The sectors of some options, as far as any of their points may lie.

        Args:
            scene: optics and the densities that places ask for.
            xy: (sites, 2) metres.
            chosen: numbers of options.
        """
        lens = self.lens[chosen]
        field = np.array([one.field_deg for one in self.lenses])
        return Sectors(
            xy[self.site[chosen]],
            np.radians(self.azimuth_deg[chosen]),
            np.radians(np.minimum(field[lens], 360.0)) / 2,
            farthest(scene, self.lenses)[lens],
        )


def farthest(scene: Scene, lenses: Sequence[Lens]) -> Floats:
    """How far each lens sees at the lowest density that anything asks for."""
    least = np.array([scene.lowest_px_per_m()])
    return np.array([lens.range_m(scene.optics, least)[0] for lens in lenses])


def make_options(
    scene: Scene, xy: Floats, lenses: tuple[Lens, ...], catalogue: Catalogue, wanted: Indices
) -> Options:
    """All options that see a wanted point and look into no prohibited area.

    Args:
        scene: points, buildings and prohibited areas.
        xy: (n, 2) the sites, metres; not finite = it has no usable position and no options.
        lenses: to choose from.
        catalogue: the directions.
        wanted: points that a further view helps.
    """
    inside = stands_in(scene, xy)
    reach = farthest(scene, lenses)
    usable = np.flatnonzero(~inside & np.isfinite(xy).all(axis=1))
    lines = sight_lines(scene, xy[usable], np.full(len(usable), reach.max()), wanted)
    parts = [
        _seen(scene, lines, lens, float(azimuth), number)
        for number, lens in enumerate(lenses)
        for azimuth in catalogue.azimuths_of(lens)
    ]
    stand, point, azimuth, lens = (np.concatenate(column) for column in zip(*parts, strict=True))
    site = usable[stand]
    key = np.stack((site, lens, azimuth), axis=1)
    rows, option = np.unique(key, axis=0, return_inverse=True)
    every = Options(
        rows[:, 0].astype(np.int32),
        rows[:, 2],
        rows[:, 1].astype(np.int32),
        csr_of(option.reshape(-1), point, len(rows)),
        lenses,
        tuple(np.flatnonzero(inside).tolist()),
    )
    bad = intrudes(scene, every.sectors(scene, xy, np.arange(len(rows))))
    kept = np.flatnonzero(~bad)
    return Options(
        every.site[kept],
        every.azimuth_deg[kept],
        every.lens[kept],
        only(every.covers, kept),
        lenses,
        every.sites_inside,
        int(bad.sum()),
    )


def _seen(
    scene: Scene, lines: SightLines, lens: Lens, azimuth_deg: float, number: int
) -> tuple[Indices, Indices, Floats, Floats]:
    """Stand, point, azimuth and lens of every pair that one lens in one direction sees."""
    densities, which = np.unique(scene.points.px_per_m, return_inverse=True)
    reach = lens.range_m(scene.optics, densities)[which.reshape(-1)]
    good = lines.within(azimuth_deg, lens.field_deg) & (lines.distance_m <= reach[lines.point])
    count = int(good.sum())
    return (
        lines.stand[good],
        lines.point[good],
        np.full(count, azimuth_deg),
        np.full(count, float(number)),
    )
