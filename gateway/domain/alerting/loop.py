"""The loop back (签收, 派单, 处置, 办结): which step may follow which, and what is overdue.

Also of a work order (工单): it is closed only when the device is seen healthy again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from gateway.domain.alerting.rows import Receipt, ReceiptStep, WorkOrder, WorkOrderState

_R, _W = ReceiptStep, WorkOrderState
STEPS: Mapping[ReceiptStep | None, frozenset[ReceiptStep]] = MappingProxyType(
    {
        # A center may take several steps in one: what it dispatches it has received.
        None: frozenset(ReceiptStep),
        _R.RECEIVED: frozenset({_R.DISPATCHED, _R.IN_PROGRESS, _R.CLOSED, _R.FALSE_ALARM}),
        _R.DISPATCHED: frozenset({_R.IN_PROGRESS, _R.CLOSED, _R.FALSE_ALARM}),
        _R.IN_PROGRESS: frozenset({_R.DISPATCHED, _R.CLOSED, _R.FALSE_ALARM}),
        _R.CLOSED: frozenset(),
        _R.FALSE_ALARM: frozenset(),
    }
)
"""Allowed transitions. In progress may be dispatched again (to another cell)."""
DONE = frozenset({ReceiptStep.CLOSED, ReceiptStep.FALSE_ALARM})


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a step or transition: taken, repeated (nothing changes), or refused."""

    taken: bool
    repeated: bool = False
    reason: str = ""

    @property
    def refused(self) -> bool:
        """Neither taken nor a repeat."""
        return not self.taken and not self.repeated


def current(receipts: Iterable[Receipt]) -> ReceiptStep | None:
    """Where an incident stands with the center: its last step, oldest first given."""
    step = None
    for receipt in receipts:
        step = receipt.step
    return step


def take_step(receipts: Iterable[Receipt], new: Receipt) -> Answered:
    """Whether the center may take a step now.

    A message with an id that is known already, or one that says once more what stands, changes nothing
    and is no error: centers repeat.
    """
    known = list(receipts)
    same = next((receipt for receipt in known if receipt.id == new.id), None)
    if same is not None:
        if (same.key, same.step) == (new.key, new.step):
            return Answered(taken=False, repeated=True, reason="known already")
        return Answered(taken=False, reason=f"the id {new.id} is taken by step {same.step}")
    now = current(known)
    if now is new.step and now is not ReceiptStep.DISPATCHED:
        return Answered(taken=False, repeated=True, reason=f"it is {now} already")
    if now is ReceiptStep.DISPATCHED and new.step is now:
        return Answered(taken=True, reason="dispatched to another cell")
    if new.step in STEPS[now]:
        return Answered(taken=True, reason=f"{now or 'told'} -> {new.step}")
    return Answered(
        taken=False, reason=f"{now} is final" if now in DONE else f"after {now} not {new.step}"
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the center may take for each step, seconds; 0 = no limit."""

    receive_s: float = 0.0
    dispatch_s: float = 0.0
    close_s: float = 0.0

    @property
    def given(self) -> tuple[float, ...]:
        """Those that are set, in the order of the steps."""
        return tuple(one for one in (self.receive_s, self.dispatch_s, self.close_s) if one)

    def next_at(self, told_at: datetime, now: datetime) -> datetime | None:
        """When something may be overdue next; None = all of them are over."""
        times = (told_at + timedelta(seconds=one) for one in self.given)
        return min((at for at in times if at > now), default=None)


@dataclass(frozen=True, slots=True)
class Overdue:
    """A step that should have been taken by now (逾期)."""

    step: ReceiptStep
    due_at: datetime

    @property
    def reason(self) -> str:
        """For people."""
        return f"not {self.step} by {self.due_at.isoformat(timespec='seconds')}"


def overdue(
    told_at: datetime, receipts: Iterable[Receipt], limits: Limits, now: datetime
) -> Overdue | None:
    """The first step that is overdue; None = the center is in time, or done."""
    known = list(receipts)
    step = current(known)
    if step in DONE:
        return None
    taken = {receipt.step for receipt in known}
    waiting = []
    if not taken:
        waiting.append((limits.receive_s, ReceiptStep.RECEIVED))
    if not taken & {ReceiptStep.DISPATCHED, ReceiptStep.IN_PROGRESS}:
        waiting.append((limits.dispatch_s, ReceiptStep.DISPATCHED))
    waiting.append((limits.close_s, ReceiptStep.CLOSED))
    for limit_s, wanted in waiting:
        due_at = told_at + timedelta(seconds=limit_s)
        if limit_s and now >= due_at:
            return Overdue(wanted, due_at)
    return None


# --- work orders

ORDERS: Mapping[WorkOrderState, frozenset[WorkOrderState]] = MappingProxyType(
    {
        _W.OPEN: frozenset({_W.ASSIGNED, _W.DONE, _W.CANCELLED}),
        _W.ASSIGNED: frozenset({_W.ASSIGNED, _W.DONE, _W.CANCELLED}),
        _W.DONE: frozenset({_W.ASSIGNED, _W.CLOSED, _W.CANCELLED}),
        _W.CLOSED: frozenset(),
        _W.CANCELLED: frozenset(),
    }
)
"""Allowed transitions. Done but not healthy goes back to somebody."""


def may_become(order: WorkOrder, state: WorkOrderState, *, healthy: bool) -> Answered:
    """Whether a work order may go to a state now.

    Args:
        order: as it stands.
        state: where to.
        healthy: every channel of it was seen good after it was said to be done.
    """
    if order.state is state and state is not WorkOrderState.ASSIGNED:
        return Answered(taken=False, repeated=True, reason=f"it is {state} already")
    if state not in ORDERS[order.state]:
        return Answered(taken=False, reason=f"after {order.state} not {state}")
    if state is WorkOrderState.CLOSED and not healthy:
        return Answered(taken=False, reason="its device has not been seen healthy since")
    return Answered(taken=True, reason=f"{order.state} -> {state}")


def move_order(
    order: WorkOrder, state: WorkOrderState, now: datetime, *, assignee: str = ""
) -> WorkOrder:
    """The order in its new state; `may_become` was asked before."""
    moved = replace(order, state=state, assignee=assignee or order.assignee)
    if state is WorkOrderState.DONE:
        return replace(moved, done_at=now)
    if state in {WorkOrderState.CLOSED, WorkOrderState.CANCELLED}:
        return replace(moved, closed_at=now)
    return moved


def order_overdue(order: WorkOrder, now: datetime) -> bool:
    """Its time is up and nobody said that it is done."""
    waiting = order.state in {WorkOrderState.OPEN, WorkOrderState.ASSIGNED}
    return waiting and order.due_at is not None and now >= order.due_at
