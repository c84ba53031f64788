"""The center's time limits and those of work orders, in scripted time."""

import asyncio
from datetime import timedelta

import pytest
from fakes.clock import FakeClock
from structlog.testing import capture_logs

from adapters.memory import MemoryStore
from gateway.domain.alerting.rows import Alert, Receipt, ReceiptStep, WorkOrder, WorkOrderState
from gateway.domain.alerting.rules import Rule, RuleBook
from gateway.domain.camera import ChannelId
from gateway.domain.event import Event, EventKind, EventSource, SensorId
from gateway.metrics import REGISTRY
from gateway.runtime.desk import Desk
from gateway.runtime.work_orders import WorkOrders

RULE = Rule(
    "life",
    recipients=("center",),
    escalate_s=100.0,
    dispatch_s=300.0,
    close_s=900.0,
    escalate_to=("duty",),
)


class Office:
    """A desk with one rule, and a center that answers when told to."""

    def __init__(self, store: MemoryStore, clock: FakeClock, rule: Rule) -> None:
        self.store, self.clock = store, clock
        book = RuleBook(rules=(rule,))
        self.desk = Desk(store, clock, book, recipients=("center", "duty"))

    async def until_done(self, work: "asyncio.Task[object]") -> None:
        """Let the desk write until something is stored."""
        while not work.done():
            await asyncio.sleep(0)
            await self.desk.flush()
        await work

    async def smoke(self) -> None:
        """An alarm that stands."""
        now = self.clock.utc(self.clock.now())
        event = Event(
            "a", EventSource.MQTT, EventKind.SMOKE, now, sensor=SensorId("s"), active=True
        )
        await self.until_done(asyncio.create_task(self.desk.deliver([event])))

    async def answer(self, step: ReceiptStep) -> None:
        """The center takes a step."""
        (key,) = {alert.key for alert in await self.alerts("center")}
        now = self.clock.utc(self.clock.now())
        receipt = Receipt(f"r-{step}", key, step, now, "综治中心")
        await self.until_done(asyncio.create_task(self.desk.take_receipt(receipt)))

    async def pass_s(self, seconds: int) -> None:
        """Time goes by, ten seconds at a time."""
        for _ in range(0, seconds, 10):
            self.clock.move(10)
            await self.desk.flush()

    async def alerts(self, recipient: str) -> list[Alert]:
        """What one was told."""
        return list(await self.store.events.alerts(recipient=recipient, limit=100))

    async def escalations(self, recipient: str = "duty") -> list[str]:
        """What the messages to one say is overdue: the step each."""
        told = [alert.body["data"]["escalation"] for alert in await self.alerts(recipient)]
        return [text.split()[1] if text else "" for text in told]


async def office(rule: Rule = RULE) -> Office:
    store = MemoryStore()
    await store.open()
    found = Office(store, FakeClock(), rule)
    await found.desk.load()
    await found.smoke()
    return found


async def test_what_is_received_but_not_dispatched_in_time_is_escalated() -> None:
    one = await office()
    await one.answer(ReceiptStep.RECEIVED)

    await one.pass_s(290)
    assert await one.alerts("duty") == []
    await one.pass_s(30)

    assert await one.escalations() == ["dispatched"]


async def test_what_is_dispatched_but_not_closed_in_time_is_escalated() -> None:
    one = await office()
    await one.answer(ReceiptStep.DISPATCHED)

    await one.pass_s(890)
    assert await one.alerts("duty") == []
    await one.pass_s(30)

    assert await one.escalations() == ["closed"]


async def test_one_who_was_told_of_a_late_receipt_hears_of_each_later_step_too() -> None:
    one = await office()
    await one.pass_s(150)
    await one.answer(ReceiptStep.RECEIVED)
    await one.pass_s(250)
    await one.answer(ReceiptStep.DISPATCHED)
    await one.pass_s(600)

    assert [step for step in await one.escalations() if step] == [
        "received",
        "dispatched",
        "closed",
    ]


@pytest.mark.parametrize("step", [ReceiptStep.CLOSED, ReceiptStep.FALSE_ALARM])
async def test_what_the_center_has_closed_is_never_overdue(step: ReceiptStep) -> None:
    one = await office()
    await one.answer(step)
    await one.pass_s(1_200)

    assert await one.alerts("duty") == []


async def test_a_rule_with_no_limit_but_closing_escalates_that_alone() -> None:
    one = await office(Rule("slow", recipients=("center",), close_s=600, escalate_to=("duty",)))
    await one.pass_s(700)

    assert await one.escalations() == ["closed"]


def test_a_work_order_whose_time_is_up_is_counted_and_told_once() -> None:
    clock, orders = FakeClock(), WorkOrders()
    now = clock.utc(clock.now())
    due = now + timedelta(hours=1)
    order = WorkOrder("w1", "k", (ChannelId("A1"),), WorkOrderState.OPEN, now, "a", due_at=due)
    orders.add(order)

    def overdue() -> float | None:
        return REGISTRY.get_sample_value("sightline_work_orders_overdue")

    with capture_logs() as logs:
        orders.take(now)
        assert (overdue(), logs) == (0.0, [])
        orders.take(due)
        orders.take(due + timedelta(minutes=1))
        assert overdue() == 1.0
        assert [(line["event"], line["order"]) for line in logs] == [
            ("a work order is overdue", "w1")
        ]
        assert orders.move(order, WorkOrderState.DONE, due).taken
        orders.take(due + timedelta(minutes=2))
    assert overdue() == 0.0
    assert len(logs) == 1
