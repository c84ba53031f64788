"""How each group of points, and so each place, is seen now: counted, never recomputed."""

from enum import IntEnum

import numpy as np

from gateway.domain.coverage.groups import Groups
from gateway.domain.coverage.model import CoverageModel, Floats, Ints
from gateway.domain.coverage.rows import PlaceState
from gateway.domain.coverage.view import ViewState


class Seen(IntEnum):
    """How a group of points is seen: by its best view."""

    WELL = 0
    UNVERIFIED = 1
    UNKNOWN = 2
    BLIND = 3
    NEVER = 4


CLASS_OF = {
    ViewState.SEEING: Seen.WELL,
    ViewState.DEGRADED: Seen.UNVERIFIED,
    ViewState.UNVERIFIED: Seen.UNVERIFIED,
    ViewState.UNKNOWN: Seen.UNKNOWN,
    ViewState.NOT_SEEING: Seen.BLIND,
}
"""What a view can do at best for a point."""


class Counters:
    """The views on each group by class, the class of each group, the groups of each place by class.

    Attributes:
        view: (cameras,) class of each view.
        down: (cameras,) its area counts as lost.
        counts: (groups, 4) views by class.
        standing: (groups,) views that are not down.
        seen: (groups,) `Seen`.
        by_place: (places, 5) groups by class.
    """

    def __init__(self, model: CoverageModel, groups: Groups) -> None:
        self.groups = groups
        self.places = len(model.places)
        n = len(groups)
        self.view = np.full(len(model.channels), Seen.WELL, np.int8)
        self.down = np.zeros(len(model.channels), np.bool_)
        self.counts = np.zeros((n, 4), np.int32)
        self.counts[:, Seen.WELL] = np.diff(groups.seers.start)
        self.standing = self.counts[:, Seen.WELL].copy()
        self.seen = self._classes(np.arange(n, dtype=np.int32))
        self.by_place = np.zeros((self.places, 5), np.int32)
        np.add.at(self.by_place, (groups.place, self.seen), 1)

    def _classes(self, which: Ints) -> Ints:
        well, weak, unknown, blind = self.counts[which].T
        found: Ints = np.where(
            well > 0,
            Seen.WELL,
            np.where(
                weak > 0,
                Seen.UNVERIFIED,
                np.where(unknown > 0, Seen.UNKNOWN, np.where(blind > 0, Seen.BLIND, Seen.NEVER)),
            ),
        ).astype(np.int8)
        return found

    def change(
        self, cameras: list[int], views: list[Seen], down: list[bool]
    ) -> tuple[Ints, Ints, Ints]:
        """Change some views, each camera once.

        Returns:
            The groups whose class changed, their class before, and the groups that lost their last
            standing view or got the first one back.
        """
        touched: list[Ints] = []
        fallen: list[Ints] = []
        for camera, view, lost in zip(cameras, views, down, strict=True):
            mine = self.groups.of_camera.of(camera)
            if not len(mine):
                self.view[camera], self.down[camera] = view, lost
                continue
            if self.view[camera] != view:
                self.counts[mine, self.view[camera]] -= 1
                self.counts[mine, view] += 1
                touched.append(mine)
            if self.down[camera] != lost:
                self.standing[mine] += -1 if lost else 1
                fallen.append(mine)
            self.view[camera], self.down[camera] = view, lost
        which = _joined(touched)
        before, after = self.seen[which], self._classes(which)
        differs = before != after
        which, before, after = which[differs], before[differs], after[differs]
        self.seen[which] = after
        place = self.groups.place[which]
        np.subtract.at(self.by_place, (place, before), 1)
        np.add.at(self.by_place, (place, after), 1)
        return which, before, _joined(fallen)

    def place_state(self, place: int) -> PlaceState:
        """How one place is seen; parts that no view ever reaches do not weigh on the others."""
        return place_state(*self.by_place[place].tolist())

    def place_weights(self) -> Floats:
        """(places, 5) weight of the parts of each place by class."""
        classes = len(Seen)
        number = self.groups.place * classes + self.seen
        found = np.bincount(number, self.groups.weight, self.places * classes)
        return found.reshape(-1, classes).astype(np.float64)

    def weights(self) -> Floats:
        """(5,) weight of all places by class."""
        return np.bincount(self.seen, self.groups.weight, 5).astype(np.float64)


def place_state(well: int, unverified: int, unknown: int, blind: int, never: int) -> PlaceState:
    """The state of a place from its parts by class."""
    if blind:
        return PlaceState.PARTLY if well + unverified + unknown else PlaceState.BLIND
    if unknown:
        return PlaceState.UNKNOWN
    if unverified:
        return PlaceState.UNVERIFIED
    return PlaceState.SEEN if well or not never else PlaceState.NEVER


def _joined(parts: list[Ints]) -> Ints:
    if len(parts) == 1:
        return parts[0]
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int32)
