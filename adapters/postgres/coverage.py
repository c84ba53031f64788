"""Coverage and planning in PostgreSQL: `PostgresCoverage` implements `CoverageStore`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.postgres.batch import PORTION, all_rows, put_rows
from adapters.postgres.database import LONG_S, Database
from adapters.postgres.inventory import add_import, save_versions, valid_from, versions
from adapters.postgres.outbox import put_alerts
from adapters.postgres.queries import SQL
from adapters.postgres.rows import BASES, BLIND_SPOTS, CANDIDATES, INTERVALS, PLACE_LIST, PLANS
from gateway.domain.archive import ImportRecord
from gateway.domain.coverage.place import CandidateSite, PlaceId, PlaceList
from gateway.domain.coverage.rows import BlindSpot, CoverageBasis, CoverageChanges, PlaceInterval
from gateway.ports.coverage import (
    BlindSpotQuery,
    CoverageLive,
    PastCoverage,
    PastPlace,
    PlanRecord,
)


class PostgresCoverage:
    """Places, blind spots and plans.

    Args:
        database: of the store.
        check_claim: raises `StoreUnavailable` for a service that lost the store to another one.
    """

    def __init__(self, database: Database, check_claim: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._check_claim = check_claim

    async def load_places(self, at: datetime | None = None) -> PlaceList:
        """Everything coverage is told, as of now or as it was valid at a time."""
        async with (
            self._database.connection(LONG_S) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            same: dict[str, str] = {}
            rows = {kind.table: await versions(connection, kind, at, same) for kind in PLACE_LIST}
        return PlaceList.of(**rows)

    async def candidates(self) -> Sequence[CandidateSite]:
        """The candidate sites of now alone, in the order of the list."""
        async with (
            self._database.connection(LONG_S) as connection,
            connection.transaction(readonly=True),
        ):
            return await versions(connection, CANDIDATES, None, {})

    async def save_places(self, record: ImportRecord, places: PlaceList) -> None:
        """Make `places` current, in one transaction, writing only what differs."""
        async with self._database.connection(LONG_S) as connection, connection.transaction():
            await connection.execute(SQL["import_lock"], timeout=LONG_S)
            at = await valid_from(connection, record.at, "places_latest")
            for kind in PLACE_LIST:
                rows = getattr(places, kind.table)
                by_id = rows if isinstance(rows, Mapping) else {row.id: row for row in rows}
                await save_versions(connection, kind, by_id, at)
            await add_import(connection, record)

    async def load(self) -> CoverageLive:
        """Open rows and the sequence, as of one moment."""
        async with (
            self._database.connection(LONG_S) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            progress = await connection.fetchrow(SQL["coverage_progress"])
            sequence, as_of_at = (0, None) if progress is None else progress
            basis = await connection.fetchrow(SQL["coverage_basis"], None)
            return CoverageLive(
                sequence,
                as_of_at,
                await all_rows(connection, BLIND_SPOTS, "open_blind_spots"),
                await all_rows(connection, INTERVALS, "open_place_intervals"),
                None if basis is None else BASES.decode(basis),
            )

    async def commit(self, changes: CoverageChanges) -> None:
        """Write one batch in one transaction, its alerts included; twice changes nothing."""
        await self._check_claim()
        async with self._database.batch() as connection:
            await connection.execute(
                SQL["put_coverage_progress"], changes.sequence, changes.as_of_at
            )
            if changes.basis is not None:
                values = BASES.encode(changes.basis)
                await connection.execute(
                    SQL["put_coverage_basis"], *(values[name] for name in BASES.fields)
                )
            await put_rows(connection, BLIND_SPOTS, changes.blind_spots)
            await put_rows(connection, INTERVALS, changes.intervals)
            await put_alerts(connection, changes.alerts)  # last, see there

    async def blind_spots(
        self, query: BlindSpotQuery
    ) -> tuple[Sequence[BlindSpot], tuple[datetime, str] | None]:
        """A page of rows, and the sort key to go on after (None = no more)."""
        records = await self._database.fetch(
            SQL["list_blind_spots"],
            query.since,
            query.until,
            query.open_only,
            query.channel,
            query.incident,
            query.place,
            query.township,
            *(query.after or (None, None)),
            query.limit + 1,
        )
        rows = [BLIND_SPOTS.decode(record) for record in records[: query.limit]]
        more = len(records) > query.limit and bool(rows)
        return rows, (rows[-1].failed_at, rows[-1].id) if more else None

    async def blind_spot(self, spot_id: str) -> BlindSpot | None:
        """One blind spot."""
        records = await self._database.fetch(SQL["blind_spot"], spot_id)
        return BLIND_SPOTS.decode(records[0]) if records else None

    async def intervals(
        self, since: datetime, until: datetime, place: PlaceId | None = None
    ) -> Sequence[PlaceInterval]:
        """The intervals that overlap a window, by place and start."""
        async with (
            self._database.connection(LONG_S) as connection,
            connection.transaction(readonly=True),
        ):
            return await all_rows(
                connection, INTERVALS, "list_place_intervals", since, until, place
            )

    async def interval_portions(
        self, since: datetime, until: datetime
    ) -> AsyncGenerator[Sequence[PlaceInterval], None]:
        """The same rows, all of one moment, some hundred at a time."""
        async with (
            self._database.connection(LONG_S) as connection,
            connection.transaction(readonly=True),
        ):
            cursor = await connection.cursor(
                SQL["list_place_intervals"], since, until, None, timeout=LONG_S
            )
            while records := await cursor.fetch(PORTION, timeout=LONG_S):
                yield [INTERVALS.decode(record) for record in records]

    async def bases(self, since: datetime, until: datetime) -> Sequence[CoverageBasis]:
        """What was counted at some time of a window, oldest first."""
        return [
            BASES.decode(row)
            for row in await self._database.fetch(SQL["coverage_bases"], since, until)
        ]

    async def past(self, at: datetime, limit: int, after: str | None = None) -> PastCoverage:
        """How places were seen at a moment, by the rows and names of then."""
        async with (
            self._database.connection(LONG_S) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            basis = await connection.fetchrow(SQL["coverage_basis"], at)
            observed = bool(await connection.fetchval(SQL["observed_at"], at))
            weights = await connection.fetchrow(SQL["past_weights"], at, timeout=LONG_S)
            found = await connection.fetch(SQL["past_places"], at, after, limit + 1, timeout=LONG_S)
        rows = tuple(PastPlace(*record) for record in found[:limit])
        lost, unknown, unverified = weights or (0.0, 0.0, 0.0)
        return PastCoverage(
            None if basis is None else BASES.decode(basis),
            lost,
            unknown,
            unverified,
            rows,
            rows[-1].place if len(found) > limit else None,
            observed,
        )

    async def save_plan(self, plan: PlanRecord) -> None:
        """Add a plan, or replace the one with its id."""
        values: dict[str, Any] = PLANS.encode(plan)
        await self._database.execute(SQL["put_plan"], *(values[name] for name in PLANS.fields))

    async def plans(self, limit: int = 50) -> Sequence[PlanRecord]:
        """The last plans, newest first, without their results."""
        return [PLANS.decode(row) for row in await self._database.fetch(SQL["plans"], limit)]

    async def plan(self, plan_id: str) -> PlanRecord | None:
        """One plan with its result."""
        records = await self._database.fetch(SQL["plan"], plan_id)
        return PLANS.decode(records[0]) if records else None

    async def delete_plan(self, plan_id: str) -> None:
        """Forget a plan."""
        await self._database.execute(SQL["delete_plan"], plan_id)
