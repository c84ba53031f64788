"""Everything about coverage that changes only with an import: built once, off the event loop.

Coordinates are metres in one local plane (`plane.py`), arrays are numpy, polygons are shapely. Index `c` is
a camera (position in `channels`), `p` a sample point, `g` a grid cell. Lists of lists are in CSR form:
the neighbours of `c` are `index[start[c]:start[c + 1]]`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.domain.camera import ChannelId, GridId
from gateway.domain.coverage.place import PlaceId

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Polygons = NDArray[np.object_]


class Confidence(IntEnum):
    """Where a view comes from."""

    DEFAULT = 0
    """Direction or range had to be assumed."""
    DERIVED = 1
    """From the 8-way code, or from lens and resolution."""
    SURVEYED = 2
    """Azimuth, angle and distance were measured."""


@dataclass(frozen=True)
class Csr:
    """A list of lists of numbers, flat."""

    start: Ints
    index: Ints

    def of(self, row: int) -> Ints:
        """The numbers of one row."""
        found: Ints = self.index[self.start[row] : self.start[row + 1]]
        return found


@dataclass(frozen=True)
class CoverageModel:
    """What the live ledger, the figures and the planner start from.

    Attributes:
        channels: cameras in use that have a position.
        xy: (n, 2) their position.
        views: what each sees at the area level, cut by buildings; an empty polygon = nothing.
        reach: PTZ only: the disc it could turn to; None for others.
        confidence: `Confidence` of each view.
        grids / cells: the grid cells that have a shape.
        cells_of: camera -> cells its view touches.
        neighbours: camera -> cameras whose views overlap its own.
        places: accepted places in use.
        point_xy / point_place / point_weight / point_cell: sample points; the weights of a place's points
            add up to its weight; cell -1 = outside all.
        sees: camera -> points it sees at the level their place asks for.
        seen_by: point -> the cameras of `sees`.
        intrusions: (camera, prohibited area id) pairs: views that look where none may.
    """

    channels: tuple[ChannelId, ...]
    xy: Floats
    views: Polygons
    reach: Polygons
    confidence: Ints
    grids: tuple[GridId, ...]
    cells: Polygons
    cells_of: Csr
    neighbours: Csr
    places: tuple[PlaceId, ...]
    point_xy: Floats
    point_place: Ints
    point_weight: Floats
    point_cell: Ints
    sees: Csr
    seen_by: Csr
    intrusions: tuple[tuple[int, str], ...] = ()

    def number(self) -> dict[ChannelId, int]:
        """Index of each channel."""
        return {channel: c for c, channel in enumerate(self.channels)}


Shape = Any
"""A shapely geometry (shapely has no types of its own for every function)."""
