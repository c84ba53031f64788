"""The recorder: changes -> Store.commit. While the store is away, state is kept, not samples."""

import asyncio
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any

import structlog

from gateway.domain.alerting.rows import Alert, AlertState
from gateway.domain.ledger import Changes, RollUp
from gateway.domain.observation import Instant
from gateway.errors import StoreUnavailable
from gateway.metrics import COMMIT_SECONDS, PENDING_ROWS, STORE_UP
from gateway.ports import Clock, Store

log = structlog.get_logger("sightline.recorder")
COMMIT_EVERY_S = 0.1
WATCHED_EVERY_S = 10.0
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 5.0


def _key(row: Any) -> object:  # noqa: ANN401 - any row of the ledger
    if isinstance(row, RollUp):
        return row.channel, row.day
    if isinstance(row, tuple):
        return row[0]
    return getattr(row, "id", None) or row.channel


def _replace(held: dict[object, Any], row: Any) -> None:  # noqa: ANN401 - any row of the ledger
    """Put a row where an older one of its key may be; a settled alert stays settled."""
    key = _key(row)
    old = held.get(key)
    settled = isinstance(old, Alert) and old.state is not AlertState.PENDING
    if not (settled and row.state is AlertState.PENDING):
        held[key] = row


class Recorder:
    """Writes what changed, in order, at least once; rows of one id replace each other while waiting.

    Memory while the store is away: one entry a row that changed, however often it did.

    Args:
        store: open.
        clock: the service's.
        known_until: up to when everything that was seen stands in rows, given the present. That is
            what is written as `watched_until`: what began later may be lost by a crash.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        known_until: Callable[[Instant], Instant] = lambda now: now,
    ) -> None:
        self.store = store
        self.clock = clock
        self.known_until = known_until
        self.available = True
        self.reason = ""
        self.alerts_written: Callable[[], None] = lambda: None
        """Called when alerts were stored: the deliverer need not wait for its next look."""
        self._waiting: dict[str, dict[object, Any]] = {}
        self._sequence = 0
        self._filled = asyncio.Event()
        self._watched_at: datetime | None = None

    @property
    def pending(self) -> int:
        """Rows that wait to be written."""
        return sum(len(rows) for rows in self._waiting.values())

    def submit(self, changes: Changes[datetime]) -> None:
        """Take a batch; never waits."""
        self._sequence = changes.sequence
        for f in fields(changes):
            rows = getattr(changes, f.name)
            if isinstance(rows, tuple) and rows:
                held = self._waiting.setdefault(f.name, {})
                for row in rows:
                    _replace(held, row)
        PENDING_ROWS.set(self.pending)
        self._filled.set()

    async def run(self) -> None:
        """Write until cancelled."""
        retry = RETRY_FIRST_S
        while True:
            try:
                async with asyncio.timeout(WATCHED_EVERY_S):
                    await self._filled.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(COMMIT_EVERY_S)
            if await self.flush():
                retry = RETRY_FIRST_S
            else:
                await asyncio.sleep(retry)
                retry = min(RETRY_MOST_S, 2 * retry)

    async def flush(self, *, last: bool = False) -> bool:
        """Write what waits; False when the store does not answer (everything is kept).

        Args:
            last: the process ends: say until when it watched, however short ago that was said.
        """
        self._filled.clear()
        taken, self._waiting = self._waiting, {}
        now = self.clock.now()
        watched = self.clock.utc(now)
        said = self._watched_at
        watch = last or said is None or (watched - said).total_seconds() >= WATCHED_EVERY_S
        if not taken and not watch:
            return True
        rows: dict[str, Any] = {name: tuple(held.values()) for name, held in taken.items()}
        until = self.clock.utc(self.known_until(now)) if watch else None
        changes: Changes[datetime] = Changes(self._sequence, watched_until_at=until, **rows)
        try:
            await self.store.commit(changes)
        except StoreUnavailable as error:
            self._keep(taken)
            self._tell(str(error))
            return False
        except BaseException:
            self._keep(taken)
            raise
        if changes.alerts:
            self.alerts_written()
        self._watched_at = watched if watch else self._watched_at
        COMMIT_SECONDS.observe(self.clock.now() - now)
        PENDING_ROWS.set(self.pending)
        self._tell("")
        return True

    def _keep(self, taken: dict[str, dict[object, Any]]) -> None:
        """Put rows back below what came in meanwhile: the newer one of an id wins."""
        for name, rows in taken.items():
            for row in self._waiting.get(name, {}).values():
                _replace(rows, row)
            self._waiting[name] = rows
        self._filled.set()

    def _tell(self, reason: str) -> None:
        up = not reason
        if up != self.available:
            log.warning("store is back" if up else "store does not answer", reason=reason)
        self.available, self.reason = up, reason
        STORE_UP.set(up)
