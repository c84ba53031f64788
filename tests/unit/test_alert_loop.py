"""The loop back: which step may follow which, what is overdue; work orders close only on health."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.alerting.loop import (
    ORDERS,
    STEPS,
    Limits,
    current,
    may_become,
    move_order,
    order_overdue,
    overdue,
    take_step,
)
from gateway.domain.alerting.rows import Receipt, ReceiptStep, WorkOrder, WorkOrderState
from gateway.domain.camera import ChannelId

T0 = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
R, W = ReceiptStep, WorkOrderState


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def receipt(step: ReceiptStep, seconds: float = 0, row_id: str = "") -> Receipt:
    return Receipt(row_id or f"{step}-{seconds}", "k", step, after(seconds), "综治中心")


def test_every_step_and_state_has_its_transitions() -> None:
    assert set(STEPS) == {None, *ReceiptStep}
    assert set(ORDERS) == set(WorkOrderState)


@pytest.mark.parametrize("before", [None, *ReceiptStep])
@pytest.mark.parametrize("step", list(ReceiptStep))
def test_a_step_is_taken_repeated_or_refused_and_never_two_of_them(
    before: ReceiptStep | None, step: ReceiptStep
) -> None:
    known = [] if before is None else [receipt(before)]
    found = take_step(known, receipt(step, 1))

    assert found.taken + found.repeated + found.refused == 1
    again = before is step
    assert found.taken is (step in STEPS[before] or (again and step is R.DISPATCHED))
    assert found.repeated is (again and step is not R.DISPATCHED)


def test_a_limit_is_looked_at_when_it_falls_due_and_those_that_are_not_set_never() -> None:
    limits = Limits(0, 60, 600)

    assert list(limits.given) == [60, 600]
    assert limits.next_at(T0, T0) == after(60)
    assert limits.next_at(T0, after(60)) == after(600)
    assert limits.next_at(T0, after(600)) is None
    assert Limits().next_at(T0, T0) is None


def test_the_same_message_again_changes_nothing() -> None:
    one = receipt(R.DISPATCHED)

    assert take_step([one, receipt(R.CLOSED, 5)], one).repeated


def test_an_id_that_says_something_else_is_refused() -> None:
    found = take_step([receipt(R.RECEIVED, 0, "x")], receipt(R.CLOSED, 1, "x"))

    assert found.refused
    assert "taken by" in found.reason


def test_what_is_closed_stays_closed() -> None:
    found = take_step([receipt(R.FALSE_ALARM)], receipt(R.RECEIVED, 1))

    assert found.refused
    assert found.reason == "false_alarm is final"
    assert current([receipt(R.RECEIVED), receipt(R.FALSE_ALARM)]) is R.FALSE_ALARM


LIMITS = Limits(receive_s=60, dispatch_s=300, close_s=3600)


@pytest.mark.parametrize(
    ("steps", "at", "late"),
    [
        ([], 59, None),
        ([], 60, R.RECEIVED),
        ([R.RECEIVED], 299, None),
        ([R.RECEIVED], 300, R.DISPATCHED),
        ([R.RECEIVED, R.IN_PROGRESS], 3599, None),
        ([R.DISPATCHED], 3600, R.CLOSED),
        ([R.CLOSED], 9999, None),
    ],
)
def test_the_first_step_that_is_late_is_overdue(
    steps: list[ReceiptStep], at: float, late: ReceiptStep | None
) -> None:
    found = overdue(T0, [receipt(step, n) for n, step in enumerate(steps)], LIMITS, after(at))

    assert (None if found is None else found.step) is late
    if found is not None:
        assert found.reason.startswith(f"not {late} by 2026-03-01T04:") or found.step is R.CLOSED


def test_without_limits_nothing_is_overdue() -> None:
    assert overdue(T0, [], Limits(), after(1e6)) is None


ORDER = WorkOrder("w", "k", (ChannelId("A"),), W.OPEN, T0, "值班员", due_at=after(100))


def test_a_work_order_closes_only_when_its_device_is_seen_healthy() -> None:
    done = move_order(ORDER, W.DONE, after(50))

    assert done.done_at == after(50)
    assert may_become(done, W.CLOSED, healthy=False).reason.startswith("its device")
    assert may_become(done, W.CLOSED, healthy=True).taken
    assert move_order(done, W.CLOSED, after(60)).closed_at == after(60)
    assert move_order(ORDER, W.CANCELLED, after(60)).closed_at == after(60)


def test_a_work_order_can_be_given_to_somebody_else() -> None:
    first = move_order(ORDER, W.ASSIGNED, T0, assignee="运维甲")

    assert may_become(first, W.ASSIGNED, healthy=False).taken
    assert move_order(first, W.ASSIGNED, T0).assignee == "运维甲"
    assert move_order(first, W.ASSIGNED, T0, assignee="运维乙").assignee == "运维乙"


def test_an_order_that_stands_so_already_is_a_repeat_and_a_wrong_turn_is_refused() -> None:
    assert may_become(ORDER, W.OPEN, healthy=True).repeated
    assert may_become(ORDER, W.CLOSED, healthy=True).refused


def test_an_order_is_overdue_until_somebody_says_it_is_done() -> None:
    assert not order_overdue(ORDER, after(99))
    assert order_overdue(ORDER, after(100))
    assert not order_overdue(move_order(ORDER, W.DONE, T0), after(100))
