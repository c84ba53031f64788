"""The coverage worker: a second consumer of the judge, with its own transactions and restarts."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
import shapely
from fakes.clock import FakeClock, turns, within
from fakes.small_model import model_of
from shapely.geometry import box

from adapters.memory import MemoryStore
from gateway.domain.alerting.rows import Alert, AlertPhase
from gateway.domain.archive import ImportRecord
from gateway.domain.camera import Camera, ChannelId, Device, DeviceId, NodeId
from gateway.domain.coverage.figures import PlaceFacts
from gateway.domain.coverage.model import CoverageModel, Floats
from gateway.domain.coverage.place import PlaceId
from gateway.domain.coverage.recount import Difference, Snapshot, recount
from gateway.domain.coverage.rows import BlindSpot, CoverageChanges, PlaceState
from gateway.domain.ledger import (
    Changes,
    ChannelRecord,
    Fault,
    GapReason,
    GatewayGap,
    Outage,
    State,
)
from gateway.domain.observation import FaultCause, OutageCause
from gateway.errors import StoreUnavailable, Unavailable
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.metrics import RECOUNT_FAILED
from gateway.ports.coverage import BlindSpotQuery
from gateway.projection import Projection
from gateway.runtime import coverage_recount
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.coverage_present import Cadences
from gateway.runtime.model_source import Built, packed, unpacked

PAIR = model_of([box(0, 0, 60, 40), box(40, 0, 100, 40)], [[(50.0, 20.0)], [(10.0, 20.0)]])
ONE = model_of([box(0, 0, 60, 40)], [[(50.0, 20.0)], [(10.0, 20.0)]])


P0 = PlaceId("p0")


def fleet(count: int) -> Inventory:
    cameras, devices = [], []
    for n in range(count):
        device = Device(DeviceId(f"10.0.0.{n}:80"), f"10.0.0.{n}", 80, NodeId("switch"))
        devices.append(device)
        cameras.append(Camera(ChannelId(f"c{n:04d}"), device.id, f"camera {n}"))
    return Inventory.of(cameras, devices)


class Desk:
    """A worker that is turned by hand, beside a projection that is told the same."""

    def __init__(self, store: MemoryStore, clock: FakeClock, model: CoverageModel = PAIR) -> None:
        self.store, self.clock, self.model = store, clock, model
        self.import_id, self.ladder = "first", "IEC 62676-4:2015"
        self.projection = Projection(fleet(len(model.channels)), self.now(), Feed("run"))
        self.worker = CoverageWorker(store, clock, self.projection, self.source, 12_600.0)
        self.sequence = 0

    async def source(self) -> AsyncIterator[Built | Floats]:
        facts = PlaceFacts(("one", "two"), ("road", "road"), ("", ""), ("", ""), ("", ""), ("", ""))
        facts = replace(facts, ladder=self.ladder)
        yield Built(self.import_id, self.model, facts)
        yield np.ones(len(self.model.cells))

    def now(self) -> datetime:
        return self.clock.utc(self.clock.now())

    async def tell(self, *, commit: bool = True, **rows: Any) -> None:
        self.sequence += 1
        changes: Changes[datetime] = Changes(self.sequence, **rows)
        if commit:
            await self.store.commit(changes)
        self.projection.apply(changes, self.now())
        self.worker.submit(changes)

    def record(self, camera: int, state: State) -> ChannelRecord[datetime]:
        return ChannelRecord(ChannelId(f"c{camera:04d}"), state, self.now())

    async def all_online(self) -> None:
        cameras = range(len(self.projection.order))
        await self.tell(channels=tuple(self.record(c, State.ONLINE) for c in cameras))

    async def lose(self, camera: int) -> Outage[datetime]:
        now = self.now()
        row = Outage(
            f"o{camera}-{now.timestamp():.0f}", ChannelId(f"c{camera:04d}"), OutageCause.TIMEOUT,
            now - timedelta(seconds=40), now - timedelta(seconds=12), now, now,
        )  # fmt: skip
        await self.tell(outages=(row,), channels=(self.record(camera, State.OFFLINE),))
        return row

    async def find(self, row: Outage[datetime]) -> Outage[datetime]:
        closed = replace(row, last_failed_at=self.now() - timedelta(seconds=9), ended_at=self.now())
        camera = int(row.channel[1:])
        await self.tell(outages=(closed,), channels=(self.record(camera, State.ONLINE),))
        return closed

    async def spots(self, *, open_only: bool = False) -> dict[str, BlindSpot]:
        rows, _ = await self.store.coverage.blind_spots(BlindSpotQuery(open_only=open_only))
        return {row.channel: row for row in rows}

    async def turn(self, seconds: float = 1.0) -> None:
        self.clock.move(seconds)
        await self.worker.step(settle=True)
        await self.worker.flush()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    store = MemoryStore("memory:")
    await store.open()
    made = Desk(store, FakeClock())
    await made.all_online()
    await made.worker._build()
    yield made
    await made.worker.close()


async def test_an_outage_opens_a_blind_spot_and_its_end_closes_it(desk: Desk) -> None:
    lost = await desk.lose(0)
    await desk.turn()
    spot = (await desk.spots())["c0000"]
    assert (spot.last_seen_at, spot.failed_at) == (lost.last_seen_at, lost.failed_at)
    assert (spot.outage, spot.cause, spot.places) == (lost.id, "timeout", ("p1",))
    assert spot.polygon is not None
    assert spot.area_m2 == pytest.approx(40 * 40)
    back = await desk.find(lost)
    await desk.turn()
    spot = (await desk.spots())["c0000"]
    assert (spot.last_failed_at, spot.ended_at) == (back.last_failed_at, back.ended_at)
    assert desk.worker.totals == [1, 1]
    (row,) = await desk.store.coverage.intervals(lost.failed_at, desk.now())
    assert (row.state, row.started_at, row.ended_at) == (
        PlaceState.BLIND, lost.failed_at, back.ended_at,
    )  # fmt: skip


async def test_the_loops_write_a_row_within_a_second_of_the_confirmation() -> None:
    store = MemoryStore("memory:")
    await store.open()
    desk = Desk(store, FakeClock())
    await desk.all_online()
    running = asyncio.create_task(desk.worker.run())
    feed = desk.projection.feed
    try:
        async with asyncio.timeout(10.0):
            await feed.wait(feed.last_id, 10.0)  # the headline of the model that was just built
        await desk.lose(0)
        async with asyncio.timeout(1.0):
            while not await desk.spots():  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_happened_between_two_looks_is_written_too(desk: Desk) -> None:
    lost = await desk.lose(0)
    desk.clock.move(0.05)
    await desk.find(lost)
    await desk.turn()
    spot = (await desk.spots())["c0000"]
    assert (spot.failed_at, spot.ended_at) == (lost.failed_at, lost.confirmed_at + _s(0.05))


def _s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


async def test_a_stream_fault_is_a_blind_spot_and_a_picture_fault_weakens(desk: Desk) -> None:
    now = desk.now()

    def fault(cause: FaultCause) -> Fault[datetime]:
        return Fault(f"f-{cause}", ChannelId("c0000"), cause, now - _s(9), now, now, now)

    degraded = desk.record(0, State.DEGRADED)
    await desk.tell(faults=(fault(FaultCause.PICTURE),), channels=(degraded,))
    await desk.turn()
    assert not await desk.spots()
    assert desk.worker.headline is not None
    assert desk.worker.headline[0].weights.unverified == 1.0
    await desk.tell(faults=(fault(FaultCause.STREAM),))
    await desk.turn()
    assert (await desk.spots())["c0000"].cause == "stream"


async def test_a_store_that_is_away_loses_nothing(desk: Desk, monkeypatch: Any) -> None:
    async def away(_: CoverageChanges) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(desk.store.coverage, "commit", away)
        lost = await desk.lose(0)
        await desk.turn()
        assert desk.worker.pending == 2
        await desk.find(lost)
        await desk.turn()
        assert desk.worker.pending == 2
    assert await desk.worker.flush()
    assert (await desk.spots())["c0000"].ended_at is not None


async def restarted(desk: Desk, model: CoverageModel | None = None) -> Desk:
    """Another process over the same store and the same present."""
    found = Desk(desk.store, desk.clock, model or desk.model)
    found.import_id, found.ladder = desk.import_id, desk.ladder
    for view in desk.projection.order:
        if view.camera.id in found.projection.channels:
            own = found.projection.channels[view.camera.id]
            own.state, own.since_at = view.state, view.since_at
            own.outage, own.faults = view.outage, dict(view.faults)
    await found.worker._build()
    await found.worker.flush()
    return found


async def test_a_crash_between_outage_and_blind_spot_is_made_good(desk: Desk) -> None:
    first = await desk.lose(0)
    await desk.turn()
    desk.clock.move(5)
    second = await desk.lose(1)  # never computed
    desk.clock.move(5)
    back = await desk.find(first)
    again = await restarted(desk)
    spots = await again.spots()
    assert spots["c0000"].ended_at == back.ended_at
    assert (spots["c0001"].failed_at, spots["c0001"].ended_at) == (second.failed_at, None)
    assert not await again.worker.recount()
    kept = {row.place: row for row in (await desk.store.coverage.load()).intervals}
    assert not kept  # the place of the second is seen by the first, who is back


async def test_an_outage_that_came_and_went_while_coverage_was_down_is_written(desk: Desk) -> None:
    await desk.turn()
    lost = await desk.lose(0)
    desk.clock.move(50)
    await desk.find(lost)
    again = await restarted(desk)
    spot = (await again.spots())["c0000"]
    assert (spot.failed_at, spot.ended_at) == (lost.failed_at, desk.now())


async def test_a_restart_changes_no_row_that_stands(desk: Desk) -> None:
    await desk.lose(0)
    await desk.turn()
    desk.clock.move(3)
    await desk.lose(1)
    await desk.turn()
    before = await desk.store.coverage.load()
    again = await restarted(desk)
    after = await desk.store.coverage.load()
    assert (after.blind_spots, after.intervals) == (before.blind_spots, before.intervals)
    assert again.worker.headline is not None
    assert again.worker.headline[0].lost_m2 == pytest.approx(100 * 40)


async def test_the_rows_of_a_camera_that_left_the_archive_are_closed(desk: Desk) -> None:
    await desk.lose(0)
    desk.clock.move(1)
    await desk.lose(1)
    await desk.turn()
    desk.model, desk.import_id = ONE, "second"
    desk.projection.load(fleet(1), desk.now())
    await desk.store.save_import(_import("second", desk.now()), fleet(1))
    desk.clock.move(6)
    await desk.worker._build()
    await desk.worker.flush()
    spots = await desk.spots()
    assert spots["c0001"].ended_at is not None
    assert spots["c0000"].ended_at is None
    assert spots["c0000"].area_now_m2 == pytest.approx(60 * 40)
    assert not await desk.worker.recount()
    rows = await desk.store.coverage.intervals(desk.now() - timedelta(days=1), desk.now(), P0)
    alone, both = sorted(rows, key=lambda row: len(row.causes))
    assert (alone.causes, both.causes) == (("c0000",), ("c0000", "c0001"))
    assert both.ended_at == alone.started_at == alone.after_at
    assert alone.ended_at is None
    lost = [
        (await desk.store.coverage.past(when, 9)).lost for when in (both.started_at, desk.now())
    ]
    assert lost == [2.0, 2.0]  # with the place that the first camera alone sees


async def test_an_import_that_changes_a_weight_ends_the_rows_of_the_old_one(desk: Desk) -> None:
    before = (await desk.store.coverage.load()).basis
    assert before is None  # nothing was written yet
    await desk.lose(0)
    await desk.turn()
    (first,) = await desk.store.coverage.bases(desk.now() - timedelta(days=1), desk.now())
    assert (first.listed, first.reached, first.import_id) == (2.0, 2.0, "first")
    desk.model = replace(PAIR, point_weight=PAIR.point_weight * 5)
    desk.import_id = "second"
    desk.clock.move(6)
    await desk.worker._build()
    await desk.worker.flush()
    desk.clock.move(6)
    rows = await desk.store.coverage.intervals(first.valid_from, desk.now())
    assert [(row.weight_lost, row.ended_at is None) for row in rows] == [(1.0, False), (5.0, True)]
    old, new = rows
    bases = await desk.store.coverage.bases(first.valid_from, desk.now())
    assert [(basis.reached, basis.import_id) for basis in bases] == [
        (2.0, "first"), (10.0, "second"),
    ]  # fmt: skip
    assert old.ended_at == new.started_at == bases[1].valid_from
    again = await restarted(desk)
    await again.turn()
    assert await desk.store.coverage.bases(first.valid_from, again.now()) == bases
    assert len(await desk.store.coverage.intervals(first.valid_from, again.now())) == 2


async def test_another_edition_of_the_pixel_densities_counts_from_when_it_is_taken(
    desk: Desk,
) -> None:
    await desk.lose(0)
    await desk.turn()
    (first,) = await desk.store.coverage.bases(desk.now() - timedelta(days=1), desk.now())
    desk.ladder = "IEC 62676-4:2025"
    desk.model = replace(PAIR, point_weight=PAIR.point_weight * 5)  # who sees what changes with it
    await desk.worker.close()
    again = await restarted(desk)
    await again.turn()
    bases = await desk.store.coverage.bases(first.valid_from, again.now())
    assert [(basis.ladder[-4:], basis.import_id) for basis in bases] == [
        ("2015", "first"), ("2025", "first"),
    ]  # fmt: skip
    rows = await desk.store.coverage.intervals(first.valid_from, again.now())
    old, new = sorted(rows, key=lambda row: row.started_at)
    assert old.ended_at == new.started_at == bases[1].valid_from, "no row begins before it counts"


def _import(name: str, at: datetime) -> ImportRecord:
    return ImportRecord(name, at, "test", (), ())


async def test_gateway_blindness_writes_no_row_for_places(desk: Desk) -> None:
    lost = await desk.lose(0)
    await desk.turn()
    gap: GatewayGap[datetime] = GatewayGap("g", GapReason.BLIND, desk.now())
    unknown = tuple(desk.record(c, State.UNKNOWN) for c in range(2))
    await desk.tell(gaps=(gap,), channels=unknown)
    await desk.turn(400)
    assert desk.worker.headline is not None
    assert desk.worker.headline[0].weights.unknown == 2.0
    assert (await desk.spots())["c0000"].observed_until_at == gap.started_at
    await desk.tell(gaps=(replace(gap, ended_at=desk.now()),))
    states = (State.OFFLINE, State.ONLINE)
    await desk.tell(channels=tuple(desk.record(c, s) for c, s in enumerate(states)))
    await desk.turn()
    rows = await desk.store.coverage.intervals(lost.failed_at, desk.now())
    assert [(row.state, row.ended_at) for row in rows] == [(PlaceState.BLIND, None)]
    assert (await desk.spots())["c0000"].observed_until_at is None


async def test_what_is_asked_more_often_is_unknown_sooner(desk: Desk) -> None:
    pace = Cadences(60.0, 20.0)
    desk.worker.cadences = lambda: pace
    await desk.tell(channels=tuple(desk.record(c, State.UNKNOWN) for c in range(2)))

    async def unknown_after(seconds: float) -> int:
        await desk.turn(seconds)
        rows = await desk.store.coverage.intervals(desk.now() - timedelta(days=1), desk.now())
        return len(rows)

    assert await unknown_after(100) == 0  # of 180
    desk.clock.move(30)
    first = desk.projection.order[0].device.id
    pace = Cadences(60.0, 20.0, frozenset({first}))
    assert await unknown_after(1) == 1  # the place that the first camera alone sees
    assert await unknown_after(60) == 2


async def test_a_difference_from_the_recount_is_told(desk: Desk) -> None:
    assert not await desk.worker.recount()
    await desk.worker.ask(lambda present: present.state.counters.counts.__iadd__(1))
    difference = await desk.worker.recount()
    assert difference.points == 2


@pytest.fixture
def slow_recount(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Counting waits for this event, as it waits for GEOS where half of a fleet is down."""
    done = threading.Event()

    def slow(held: Snapshot) -> Difference:
        assert done.wait(10.0)
        return recount(held)

    monkeypatch.setattr(coverage_recount, "recount", slow)
    return done


