"""What the service has of the center: the deliverer, and the loop back (receipts, work orders, replays)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import dead_letters
from gateway.dead_letters import Letters, Replayed
from gateway.domain.alerting.loop import Answered, move_order
from gateway.domain.alerting.rows import Alert, Receipt, WorkOrder, WorkOrderState
from gateway.errors import SettingsError
from gateway.ports import Clock, Secret, Store
from gateway.ports.events import AlertSink, EventChanges, SinkContext
from gateway.registry import get
from gateway.runtime.deliverer import Deliverer, DeliveryLimits
from gateway.runtime.desk import Desk
from gateway.settings import CENTER, CenterSettings, Settings

ORDERS_MOST = 10_000


def read_secrets(settings: CenterSettings, section: str = CENTER) -> tuple[Secret, ...]:
    """The live signing secrets, newest first; () = none is set.

    Args:
        settings: of the center, or of another recipient.
        section: where they stand, for what is said of them.

    Raises:
        SettingsError: a file cannot be read, or is empty. Says nothing of its content.
    """
    return tuple(
        _read_secret(name, path)
        for name, path in (
            (f"{section}.secret_file", settings.secret_file),
            (f"{section}.previous_secret_file", settings.previous_secret_file),
        )
        if path is not None
    )


def _read_secret(name: str, path: Path) -> Secret:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SettingsError([f"{name}: {path}: {error.strerror}"]) from error
    except UnicodeDecodeError:
        raise SettingsError([f"{name}: {path}: is not ASCII text"]) from None
    if not text:
        raise SettingsError([f"{name}: {path}: is empty"])
    return Secret(text)


def make_sink(
    settings: CenterSettings, secrets: tuple[Secret, ...], clock: Clock, section: str = CENTER
) -> AlertSink:
    """The webhook of the settings.

    Raises:
        SettingsError: no secret is set, or one is none.
    """
    if not secrets:
        raise SettingsError(
            [f"{section}.secret_file: is needed with {section}.url: messages are signed"]
        )
    context = SinkContext(
        clock, settings.url, secrets, settings.timeout_s, settings.ca_file, settings.parallel
    )
    sink: AlertSink = get("sightline.alert_sinks", "webhook")(context)
    return sink


def make_deliverers(settings: Settings, store: Store, clock: Clock) -> tuple[Deliverer, ...]:
    """One for each recipient that has an address: none that is slow or away holds up another.

    Raises:
        SettingsError: a secret is not set, or is none.
    """
    return tuple(
        Deliverer(
            store,
            clock,
            name,
            _sink_of(name, one, clock),
            DeliveryLimits(
                rate_per_s=one.rate_per_s, parallel=one.parallel, heartbeat_s=one.heartbeat_s
            ),
            source=settings.events.source,
        )
        for name, one in settings.reached_recipients.items()
    )


def _sink_of(name: str, settings: CenterSettings, clock: Clock) -> AlertSink:
    section = CENTER if name == CENTER else f"recipients.{name}"
    return make_sink(settings, read_secrets(settings, section), clock, section)


@dataclass(slots=True)
class CenterLoop:
    """The loop back, stored before it is answered.

    Attributes:
        desk: owner of receipts and open work orders.
        wake: tells the deliverers that a message is pending again.
    """

    store: Store
    clock: Clock
    desk: Desk
    wake: Callable[[], None] = lambda: None

    async def take_receipt(self, receipt: Receipt) -> Answered:
        """A step of the center; see `Desk.take_receipt`."""
        return await self.desk.take_receipt(receipt)

    async def add_order(self, order: WorkOrder) -> None:
        """A new work order; stored before it counts.

        Raises:
            StoreUnavailable: it was not stored.
        """
        await self.store.events.commit(EventChanges(work_orders=(order,)))
        self.desk.orders.add(order)

    async def find_order(self, order_id: str) -> WorkOrder | None:
        """A work order, finished ones included."""
        found = self.desk.orders.open.get(order_id)
        if found is not None:
            return found
        orders = await self.store.events.work_orders(limit=ORDERS_MOST)
        return next((order for order in orders if order.id == order_id), None)

    async def move_order(
        self, order: WorkOrder, state: WorkOrderState, assignee: str = ""
    ) -> tuple[WorkOrder, Answered]:
        """Take a work order to a state, if it may go there now.

        The desk writes it too, should this commit fail: the answer is then "not now", and a repeat is
        harmless.

        Raises:
            StoreUnavailable: it is not stored yet.
        """
        now = self.clock.utc(self.clock.now())
        answered = self.desk.orders.move(order, state, now, assignee)
        if not answered.taken:
            return order, answered
        moved = move_order(order, state, now, assignee=assignee)
        await self.store.events.commit(EventChanges(work_orders=(moved,)))
        return moved, answered

    async def replay(self, alert: Alert, who: str) -> Alert:
        """A dead letter goes out again, with its id.

        Raises:
            Refused: it is no dead letter, or a newer message of the incident says more.
            StoreUnavailable: it was not stored.
        """
        again = await dead_letters.replay(self.store, alert, self.clock.utc(self.clock.now()), who)
        self.wake()
        return again

    async def replay_all(self, wanted: Letters, who: str) -> Replayed:
        """All dead letters that match go out again.

        Raises:
            StoreUnavailable: not all were stored; call again.
        """
        try:
            now = self.clock.utc(self.clock.now())
            return await dead_letters.replay_all(self.store, wanted, now, who)
        finally:
            self.wake()
