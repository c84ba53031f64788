"""The event desk: signals -> incidents -> alerts, one owner of it all.

    sources => deliver => [repeats, storms] => correlate => link => tell => Store.events, one transaction
    pipeline => outages => tell => the transaction of the ledger's rows
    coverage => blind_spots => tell => coverage's own transaction

Each key has one way into the store, so that its revisions come in order and without holes: incidents of the
ledger through the recorder, event incidents through `flush`, blind spots through coverage.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

import structlog

from gateway.domain.alerting.cloudevent import SOURCE
from gateway.domain.alerting.correlate import Case, Correlator
from gateway.domain.alerting.loop import Answered, take_step
from gateway.domain.alerting.plan import Planner
from gateway.domain.alerting.posture import is_division
from gateway.domain.alerting.rows import Alert, EventIncident, Mute, Posture, Receipt
from gateway.domain.alerting.rules import Rule, RuleBook
from gateway.domain.camera import DeviceId, GridId
from gateway.domain.coverage.model import CoverageModel
from gateway.domain.coverage.place import Place, PlaceId
from gateway.domain.coverage.rows import BlindSpot
from gateway.domain.event import Event, SensorId
from gateway.domain.ledger import Changes, Ending, Outage
from gateway.errors import StoreUnavailable
from gateway.inventory import Inventory
from gateway.metrics import EVENT_INCIDENTS, EVENT_ROWS, EVENTS_SEEN, EVENTS_WAITING
from gateway.ports import Clock, Store
from gateway.ports.events import EventChanges
from gateway.runtime.atlas import Atlas
from gateway.runtime.desk_restart import go_on
from gateway.runtime.ledger_alerts import LedgerAlerts
from gateway.runtime.mutes import Mutes
from gateway.runtime.outage_alerts import OutageAlerts
from gateway.runtime.postures import Postures
from gateway.runtime.set_elsewhere import watch
from gateway.runtime.signals import PLAIN_REPEATS_MOST, REPEATS_MOST, Repeats, Signals
from gateway.runtime.sorter import Sorter
from gateway.runtime.teller import FOLLOWS_THE_NETWORK, PLANS_MOST, Teller
from gateway.runtime.waiting import DEFAULT_LIMITS, DeskLimits, Waiting
from gateway.runtime.work_orders import WorkOrders

log = structlog.get_logger("sightline.desk")
COMMIT_EVERY_S = 0.1
TICK_S = 1.0
COUNTS_EVERY = timedelta(seconds=5)
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 5.0
SLICE = 500


class Desk:
    """Owner of event incidents, alert threads, postures, mutes and receipts.

    Args:
        store: open.
        clock: the service's.
        book: the rules.
        recipients: names of the configured ones; the feed needs none.
        source: names the gateway in messages.
        limits: bounds.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        book: RuleBook,
        *,
        recipients: Collection[str] = (),
        source: str = SOURCE,
        limits: DeskLimits = DEFAULT_LIMITS,
    ) -> None:
        self.subscriptions: Sequence[tuple[DeviceId, str]] = ()
        """Pull points of before the restart: for who pulls events."""
        self.signals: tuple[Event, ...] = ()
        """The newest of each source of before the restart: for who must know what stands."""
        self.store = store
        self.clock = clock
        self.book = book
        self.limits = limits
        self.atlas = Atlas()
        self.correlator = Correlator(book)
        self.planner = Planner(book.update_every_s, source)
        self.postures_held = Postures(store, clock, book.postures)
        self.mutes_held = Mutes(store, clock)
        self.teller = Teller(
            book, self.atlas, self.planner, recipients, self.postures_held, self.mutes_held
        )
        self.ledger = LedgerAlerts(self.atlas, book)
        self._outages = OutageAlerts(
            self.ledger, self.correlator, self.planner, self.teller, self._now, self._touch
        )
        self.orders = WorkOrders()
        self.alerts_written: Callable[[], None] = lambda: None
        """Called when alerts were stored: the deliverer need not wait for its next look."""
        self.postures_held.changed.append(self._decide_again)
        self.mutes_held.changed.append(self._decide_again)
        self._sorter = Sorter(book, self.correlator, self.atlas, self.postures_held)
        self._signals = Signals(limits.storm_rows)
        self._repeats = Repeats(REPEATS_MOST)
        self._plain_repeats = Repeats(PLAIN_REPEATS_MOST)
        self._waiting = Waiting()
        self._grown: set[str] = set()
        self._touched: dict[str, Case] = {}
        self._written: dict[str, EventIncident] = {}
        self._batch = 1
        self._stored = 0
        self._stored_changed = asyncio.Event()
        self._filled = asyncio.Event()
        self._located = asyncio.Event()
        self._located.set()
        self._archive_is_new = True
        self._without_views: set[str] = set()
        self._ticked_at: datetime | None = None
        self._counted_at: datetime | None = None

    def _now(self) -> datetime:
        return self.clock.utc(self.clock.now())

    @property
    def waiting(self) -> int:
        """Rows that wait for the store."""
        return len(self._waiting)

    # --- start

    async def load(self, outages: Iterable[Outage[datetime]] = ()) -> None:
        """Go on where the process before this one stopped.

        Args:
            outages: the open ones of the ledger. The archive was given to `atlas` before.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        await go_on(self, tuple(outages))

    def remember(
        self, events: Iterable[str], incidents: Iterable[EventIncident], now: datetime
    ) -> None:
        """What the store holds already: events of the last hour (repeats), and incidents."""
        for event_id in events:
            self._repeats.add(event_id, now, 0)
        self._written.update((row.id, row) for row in incidents)

    async def take_archive(self, inventory: Inventory) -> None:
        """A new archive: cameras, network and sensors; the shapes of its cells follow (`run`).

        Raises:
            StoreUnavailable: the store does not answer; the archive before stays.
        """
        self.atlas.take_sensors(await self.store.events.load_sensors())
        self.atlas.take_inventory(inventory)
        self.postures_held.check(inventory)
        self._archive_is_new = True
        if inventory.grids:
            self._located.clear()
            self._filled.set()

    def take_views(self, model: CoverageModel, places: Mapping[PlaceId, Place]) -> None:
        """What coverage built. Incidents that were opened before its first model are linked to it now.

        That alone is no message (semantics §9): the next one tells it, and the interface does at once.
        """
        if self.atlas.views is None:
            self._without_views.update(self.correlator.cases)
            self._touched.update(self.correlator.cases)
            self._filled.set()
        self.atlas.take_views(model, places)

    async def _locate(self) -> None:
        """Load the cells of a new archive; until that is done sources wait."""
        retry = RETRY_FIRST_S
        while not self._located.is_set():
            try:
                await self.atlas.load_cells(self.store)
            except StoreUnavailable as error:
                log.warning("grid cells are not loaded yet", reason=str(error))
                await asyncio.sleep(retry)
                retry = min(RETRY_MOST_S, 2 * retry)
            else:
                self._located.set()
                log.info("grid cells loaded", cells=len(self.atlas.cells))

    # --- signals in

    async def deliver(self, events: Sequence[Event]) -> None:
        """Take events; returns when they are stored (plain signals: when they are counted).

        Waits while too many rows wait for the store.

        Raises:
            StoreUnavailable: they could not be stored in time; give them again later.
        """
        try:
            async with asyncio.timeout(self.limits.deliver_s):
                await self._located.wait()
                batch = 0
                for first in range(0, len(events), SLICE):
                    while self.waiting >= self.limits.rows_most:
                        await self._wait_stored()
                    now = self._now()
                    for event in events[first : first + SLICE]:
                        batch = max(batch, self._take(event, now))
                    await asyncio.sleep(0)
                while self._stored < batch:
                    await self._wait_stored()
        except TimeoutError:
            raise StoreUnavailable("events were not stored in time; they are kept") from None

    async def _wait_stored(self) -> None:
        self._stored_changed.clear()
        await self._stored_changed.wait()

    def _take(self, event: Event, now: datetime) -> int:
        """One event; returns the batch that its caller must wait for (0 = none)."""
        plain = self._sorter.is_plain(event, now)
        repeats = self._plain_repeats if plain else self._repeats
        known = repeats.batch_of(event.id, now)
        EVENTS_SEEN.labels("plain" if plain else "taken" if known is None else "repeat").inc()
        if known is not None:
            return known
        repeats.add(event.id, now, 0 if plain else self._batch)
        row, row_id = self._signals.keep(event, plain=plain)
        if row is not None:
            self._waiting.events[row.id] = row
            self._filled.set()
        if plain:
            return 0
        self._correlate(event if row is not None else replace(event, id=row_id), now)
        self._filled.set()
        return self._batch

    def _correlate(self, event: Event, now: datetime) -> None:
        taken = self._sorter.correlate(event, now)
        if taken.case is None:
            return
        if taken.changed:
            self._touched[taken.case.row.id] = taken.case
        else:
            self._grown.add(taken.case.row.id)

    # --- the ledger and coverage

    def outages(self, changes: Changes[datetime]) -> Changes[datetime]:
        """The same batch with the alerts of its incidents; see `OutageAlerts.outages`. Never waits."""
        return self._outages.outages(changes)

    def blind_spots(self, rows: Sequence[BlindSpot]) -> tuple[Alert, ...]:
        """The alerts of blind spots that stand for themselves; see `OutageAlerts.blind_spots`."""
        return self._outages.blind_spots(rows)

    def _touch(self, case: Case) -> None:
        self._touched[case.row.id] = case
        self._filled.set()

    def _plan_case(self, case: Case, now: datetime) -> None:
        if case.row.id in self._without_views:
            self._without_views.discard(case.row.id)
            self.correlator.put(case, self.atlas.complete(case.row))
        row = case.row
        above = self.ledger.incident_above(self.atlas.above(case.device))
        if above is not None and row.kind in FOLLOWS_THE_NETWORK and row.caused_by is None:
            self.correlator.put(case, replace(row, caused_by=above))
            row = case.row
        planned = self.atlas.planned(row, case.device, now)
        alerts = self.teller.plan(self.teller.subject(row), now, planned=planned, above=above)
        if self._written.get(row.id) is not row:
            self._waiting.incidents[row.id] = row
        self._written[row.id] = row
        if row.ended_at is not None:
            del self._written[row.id]
        self._waiting.tell(alerts)

    # --- time and the store

    async def run(self) -> None:
        """Move time and write, until cancelled."""
        retry = RETRY_FIRST_S
        while True:
            await self._locate()
            try:
                async with asyncio.timeout(TICK_S):
                    await self._filled.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(COMMIT_EVERY_S)
            if await self.flush():
                retry = RETRY_FIRST_S
            else:
                await asyncio.sleep(retry)
                retry = min(RETRY_MOST_S, 2 * retry)

    async def watch(self) -> None:
        """Notice what other processes set, until cancelled."""
        await watch(self.postures_held, self.mutes_held)

    def tick(self, now: datetime) -> None:
        """Everything that only time decides; once a second is enough."""
        if self._archive_is_new:
            self._archive_is_new = False
            self._give_up_what_is_gone()
        for case in self.correlator.tick(now):
            EVENT_INCIDENTS.labels("closed").inc()
            self._touched[case.row.id] = case
        for key in [key for key, at in self.teller.due.items() if at <= now]:
            found = self.correlator.cases.get(key)
            if found is not None:
                self._touched[key] = found
            elif key not in self.ledger.open and key not in self._outages.spots:
                del self.teller.due[key]
        self._waiting.tell(self.teller.digests.tell(now))
        settled, self.teller.digests.settled = self.teller.digests.settled, []
        # Also as rows: those of the ledger and of coverage go another way and may come after this one;
        # what is there already stays, and an UPDATE that finds nothing yet would leave them pending.
        self._waiting.tell(settled)
        self._waiting.settled += settled
        self.mutes_held.forget_over(now)
        self.postures_held.settle(now)

    def _give_up_what_is_gone(self) -> None:
        """Who is out of use tells no end: its incidents close with that reason (semantics §4)."""
        for case in self.correlator.cases.values():
            if case.row.sensor is None and self.atlas.is_gone(case.row.channel, case.device):
                self.correlator.give_up(case, str(Ending.DECOMMISSIONED))

    async def _gather(self, now: datetime, *, last: bool) -> EventChanges:
        if last or self._ticked_at is None or (now - self._ticked_at).total_seconds() >= TICK_S:
            self._ticked_at = now
            self.tick(now)
        counts = last or self._counted_at is None or now - self._counted_at >= COUNTS_EVERY
        if counts:
            self._counted_at = now
            self._waiting.events.update((row.id, row) for row in self._signals.take(now))
            for key in self._grown:
                if (case := self.correlator.cases.get(key)) is not None:
                    self._touched.setdefault(key, case)
            self._grown.clear()
        self._waiting.events.update((row.id, row) for row in self._signals.take_urgent())
        # In portions, so that others get their turn; yet all of it before the batch is taken: a signal
        # that is stored without its incident would be a repeat after a crash, and never an incident.
        while self._touched:
            for key in [*islice(self._touched, PLANS_MOST)]:
                self._plan_case(self._touched.pop(key), now)
            if self._touched:
                await asyncio.sleep(0)
                now = self._now()
        self._waiting.orders.update((order.id, order) for order in self.orders.take(now))
        return self._waiting.take()

    async def flush(self, *, last: bool = False) -> bool:
        """Write what waits; False when the store does not answer (everything is kept).

        Args:
            last: the process ends: write the counts of the running minute too.
        """
        self._filled.clear()
        changes = await self._gather(self._now(), last=last)
        number, self._batch = self._batch, self._batch + 1
        if changes:
            try:
                await self.store.events.commit(changes)
            except BaseException as error:
                self._waiting.keep(changes)
                self._filled.set()
                EVENTS_WAITING.set(self.waiting)
                if isinstance(error, StoreUnavailable):
                    log.warning("events wait for the store", rows=self.waiting, reason=str(error))
                    return False
                raise
            EVENT_ROWS.inc(len(changes.events))
        self._stored = number
        self._stored_changed.set()
        EVENTS_WAITING.set(self.waiting)
        if changes.alerts:
            self.alerts_written()
        return await self._settle()

    async def _settle(self) -> bool:
        """What a digest told is settled after the digest was stored, never before."""
        settled, self._waiting.settled = self._waiting.settled, []
        try:
            await self.store.events.settle_alerts(settled)
        except StoreUnavailable as error:
            self._waiting.settled = settled + self._waiting.settled
            self._filled.set()
            log.warning("digests wait to be settled", rows=len(settled), reason=str(error))
            return False
        return True

    async def _stored_now(self) -> None:
        """Return when everything that waits now is stored.

        Raises:
            StoreUnavailable: not in time.
        """
        batch = self._batch
        self._filled.set()
        try:
            async with asyncio.timeout(self.limits.deliver_s):
                while self._stored < batch:
                    await self._wait_stored()
        except TimeoutError:
            raise StoreUnavailable("was not stored in time") from None

    # --- what people and the center say

    async def take_receipt(self, receipt: Receipt) -> Answered:
        """A step of the loop back (签收, 派单, 处置, 办结); returns when it is stored.

        The caller has checked that the key is one of an alert.

        Raises:
            StoreUnavailable: it could not be stored in time.
        """
        known = self.teller.receipts.get(receipt.key)
        if known is None:
            known = list(await self.store.events.receipts(receipt.key))
        answered = take_step(known, receipt)
        if not answered.taken:
            return answered
        if receipt.key in self.planner.threads:
            self.teller.receipts[receipt.key] = [*known, receipt]
        self._waiting.receipts[receipt.id] = receipt
        await self._stored_now()
        return answered

    def rules(self) -> Sequence[Rule]:
        """The rules in order."""
        return self.book.rules

    def postures(self) -> Sequence[Posture]:
        """Those that hold or will (planned ones of a week), in order of their beginning."""
        return self.postures_held.known(self._now())

    def is_area(self, area: str) -> bool:
        """The beginning of a division code, or a grid cell of the archive."""
        return is_division(area) or GridId(area) in self.atlas.inventory.grids

    def sensor_name(self, sensor: str) -> str | None:
        """The name of a sensor of the registry; None where it has none, or is not in it."""
        found = self.atlas.sensors.get(SensorId(sensor))
        return found.name or None if found is not None else None

    def mutes(self) -> Sequence[Mute]:
        """Those that hold or will, in order of their beginning."""
        return self.mutes_held.known()

    async def set_posture(self, posture: Posture) -> None:
        """Add or replace a posture; stored before it holds."""
        await self.postures_held.set(posture)

    async def end_posture(self, posture_id: str) -> Posture:
        """End a posture now.

        Raises:
            Refused: none that holds or will has this id, or a planned window brought it.
        """
        return await self.postures_held.end(posture_id)

    async def set_mute(self, mute: Mute) -> None:
        """Add or replace a mute; stored before it holds."""
        await self.mutes_held.set(mute)

    async def end_mute(self, mute_id: str) -> Mute:
        """End a mute now; what it silenced and still stands is told.

        Raises:
            Refused: none that holds or will has this id.
        """
        return await self.mutes_held.end(mute_id)

    def _decide_again(self) -> None:
        keys = (*self.correlator.cases, *self.ledger.open, *self._outages.spots)
        self.teller.decide_again(keys, self._now())
        self._filled.set()
