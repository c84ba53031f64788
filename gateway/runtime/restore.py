"""How the judge takes an archive, takes up its state after a restart, and keeps windows.

These change the judge from outside the stream of observations; they run in the judge's own task.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.domain.camera import Camera, Device, NodeId
from gateway.domain.health import LOST, SUSPICION, Health, Phase
from gateway.domain.ledger import Ending, GapReason, GatewayGap, RollUp, State
from gateway.domain.observation import Instant, OutageCause
from gateway.domain.root_cause import RootCause
from gateway.domain.seconds import Book, Kind
from gateway.domain.windows import open_targets
from gateway.inventory import Inventory
from gateway.ports import LiveState
from gateway.runtime.judge import Judge
from gateway.runtime.live import Live


def load(judge: Judge, inventory: Inventory, now: Instant) -> None:
    """Take an archive: the first one, or a new one while running.

    Channels that left it are decommissioned, never deleted; a changed address starts anew.
    """
    old = dict(judge.lives)
    judge.accountant.book, rows = _new_book(judge, inventory)
    judge.lives, judge.order = {}, []
    branch = _branches(inventory)
    for index, camera in enumerate(inventory.cameras.values()):
        device = inventory.devices[camera.device]
        live = _live(judge, old.pop(camera.id, None), camera, device, now)
        live.index, live.branch = index, branch(device)
        judge.lives[camera.id] = live
        judge.order.append(live)
        judge.restate(live, now)
    for gone in old.values():
        _end_rows(judge, gone, now, Ending.DECOMMISSIONED)
    judge.rollups += rows
    _plant_tree(judge, inventory)


def _new_book(judge: Judge, inventory: Inventory) -> tuple[Book, list[RollUp]]:
    book = Book(tuple(inventory.cameras))
    for live in judge.order:
        judge.accountant.settle_observed(live)
    rows = judge.accountant.book.portion(0, 1)
    book.take(rows, {channel: i for i, channel in enumerate(book.channels)})
    return book, rows


def _branches(inventory: Inventory) -> Callable[[Device], NodeId]:
    """Where a device counts as a witness: its top-level branch.

    With one branch only it is its own access node, and without a network tree each device is a branch.
    """
    ways: tuple[Callable[[Device], NodeId], ...] = (inventory.branch, lambda device: device.node)
    for way in ways:
        if len({way(device) for device in inventory.watched}) > 1:
            return way
    return lambda device: NodeId(device.id)


def _live(judge: Judge, live: Live | None, camera: Camera, device: Device, now: Instant) -> Live:
    if live is None:
        return Live(0, camera, device, NodeId(""), now, now)
    moved = live.device.id != device.id
    ended = not camera.in_use and live.camera.in_use
    if ended or moved:
        ending = Ending.DECOMMISSIONED if ended else Ending.ADDRESS_CHANGED
        _end_rows(judge, live, now, ending)
        judge.accountant.settle(live, now, Kind.UNOBSERVED)
        live.health = Health()
        live.clean = live.signed_clean = live.seen = live.ended = None
    live.camera, live.device = camera, device
    return live


def _end_rows(judge: Judge, live: Live, now: Instant, ending: Ending) -> None:
    judge.close_outage(live, now, ending)
    for cause in list(live.faults):
        judge.close_fault(live, cause, now, ending)
    live.runs.clear()
    for held in (judge.suspects, judge.awaiting, judge.blindfolded):
        held.pop(live.camera.id, None)


def _plant_tree(judge: Judge, inventory: Inventory) -> None:
    """Build the tree under watch anew, and tell it what is known."""
    nodes = dict(inventory.nodes)
    places = []
    for device in inventory.watched:
        channels = [c.id for c in inventory.channels_of[device.id]]
        path = [n.id for n in inventory.path(device)]
        own = NodeId(device.id)
        if own in nodes and own not in path:
            path.insert(0, own)
        places.append((device.id, path, channels))
    judge.root = RootCause(nodes, places, judge.rules.root)
    for live in judge.order:
        lost = live.health.phase in LOST or live.health.phase in SUSPICION
        if lost and live.health.failed is not None and not live.takeover:
            judge.root.bad(live.device.id, live.camera.id, live.health.failed, first=True)
    for case in judge.incidents.cases.values():
        if case.node is not None:
            case.node = judge.root.watches.get(case.node.node.id)
            if case.node is not None:
                case.node.down_since = case.row.began_at


def restore(
    judge: Judge, state: LiveState, instant: Callable[[datetime], Instant], now: Instant
) -> None:
    """Take up what the store knows after a restart; nothing is believed until it is asked.

    Rows that were open stay open. For what was not written, the lower bound is `watched_until` minus
    one cadence, and the time in between is one gateway gap, not one a channel.
    """
    judge.sequence = state.sequence
    watched = None if state.watched_until_at is None else instant(state.watched_until_at)
    good_until = None if watched is None else Instant(watched - judge.rules.health.cadence_s)
    for record in state.channels:
        live = judge.lives.get(record.channel)
        if live is None or not live.camera.in_use:
            continue
        live.first_good = None if record.first_good_at is None else instant(record.first_good_at)
        seen = None if record.last_good_at is None else instant(record.last_good_at)
        if record.state in {State.ONLINE, State.DEGRADED} and good_until is not None:
            seen = good_until if seen is None else max(seen, good_until)
        live.seen = live.clean = seen
    _restore_rows(judge, state, instant)
    index_of = {live.camera.id: live.index for live in judge.order}
    judge.accountant.book.take(state.rollups_today, index_of)
    if watched is not None and watched < now:
        _restore_gap(judge, watched, now)
    for gap in state.gaps:
        if gap.ended_at is None:
            started = instant(gap.started_at)
            judge.put_gap(GatewayGap(gap.id, gap.reason, started, watched or now))


def _restore_rows(judge: Judge, state: LiveState, instant: Callable[[datetime], Instant]) -> None:
    for stamped in state.incidents:
        row = _instants(stamped, instant)
        node = judge.root.watches.get(NodeId(str(row.root)))
        if node is not None:
            node.down_since = row.began_at
        judge.incidents.restore(row, node)
    for stamped_outage in state.outages:
        live = judge.lives.get(stamped_outage.channel)
        if live is None:
            continue
        outage = _instants(stamped_outage, instant)
        live.outage = outage
        live.seen = outage.last_seen_at
        live.bad_since = None
        live.kind = Kind.BAD_UPSTREAM if outage.cause is OutageCause.UPLINK else Kind.BAD
        live.health = Health(
            Phase.DOWN,
            first_started=outage.failed_at,
            failed=outage.failed_at,
            last_failed=outage.last_failed_at,
            failures=judge.rules.health.confirm_failures,
            cause=outage.cause,
            losses=(outage.confirmed_at,),
            flapping=outage.flapping,
        )
        live.unwatched = True
        case = judge.incidents.cases.get(outage.incident or "")
        if case is not None:
            case.members.add(live.camera.id)
            judge.incidents.of_channel[live.camera.id] = case
        elif not outage.takeover and not outage.planned:
            judge.want_single(live, judge.started)
        if not live.takeover:
            judge.root.bad(live.device.id, live.camera.id, outage.failed_at, first=True)
    for stamped_fault in state.faults:
        live = judge.lives.get(stamped_fault.channel)
        if live is not None:
            fault = _instants(stamped_fault, instant)
            live.faults[fault.cause] = fault


def _restore_gap(judge: Judge, watched: Instant, now: Instant) -> None:
    gap_id = judge.row_id("gap", "not_running", watched)
    judge.put_gap(GatewayGap(gap_id, GapReason.NOT_RUNNING, watched, now))
    book, epoch = judge.accountant.book, judge.epoch
    for live in judge.order:
        if not live.camera.in_use:
            continue
        spans = book.missing(live.index, epoch(now)) or [(epoch(watched), epoch(now))]
        for start, end in spans:
            book.add(live.index, Kind.UNOBSERVED, start, end)
        if live.outage is not None:
            lost = now - max(watched, live.outage.failed_at)
            unobserved = live.outage.unobserved_s + max(0.0, lost)
            judge.put_outage(live, replace(live.outage, unobserved_s=unobserved))
            live.bad_since = now


def _instants(row: Any, instant: Callable[[datetime], Instant]) -> Any:  # noqa: ANN401 - a ledger row
    """A stored row in the judge's time base (the inverse of `ledger.stamp`)."""
    times = {
        name: instant(value)
        for name in row.__slots__
        if name.endswith("_at") and (value := getattr(row, name)) is not None
    }
    return replace(row, **times)


def keep_windows(judge: Judge, inventory: Inventory, at: datetime, now: Instant) -> None:
    """Open and close maintenance on the channels below the targets of the windows."""
    targets = open_targets(inventory.windows, at)
    for live in judge.order:
        wanted = bool(targets) and not targets.isdisjoint(
            (live.camera.id, live.device.id, *(n.id for n in inventory.path(live.device)))
        )
        if wanted == live.maintenance:
            continue
        judge.accountant.settle(live, now)
        live.maintenance = wanted
        if not wanted and live.outage is not None and live.outage.planned:
            # Still down at the end of the window: an ordinary outage from its beginning.
            judge.put_outage(live, replace(live.outage, planned=False))
            judge.want_single(live, now)
        judge.restate(live, now)
