"""The desk as the service builds it: what it asks of the projection, the archive and coverage."""

from typing import NamedTuple

import pytest
from fakes.clock import FakeClock
from fakes.fleet import two_townships

from adapters.memory import MemoryStore
from gateway.domain.alerting.rows import WorkOrder, WorkOrderState
from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Changes, ChannelRecord, State
from gateway.domain.observation import Answer, Instant, Observation, Step, Verdict
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.projection import Projection
from gateway.runtime.desk import Desk
from gateway.runtime.desk_start import start_desk
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

    async def pass_s(self, seconds: float) -> None:
        """Time, and what the desk writes meanwhile."""
        self.clock.move(seconds)
        assert await self.desk.flush()


async def serve(settings: Settings | None = None, inventory: Inventory | None = None) -> Service:
    """A desk on a store in memory, built as the service builds it."""
    store, clock = MemoryStore(), FakeClock()
    await store.open()
    archive = two_townships(2).build() if inventory is None else inventory
    now = clock.utc(clock.now())
    projection = Projection(archive, now, Feed("run"))
    desk = await start_desk(settings or Settings(), store, clock, projection, archive, ())
    return Service(store, clock, archive, projection, desk)


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
