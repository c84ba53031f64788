"""The whole flow in one place: read this first.

    poller => observations => judge => recorder => store
                 ^              |
                 +---- asks ----+-> projection -> web
                                +=> coverage => store
    event sources => desk => store (the judge's batches pass it: their alerts are written with them)
    postures -> desk (who is told), poller (how often is asked)

`=>` is a bounded queue. The one edge that goes back: the judge's asks.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from gateway.domain.camera import CheckBy
from gateway.domain.ledger import Changes, ClockStep, Fault, Outage, stamp
from gateway.domain.observation import Instant, Observation
from gateway.domain.seconds import day_of
from gateway.errors import StoreUnavailable
from gateway.inventory import Inventory
from gateway.metrics import BLIND, OPEN, ROUND_TIMESTAMP, ROWS
from gateway.ports import LiveState, Probe, Store
from gateway.projection import Projection
from gateway.runtime.canary import Canaries
from gateway.runtime.clock import STEP_LIMIT_S, SystemClock
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.desk import Desk
from gateway.runtime.judge import SWEEP_S, Judge
from gateway.runtime.mailbox import Mailbox
from gateway.runtime.poller import Poller
from gateway.runtime.recorder import Recorder
from gateway.runtime.restore import keep_windows, load, restore
from gateway.runtime.retention import Retention
from gateway.runtime.stats import Stats
from gateway.runtime.supervisor import Stage
from gateway.settings import Settings

log = structlog.get_logger("sightline.pipeline")
BATCH = 500
QUEUE_SIZE = 16_384
PORTIONS = 64
WATCH_IMPORTS_S = 5.0
CLOSED_KEPT_S = 60.0
CLOSE_S = 7.0
ANSWERS_S = 3.0
"""At the end: a store that takes no write within so long hangs, and is not waited for again."""
GIVEN_UP_S = 0.5
LATE_S = 3600.0
"""A day's seconds are held for so long after its end: verdicts look back."""


