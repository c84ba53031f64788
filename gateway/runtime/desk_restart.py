"""How the event desk goes on where the process before it stopped: everything from the store.

What stood is known again: its signals grow it and end it, its messages go on with the next revision, and what
was gathered for a digest, held down or muted is looked at again at once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.domain.camera import DeviceId
from gateway.domain.event import Event
from gateway.domain.ledger import Outage
from gateway.ports.events import EventLive
from gateway.runtime import digests

if TYPE_CHECKING:
    from gateway.runtime.desk import Desk


async def go_on(desk: "Desk", outages: Sequence[Outage[datetime]]) -> None:
    """Fill a new desk.

    Args:
        desk: its atlas has the archive.
        outages: the open ones of the ledger.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    events, now = desk.store.events, desk.clock.utc(desk.clock.now())
    live = await events.load(now, desk.book.causes.of)
    desk.subscriptions = live.subscriptions
    desk.signals = live.signals
    if not desk.atlas.sensors:
        desk.atlas.take_sensors(await events.load_sensors())
    desk.remember(live.recent, live.incidents, now)
    restore_cases(desk, live)
    desk.planner.restore(live.revisions, now, live.told, live.said)
    desk.postures_held.take(live.postures, now)
    desk.mutes_held.take(live.mutes, now)
    desk.teller.decide_again(desk.correlator.cases, now)
    desk.orders.restore(live.work_orders)
    desk.ledger.restore(outages)
    standing = {*desk.correlator.cases, *(row.incident for row in outages if row.incident)}
    await _restore_digests(desk, sorted(standing))
    found = await events.receipts_of(desk.planner.threads)
    desk.teller.receipts.update((key, list(rows)) for key, rows in found.items())


def restore_cases(desk: "Desk", live: EventLive) -> None:
    """The open incidents, and what of their signals stands."""
    first = {event.id: event for event in live.signals}
    for row in live.incidents:
        device = desk.atlas.where_channel(row.channel).device or _device(first.get(row.first_event))
        desk.correlator.restore(row, device)
    for event in live.signals:
        desk.correlator.stand_again(event, desk.atlas.where(event))


def _device(event: Event | None) -> DeviceId | None:
    return None if event is None else event.device


async def _restore_digests(desk: "Desk", keys: Iterable[str]) -> None:
    rows = await desk.store.events.gathered(list(keys))
    asked = {one: await desk.store.events.alert(one) for one in digests.ids(rows)}
    told = [digest_id for digest_id, alert in asked.items() if alert is not None]
    desk.teller.digests.restore(rows, told, desk.teller.recipients)
