"""Builds the event desk from the settings and joins it to the archive, the projection and coverage."""

from collections.abc import Iterable
from datetime import datetime

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.place import Place, PlaceId
from gateway.domain.coverage.view import ViewState, view_state
from gateway.domain.event import EventKind
from gateway.domain.ledger import Outage, State
from gateway.inventory import Inventory
from gateway.ports import Clock, Store
from gateway.projection import Projection
from gateway.rulebook import load
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.desk import Desk
from gateway.runtime.model_source import Built
from gateway.runtime.waiting import DeskLimits
from gateway.settings import Settings

BLINDING = (EventKind.SIGNAL_LOSS, EventKind.TAMPER)
"""While one of these stands a camera sees nothing, however well it answers."""


async def start_desk(
    settings: Settings,
    store: Store,
    clock: Clock,
    projection: Projection,
    inventory: Inventory,
    outages: Iterable[Outage[datetime]],
) -> Desk:
    """A desk that goes on where the process before this one stopped.

    Raises:
        SettingsError: the rules are wrong.
        StoreUnavailable: the store does not answer.
    """
    events = settings.events
    desk = Desk(
        store,
        clock,
        load(events.rules, settings.known_recipients),
        recipients=tuple(settings.reached_recipients),
        source=events.source,
        limits=DeskLimits(events.rows_most, events.deliver_s, events.storm_rows),
    )
    desk.atlas.nearest, desk.atlas.radius_m = events.nearest, events.radius_m
    desk.atlas.view_state = lambda channel: _view_of(projection, desk, channel)
    desk.orders.seen_good_at = lambda channel: _seen_good_at(projection, desk, channel)
    await desk.take_archive(inventory)
    await desk.load(outages)
    return desk


def join_coverage(desk: Desk, coverage: CoverageWorker) -> None:
    """Blind spots bring their alerts along; the model says who looks where."""

    def taken(built: Built) -> None:
        facts = built.facts
        rows = zip(built.model.places, facts.name, facts.kind, strict=True)
        places = {key: Place(PlaceId(key), name, kind, {}) for key, name, kind in rows}
        desk.take_views(built.model, places)

    def wake() -> None:  # the desk is told later whom to wake
        desk.alerts_written()

    coverage.alerts_of = desk.blind_spots
    coverage.alerts_written = wake
    coverage.model_taken = taken


def _view_of(projection: Projection, desk: Desk, channel: ChannelId) -> ViewState:
    view = projection.channels.get(channel)
    if view is None:
        return ViewState.UNKNOWN
    if _tells_that_it_is_blind(desk, channel):
        return ViewState.NOT_SEEING
    return view_state(view.state, set(view.faults), answers=view.outage is None)


def _tells_that_it_is_blind(desk: Desk, channel: ChannelId) -> bool:
    """It answers well, and says itself that its picture is lost or covered."""
    return any(desk.correlator.stands(kind, channel) for kind in BLINDING)


def _seen_good_at(projection: Projection, desk: Desk, channel: ChannelId) -> datetime | None:
    """When its last good answer began, if nothing is wrong with it now.

    One with an open fault answers many a question well: its clock is right while its stream is dead.
    """
    view = projection.channels.get(channel)
    if view is None or view.state is not State.ONLINE or view.last_good is None:
        return None
    if _tells_that_it_is_blind(desk, channel):
        return None
    return desk.clock.utc(view.last_good.started)
