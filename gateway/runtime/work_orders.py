"""Open work orders (工单). One that is said to be done closes when its device is healthy."""

from collections.abc import Callable, Iterable
from datetime import datetime

import structlog

from gateway.domain.alerting.loop import Answered, may_become, move_order, order_overdue
from gateway.domain.alerting.rows import WorkOrder, WorkOrderState
from gateway.domain.camera import ChannelId
from gateway.metrics import WORK_ORDERS_OVERDUE

log = structlog.get_logger("sightline.work_orders")
FINAL = frozenset({WorkOrderState.CLOSED, WorkOrderState.CANCELLED})
SeenGood = Callable[[ChannelId], datetime | None]


def _nobody(channel: ChannelId) -> datetime | None:  # noqa: ARG001 - nobody watches
    return None


class WorkOrders:
    """Open work orders, and those that changed and wait to be written.

    Attributes:
        seen_good_at: when a channel was last seen without fault; None = it is not now.
    """

    def __init__(self) -> None:
        self.open: dict[str, WorkOrder] = {}
        self.seen_good_at: SeenGood = _nobody
        self._changed: dict[str, WorkOrder] = {}
        self._late: set[str] = set()
        """Those of which the log has said that they are overdue."""

    def restore(self, orders: Iterable[WorkOrder]) -> None:
        """Those of before a restart."""
        self.open = {order.id: order for order in orders}

    def add(self, order: WorkOrder) -> None:
        """A new one."""
        self._put(order)

    def move(
        self, order: WorkOrder, state: WorkOrderState, now: datetime, assignee: str = ""
    ) -> Answered:
        """Take it to a state, if it may go there now."""
        answered = may_become(order, state, healthy=self.healthy(order))
        if answered.taken:
            self._put(move_order(order, state, now, assignee=assignee))
        return answered

    def healthy(self, order: WorkOrder) -> bool:
        """Every channel of it was seen good after it was said to be done."""
        if order.done_at is None:
            return False
        seen = [self.seen_good_at(channel) for channel in order.channels]
        return bool(seen) and all(at is not None and at > order.done_at for at in seen)

    def overdue(self, now: datetime) -> list[WorkOrder]:
        """Those whose time is up."""
        return [order for order in self.open.values() if order_overdue(order, now)]

    def take(self, now: datetime) -> tuple[WorkOrder, ...]:
        """Close what is done and healthy; tell what is overdue; the rows to write."""
        for order in list(self.open.values()):
            if order.state is WorkOrderState.DONE and self.healthy(order):
                self._put(move_order(order, WorkOrderState.CLOSED, now))
        self._tell_overdue(now)
        changed, self._changed = tuple(self._changed.values()), {}
        return changed

    def _tell_overdue(self, now: datetime) -> None:
        late = {order.id: order for order in self.overdue(now)}
        WORK_ORDERS_OVERDUE.set(len(late))
        for order_id in late.keys() - self._late:
            order = late[order_id]
            due = order.due_at.isoformat() if order.due_at else ""
            log.warning(
                "a work order is overdue",
                order=order_id,
                key=order.key,
                due_at=due,
                state=order.state,
            )
        self._late = set(late)

    def _put(self, order: WorkOrder) -> None:
        self._changed[order.id] = order
        if order.state in FINAL:
            self.open.pop(order.id, None)
        else:
            self.open[order.id] = order
