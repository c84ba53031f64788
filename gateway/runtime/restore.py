"""How the judge takes an archive, takes up its state after a restart, and keeps windows.

These change the judge from outside the stream of observations; they run in the judge's own task.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.domain.camera import Camera, ChannelId, Device, NodeId
from gateway.domain.health import LOST, SUSPICION, Health, Phase
from gateway.domain.ledger import Ending, GapReason, GatewayGap, Outage, State
from gateway.domain.observation import Instant
from gateway.domain.root_cause import RootCause
from gateway.domain.seconds import DAY_S, Book, Kind, day_of, day_start
from gateway.domain.windows import open_targets
from gateway.inventory import Inventory
from gateway.ports import LiveState, Store
from gateway.runtime.judge import Judge
from gateway.runtime.live import Live


def load(judge: Judge, inventory: Inventory, now: Instant) -> None:
    """Take an archive: the first one, or a new one while running.

    Channels that left it are decommissioned, never deleted; a changed address starts anew.
    """
    old = dict(judge.lives)
    for live in judge.order:
        judge.accountant.settle_observed(live)
    judge.accountant.book, rows = judge.accountant.book.moved_to(tuple(inventory.cameras))
    judge.rollups += rows
    judge.lives, judge.order = {}, []
    branch = _branches(inventory)
    for index, camera in enumerate(inventory.cameras.values()):
        device = inventory.devices[camera.device]
        live = _live(judge, old.pop(camera.id, None), camera, device, now)
        live.index, live.branch = index, branch(device)
        live.accepted = camera.id in judge.accepted
        judge.lives[camera.id] = live
        judge.order.append(live)
        judge.restate(live, now)
    for gone in old.values():
        _end_rows(judge, gone, now, Ending.DECOMMISSIONED)
    _plant_tree(judge, inventory)
    judge.in_windows = None


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
        live.unwatched = False
        live.clean = live.signed_clean = live.seen = live.ended = None
        live.clean_of.clear()
    if camera.in_use and not live.camera.in_use:
        live.mark = now  # nobody owns the seconds of its absence
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


async def read_book(store: Store, channels: Iterable[ChannelId], days: Iterable[str]) -> Book:
    """The book as it was last written.

    Args:
        store: open.
        channels: those of the archive, in its order.
        days: the days (ISO, Shanghai) that are gone on with: today, and the one on which the
            process was last seen.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    book = Book(tuple(channels))
    index_of = {channel: index for index, channel in enumerate(book.channels)}
    for day in sorted(set(days)):
        async for rows in store.rollup_portions(day):
            book.take(rows, index_of)
    return book


def restore(
    judge: Judge, state: LiveState, instant: Callable[[datetime], Instant], now: Instant
) -> None:
    """Take up what the store knows after a restart; nothing is believed until it is asked.

    Rows that were open stay open. For what was not written, the lower bound is `watched_until` minus
    one cadence, and the time in between is one gateway gap, not one a channel. The roll-ups of the
    days that are gone on with must be in the judge's book before (`read_book`): a row is written
    whole, and only what nobody owns is lost.
    """
    judge.sequence = state.sequence
    watched = None if state.watched_until_at is None else instant(state.watched_until_at)
    judge.watched_before = watched
    good_until = None if watched is None else Instant(watched - judge.rules.health.cadence_s)
    judge.accepted = {row.channel: instant(row.at) for row in state.accepted}
    for known in judge.order:
        known.accepted = known.camera.id in judge.accepted
    for record in state.channels:
        live = judge.lives.get(record.channel)
        if live is None:
            continue
        if record.state is live.state:  # decommissioned, and was so before
            live.since = instant(record.since_at)
        live.first_good = None if record.first_good_at is None else instant(record.first_good_at)
        seen = None if record.last_good_at is None else instant(record.last_good_at)
        if record.state in {State.ONLINE, State.DEGRADED} and good_until is not None:
            seen = good_until if seen is None else max(seen, good_until)
        live.seen = live.clean = seen
    _restore_incidents(judge, state, instant)
    for stamped in state.outages:
        _restore_outage(judge, _instants(stamped, instant), good_until, now)
    _restore_faults(judge, state, instant, now)
    _end_empty(judge, watched or now)
    if watched is not None and watched < now:
        _restore_gap(judge, watched, now)
    for gap in state.gaps:
        if gap.ended_at is None:
            started = instant(gap.started_at)
            judge.put_gap(GatewayGap(gap.id, gap.reason, started, watched or now))


def _restore_incidents(
    judge: Judge, state: LiveState, instant: Callable[[datetime], Instant]
) -> None:
    for stamped in state.incidents:
        row = _instants(stamped, instant)
        node = judge.root.watches.get(NodeId(str(row.root)))
        if node is not None:
            node.down_since = row.began_at
        judge.incidents.restore(row, node)


