"""Coverage and planning in memory: `MemoryCoverage` implements `CoverageStore`."""

import dataclasses
import math
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta

from adapters.memory.events import MemoryEvents
from adapters.memory.home import Home, overlaps, page
from gateway.domain.archive import ImportRecord
from gateway.domain.coverage.availability import at_moment
from gateway.domain.coverage.place import CandidateSite, PlaceId, PlaceList
from gateway.domain.coverage.rows import BlindSpot, CoverageBasis, CoverageChanges, PlaceInterval
from gateway.ports.coverage import (
    BlindSpotQuery,
    CoverageLive,
    PastCoverage,
    PastPlace,
    PlanRecord,
)

PORTION = 500


class MemoryCoverage:
    """Places, blind spots and plans; the alerts of its batches go to the same outbox."""

    def __init__(self, home: Home, events: MemoryEvents) -> None:
        self._home = home
        self._events = events
        self._places: list[tuple[datetime, PlaceList]] = []
        self._blind_spots: dict[str, BlindSpot] = {}
        self._intervals: dict[str, PlaceInterval] = {}
        self._bases: dict[datetime, CoverageBasis] = {}
        self._plans: dict[str, PlanRecord] = {}
        self._sequence = 0
        self._as_of_at: datetime | None = None

    async def load_places(self, at: datetime | None = None) -> PlaceList:
        """Everything coverage is told, as of now or as it was valid at a time."""
        self._home.check_open()
        for valid_from, places in reversed(self._places):
            if at is None or valid_from <= at:
                return places
        return PlaceList()

    async def candidates(self) -> Sequence[CandidateSite]:
        """The candidate sites of now alone, in the order of the list."""
        return tuple((await self.load_places()).candidates.values())

    async def save_places(self, record: ImportRecord, places: PlaceList) -> None:
        """Make `places` current."""
        self._home.check_open()
        _check_places(places)
        now = self._places[-1][1] if self._places else PlaceList()
        if places != now:
            after = self._places[-1][0] + timedelta(microseconds=1) if self._places else record.at
            self._places.append((max(record.at, after), places))
        self._home.add_import(record)

    async def load(self) -> CoverageLive:
        """Open rows and the sequence."""
        self._home.check_open()
        spots = (row for row in self._blind_spots.values() if row.ended_at is None)
        intervals = (row for row in self._intervals.values() if row.ended_at is None)
        return CoverageLive(
            self._sequence,
            self._as_of_at,
            tuple(sorted(spots, key=lambda row: (row.failed_at, row.id))),
            tuple(sorted(intervals, key=_by_place)),
            self._bases[max(self._bases)] if self._bases else None,
        )

    async def commit(self, changes: CoverageChanges) -> None:
        """Write one batch, whole or not at all, its alerts included; twice changes nothing."""
        self._home.check_open()
        for spot in changes.blind_spots:
            _check_amounts(spot.id, spot.area_m2, spot.area_now_m2, spot.weight)
        for interval in changes.intervals:
            _check_amounts(interval.id, interval.weight_lost)
        self._events.check_alerts(changes.alerts)
        if changes.basis is not None:
            _check_amounts("basis", changes.basis.listed, changes.basis.reached)
        if self._as_of_at is None or changes.sequence >= self._sequence:
            self._sequence, self._as_of_at = changes.sequence, changes.as_of_at
        self._blind_spots.update((row.id, row) for row in changes.blind_spots)
        self._intervals.update((row.id, row) for row in changes.intervals)
        self._events.put_alerts(changes.alerts)
        if changes.basis is not None:
            self._bases[changes.basis.valid_from] = changes.basis

    async def blind_spots(
        self, query: BlindSpotQuery
    ) -> tuple[Sequence[BlindSpot], tuple[datetime, str] | None]:
        """A page of rows, and the sort key to go on after (None = no more)."""
        self._home.check_open()
        cameras = self._home.cameras()
        found = [
            row
            for row in self._blind_spots.values()
            if overlaps(row.failed_at, row.ended_at, query.since, query.until)
            and (not query.open_only or row.ended_at is None)
            and query.channel in (None, row.channel)
            and query.incident in (None, row.incident)
            and (query.place is None or query.place in row.places)
            and (
                query.township is None
                or (row.channel in cameras and cameras[row.channel].township == query.township)
            )
        ]
        return page(found, lambda row: (row.failed_at, row.id), query.limit, query.after)

    async def blind_spot(self, spot_id: str) -> BlindSpot | None:
        """One blind spot."""
        self._home.check_open()
        return self._blind_spots.get(spot_id)

    async def intervals(
        self, since: datetime, until: datetime, place: PlaceId | None = None
    ) -> Sequence[PlaceInterval]:
        """The intervals that overlap a window, by place and start."""
        self._home.check_open()
        found = (
            row
            for row in self._intervals.values()
            if overlaps(row.started_at, row.ended_at, since, until) and place in (None, row.place)
        )
        return tuple(sorted(found, key=_by_place))

    async def interval_portions(
        self, since: datetime, until: datetime
    ) -> AsyncGenerator[Sequence[PlaceInterval], None]:
        """The same rows, all of one moment, some hundred at a time."""
        found = await self.intervals(since, until)
        for start in range(0, len(found), PORTION):
            yield found[start : start + PORTION]

    async def bases(self, since: datetime, until: datetime) -> Sequence[CoverageBasis]:
        """What was counted at some time of a window, oldest first."""
        self._home.check_open()
        starts = sorted(start for start in self._bases if start < until)
        standing = max((start for start in starts if start <= since), default=since)
        return [self._bases[start] for start in starts if start >= standing]

    async def past(self, at: datetime, limit: int, after: str | None = None) -> PastCoverage:
        """How places were seen at a moment, by the rows and names of then."""
        listed = (await self.load_places(at)).places
        found = sorted(at_moment(self._intervals.values(), at).items())
        page = [item for item in found if after is None or item[0] > after]
        rows = tuple(
            PastPlace(
                PlaceId(place),
                listed[PlaceId(place)].name if PlaceId(place) in listed else "",
                *dataclasses.astuple(one),
            )
            for place, one in page[:limit]
        )
        standing = [basis for start, basis in sorted(self._bases.items()) if start <= at]
        sums = zip(*(dataclasses.astuple(one) for _, one in found), strict=True)
        lost, unknown, unverified = [math.fsum(column) for column in sums] or (0.0, 0.0, 0.0)
        return PastCoverage(
            standing[-1] if standing else None,
            lost,
            unknown,
            unverified,
            rows,
            rows[-1].place if len(page) > limit else None,
            not any(
                overlaps(gap.started_at, gap.ended_at, at, None) and gap.started_at <= at
                for gap in self._home.gaps()
            ),
        )

    async def save_plan(self, plan: PlanRecord) -> None:
        """Add a plan, or replace the one with its id."""
        self._home.check_open()
        if not 0 <= plan.progress <= 1:
            raise ValueError(f"{plan.id}: progress is from 0 to 1")
        self._plans[plan.id] = plan

    async def plans(self, limit: int = 50) -> Sequence[PlanRecord]:
        """The last plans, newest first, without their results."""
        self._home.check_open()
        newest = sorted(self._plans.values(), key=lambda p: (p.created_at, p.id), reverse=True)
        return [dataclasses.replace(plan, result=None) for plan in newest[:limit]]

    async def plan(self, plan_id: str) -> PlanRecord | None:
        """One plan with its result."""
        self._home.check_open()
        return self._plans.get(plan_id)

    async def delete_plan(self, plan_id: str) -> None:
        """Forget a plan."""
        self._home.check_open()
        self._plans.pop(plan_id, None)

    def prune(self, before: datetime) -> None:
        """Remove what was closed before a time; nothing counts as counted before it."""
        standing = max((start for start in self._bases if start <= before), default=None)
        if standing is not None:
            clipped = dataclasses.replace(self._bases[standing], valid_from=before)
            later = {start: basis for start, basis in self._bases.items() if start > before}
            self._bases = {before: clipped, **later}
        self._blind_spots = {
            key: row
            for key, row in self._blind_spots.items()
            if row.ended_at is None or row.ended_at >= before
        }
        self._intervals = {
            key: row
            for key, row in self._intervals.items()
            if row.ended_at is None or row.ended_at >= before
        }


def _by_place(row: PlaceInterval) -> tuple[str, datetime, str]:
    return row.place, row.started_at, row.id


def _check_amounts(row_id: str, *amounts: float) -> None:
    for amount in amounts:
        if not (math.isfinite(amount) and amount >= 0):
            raise ValueError(f"{row_id}: areas and weights must be finite and not negative")


def _check_places(places: PlaceList) -> None:
    for place in places.places.values():
        if not (math.isfinite(place.weight) and place.weight > 0):
            raise ValueError(f"{place.id}: a weight must be finite and above 0")
    for site in places.candidates.values():
        if not (abs(site.longitude) <= 180 and abs(site.latitude) <= 90):  # noqa: PLR2004
            raise ValueError(f"{site.id}: not a position")
        if site.cost is not None:
            _check_amounts(site.id, site.cost)
