"""The whole flow in fake time, with a memory store: rounds, clock steps, shutdown, restart."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import cast

import pytest
from fakes.clock import FakeClock, turns
from fakes.fleet import two_townships
from fakes.probe import FakeProbe

from adapters.memory import MemoryStore
from gateway.domain.archive import ImportRecord
from gateway.domain.camera import ChannelId, CheckBy, DeviceId
from gateway.domain.ledger import Changes, ClockStep, Ending, State
from gateway.domain.observation import Instant
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.ports import LedgerKind, LedgerQuery, LiveState
from gateway.projection import Projection
from gateway.runtime import pipeline
from gateway.runtime.clock import SystemClock
from gateway.runtime.judge import Judge, JudgeRules
from gateway.runtime.pipeline import Pipeline, archive_before
from gateway.settings import Settings


class Desk:
    """A pipeline whose loops are turned by hand."""

    def __init__(
        self,
        store: MemoryStore,
        clock: FakeClock,
        state: LiveState | None,
        archives: tuple[Inventory, Inventory | None] = (two_townships().build(), None),
    ) -> None:
        self.store, self.clock = store, clock
        self.probe = FakeProbe(clock)
        judge = Judge(JudgeRules(), clock.epoch, clock.now())
        self.pipeline = Pipeline(
            Settings(),
            cast("SystemClock", clock),
            store,
            dict.fromkeys(CheckBy, self.probe),
            judge,
            Projection(Inventory(), clock.utc(clock.now()), Feed("run")),
        )
        self.pipeline.start(archives[0], state or LiveState(), "first", archives[1])

    async def run(self, seconds: float, tick_s: float = 0.25) -> None:
        p = self.pipeline
        for turn in range(round(seconds / tick_s)):
            self.clock.move(tick_s)
            p.poller.step(self.clock.now())
            await turns(3)
            p.judge_batch(await p.observations.take(500, 0.0))
            if turn % 4 == 0:
                await p.recorder.flush()

    def state(self, channel: str) -> State:
        return next(v.state for v in self.pipeline.projection.order if v.camera.id == channel)


@pytest.fixture
async def desk() -> Desk:
    store = MemoryStore("memory:")
    await store.open()
    return Desk(store, FakeClock(), None)


async def test_after_one_round_everybody_is_online_and_the_service_ready(desk: Desk) -> None:
    assert any("first round" in reason for reason in desk.pipeline.readiness())
    await desk.run(31.0)
    assert {v.state for v in desk.pipeline.projection.order} == {State.ONLINE}
    assert desk.pipeline.readiness() == []
    assert desk.pipeline.projection.first_round_at is not None


async def test_a_death_reaches_the_store_and_the_picture(desk: Desk) -> None:
    await desk.run(31.0)
    desk.probe.hangs = lambda device: device.host == "e0"
    await desk.run(60.0)
    assert desk.state("e0") is State.OFFLINE
    (row,) = (await desk.store.ledger(LedgerKind.OUTAGES, LedgerQuery())).rows
    assert row.channel == "e0"
    assert desk.pipeline.projection.channels[row.channel].outage == row


async def test_a_step_of_the_wall_restamps_open_rows_and_changes_no_state(desk: Desk) -> None:
    await desk.run(31.0)
    desk.probe.hangs = lambda device: device.host == "e0"
    await desk.run(90.0)
    (before,) = (await desk.store.ledger(LedgerKind.OUTAGES, LedgerQuery())).rows
    states = [v.state for v in desk.pipeline.projection.order]
    desk.clock.step_wall(3600.0)
    now = desk.clock.now()
    step = desk.clock.anchor_again()
    desk.pipeline._stepped(step, now)
    await desk.pipeline.recorder.flush()
    (after,) = (await desk.store.ledger(LedgerKind.OUTAGES, LedgerQuery())).rows
    assert after.id == before.id
    assert (after.failed_at - before.failed_at).total_seconds() == pytest.approx(3600.0)
    assert not after.clock_suspect
    assert [v.state for v in desk.pipeline.projection.order] == states
    (noted,) = desk.store._clock_steps.values()
    assert isinstance(noted, ClockStep)
    assert noted.step_s == pytest.approx(3600.0)
    await desk.run(31.0)
    assert [v.state for v in desk.pipeline.projection.order] == states


async def test_rows_closed_just_before_a_step_are_in_doubt(desk: Desk) -> None:
    await desk.run(31.0)
    desk.probe.hangs = lambda device: device.host == "e0"
    await desk.run(60.0)
    desk.probe.hangs = lambda _device: False
    while (await desk.store.ledger(LedgerKind.OUTAGES, LedgerQuery(open_only=True))).rows:
        await desk.run(0.25)
        await desk.pipeline.recorder.flush()
    desk.clock.step_wall(-600.0)
    desk.pipeline._stepped(desk.clock.anchor_again(), desk.clock.now())
    await desk.pipeline.recorder.flush()
    (row,) = (await desk.store.ledger(LedgerKind.OUTAGES, LedgerQuery())).rows
    assert row.clock_suspect


async def test_the_end_writes_everything_and_closes_the_probes(desk: Desk) -> None:
    await desk.run(47.0)
    await desk.pipeline.close()
    assert desk.probe.closed
    assert desk.pipeline.recorder.pending == 0
    state = await desk.store.load_live()
    assert state.watched_until_at is not None
    known_s = desk.clock.now() - desk.clock.instant(state.watched_until_at)
    assert 0.0 <= known_s <= 4.0, "less the checks that were under way"
    rows = await desk.store.rollups("2026-11-23", "2026-11-23")
    assert len(rows) == 8
    assert all(sum(r.good_s) > 15.0 for r in rows)


async def test_an_end_without_a_store_is_not_long_and_not_silent(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.run(31.0)
    await desk.store.close()
    await desk.pipeline.close()
    assert desk.probe.closed
    assert desk.pipeline.recorder.pending > 0


async def test_a_store_that_hangs_is_waited_for_once_at_the_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.run(31.0)
    asked = []

    async def hangs(changes: Changes[datetime]) -> None:
        asked.append(changes)
        await asyncio.sleep(60.0)

    monkeypatch.setattr(desk.store, "commit", hangs)
    monkeypatch.setattr(pipeline, "ANSWERS_S", 0.1)
    async with asyncio.timeout(2.0):
        await desk.pipeline.close()
    assert len(asked) == 1
    assert desk.probe.closed
    assert desk.pipeline.recorder.pending > 0, "what was taken is kept"


async def test_readiness_says_why(desk: Desk) -> None:
    await desk.run(31.0)
    await desk.store.close()
    desk.probe.hangs = lambda _device: True
    await desk.run(1.0)
    desk.pipeline.recorder._watched_at = None
    await desk.pipeline.recorder.flush()
    assert any(reason.startswith("store:") for reason in desk.pipeline.readiness())
    desk.clock.move(120.0)
    assert any(reason.startswith("judge:") for reason in desk.pipeline.readiness())


async def test_roll_ups_are_written_in_portions(desk: Desk) -> None:
    await desk.run(330.0)
    rows = await desk.store.rollups("2026-11-23", "2026-11-23")
    assert {r.channel for r in rows} == set(desk.pipeline.inventory.cameras)


async def test_wishes_of_the_judge_reach_the_poller(desk: Desk) -> None:
    await desk.run(31.0)
    desk.probe.hangs = lambda device: device.host == "e0"
    before = len(desk.probe.asked)
    await desk.run(45.0)
    times = [at for at, d, _ in desk.probe.asked[before:] if d == DeviceId("e0:80")]
    assert len(times) >= 4
    assert Instant(times[1] - times[0]) == pytest.approx(5.0, abs=0.6)
    assert Instant(times[2] - times[0]) == pytest.approx(10.0, abs=0.6)


async def imported(desk: Desk, inventory: Inventory, name: str) -> None:
    at = desk.clock.utc(desk.clock.now())
    await desk.store.save_import(ImportRecord(name, at, "tester", (), ()), inventory)


def moved(inventory: Inventory, name: str) -> Inventory:
    """The same archive, with one camera at another address."""
    camera = inventory.cameras[ChannelId(name)]
    device = replace(inventory.devices[camera.device], id=DeviceId("new:80"), host="new")
    cameras = {**inventory.cameras, camera.id: replace(camera, device=device.id)}
    kept = [d for d in inventory.devices.values() if d.id != camera.device]
    return Inventory.of(cameras.values(), [*kept, device], inventory.nodes.values())


async def stopped_in_an_outage(desk: Desk) -> None:
    await imported(desk, desk.pipeline.inventory, "first")
    await desk.run(31.0)
    desk.probe.hangs = lambda device: device.host in {"e0", "e1"}
    await desk.run(60.0)
    await desk.pipeline.close()
    desk.clock.move(120.0)


async def started_again(desk: Desk) -> Desk:
    state = await desk.store.load_live()
    archives = (await desk.store.load_inventory(), await archive_before(desk.store, state))
    again = Desk(desk.store, desk.clock, state, archives)
    again.probe.hangs = desk.probe.hangs
    return again


async def test_an_address_changed_while_nobody_watched_ends_the_outage_at_the_old_one(
    desk: Desk,
) -> None:
    await stopped_in_an_outage(desk)
    await imported(desk, moved(desk.pipeline.inventory, "e0"), "second")
    again = await started_again(desk)
    assert again.state("e0") is State.UNKNOWN
    await again.run(65.0)
    rows = (await desk.store.ledger(LedgerKind.OUTAGES, LedgerQuery())).rows
    endings = {row.channel: row.ending for row in rows}
    assert endings == {"e0": Ending.ADDRESS_CHANGED, "e1": None}
    assert again.state("e0") is State.ONLINE
    assert again.state("e1") is State.OFFLINE
    await again.pipeline.close()
    seconds = await desk.store.rollups("2026-11-23", "2026-11-23", ChannelId("e0"))
    assert sum(seconds[0].unobserved_s) >= 119.0


async def test_without_an_import_meanwhile_a_restart_ends_nothing(desk: Desk) -> None:
    await stopped_in_an_outage(desk)
    assert await archive_before(desk.store, await desk.store.load_live()) is None
    again = await started_again(desk)
    await again.run(65.0)
    rows = (await desk.store.ledger(LedgerKind.OUTAGES, LedgerQuery())).rows
    assert {row.channel: row.ending for row in rows} == {"e0": None, "e1": None}


async def test_without_an_archive_there_is_no_first_round() -> None:
    store = MemoryStore()
    await store.open()
    desk = Desk(store, FakeClock(), None, (Inventory(), None))
    await desk.run(60.0)
    assert desk.pipeline.projection.first_round_at is None
    assert desk.pipeline.readiness() == ["inventory: no archive has been imported"]