def _restore_outage(
    judge: Judge, outage: Outage[Instant], good_until: Instant | None, now: Instant
) -> None:
    live = judge.lives.get(outage.channel)
    if live is None:
        return
    if outage.unaccepted and live.accepted:
        # Accepted, and the process ended before the row said so.
        since = Instant(max(judge.accepted[outage.channel], outage.failed_at))
        outage = replace(outage, accepted_at=since)
    if not outage.flapping:
        outage = _brought_up(outage, good_until, judge.rules.health.cadence_s)
    judge.put_outage(live, outage)
    live.seen = outage.last_seen_at
    live.bad_since, live.lost_since = None, now
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
    elif not outage.unaccepted and not outage.planned:
        judge.want_single(live, judge.started)
    if not live.camera.in_use:
        # It left the archive while nobody watched.
        judge.close_outage(live, now, Ending.DECOMMISSIONED)
        live.health, live.unwatched = Health(), False
    elif not live.takeover:
        judge.root.bad(live.device.id, live.camera.id, outage.failed_at, first=True)


def _brought_up(
    outage: Outage[Instant], good_until: Instant | None, cadence_s: float
) -> Outage[Instant]:
    """An open row as it stood when the process was last known to watch: it was still failing."""
    if good_until is None:
        return outage
    bad = good_until + cadence_s - outage.failed_at - outage.unobserved_s
    return replace(
        outage,
        last_failed_at=max(outage.last_failed_at, good_until),
        bad_s=max(outage.bad_s, bad),
    )


def _restore_faults(
    judge: Judge, state: LiveState, instant: Callable[[datetime], Instant], now: Instant
) -> None:
    for stamped in state.faults:
        live = judge.lives.get(stamped.channel)
        if live is None:
            continue
        judge.put_fault(live, _instants(stamped, instant))
        if not live.camera.in_use:
            judge.close_fault(live, stamped.cause, now, Ending.DECOMMISSIONED)


def _end_empty(judge: Judge, at: Instant) -> None:
    """An incident without members has nothing left to wait for."""
    for case in list(judge.incidents.cases.values()):
        if not case.members:
            judge.incidents.end(case, at, Ending.RECOVERED)


def _restore_gap(judge: Judge, watched: Instant, now: Instant) -> None:
    gap_id = judge.row_id("gap", "not_running", watched)
    judge.put_gap(GatewayGap(gap_id, GapReason.NOT_RUNNING, watched, now))
    start, end = judge.epoch(watched), judge.epoch(now)
    first, today = day_of(start), day_of(end)
    for live in judge.order:
        if not live.camera.in_use:
            continue
        _lost_seconds(judge, live.index, (first, start), (today, end))
        if live.outage is not None:
            owned = Instant(live.outage.failed_at + live.outage.bad_s + live.outage.unobserved_s)
            # The row may have been written after `watched_until` was: then it tells of more.
            lost = now - max(watched, live.outage.failed_at if live.outage.flapping else owned)
            unobserved = live.outage.unobserved_s + max(0.0, lost)
            judge.put_outage(live, replace(live.outage, unobserved_s=unobserved))


def _lost_seconds(
    judge: Judge, index: int, first: tuple[str, float], last: tuple[str, float]
) -> None:
    """What a channel missed on the day the process ended and on the day it came back.

    Whole days in between have no roll-up: the one gap row says it for everybody.
    """
    book = judge.accountant.book
    (first_day, start), (today, end) = first, last
    if first_day != today:
        midnight = day_start(today)
        begun = day_start(first_day) + DAY_S
        spans = book.missing(index, first_day, begun) or [(start, begun)]
        spans.append((midnight, end))
    else:
        spans = book.missing(index, today, end) or [(start, end)]
    for span in spans:
        book.add(index, Kind.UNOBSERVED, *span)


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
    if targets == judge.in_windows:
        return
    judge.in_windows = targets
    below = {n for n in inventory.nodes if any(a.id in targets for a in inventory.ancestors(n))}
    for live in judge.order:
        device = live.device
        own = live.camera.id in targets or device.id in targets
        if (own or device.node in below) != live.maintenance:
            _turn_maintenance(judge, live, now)


def _turn_maintenance(judge: Judge, live: Live, now: Instant) -> None:
    judge.accountant.settle(live, now)
    live.maintenance = not live.maintenance
    if not live.maintenance:
        # Still down at the end of the window: an ordinary outage from its beginning.
        if live.outage is not None and live.outage.planned:
            judge.put_outage(live, replace(live.outage, planned=False))
            judge.want_single(live, now)
        for fault in list(live.faults.values()):
            if fault.planned:
                judge.put_fault(live, replace(fault, planned=False))
    judge.restate(live, now)