async def archive_before(store: Store, state: LiveState) -> Inventory | None:
    """The archive when the process was last seen, if one was imported since; else None.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    if state.watched_until_at is None:
        return None
    # An import of the last seconds may not have been taken any more.
    seen_at = state.watched_until_at - timedelta(seconds=WATCH_IMPORTS_S)
    records = await store.imports(1)
    if not records or records[0].at <= seen_at:
        return None
    before = await store.load_inventory(seen_at, shapes=False)
    return before if before.cameras else None


class Pipeline:
    """Joins the loops; `stages` are what the supervisor keeps running."""

    def __init__(
        self,
        settings: Settings,
        clock: SystemClock,
        store: Store,
        probes: Mapping[CheckBy, Probe],
        judge: Judge,
        projection: Projection,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.store = store
        self.probes = probes
        self.stats = Stats()
        self.observations: Mailbox[Observation] = Mailbox("observations", QUEUE_SIZE)
        self.poller = Poller(
            clock, settings.poll, probes, self.observations, self.stats, settings.judge.stall_s
        )
        self.judge = judge
        self.poller.on_stall = judge.stalled
        self.projection = projection
        self.recorder = Recorder(store, clock, judge.known_until)
        self.retention = Retention(store, clock, settings.store)
        self.canaries = Canaries(clock, settings.network.canaries, settings.poll.connect_s, judge)
        self.coverage: CoverageWorker | None = None
        self.desk: Desk | None = None
        self.inventory = Inventory()
        self.archive_taken: Callable[[Inventory], None] = lambda _inventory: None
        """Told of each new archive that was taken."""
        self.import_id = ""
        self.progress: Instant = clock.now()
        self._portion = 0
        self._portion_at: Instant = clock.now()
        self._windows_at: Instant = Instant(0.0)
        self._closed: list[tuple[Instant, Outage[Instant] | Fault[Instant]]] = []

    @property
    def stages(self) -> dict[str, Stage]:
        """The loops by name."""
        coverage = {} if self.coverage is None else {"coverage": self.coverage.run}
        desk = {}
        if self.desk is not None:
            desk = {"desk": self.desk.run, "set_elsewhere": self.desk.watch}
        return {
            **coverage,
            **desk,
            "poller": self.poller.run,
            "judge": self.run_judge,
            "recorder": self.recorder.run,
            "canaries": self.canaries.run,
            "imports": self.watch_imports,
            "clock": self.watch_clock,
            "retention": self.retention.run,
        }

    def start(
        self,
        inventory: Inventory,
        state: LiveState,
        import_id: str,
        before: Inventory | None = None,
    ) -> None:
        """Take the archive and what was known before the restart.

        Args:
            inventory: the archive of now.
            state: what the store knows.
            import_id: the import that `inventory` came with.
            before: the archive under which `state` was written, if another one was imported since
                (`archive_before`): what it changed ends rows as it would have ended them then.
        """
        now = self.clock.now()
        self.inventory, self.import_id = inventory, import_id
        load(self.judge, inventory if before is None else before, now)
        restore(self.judge, state, self.clock.instant, now)
        if before is not None:
            load(self.judge, inventory, now)
        self._windows(now)
        self.projection.load(inventory, self.clock.utc(now))
        self.poller.load(inventory)
        if self.desk is not None:
            self.desk.postures_held.changed.append(self.take_postures)
            self.take_postures()
        self._publish(self.judge.judge((), now), now)

    def take_postures(self) -> None:
        """Where the posture is heightened, cameras are asked more often."""
        if self.desk is not None:
            self.poller.heighten(self.desk.postures_held.devices(self.inventory))

    async def run_judge(self) -> None:
        """Observations => judge => recorder, projection, poller."""
        while True:
            batch = await self.observations.take(BATCH, SWEEP_S)
            self.judge_batch(batch)
            await asyncio.sleep(0)

    def judge_batch(self, batch: list[Observation]) -> None:
        """One round of the judge."""
        now = self.clock.now()
        self._due(now)
        changes = self.judge.judge(batch, now)
        for observation in batch:
            self.projection.observe(observation)
        self._publish(changes, now)
        self.poller.ask(self.judge.asks)
        self.judge.asks.clear()
        self.progress = now
        waits = self.projection.first_round_at is None
        if waits and self.poller.targets and not self.poller.unasked:
            self._first_round(now)

    def _publish(self, changes: Changes[Instant], now: Instant) -> None:
        stamped: Changes[datetime] = stamp(changes, self.clock.utc)
        self.projection.apply(stamped, self.clock.utc(now))
        if self.desk is not None:
            stamped = self.desk.outages(stamped)
        if stamped:
            self.recorder.submit(stamped)
            if self.coverage is not None:
                self.coverage.submit(stamped)
            self._count(changes)
        BLIND.set(self.judge.gap is not None)

    def _count(self, changes: Changes[Instant]) -> None:
        now = self.clock.now()
        rows: tuple[Outage[Instant] | Fault[Instant], ...] = (*changes.outages, *changes.faults)
        closed = [(now, row) for row in rows if row.ended_at is not None]
        self._closed = [c for c in self._closed if c[0] > now - CLOSED_KEPT_S] + closed
        for kind, (opened, ended) in self.projection.totals.items():
            OPEN.labels(kind).set(opened - ended)
        for _, row in closed:
            ROWS.labels(type(row).__name__.lower(), "closed").inc()

    def _first_round(self, now: Instant) -> None:
        self.projection.first_round_at = self.clock.utc(now)
        self.stats.restart(now)
        ROUND_TIMESTAMP.set(self.clock.utc(now).timestamp())
        log.info("first full round done", channels=len(self.judge.order))

    # --- what the calendar asks for

    def _due(self, now: Instant) -> None:
        every = self.settings.judge.rollup_every_s / PORTIONS
        if now >= self._portion_at + every:
            self._portion_at = now
            self._portion = (self._portion + 1) % PORTIONS
            for live in self.judge.order[self._portion :: PORTIONS]:
                self.judge.accountant.settle_observed(live)
            book = self.judge.accountant.book
            self.judge.rollups += book.portion(self._portion, PORTIONS)
            book.close_before(day_of(self.judge.epoch(now) - LATE_S))
        if now >= self._windows_at + 1.0:
            self._windows(now)

    def _windows(self, now: Instant) -> None:
        self._windows_at = now
        keep_windows(self.judge, self.inventory, self.clock.utc(now), now)

    async def watch_imports(self) -> None:
        """Take a new archive when one was imported."""
        while True:
            await asyncio.sleep(WATCH_IMPORTS_S)
            try:
                records = await self.store.imports(1)
                if not records or records[0].id == self.import_id:
                    continue
                inventory = await self.store.load_inventory(shapes=False)
                if self.desk is not None:
                    await self.desk.take_archive(inventory)
            except StoreUnavailable:
                continue
            now = self.clock.now()
            self.inventory = inventory
            load(self.judge, inventory, now)
            self.projection.load(inventory, self.clock.utc(now))
            self.poller.load(inventory)
            self.take_postures()
            self.archive_taken(inventory)
            self.import_id = records[0].id
            log.info("archive taken", channels=len(inventory.cameras), import_id=self.import_id)

    async def watch_clock(self) -> None:
        """Notice steps of the wall clock: no transition, no alert, but a row (semantics §3)."""
        while True:
            await asyncio.sleep(1.0)
            step = self.clock.step_s()
            if abs(step) <= STEP_LIMIT_S:
                if abs(step) > STEP_LIMIT_S / 50:
                    self.clock.anchor_again()  # slewed, not stepped
                continue
            now = self.clock.now()
            self.clock.anchor_again()
            self._stepped(step, now)

    def _stepped(self, step: float, now: Instant) -> None:
        log.warning("the wall clock was stepped", step_s=round(step, 3))
        self.judge.clock_was_set()
        # The clock was right when it was last compared, a second ago: rows closed since are in doubt.
        doubtful = [replace(row, clock_suspect=True) for at, row in self._closed if at > now - 2]
        lives = self.judge.order
        changes: Changes[Instant] = Changes(
            self.judge.sequence,
            outages=(
                *(live.outage for live in lives if live.outage is not None),
                *(row for row in doubtful if isinstance(row, Outage)),
            ),
            faults=(
                *(fault for live in lives for fault in live.faults.values()),
                *(row for row in doubtful if isinstance(row, Fault)),
            ),
            incidents=tuple(case.row for case in self.judge.incidents.cases.values()),
            clock_steps=(ClockStep(self.judge.row_id("clock_step", "gateway", now), now, step),),
        )
        self.recorder.submit(stamp(changes, self.clock.utc))

    # --- what people ask

    def readiness(self) -> list[str]:
        """Why the service is not ready; empty = ready."""
        reasons = []
        if not self.recorder.available:
            reasons.append(f"store: {self.recorder.reason}")
        if not self.inventory.cameras:
            reasons.append("inventory: no archive has been imported")
        elif self.projection.first_round_at is None:
            reasons.append(f"first round: {self.poller.unasked} devices not yet asked")
        now = self.clock.now()
        if now - self.progress > 2 * self.settings.poll.cadence_s:
            reasons.append("judge: no progress for two cadences")
        if now - self.poller.progress > self.settings.poll.still_s(2):
            reasons.append("poller: no check has ended for two cadences")
        return reasons

    def report(self) -> dict[str, object]:
        """What the service measures of itself, and the rows it opened and closed."""
        totals = {
            kind: {"opened": opened, "closed": closed}
            for kind, (opened, closed) in self.projection.totals.items()
        }
        if self.coverage is not None:
            opened, closed = self.coverage.totals
            totals["blind_spots"] = {"opened": opened, "closed": closed}
        return {
            **self.stats.report(),
            "devices": len(self.poller.targets),
            "channels": len(self.judge.order),
            "totals": totals,
            "store_pending_rows": self.recorder.pending,
        }

    def progress_age_s(self) -> float:
        """Seconds since judge and poller both got on: the older of the two.

        The judge turns without observations too, and event channels bring some without a check: only
        the poller itself can tell that checks still end.
        """
        return self.clock.now() - min(self.progress, self.poller.progress)

    async def close(self) -> None:
        """Settle what is certain, write everything that waits, close the probes."""
        now = self.clock.now()
        for live in self.judge.order:
            self.judge.accountant.settle_observed(live)
            if live.outage is not None:
                last = live.health.last_failed or live.outage.last_failed_at
                self.judge.put_outage(live, replace(live.outage, last_failed_at=last))
        written = False
        loop = asyncio.get_running_loop()
        ends = loop.time() + CLOSE_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(ends):
                for number in range(PORTIONS):  # the day of the whole fleet at once is 100 MB
                    self.judge.rollups += self.judge.accountant.book.portion(number, PORTIONS)
                    self._publish(self.judge.judge((), now), now)
                    written = False
                    async with asyncio.timeout(ANSWERS_S):
                        written = await self.recorder.flush(last=number == PORTIONS - 1)
                    if not written:
                        break
        if not written:
            log.warning("not everything was written", rows=self.recorder.pending)
        if self.desk is not None:
            with contextlib.suppress(TimeoutError, StoreUnavailable):
                async with asyncio.timeout(ANSWERS_S if written else GIVEN_UP_S):
                    await self.desk.flush(last=True)
        if self.coverage is not None:
            # What it does not write is worked out again at the next start.
            left_s = ends - loop.time() if written else 0.0
            with contextlib.suppress(TimeoutError, StoreUnavailable):
                async with asyncio.timeout(max(GIVEN_UP_S, left_s)):
                    await self.coverage.close()
        for probe in set(self.probes.values()):
            await probe.close()
