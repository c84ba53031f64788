"""The desk as the service builds it: what it asks of the projection, the archive and coverage."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from fakes.clock import FakeClock
from fakes.fleet import two_townships
from fakes.sixteen_cells import GRIDS, MODEL, SPOT, archive

from adapters.memory import MemoryStore
from gateway.domain.alerting.rows import WorkOrder, WorkOrderState
from gateway.domain.camera import ChannelId
from gateway.domain.coverage.figures import PlaceFacts
from gateway.domain.coverage.model import Floats
from gateway.domain.coverage.view import ViewState
from gateway.domain.event import Event, EventKind, EventSource, Sensor, SensorId
from gateway.domain.ledger import Changes, ChannelRecord, State
from gateway.domain.linking import CellIndex
from gateway.domain.observation import Answer, Instant, Observation, Step, Verdict
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.ports.events import EventQuery
from gateway.projection import Projection
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.desk import Desk
from gateway.runtime.desk_start import join_coverage, start_desk
from gateway.runtime.model_source import Built
from gateway.settings import EventSettings, Settings

E0 = ChannelId("e0")


class Service(NamedTuple):
    """What a desk is built from, and the desk."""

    store: MemoryStore
    clock: FakeClock
    inventory: Inventory
    projection: Projection
    desk: Desk

    def becomes(self, state: State, channel: ChannelId = E0) -> None:
        """What the judge would tell the projection."""
        now = self.clock.utc(self.clock.now())
        record = ChannelRecord(channel, state, now, now, now)
        self.projection.apply(Changes(1, channels=(record,)), now)

    def answers(self, channel: ChannelId = E0) -> None:
        """A check without findings."""
        now = self.clock.now()
        answer = Answer(Step.REACH, now, Instant(now + 0.01), Verdict.ANSWERED)
        device = self.inventory.cameras[channel].device
        self.projection.observe(Observation(channel, device, answer))

    async def bring(
        self, name: str, kind: EventKind = EventKind.SMOKE, *, active: bool = True, **source: Any
    ) -> None:
        """A signal, and what the desk writes of it."""
        now = self.clock.utc(self.clock.now())
        event = Event(name, EventSource.MQTT, kind, now, active=active, **source)
        work = asyncio.create_task(self.desk.deliver([event]))
        while not work.done():
            await asyncio.sleep(0)
            await self.desk.flush()
        await work

    async def pass_s(self, seconds: float) -> None:
        """Time, and what the desk writes meanwhile."""
        self.clock.move(seconds)
        assert await self.desk.flush()


async def serve(settings: Settings | None = None, inventory: Inventory | None = None) -> Service:
    """A desk on a store in memory, built as the service builds it."""
    store, clock = MemoryStore(), FakeClock()
    await store.open()
    known = two_townships(2).build() if inventory is None else inventory
    now = clock.utc(clock.now())
    projection = Projection(known, now, Feed("run"))
    desk = await start_desk(settings or Settings(), store, clock, projection, known, ())
    return Service(store, clock, known, projection, desk)


@pytest.mark.parametrize(
    "state", [s for s in State if s is not State.ONLINE], ids=lambda state: state.value
)
async def test_a_repair_is_not_believed_while_something_is_wrong_with_its_device(
    state: State,
) -> None:
    one = await serve()
    done_at = one.clock.utc(one.clock.now())
    order = WorkOrder("w", "k", (E0,), WorkOrderState.DONE, done_at, "li", done_at=done_at)
    one.desk.orders.add(order)
    one.becomes(state)
    await one.pass_s(5)
    one.answers()  # its clock is right, whatever else is not
    await one.pass_s(5)
    (row,) = await one.store.events.work_orders()
    assert row.state is WorkOrderState.DONE

    one.becomes(State.ONLINE)
    await one.pass_s(5)
    (row,) = await one.store.events.work_orders()
    assert row.state is WorkOrderState.CLOSED


async def test_how_many_cells_an_event_is_linked_to_comes_from_the_settings() -> None:
    one = await serve(Settings(events=EventSettings(nearest=2, radius_m=300.0)))
    assert (one.desk.atlas.nearest, one.desk.atlas.radius_m) == (2, 300.0)


async def model() -> AsyncIterator[Built | Floats]:
    yield Built("first", MODEL, PlaceFacts())
    yield np.ones(len(MODEL.cells))


async def test_what_began_before_coverage_had_a_model_is_linked_to_its_views_silently() -> None:
    one = await serve(inventory=archive())
    coverage = CoverageWorker(one.store, one.clock, one.projection, model, 12_600.0)
    join_coverage(one.desk, coverage)
    one.becomes(State.ONLINE, ChannelId("c0001"))
    await one.store.events.save_sensors(
        [Sensor(SensorId("s1"), "烟感", EventKind.SMOKE, "t/1", *SPOT)]
    )
    one.desk.atlas.take_sensors(await one.store.events.load_sensors())
    one.desk.atlas.cells = CellIndex(GRIDS)
    one.desk._located.set()
    await one.bring("a", sensor=SensorId("s1"))
    (row,), _ = await one.store.events.incidents(EventQuery())
    assert row.cameras == ()

    await coverage._build()
    await one.pass_s(1)

    (row,), _ = await one.store.events.incidents(EventQuery())
    assert [camera.channel for camera in row.cameras] == ["c0001", "c0000"]
    messages = await one.store.events.alerts(key=row.id)
    assert {message.phase for message in messages} == {"open"}
    await one.bring("b", sensor=SensorId("s1"), active=False)
    await one.pass_s(11)
    closed = (await one.store.events.alerts(key=row.id))[-1].body["data"]
    assert [(c["channel"], c["view"]) for c in closed["cameras"]] == [
        ("c0001", "seeing"),
        ("c0000", "unknown"),
    ]
    await coverage.close()


@pytest.mark.parametrize("kind", [EventKind.SIGNAL_LOSS, EventKind.TAMPER])
async def test_a_camera_that_answers_but_says_that_it_is_blind_neither_sees_nor_is_repaired(
    kind: EventKind,
) -> None:
    one = await serve()
    done_at = one.clock.utc(one.clock.now())
    order = WorkOrder("w", "k", (E0,), WorkOrderState.DONE, done_at, "li", done_at=done_at)
    one.desk.orders.add(order)
    one.becomes(State.ONLINE)
    assert one.desk.atlas.view_state(E0) is ViewState.SEEING
    await one.bring("a", kind, channel=E0)
    await one.pass_s(5)
    one.answers()
    await one.pass_s(5)
    assert one.desk.atlas.view_state(E0) is ViewState.NOT_SEEING
    assert one.desk.atlas.view_state(ChannelId("e1")) is ViewState.UNKNOWN
    assert one.desk.orders.open

    await one.bring("b", kind, channel=E0, active=False)
    assert one.desk.atlas.view_state(E0) is ViewState.SEEING
    await one.pass_s(5)
    assert not one.desk.orders.open


async def test_a_repair_is_not_believed_for_an_answer_of_before_it() -> None:
    one = await serve()
    one.becomes(State.ONLINE)
    one.answers()
    one.clock.move(5)
    done_at = one.clock.utc(one.clock.now())
    order = WorkOrder("w", "k", (E0,), WorkOrderState.DONE, done_at, "li", done_at=done_at)
    one.desk.orders.add(order)
    await one.pass_s(5)
    assert one.desk.orders.open

    one.answers()
    await one.pass_s(5)
    assert not one.desk.orders.open
