"""The coverage worker: a second consumer of what the judge decides (semantics §8).

    judge => submit -> [one thread: sights -> state -> rows] -> feed, store (own transaction, own sequence)

The outage commits first and alone; what it blinds follows within a second. The thread owns the state, the
loop never touches it: whoever wants to know asks (`ask`). While the store is away rows wait by id.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import structlog

from gateway.domain.alerting.rows import Alert
from gateway.domain.coverage.figures import Headline, headline
from gateway.domain.coverage.live import Rows
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.present import Present
from gateway.domain.coverage.recount import Difference, recount
from gateway.domain.coverage.restart import Known, restart
from gateway.domain.coverage.rows import BlindSpot, CoverageBasis, CoverageChanges, PlaceInterval
from gateway.domain.coverage.sight import Row
from gateway.domain.coverage.trust import Trust
from gateway.domain.ledger import Changes
from gateway.errors import StoreUnavailable, Unavailable
from gateway.metrics import (
    COVERAGE_APPLY_SECONDS,
    COVERAGE_DIFFERENCE,
    COVERAGE_LOST_AREA,
    COVERAGE_PENDING_ROWS,
    COVERAGE_SHARE,
    OPEN,
    RECOUNT_TIMESTAMP,
    ROWS,
)
from gateway.ports import Clock, LedgerKind, LedgerQuery, Store
from gateway.ports.coverage import CoverageLive
from gateway.projection import Projection
from gateway.runtime.coverage_present import apply_changes, cameras_of, divided_of, sights_of
from gateway.runtime.model_source import Built, Part, Source

log = structlog.get_logger("sightline.coverage")
T = TypeVar("T")
TAKE_EVERY_S = 0.1
SETTLE_EVERY_S = 5.0
WATCH_IMPORTS_S = 5.0
TROUBLE_S = 60.0
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 5.0
COMMIT_ROWS = 2_000
LOOK_BACK_S = 300.0
PART_S = 600.0
"""A part of the model that takes longer is given up: imports wait for it."""
SAY_EVERY = timedelta(seconds=10.0)
PAGE = 1_000
SHANGHAI = ZoneInfo("Asia/Shanghai")
TAKEN = ("outages", "faults", "gaps", "channels")


class CoverageWorker:
    """Keeps the ledger of blind spots and of the intervals of places.

    Args:
        store: open.
        clock: the service's.
        projection: the present; read on the loop only.
        source: builds the model.
        recount_at: when the nightly recount is made, seconds after midnight Asia/Shanghai.

    Attributes:
        alerts_of: the desk's: alerts of blind spots, for the transaction of their rows.
        model_taken: told of each model that is taken.
        totals: blind spots [opened, closed] since start.
        headline: the newest, with its time; None until the model is built.
        difference: what the last recount found; None before the first.
    """

    def __init__(
        self, store: Store, clock: Clock, projection: Projection, source: Source, recount_at: float
    ) -> None:
        self.store, self.clock, self.projection, self.source = store, clock, projection, source
        self.recount_at = recount_at
        self.alerts_written: Callable[[], None] = lambda: None
        """Called when alerts were stored: the deliverer need not wait for its next look."""
        self.alerts_of: Callable[[Sequence[BlindSpot]], tuple[Alert, ...]] = lambda _: ()
        self.model_taken: Callable[[Built], None] = lambda _: None
        self.totals = [0, 0]
        self.headline: tuple[Headline, datetime] | None = None
        self.difference: tuple[Difference, datetime] | None = None
        self.reason = "coverage is being computed: the model is not built yet"
        self._thread = ThreadPoolExecutor(1, "coverage")
        self._present: Present | None = None
        self._parts: AsyncIterator[Part] | None = None
        self._taken: dict[str, dict[object, Any]] = {}
        self._sequence = 0
        self._blind = False
        self._filled = asyncio.Event()
        self._spots: dict[str, BlindSpot] = {}
        self._intervals: dict[str, PlaceInterval] = {}
        self._alerts: dict[str, Alert] = {}
        self._open: set[str] = set()
        self._told: tuple[int, datetime] | None = None
        self._committed: tuple[int, datetime] | None = None
        self._basis: CoverageBasis | None = None
        self._basis_stored: CoverageBasis | None = None
        self._ready_to_commit = asyncio.Event()
        self._computing = asyncio.Lock()

    # --- in

    def submit(self, changes: Changes[datetime]) -> None:
        """Take a stamped batch of the judge; never waits. Rows of one id replace each other."""
        self._sequence = changes.sequence
        for name in TAKEN:
            held = self._taken.setdefault(name, {})
            for row in getattr(changes, name):
                held[getattr(row, "id", None) or row.channel] = row
        self._filled.set()

    def _take(self) -> Changes[datetime]:
        taken, self._taken = self._taken, {}
        self._filled.clear()
        rows: dict[str, Any] = {name: tuple(held.values()) for name, held in taken.items()}
        return Changes(self._sequence, **rows)

    # --- the loops

    async def run(self) -> None:
        """Build, then follow the judge, until cancelled."""
        while self._present is None:
            await self._try_building()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._commit_all())
            group.create_task(self._watch_imports())
            group.create_task(self._recount_nightly())

    async def _follow(self) -> None:
        settled = self.clock.now()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_EVERY_S):
                    await self._filled.wait()
            await asyncio.sleep(TAKE_EVERY_S)
            await self.step(settle=self.clock.now() >= settled + SETTLE_EVERY_S)
            if self.clock.now() >= settled + SETTLE_EVERY_S:
                settled = self.clock.now()

    async def step(self, *, settle: bool = False) -> None:
        """Compute what waits."""
        async with self._computing:
            changes, at = self._take(), self._utc()
            present = self._held()
            for gap in changes.gaps:
                self._blind = gap.ended_at is None
            if not changes and not settle:
                return
            began = time.perf_counter()
            blind = self._blind
            rows, told = await self._in_thread(
                lambda: apply_changes(present, changes, at, blind=blind)
            )
            COVERAGE_APPLY_SECONDS.observe(time.perf_counter() - began)
            self._present = replace(present, as_of_at=at)
            self._put(rows, changes.sequence, at)
            self._show(told, at)

    def _put(self, rows: Rows, sequence: int, at: datetime) -> None:
        self._spots |= {row.id: row for row in rows.blind_spots}
        self._alerts |= {alert.id: alert for alert in self.alerts_of(rows.blind_spots)}
        self._intervals |= {row.id: row for row in rows.intervals}
        self._told = sequence, at
        COVERAGE_PENDING_ROWS.set(self.pending)
        for row in rows.blind_spots:
            if row.ended_at is None and row.id not in self._open:
                self._open.add(row.id)
                self.totals[0] += 1
                ROWS.labels("blind_spot", "opened").inc()
            elif row.ended_at is not None and row.id in self._open:
                self._open.discard(row.id)
                self.totals[1] += 1
                ROWS.labels("blind_spot", "closed").inc()
            self.projection.feed.publish("blind_spot", row)
        before = self._committed
        due = before is None or at >= before[1] + SAY_EVERY
        if due or rows.blind_spots or rows.intervals or self._alerts:
            self._ready_to_commit.set()  # without rows too: so far is known that there was nothing

    def _show(self, told: Headline, at: datetime) -> None:
        before = self.headline
        self.headline = told, at
        weights = told.weights
        for name in ("designed", "seen", "unverified", "unknown", "blind"):
            COVERAGE_SHARE.labels(name).set(weights.share(getattr(weights, name)) or 0.0)
        COVERAGE_LOST_AREA.set(told.lost_m2)
        OPEN.labels("blind_spots").set(told.blind_spots)
        if before is None or before[0] != told:
            self.projection.feed.publish("coverage", self.headline)

    # --- out

    @property
    def pending(self) -> int:
        """Rows that wait to be written."""
        return len(self._spots) + len(self._intervals)

    async def _commit_all(self) -> None:
        retry = RETRY_FIRST_S
        while True:
            await self._ready_to_commit.wait()
            if await self.flush():
                retry = RETRY_FIRST_S
            else:
                await asyncio.sleep(retry)
                retry = min(RETRY_MOST_S, 2 * retry)

    async def flush(self) -> bool:
        """Write what waits; False when the store does not answer (everything is kept)."""
        self._ready_to_commit.clear()
        spots, self._spots = self._spots, {}
        intervals, self._intervals = self._intervals, {}
        alerts, self._alerts = self._alerts, {}
        told = self._told
        basis = self._basis if self._basis != self._basis_stored else None
        if told is None or (told == self._committed and not (spots or intervals or basis)):
            return True
        try:
            await self._write(
                list(spots.values()), list(intervals.values()), tuple(alerts.values()), *told, basis
            )
        except BaseException as error:
            self._spots = {**spots, **self._spots}
            self._intervals = {**intervals, **self._intervals}
            self._alerts = {**alerts, **self._alerts}
            self._ready_to_commit.set()
            if isinstance(error, StoreUnavailable):
                return False
            raise
        if alerts:
            self.alerts_written()
        COVERAGE_PENDING_ROWS.set(self.pending)
        return True

    async def _write(
        self,
        spots: list[BlindSpot],
        intervals: list[PlaceInterval],
        alerts: tuple[Alert, ...],
        sequence: int,
        at: datetime,
        basis: CoverageBasis | None,
    ) -> None:
        """In transactions of a bounded size; only the last one says how far the rows tell."""
        before = self._committed
        while len(spots) + len(intervals) > COMMIT_ROWS and before is not None:
            part, spots = spots[:COMMIT_ROWS], spots[COMMIT_ROWS:]
            room = COMMIT_ROWS - len(part)
            more, intervals = intervals[:room], intervals[room:]
            changes = CoverageChanges(*before, tuple(part), tuple(more))
            await self.store.coverage.commit(changes)
        await self.store.coverage.commit(
            CoverageChanges(sequence, at, tuple(spots), tuple(intervals), alerts, basis)
        )
        self._committed = sequence, at
        self._basis_stored = basis or self._basis_stored

    # --- building

    async def _try_building(self) -> None:
        """Build; whatever goes wrong here is no reason to stop watching cameras."""
        try:
            await self._build()
        except Unavailable as error:
            self.reason = f"coverage is not computed yet: {error}"
            log.warning("the coverage model is not built yet", reason=str(error))
            await asyncio.sleep(WATCH_IMPORTS_S)
        except Exception:
            self.reason = "coverage is not computed: its model cannot be built, see the log"
            log.exception("the coverage model cannot be built")
            await asyncio.sleep(TROUBLE_S)

    async def _build(self) -> None:
        """Build the model and take up the ledger; again after each import."""
        await self._drop_parts()
        self._parts = parts = self.source()
        try:
            built = await _next(parts)
            assert isinstance(built, Built)  # noqa: S101 - the first part
            live = await self._live()
            ledger = await self._ledger(live.as_of_at)
            async with self._computing:
                await self._load(built, live, ledger)
            designed = await _next(parts)
            async with self._computing:
                present = self._held()
                if isinstance(designed, np.ndarray):
                    self._present = replace(present, designed_m2=designed)
        except BaseException:
            await self._drop_parts()
            raise

    async def _finish(self) -> None:
        """Take the last part of the model, which takes longer than anybody should wait for."""
        if self._parts is None:
            return
        try:
            trust = await _next(self._parts)
            async with self._computing:
                if isinstance(trust, Trust):
                    self._present = replace(self._held(), trust=trust)
        except Unavailable as error:
            log.warning("the bounds of coverage are not known", reason=str(error))
            await self._without_trust(str(error))
        except Exception:
            log.exception("the bounds of coverage cannot be computed")
            await self._without_trust("see the log of the service")
        finally:
            await self._drop_parts()

    async def _without_trust(self, reason: str) -> None:
        async with self._computing:
            said = f"the bounds of coverage are not known until the next import or start: {reason}"
            self._present = replace(self._held(), trust_reason=said)

    async def _drop_parts(self) -> None:
        parts, self._parts = self._parts, None
        if parts is not None:
            await _end(parts)

    async def _live(self) -> CoverageLive:
        """The stored rows; once running, those that run."""
        present = self._present
        if present is None:
            return await self.store.coverage.load()
        state = present.state
        spots, intervals = await self._in_thread(
            lambda: (tuple(state.open.values()), tuple(state.intervals.open.values()))
        )
        return CoverageLive(self._sequence, present.as_of_at, spots, intervals)

    async def _ledger(self, since: datetime | None) -> list[Row]:
        """Outages and faults that stood since a time, so that nothing that came and went is lost."""
        if since is None:
            return []
        rows: list[Row] = []
        for kind in (LedgerKind.OUTAGES, LedgerKind.FAULTS):
            query = LedgerQuery(since=since - timedelta(seconds=LOOK_BACK_S), limit=PAGE)
            while True:
                page = await self.store.ledger(kind, query)
                rows += page.rows
                if page.next is None:
                    break
                query = replace(query, after=page.next)
        return rows

    async def _load(self, built: Built, live: CoverageLive, ledger: list[Row]) -> None:
        if self._present is not None:  # what came in while it was built
            state = self._present.state
            live = replace(
                live,
                blind_spots=tuple(state.open.values()),
                intervals=tuple(state.intervals.open.values()),
                as_of_at=self._present.as_of_at,
            )
        self._take()
        at, inventory = self._utc(), self.projection.inventory
        known = Known(
            live.as_of_at, live.blind_spots, live.intervals, self._with_open(ledger),
            sights_of(self.projection), at, self._counted_from(live, built),
        )  # fmt: skip
        self._open |= {row.id for row in live.blind_spots}
        self._blind = self.projection.gap is not None
        self._committed = None if live.as_of_at is None else (live.sequence, live.as_of_at)

        def load() -> tuple[Present, Rows, Headline]:
            state, book, rows = restart(built.model, DISTRICT.shape_to_geojson, known)
            present = Present(
                state, book, built.facts, cameras_of(built.model, inventory), divided_of(inventory),
                np.zeros(len(built.model.cells)), built.import_id, at, at,
            )  # fmt: skip
            return present, rows, headline(state, built.facts)

        self._present, rows, told = await self._in_thread(load)
        self._count_from(live, built, told, at)
        self.reason = ""
        self.model_taken(built)
        self._alerts |= {alert.id: alert for alert in self.alerts_of(live.blind_spots)}
        self._put(rows, self._sequence, at)
        self._show(told, at)
        log.info(
            "coverage model taken", cameras=told.cameras, places=told.places,
            blind_spots=told.blind_spots, rows_changed=len(rows.blind_spots),
        )  # fmt: skip

    def _counted_from(self, live: CoverageLive, built: Built) -> datetime | None:
        """When the import of a model began to count; a plain restart goes on as before."""
        basis = self._basis or live.basis
        if basis is None:
            return None
        return basis.valid_from if basis.import_id == built.import_id else live.as_of_at

    def _count_from(self, live: CoverageLive, built: Built, told: Headline, at: datetime) -> None:
        """What is counted from here on, where it differs from what was."""
        if self._basis is None:
            self._basis = self._basis_stored = live.basis
        weights = told.weights
        counted = CoverageBasis(
            live.as_of_at or at, built.import_id, weights.total, weights.designed,
            told.places, told.cameras,
        )  # fmt: skip
        before = self._basis
        if before is None or counted != replace(before, valid_from=counted.valid_from):
            self._basis = counted

    def _with_open(self, ledger: list[Row]) -> list[Row]:
        """The ledger, and what the judge holds open: that may not have been written yet."""
        rows: dict[str, Row] = {row.id: row for row in ledger}
        for view in self.projection.order:
            held: list[Row] = [*([view.outage] if view.outage else ()), *view.faults.values()]
            rows |= {row.id: row for row in held}
        return list(rows.values())

    async def _watch_imports(self) -> None:
        """Build anew when an archive or a place list was imported."""
        while True:
            await self._finish()
            await asyncio.sleep(WATCH_IMPORTS_S)
            with contextlib.suppress(StoreUnavailable):
                records = await self.store.imports(1)
                if records and records[0].id != self._held().import_id:
                    await self._try_building()

    # --- asked

    async def ask(self, question: Callable[[Present], T]) -> T:
        """Answer a question in the thread that owns the state.

        Raises:
            Unavailable: the model is not built yet.
        """
        present = self._held()
        return await self._in_thread(lambda: question(present))

    async def recount(self) -> Difference:
        """Count everything again; a difference is an alarm.

        Raises:
            Unavailable: the model is not built yet.
        """
        difference = await self.ask(lambda present: recount(present.state))
        at = self._utc()
        self.difference = difference, at
        RECOUNT_TIMESTAMP.set(at.timestamp())
        for f in fields(difference):
            COVERAGE_DIFFERENCE.labels(f.name).set(abs(getattr(difference, f.name)))
        if difference:
            log.error("coverage differs from its recount", difference=repr(difference))
        else:
            log.info("coverage equals its recount", area_m2=difference.area_m2)
        return difference

    async def _recount_nightly(self) -> None:
        while True:
            local = self._utc().astimezone(SHANGHAI)
            midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
            due = midnight + timedelta(seconds=self.recount_at)
            if due <= local:
                due += timedelta(days=1)
            await asyncio.sleep((due - local).total_seconds())
            await self.recount()

    # --- inside

    def _held(self) -> Present:
        if self._present is None:
            raise Unavailable(self.reason)
        return self._present

    def _utc(self) -> datetime:
        return self.clock.utc(self.clock.now())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Write what waits, once."""
        await self._drop_parts()
        if self._present is not None:
            await self.step()
            await self.flush()
        self._thread.shutdown(wait=False, cancel_futures=True)


async def _next(parts: AsyncIterator[Part]) -> Part:
    """The next part of a model.

    Raises:
        Unavailable: it does not come.
    """
    try:
        async with asyncio.timeout(PART_S):
            return await anext(parts)
    except TimeoutError:
        raise Unavailable(f"a part of the model took more than {PART_S:g} s") from None
    except StopAsyncIteration:
        raise Unavailable("a part of the model is missing") from None


async def _end(parts: AsyncIterator[Any]) -> None:
    closing: Callable[[], Awaitable[None]] | None = getattr(parts, "aclose", None)
    if closing is not None:
        await closing()
