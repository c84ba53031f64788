"""Sample points of a place that the same cameras see share one fate: they are counted as one."""

from dataclasses import dataclass

import numpy as np

from gateway.domain.coverage.model import CoverageModel, Csr, Floats, Ints


@dataclass(frozen=True)
class Groups:
    """The points of a model by place and by who sees them.

    Attributes:
        place: (n,) index of the place of each group.
        weight: (n,) weight of its points added up.
        seers: group -> the cameras that see it; empty = a static gap.
        of_camera: camera -> its groups.
        of_point: (points,) group of each point.
        key: (place, seers) -> group, for finding a group again after a restart.
    """

    place: Ints
    weight: Floats
    seers: Csr
    of_camera: Csr
    of_point: Ints
    key: dict[tuple[int, tuple[int, ...]], int]

    def __len__(self) -> int:
        return len(self.place)


def csr(rows: list[list[int]]) -> Csr:
    """A list of lists in its flat form."""
    start = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(row) for row in rows], out=start[1:])
    return Csr(start, np.array([n for row in rows for n in row], np.int32))


def turned(lists: Csr, columns: int) -> Csr:
    """The same relation seen from the other side: row -> numbers becomes number -> rows."""
    row = np.repeat(np.arange(len(lists.start) - 1, dtype=np.int32), np.diff(lists.start))
    order = np.argsort(lists.index, kind="stable")
    start = np.zeros(columns + 1, np.int32)
    np.cumsum(np.bincount(lists.index, minlength=columns), out=start[1:])
    return Csr(start, row[order])


def group(model: CoverageModel) -> Groups:
    """Put the points of a model into groups, in the order of their first point."""
    key: dict[tuple[int, tuple[int, ...]], int] = {}
    of_point = np.zeros(len(model.point_place), np.int32)
    index, start = model.seen_by.index.tolist(), model.seen_by.start.tolist()
    for point, place in enumerate(model.point_place.tolist()):
        seers = tuple(sorted(index[start[point] : start[point + 1]]))
        of_point[point] = key.setdefault((place, seers), len(key))
    seers_of = csr([list(seers) for _, seers in key])
    return Groups(
        np.array([place for place, _ in key], np.int32),
        np.bincount(of_point, model.point_weight, len(key)).astype(np.float64),
        seers_of,
        turned(seers_of, len(model.channels)),
        of_point,
        key,
    )
