"""Rows of coverage on their way to the store: kept by id until written, in transactions of their own."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from gateway.domain.alerting.rows import Alert
from gateway.domain.coverage.live import Rows
from gateway.domain.coverage.rows import BlindSpot, CoverageBasis, CoverageChanges, PlaceInterval
from gateway.errors import StoreUnavailable
from gateway.metrics import COVERAGE_PENDING_ROWS
from gateway.ports import Store

RETRY_FIRST_S, RETRY_MOST_S = 0.2, 5.0
COMMIT_ROWS = 2_000
SAY_EVERY = timedelta(seconds=10.0)


class Outbox:
    """What the worker found and the store does not know yet.

    Args:
        store: open.
        alerts_written: called when alerts were stored.

    Attributes:
        committed: sequence and time up to which the stored rows tell everything; None = there are none.
        basis / basis_stored: what coverage counts from here on, and what the store says of it.
    """

    def __init__(self, store: Store, alerts_written: Callable[[], None]) -> None:
        self.store, self.alerts_written = store, alerts_written
        self.committed: tuple[int, datetime] | None = None
        self.basis: CoverageBasis | None = None
        self.basis_stored: CoverageBasis | None = None
        self._spots: dict[str, BlindSpot] = {}
        self._intervals: dict[str, PlaceInterval] = {}
        self._alerts: dict[str, Alert] = {}
        self._told: tuple[int, datetime] | None = None
        self._ready = asyncio.Event()
        self._writing = asyncio.Lock()
        self._watching: list[set[str]] = []

    @property
    def pending(self) -> int:
        """Rows that wait to be written."""
        return len(self._spots) + len(self._intervals)

    def warn(self, alerts: Iterable[Alert]) -> None:
        """Take alerts for the transaction of the rows that come next."""
        self._alerts |= {alert.id: alert for alert in alerts}

    def put(self, rows: Rows, alerts: Iterable[Alert], sequence: int, at: datetime) -> None:
        """Take rows; those of one id replace each other.

        Args:
            rows: as they stand now.
            alerts: of these rows.
            sequence: the last batch of the judge that is in them.
            at: its time.
        """
        self._spots |= {row.id: row for row in rows.blind_spots}
        self._intervals |= {row.id: row for row in rows.intervals}
        self.warn(alerts)
        self._told = sequence, at
        COVERAGE_PENDING_ROWS.set(self.pending)
        for touched in self._watching:
            touched.update(row.id for row in rows.blind_spots)
            touched.update(row.id for row in rows.intervals)
        due = self.committed is None or at >= self.committed[1] + SAY_EVERY
        if due or rows.blind_spots or rows.intervals or self._alerts:
            self._ready.set()  # without rows too: so far is known that there was nothing

    @contextmanager
    def moved(self) -> Iterator[set[str]]:
        """Ids of the rows that are put from here on, as long as it lasts."""
        touched: set[str] = set()
        self._watching.append(touched)
        try:
            yield touched
        finally:
            self._watching.remove(touched)

    async def run(self) -> None:
        """Write until cancelled."""
        retry = RETRY_FIRST_S
        while True:
            await self._ready.wait()
            if await self.flush():
                retry = RETRY_FIRST_S
            else:
                await asyncio.sleep(retry)
                retry = min(RETRY_MOST_S, 2 * retry)

    async def flush(self) -> bool:
        """Write all that was put before; False when the store does not answer (everything is kept)."""
        async with self._writing:
            return await self._flush()

    async def _flush(self) -> bool:
        self._ready.clear()
        spots, self._spots = self._spots, {}
        intervals, self._intervals = self._intervals, {}
        alerts, self._alerts = self._alerts, {}
        told = self._told
        basis = self.basis if self.basis != self.basis_stored else None
        waits = bool(spots or intervals or alerts or basis)
        if told is None or (told == self.committed and not waits):
            self._alerts = {**alerts, **self._alerts}  # they wait for what the first rows tell
            return True
        try:
            await self._write(
                list(spots.values()), list(intervals.values()), tuple(alerts.values()), *told, basis
            )
        except BaseException as error:
            self._spots = {**spots, **self._spots}
            self._intervals = {**intervals, **self._intervals}
            self._alerts = {**alerts, **self._alerts}
            self._ready.set()
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
        before = self.committed
        while len(spots) + len(intervals) > COMMIT_ROWS and before is not None:
            part, spots = spots[:COMMIT_ROWS], spots[COMMIT_ROWS:]
            room = COMMIT_ROWS - len(part)
            more, intervals = intervals[:room], intervals[room:]
            changes = CoverageChanges(*before, tuple(part), tuple(more))
            await self.store.coverage.commit(changes)
        await self.store.coverage.commit(
            CoverageChanges(sequence, at, tuple(spots), tuple(intervals), alerts, basis)
        )
        self.committed = sequence, at
        self.basis_stored = basis or self.basis_stored