async def test_rows_of_an_outage_are_written_while_a_recount_runs(
    desk: Desk, slow_recount: threading.Event
) -> None:
    counting = asyncio.create_task(desk.worker.recount())
    try:
        await asyncio.sleep(0.05)
        await desk.lose(0)
        async with asyncio.timeout(1.0):
            await desk.turn()
        assert set(await desk.spots(open_only=True)) == {"c0000"}
        assert not counting.done()
    finally:
        slow_recount.set()
    assert not await counting  # against the state as it was when it began
    assert not await desk.worker.recount()


async def test_who_asks_while_a_recount_runs_gets_its_answer(
    desk: Desk, slow_recount: threading.Event
) -> None:
    both = asyncio.gather(desk.worker.recount(), desk.worker.recount())
    await asyncio.sleep(0.05)
    slow_recount.set()
    first, second = await both
    assert first is second


async def test_a_view_that_was_lost_on_the_way_is_found_by_the_recount(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_recount, "LOOK_AGAIN_S", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(desk.worker, "submit", lambda _: None)
        await desk.lose(0)
    await desk.turn()
    difference = await desk.worker.recount()
    assert (difference.views, difference.points, bool(difference)) == (1, 0, True)


async def test_a_view_that_only_lags_is_no_difference(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Changes[datetime]] = []
    with monkeypatch.context() as patched:
        patched.setattr(desk.worker, "submit", held.append)
        await desk.lose(0)
    monkeypatch.setattr(coverage_recount, "LOOK_AGAIN_S", 0.1)
    counting = asyncio.create_task(desk.worker.recount())
    await asyncio.sleep(0.05)
    desk.worker.submit(held[0])
    assert not await counting


async def test_a_row_that_the_store_lost_is_found_by_the_recount(desk: Desk) -> None:
    lost = await desk.lose(0)
    await desk.turn()
    spot = (await desk.spots())["c0000"]
    assert (await desk.worker.recount()).stored == 0
    closed = replace(spot, ended_at=desk.now())
    await desk.store.coverage.commit(CoverageChanges(desk.sequence, desk.now(), (closed,)))
    assert (await desk.worker.recount()).stored == 1
    shifted = replace(spot, failed_at=lost.failed_at - _s(1))
    await desk.store.coverage.commit(CoverageChanges(desk.sequence, desk.now(), (shifted,)))
    assert (await desk.worker.recount()).stored == 1


async def test_a_store_that_is_away_is_no_difference(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(desk.store.coverage, "load", away)
    difference = await desk.worker.recount()
    assert (difference.stored, bool(difference)) == (None, False)


async def test_rows_that_move_while_the_store_is_asked_are_no_difference(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = desk.store.coverage.load

    async def late() -> Any:
        await desk.lose(0)
        await desk.turn()
        return await load()

    monkeypatch.setattr(desk.store.coverage, "load", late)
    assert not await desk.worker.recount()
    assert await desk.spots(open_only=True)


async def test_the_nightly_recount_outlives_an_error_and_tells_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Snapshot) -> Difference:
        raise shapely.GEOSException("TopologyException")

    worker, nights = desk.worker, asyncio.create_task(desk.worker.recounts.nightly())
    try:
        await turns()
        desk.clock.move(15.4 * 3600)  # it is 12:00 in Shanghai, and the recount is due at 3:30
        await turns()
        assert (worker.difference, worker.recount_failure) == (None, None)
        with monkeypatch.context() as patched:
            patched.setattr(coverage_recount, "recount", broken)
            desk.clock.move(0.2 * 3600)
            await within(_until(lambda: worker.recount_failure is not None))
            with pytest.raises(Unavailable, match="see the log"):
                await worker.recount()
        assert worker.recount_failure is not None
        assert "see the log" in worker.recount_failure[0]
        assert RECOUNT_FAILED._value.get() == 1
        desk.clock.move(24 * 3600)
        await within(_until(lambda: worker.difference is not None))
        assert worker.difference == (Difference(), desk.now())
        assert RECOUNT_FAILED._value.get() == 0
    finally:
        nights.cancel()
    assert worker.recounts.failure is None


async def _until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


async def test_alerts_alone_are_written(desk: Desk) -> None:
    await desk.turn()
    alert = Alert("a1", "incident", 1, AlertPhase.OPEN, "center", desk.now(), {})
    desk.worker.outbox.warn([alert])
    woken: list[bool] = []
    desk.worker.alerts_written = lambda: woken.append(True)
    await desk.worker.flush()
    assert woken == [True]
    assert await desk.store.events.alert("a1") is not None


async def test_questions_wait_for_the_model() -> None:
    desk = Desk(MemoryStore("memory:"), FakeClock())
    with pytest.raises(Unavailable, match="being computed"):
        await desk.worker.ask(lambda present: present)


async def test_the_feed_tells_of_spots_and_of_the_headline(desk: Desk) -> None:
    start = desk.projection.feed.last_id
    await desk.lose(0)
    await desk.turn()
    events: Sequence[str] = [item.event for item in desk.projection.feed.after(start) or ()]
    assert "blind_spot" in events
    assert "coverage" in events


def test_a_model_survives_the_way_from_the_child() -> None:
    found = unpacked(packed(Built("x", PAIR, PlaceFacts())))
    assert isinstance(found, Built)
    assert found.model.channels == PAIR.channels
    assert [view.area for view in found.model.views] == [view.area for view in PAIR.views]
    assert list(found.model.reach) == [None, None]
