"""The live ledger of coverage: view changes in, rows out. Pure, one owner, no clock.

Counters answer for places, pieces for areas; rows tell of both. A batch costs what it touches, never the
fleet. `gateway/domain/coverage/recount.py` proves that the running state equals a count from scratch.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import shapely

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.counters import CLASS_OF, Counters, Seen
from gateway.domain.coverage.groups import Groups, group
from gateway.domain.coverage.intervals import Intervals, last_of
from gateway.domain.coverage.model import CoverageModel, Ints, Shape
from gateway.domain.coverage.pieces import Pieces
from gateway.domain.coverage.place import Geometry
from gateway.domain.coverage.rows import BlindSpot, PlaceInterval
from gateway.domain.coverage.sight import Bounds, Cause, ViewChange

SHARED_M2 = 1.0
"""A camera that saw less of a blind spot is not named as jointly responsible."""
EVER = Bounds(None, datetime(1970, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that a batch changed, each as it stands now."""

    blind_spots: tuple[BlindSpot, ...] = ()
    intervals: tuple[PlaceInterval, ...] = ()


class CoverageState:
    """The present of coverage.

    Args:
        model: what cameras see and what must be seen.
        to_geojson: a shape of the model's plane as a WGS-84 geometry.

    Attributes:
        open: lost camera -> its open blind spot.
        owner: lost group -> the camera whose loss blinded it.
        left: for each camera and class of view, when it last became worse than that.
        lost_since: lost camera -> since when.
    """

    def __init__(self, model: CoverageModel, to_geojson: Callable[[Shape], Geometry]) -> None:
        self.model, self.to_geojson = model, to_geojson
        self.number: Mapping[ChannelId, int] = model.number()
        self.groups: Groups = group(model)
        self.counters = Counters(model, self.groups)
        self.pieces = Pieces(model)
        self.intervals = Intervals(model, self.groups, self.counters)
        self.open: dict[int, BlindSpot] = {}
        self.owner: dict[int, int] = {}
        self.owned: dict[int, set[int]] = {}
        self.left: list[list[Bounds]] = [[EVER] * Seen.BLIND for _ in model.channels]
        self.lost_since: dict[int, Bounds] = {}
        self.causes: dict[int, Cause] = {}

    # --- changes

    def apply(self, changes: Iterable[ViewChange], at: datetime) -> Rows:
        """Take what changed; the rows that say so.

        Args:
            changes: in the order of confirmation; channels without a view are left out.
            at: now: when rows that open are opened.
        """
        spots: dict[str, BlindSpot] = {}
        intervals: dict[str, PlaceInterval] = {}
        for wave in self._waves(changes):
            for spot in self._apply_wave(wave, at, intervals):
                spots[spot.id] = spot
        return Rows(tuple(spots.values()), tuple(intervals.values()))

    def _waves(self, changes: Iterable[ViewChange]) -> Iterable[dict[int, ViewChange]]:
        """The changes in turns, each camera at most once a turn."""
        wave: dict[int, ViewChange] = {}
        for change in changes:
            camera = self.number.get(change.channel)
            if camera is None:
                continue
            if camera in wave:
                yield wave
                wave = {}
            wave[camera] = change
        if wave:
            yield wave

    def _apply_wave(
        self, wave: dict[int, ViewChange], at: datetime, intervals: dict[str, PlaceInterval]
    ) -> Iterable[BlindSpot]:
        was_down = self.counters.down[list(wave)].tolist()
        moved = {c: one.when for c, one in wave.items() if self._moves(c, one)}
        for camera, bounds in moved.items():
            for better in range(self.counters.view[camera], CLASS_OF[wave[camera].view]):
                self.left[camera][better] = bounds
        which, _, fallen = self.counters.change(
            list(wave), [CLASS_OF[one.view] for one in wave.values()],
            [one.down for one in wave.values()],
        )  # fmt: skip
        if len(which):
            for row in self.intervals.change(which, self.left, moved):
                intervals[row.id] = row
        lost = [c for (c, one), was in zip(wave.items(), was_down, strict=True) if one.down > was]
        back = [c for (c, one), was in zip(wave.items(), was_down, strict=True) if one.down < was]
        for camera, one in wave.items():
            if one.cause is not None and one.down:
                self.causes[camera] = one.cause
        touched = self.pieces.regain(back) if back else set()
        if lost:
            self.pieces.lose(lost)
            self.lost_since |= {camera: moved[camera] for camera in lost}
        touched |= self._own(fallen)
        yield from self._close(back, wave)
        yield from self._shrink(touched.difference(lost, back), back, moved)
        yield from self._amend(wave, lost)
        yield from self._open_rows(lost, at)

    def _moves(self, camera: int, change: ViewChange) -> bool:
        same_view = self.counters.view[camera] == CLASS_OF[change.view]
        return not same_view or bool(self.counters.down[camera] != change.down)

    def _own(self, fallen: Ints) -> set[int]:
        """Give lost groups to the camera lost last, and take back those that are seen again."""
        losers: set[int] = set()
        for g in fallen.tolist():
            holder = self.owner.get(g)
            if self.counters.standing[g]:
                if holder is not None:
                    del self.owner[g]
                    self.owned[holder].discard(g)
                    losers.add(holder)
            else:
                holder = max(self.groups.seers.of(g).tolist(), key=self.pieces.order.__getitem__)
                self.owner[g] = holder
                self.owned.setdefault(holder, set()).add(g)
        return losers

    # --- rows

    def _open_rows(self, lost: list[int], at: datetime) -> Iterable[BlindSpot]:
        for camera in lost:
            if camera in self.pieces.shape or self.owned.get(camera):
                self.open[camera] = self._row(camera, at)
                yield self.open[camera]

    def _row(self, camera: int, at: datetime) -> BlindSpot:
        cause = self.causes[camera]
        piece = self.pieces.shape.get(camera)
        groups = sorted(self.owned.get(camera, ()))
        joint = self._joint(camera, piece, groups)
        began = last_of(self.lost_since[c] for c in (camera, *joint))
        area = self.pieces.area.get(camera, 0.0)
        return BlindSpot(
            id=f"spot-{cause.row}",
            channel=self.model.channels[camera],
            outage=cause.row,
            incident=cause.incident,
            joint=tuple(self.model.channels[c] for c in joint),
            cause=cause.name,
            last_seen_at=began.after_at,
            failed_at=began.at,
            opened_at=at,
            polygon=None if piece is None else self.to_geojson(piece),
            area_m2=area,
            area_now_m2=area,
            places=tuple(dict.fromkeys(self.model.places[self.groups.place[g]] for g in groups)),
            weight=float(self.groups.weight[groups].sum()) if groups else 0.0,
            grids=tuple(self.model.grids[g] for g in self.pieces.cells_of(camera)),
            planned=cause.planned,
        )

    def _joint(self, camera: int, piece: Shape | None, groups: list[int]) -> list[int]:
        found = {c for g in groups for c in self.groups.seers.of(g).tolist()}
        if piece is not None:
            around = self.model.neighbours.of(camera)
            down = around[self.counters.down[around]]
            if len(down):
                shared = shapely.area(shapely.intersection(self.model.views[down], piece))
                found |= set(down[shared > SHARED_M2].tolist())
        return sorted(found - {camera})

    def _close(self, back: list[int], wave: dict[int, ViewChange]) -> Iterable[BlindSpot]:
        for camera in back:
            self.causes.pop(camera, None)
            self.lost_since.pop(camera, None)
            row = self.open.pop(camera, None)
            self.owned.pop(camera, None)
            if row is not None:
                yield ended(row, wave[camera].when)

    def _shrink(
        self, touched: Iterable[int], back: list[int], moved: dict[int, Bounds]
    ) -> Iterable[BlindSpot]:
        """Others see a part of some blind spots again, perhaps all of it."""
        for camera in sorted(touched):
            row = self.open[camera]
            if camera in self.pieces.shape or self.owned.get(camera):
                row = replace(row, area_now_m2=self.pieces.area.get(camera, 0.0))
                self.open[camera] = row
                yield row
            else:
                del self.open[camera]
                yield ended(row, last_of(moved[c] for c in back))

    def _amend(self, wave: dict[int, ViewChange], lost: list[int]) -> Iterable[BlindSpot]:
        """What is known of the cause, and whether it is being watched."""
        for camera, one in wave.items():
            row = self.open.get(camera)
            if row is None or not one.down or one.cause is None or camera in lost:
                continue
            unwatched = self.counters.view[camera] == Seen.UNKNOWN
            amended = replace(
                row,
                incident=one.cause.incident or row.incident,
                planned=one.cause.planned,
                observed_until_at=one.when.at if unwatched else None,
            )
            if amended != row:
                self.open[camera] = amended
                yield amended

    # --- now and then

    def settle(self, at: datetime) -> Rows:
        """Write what has been unknown for long; to be called every few seconds, never in a gap."""
        return Rows(intervals=tuple(self.intervals.settle(at, self.left)))

    def lost_shapes(self) -> Iterable[tuple[BlindSpot, Shape]]:
        """The open rows that have an area, with what is left of it."""
        for camera, row in self.open.items():
            if camera in self.pieces.shape:
                yield row, self.pieces.shape[camera]

    def point_seen(self) -> Ints:
        """(points,) `Seen` of each sample point."""
        seen: Ints = self.counters.seen[self.groups.of_point]
        return seen

    def weight_lost(self) -> float:
        """Weight of all groups that no standing view sees, static gaps left out."""
        lost = (self.counters.standing == 0) & (np.diff(self.groups.seers.start) > 0)
        return float(self.groups.weight[lost].sum())


def ended(row: BlindSpot, when: Bounds) -> BlindSpot:
    """A row that ended at a moment, with its bounds; never before it began."""
    at = max(when.at, row.failed_at)
    before = when.after_at if when.after_at is not None else row.failed_at
    return replace(
        row,
        last_failed_at=min(before, at),
        ended_at=at,
        area_now_m2=0.0,
        observed_until_at=None,
    )
