"""The coverage worker: a second consumer of what the judge decides (semantics §8).

    judge => submit -> [one thread: sights -> state -> rows] -> feed, store (own transaction, own sequence)

The outage commits first and alone; what it blinds follows within a second. The thread owns the state, the
loop never touches it: whoever wants to know asks (`ask`). While the store is away rows wait by id.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import structlog

from gateway.domain.alerting.rows import Alert
from gateway.domain.coverage.figures import Headline, headline
from gateway.domain.coverage.live import Rows
from gateway.domain.coverage.model import CoverageModel, Floats
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.present import Present
from gateway.domain.coverage.recount import Difference, snapshot
from gateway.domain.coverage.restart import Known, restart
from gateway.domain.coverage.rows import BlindSpot, CoverageBasis
from gateway.domain.coverage.sight import Row
from gateway.domain.coverage.trust import Trust
from gateway.domain.ledger import Changes
from gateway.errors import StoreUnavailable, Unavailable
from gateway.metrics import (
    COVERAGE_APPLY_SECONDS,
    COVERAGE_LOST_AREA,
    COVERAGE_SHARE,
    OPEN,
    ROWS,
)
from gateway.ports import Clock, Store
from gateway.ports.coverage import CoverageLive
from gateway.projection import Projection
from gateway.runtime.coverage_outbox import Outbox
from gateway.runtime.coverage_present import (
    Cadences,
    apply_changes,
    cameras_of,
    divided_of,
    read_ledger,
    sights_of,
    with_open,
)
from gateway.runtime.coverage_recount import Recounts, Taken
from gateway.runtime.model_source import Built, Part, Source, end_parts, next_part

log = structlog.get_logger("sightline.coverage")
T = TypeVar("T")
TAKE_EVERY_S = 0.1
SETTLE_EVERY_S = 5.0
WATCH_IMPORTS_S = 5.0
TROUBLE_S = 60.0
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
        cadences: how often devices are asked now.
        model_taken: told of each model that is taken.
        totals: blind spots [opened, closed] since start.
        headline: the newest, with its time; None until the model is built.
    """

    def __init__(
        self, store: Store, clock: Clock, projection: Projection, source: Source, recount_at: float
    ) -> None:
        self.store, self.clock, self.projection, self.source = store, clock, projection, source
        self.alerts_written: Callable[[], None] = lambda: None
        """Called when alerts were stored: the deliverer need not wait for its next look."""
        self.outbox = Outbox(store, self._wake)
        self.recounts = Recounts(store, clock, self.outbox, self._taken_at_once, recount_at)
        self.alerts_of: Callable[[Sequence[BlindSpot]], tuple[Alert, ...]] = lambda _: ()
        self.cadences: Callable[[], Cadences] = Cadences
        self.model_taken: Callable[[Built], None] = lambda _: None
        self.totals = [0, 0]
        self.headline: tuple[Headline, datetime] | None = None
        self.reason = "coverage is being computed: the model is not built yet"
        self._thread = ThreadPoolExecutor(1, "coverage")
        self._present: Present | None = None
        self._parts: AsyncIterator[Part] | None = None
        self._taken: dict[str, dict[object, Any]] = {}
        self._sequence = 0
        self._blind = False
        self._filled = asyncio.Event()
        self._open: set[str] = set()
        self._computing = asyncio.Lock()
        self._paced: tuple[CoverageModel, Cadences] | None = None

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
            group.create_task(self.outbox.run())
            group.create_task(self._watch_imports())
            group.create_task(self.recounts.nightly())

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
            await self._compute(settle=settle)

    async def _compute(self, *, settle: bool) -> None:
        changes, at = self._take(), self._utc()
        present = self._held()
        for gap in changes.gaps:
            self._blind = gap.ended_at is None
        if not changes and not settle:
            return
        began = time.perf_counter()
        blind, cadence_s = self._blind, self._cadence_s(present) if settle else None
        rows, told = await self._in_thread(
            lambda: apply_changes(present, changes, at, blind=blind, cadence_s=cadence_s)
        )
        COVERAGE_APPLY_SECONDS.observe(time.perf_counter() - began)
        self._present = replace(present, as_of_at=at)
        self._put(rows, changes.sequence, at)
        self._show(told, at)

    def _cadence_s(self, present: Present) -> Floats | None:
        """How often each camera is asked, where that is not as it was."""
        now = present.state.model, self.cadences()
        if self._paced is not None and self._paced[0] is now[0] and self._paced[1] == now[1]:
            return None
        self._paced = now
        return now[1].of(now[0], self.projection.inventory)

    def _put(self, rows: Rows, sequence: int, at: datetime) -> None:
        self.outbox.put(rows, self.alerts_of(rows.blind_spots), sequence, at)
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

    def _wake(self) -> None:
        self.alerts_written()

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
        return self.outbox.pending

    async def flush(self) -> bool:
        """Write what waits; False when the store does not answer (everything is kept)."""
        return await self.outbox.flush()

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
            built = await next_part(parts)
            assert isinstance(built, Built)  # noqa: S101 - the first part
            live = await self._live()
            ledger = await read_ledger(self.store, live.as_of_at)
            async with self._computing:
                await self._load(built, live, ledger)
            designed = await next_part(parts)
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
            trust = await next_part(self._parts)
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
            await end_parts(parts)

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
            live.as_of_at, live.blind_spots, live.intervals, with_open(self.projection, ledger),
            sights_of(self.projection), at, self._counted_from(live, built),
        )  # fmt: skip
        self._open |= {row.id for row in live.blind_spots}
        self._blind = self.projection.gap is not None
        self.outbox.committed = None if live.as_of_at is None else (live.sequence, live.as_of_at)

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
        self.outbox.warn(self.alerts_of(live.blind_spots))
        self._put(rows, self._sequence, at)
        self._show(told, at)
        log.info(
            "coverage model taken", cameras=told.cameras, places=told.places,
            blind_spots=told.blind_spots, rows_changed=len(rows.blind_spots),
        )  # fmt: skip

    def _counted_from(self, live: CoverageLive, built: Built) -> datetime | None:
        """When import and pixel densities of a model began to count; a plain restart goes on."""
        basis = self.outbox.basis or live.basis
        if basis is None:
            return None
        same = (basis.import_id, basis.ladder) == (built.import_id, built.facts.ladder)
        return basis.valid_from if same else live.as_of_at

    def _count_from(self, live: CoverageLive, built: Built, told: Headline, at: datetime) -> None:
        """What is counted from here on, where it differs from what was."""
        if self.outbox.basis is None:
            self.outbox.basis = self.outbox.basis_stored = live.basis
        weights = told.weights
        counted = CoverageBasis(
            live.as_of_at or at, built.import_id, weights.total, weights.designed,
            told.places, told.cameras, told.ladder,
        )  # fmt: skip
        before = self.outbox.basis
        if before is None or counted != replace(before, valid_from=counted.valid_from):
            self.outbox.basis = counted

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

    @property
    def difference(self) -> tuple[Difference, datetime] | None:
        """What the last recount found, and when; None before the first."""
        return self.recounts.difference

    @property
    def recount_failure(self) -> tuple[str, datetime] | None:
        """Why the last attempt at a recount came to nothing, and when; None = it did not."""
        return self.recounts.failure

    async def recount(self) -> Difference:
        """Count everything again, beside the thread that owns the state; a difference is an alarm.

        Raises:
            Unavailable: the model is not built yet, or the recount failed.
        """
        return await self.recounts.recount()

    async def _taken_at_once(self) -> Taken:
        """The state with everything in it that the judge has said, and what the judge says."""
        async with self._computing:
            present = self._held()
            while self._taken:
                await self._compute(settle=False)
            said = sights_of(self.projection)
            held = await self._in_thread(lambda: snapshot(present.state))
        return Taken(held, said)

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
        self.recounts.close()
        await self._drop_parts()
        if self._present is not None:
            await self.step()
            await self.flush()
        self._thread.shutdown(wait=False, cancel_futures=True)
