"""What coverage and planning ask of the store. `Store.coverage` implements `CoverageStore`."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from gateway.domain.archive import ImportRecord
from gateway.domain.camera import ChannelId
from gateway.domain.coverage.place import CandidateSite, PlaceId, PlaceList
from gateway.domain.coverage.rows import BlindSpot, CoverageBasis, CoverageChanges, PlaceInterval


@dataclass(frozen=True, slots=True)
class CoverageLive:
    """What the store knows about the present of coverage, for a restart.

    `sequence` is the last batch of the judge that the rows contain; `as_of_at` its time.
    """

    sequence: int = 0
    as_of_at: datetime | None = None
    blind_spots: tuple[BlindSpot, ...] = ()
    intervals: tuple[PlaceInterval, ...] = ()
    basis: CoverageBasis | None = None


@dataclass(frozen=True, slots=True)
class PastPlace:
    """How one place was seen at a past moment: weight by state; what is not told was seen."""

    place: PlaceId
    name: str
    lost: float
    unknown: float
    unverified: float


@dataclass(frozen=True, slots=True)
class PastCoverage:
    """The places that were not well seen at a past moment, a page by id.

    Attributes:
        basis: what was counted then; None = coverage was not computed yet.
        observed: False = the moment lies in a gap of the gateway; the rows tell what was known before it.
        lost / unknown / unverified: weight, of all places, not of the page.
        next: the id to go on after; None = no more.
    """

    basis: CoverageBasis | None
    lost: float
    unknown: float
    unverified: float
    places: tuple[PastPlace, ...]
    next: str | None
    observed: bool = True


@dataclass(frozen=True, slots=True)
class BlindSpotQuery:
    """A page of blind spots, newest first (by `failed_at`, then id); as `LedgerQuery`."""

    since: datetime | None = None
    until: datetime | None = None
    open_only: bool = False
    channel: ChannelId | None = None
    incident: str | None = None
    place: PlaceId | None = None
    township: str | None = None
    limit: int = 100
    after: tuple[datetime, str] | None = None


class PlanStatus(StrEnum):
    """Where a planning job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A stored planning job: what was asked, how far it is, what came out (JSON objects)."""

    id: str
    name: str
    created_at: datetime
    actor: str
    status: PlanStatus
    request: Mapping[str, Any]
    progress: float = 0.0
    finished_at: datetime | None = None
    result: Mapping[str, Any] | None = None
    reason: str = ""


class CoverageStore(Protocol):
    """Places, blind spots and plans. Raises `StoreUnavailable` like `Store`."""

    async def load_places(self, at: datetime | None = None) -> PlaceList:
        """Everything coverage is told, as of now or as it was valid at a time."""
        ...

    async def candidates(self) -> Sequence[CandidateSite]:
        """The candidate sites of now alone, in the order of the list."""
        ...

    async def save_places(self, record: ImportRecord, places: PlaceList) -> None:
        """Make `places` current, in one transaction; only rows that differ are written."""
        ...

    async def load(self) -> CoverageLive:
        """Open rows and the sequence."""
        ...

    async def commit(self, changes: CoverageChanges) -> None:
        """Write one batch in one transaction, its alerts included; twice changes nothing."""
        ...

    async def blind_spots(self, query: BlindSpotQuery) -> tuple[Sequence[BlindSpot], Any]:
        """A page of rows, and the sort key to go on after (None = no more)."""
        ...

    async def blind_spot(self, spot_id: str) -> BlindSpot | None:
        """One blind spot."""
        ...

    async def intervals(
        self, since: datetime, until: datetime, place: PlaceId | None = None
    ) -> Sequence[PlaceInterval]:
        """The intervals that overlap a window, by place and start."""
        ...

    def interval_portions(
        self, since: datetime, until: datetime
    ) -> AsyncGenerator[Sequence[PlaceInterval], None]:
        """The same rows, all of one moment, some hundred at a time; to be closed by who leaves early."""
        ...

    async def bases(self, since: datetime, until: datetime) -> Sequence[CoverageBasis]:
        """What was counted at some time of a window, oldest first."""
        ...

    async def past(self, at: datetime, limit: int, after: str | None = None) -> PastCoverage:
        """How places were seen at a moment, by the rows and names of then."""
        ...

    async def save_plan(self, plan: PlanRecord) -> None:
        """Add a plan, or replace the one with its id."""
        ...

    async def plans(self, limit: int = 50) -> Sequence[PlanRecord]:
        """The last plans, newest first, without their results."""
        ...

    async def plan(self, plan_id: str) -> PlanRecord | None:
        """One plan with its result."""
        ...

    async def delete_plan(self, plan_id: str) -> None:
        """Forget a plan."""
        ...
