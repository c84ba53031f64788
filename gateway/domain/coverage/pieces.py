"""The area out of sight, cut into disjoint pieces: each belongs to the camera that was lost last."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely

from gateway.domain.coverage.model import CoverageModel, Floats, Ints, Shape

SLIVER_M2 = 0.01
"""Smaller leftovers of cutting are nothing that anybody could miss."""


class Pieces:
    """What each lost camera took out of sight.

    Invariant: the piece of `c` is its view without the views of its neighbours that stand, and without
    those of neighbours lost after it. So pieces are disjoint, and together they are the lost area.

    Attributes:
        order: lost camera -> number of its loss, growing.
        shape: lost camera -> its piece; no entry = nothing.
        lost_m2: (cells,) lost area in each grid cell.
    """

    def __init__(self, model: CoverageModel) -> None:
        self.model = model
        self.order: dict[int, int] = {}
        self.shape: dict[int, Shape] = {}
        self.area: dict[int, float] = {}
        self.lost_m2: Floats = np.zeros(len(model.cells))
        self._cells: dict[int, tuple[Ints, Floats]] = {}
        self._losses = 0

    def lose(self, cameras: Iterable[int]) -> None:
        """Some cameras are lost, in this order."""
        lost = list(cameras)
        for camera in lost:
            self._losses += 1
            self.order[camera] = self._losses
        for camera in lost:
            self._set(camera, self.cut(camera))

    def regain(self, cameras: Iterable[int]) -> set[int]:
        """Some cameras see again; the others whose piece became smaller."""
        back: dict[int, int] = {}
        for camera in cameras:
            back[camera] = self.order.pop(camera)
            self._set(camera, None)
        smaller: dict[int, list[int]] = {}
        for camera, number in back.items():
            for other in self.model.neighbours.of(camera).tolist():
                if other in self.shape and self.order[other] > number:
                    smaller.setdefault(other, []).append(camera)
        for other, seers in smaller.items():
            self._set(other, without(self.shape[other], self.model.views[seers]))
        return set(smaller)

    def cut(self, camera: int) -> Shape | None:
        """The piece of a lost camera, from its definition."""
        number = self.order[camera]
        around = self.model.neighbours.of(camera).tolist()
        blockers = [n for n in around if self.order.get(n, number) >= number and n != camera]
        return without(self.model.views[camera], self.model.views[blockers])

    def cells_of(self, camera: int) -> list[int]:
        """The cells a piece lies in, largest part first."""
        cells, areas = self._cells.get(camera, (np.zeros(0, np.int32), np.zeros(0)))
        most = np.argsort(-areas, kind="stable")
        return [int(cells[i]) for i in most if areas[i] > SLIVER_M2]

    def _set(self, camera: int, piece: Shape | None) -> None:
        held = self._cells.pop(camera, None)
        if held is not None:
            self.lost_m2[held[0]] -= held[1]
        self.shape.pop(camera, None)
        self.area.pop(camera, None)
        if piece is None:
            return
        self.shape[camera], self.area[camera] = piece, float(piece.area)
        cells = self.model.cells_of.of(camera)
        if len(cells):
            areas = shapely.area(shapely.intersection(piece, self.model.cells[cells]))
            self.lost_m2[cells] += areas
            self._cells[camera] = cells, areas


def without(shape: Shape, others: Any) -> Shape | None:  # noqa: ANN401 - an array of shapes
    """A shape less others; None when (next to) nothing is left."""
    left = shape
    if len(others):
        other = others[0] if len(others) == 1 else shapely.union_all(others)
        left = shapely.difference(shape, other)
    return left if left.area > SLIVER_M2 else None
