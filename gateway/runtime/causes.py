"""Is a suspect really away, whose fault is that, and which incident (故障单) is it part of (semantics §5)?

A channel that has failed often enough is *convicted* once a witness bears it out and no verdict on a node
above is pending; below a node that is down one failure is enough. Its outage joins the incident of that
node, or gets one of its own a cadence later. When the node answers again, its incident has two cadences to
empty itself; what is still out then splits off with a cause of its own.

Invariants: nobody is convicted without a witness of its own, not even below a node that is down; an outage
that is planned, or of the takeover list (never seen good, nor accepted), joins no incident, and the latter
blames no node; whenever a cause turns to `uplink` or away from it, the seconds are handed over with it.
"""

from collections.abc import Mapping
from dataclasses import replace

from gateway.domain.camera import ChannelId, NodeKind
from gateway.domain.health import SUSPICION, Phase, convict, next_recheck
from gateway.domain.ledger import Ending, Outage
from gateway.domain.observation import Instant, OutageCause, Step
from gateway.domain.root_cause import NodeWatch
from gateway.domain.seconds import Kind
from gateway.runtime.blindness import began_blind
from gateway.runtime.docket import Docket
from gateway.runtime.incidents import Case
from gateway.runtime.live import Live

LOOK_AGAIN_S = 1.0
"""An incident of one channel that waits for the verdict on a node above is looked at so often."""


# --- one channel


def decide(docket: Docket, live: Live, now: Instant, *, answered: bool = False) -> None:
    """Convict a channel that awaits its verdict, if there is a witness and nobody above to blame first.

    Args:
        docket: the judge's.
        live: the channel.
        now: the present.
        answered: it has just answered: whoever is accused above it is not to blame.
    """
    failed = live.health.failed
    if failed is None or began_blind(docket, live):
        return
    if not docket.witness.seen_since(live.branch, failed):
        return
    node = None if live.takeover else docket.root.down_above(live.device.id)
    accused = not answered and docket.root.accused_above(live.device.id)
    if node is not None or live.takeover or not accused:
        if node is not None or live.health.phase is Phase.AWAITING:
            _convict(docket, live, now, node)
        else:
            # The node above is back, and this one has not failed often enough by itself.
            del docket.awaiting[live.camera.id]
            docket.ask(live, Step.REACH, next_recheck(live.health, docket.rules.health, now))


def _convict(docket: Docket, live: Live, now: Instant, node: NodeWatch | None) -> None:
    health = live.health = convict(live.health, now, docket.rules.health)
    docket.release(live)
    failed = health.failed if health.failed is not None else now
    upstream = node is not None and node.node.kind is not NodeKind.DEVICE
    live.kind = Kind.BAD_UPSTREAM if upstream else Kind.BAD
    live.bad_since = failed
    outage = Outage(
        id=docket.row_id("outage", live.camera.id, failed),
        channel=live.camera.id,
        cause=OutageCause.UPLINK if upstream else health.cause or OutageCause.TIMEOUT,
        last_seen_at=None if live.takeover else live.seen,
        failed_at=failed,
        confirmed_at=now,
        last_failed_at=health.last_failed if health.last_failed is not None else failed,
        reason=live.why,
        flapping=health.flapping,
        planned=live.maintenance,
        takeover=live.takeover,
    )
    docket.put_outage(live, outage)
    if not live.takeover and not live.maintenance:
        case = None if node is None else docket.incidents.of_node.get(node.node.id)
        if case is not None:
            _join(docket, live, case)
        else:
            docket.want_single(live, Instant(now + docket.rules.health.cadence_s))
    docket.restate(live, failed)


def open_singles(docket: Docket, now: Instant) -> None:
    """Give an incident to the outages that have been alone for a cadence."""
    for live in docket.due_singles(now):
        outage = live.outage
        if outage is None or outage.incident is not None or outage.planned or outage.unaccepted:
            continue
        node = docket.root.down_above(live.device.id)
        if node is not None and _explains(node, outage):
            _join(docket, live, docket.incidents.open_node(node, outage.failed_at, now))
        elif docket.root.accused_above(live.device.id):
            docket.want_single(live, Instant(now + LOOK_AGAIN_S))
        else:
            _rename(docket, live, docket.incidents.open_single(outage, now))


def _explains(node: NodeWatch, outage: Outage[Instant]) -> bool:
    """A node that went down explains no camera that was dead before, and has only now been accepted."""
    down_since = outage.failed_at if node.down_since is None else node.down_since
    return outage.accepted_at is None or down_since <= outage.failed_at


def _join(docket: Docket, live: Live, case: Case) -> None:
    if live.outage is None:
        return
    if case.row.cause is OutageCause.UPLINK and live.outage.cause is not OutageCause.UPLINK:
        # Before it was accepted nobody answered for its seconds.
        since = live.outage.accepted_at or live.outage.failed_at
        docket.accountant.hand_over(live, since, Kind.BAD, Kind.BAD_UPSTREAM)
        live.outage = replace(live.outage, cause=OutageCause.UPLINK)
    docket.incidents.join(case, live.outage)
    docket.put_outage(live, replace(live.outage, incident=case.row.id))


def _rename(docket: Docket, live: Live, case: Case) -> None:
    if live.outage is not None and live.outage.incident != case.row.id:
        docket.put_outage(live, replace(live.outage, incident=case.row.id))


def _disown(docket: Docket, live: Live, since: Instant) -> None:
    """The node above answers since then and this channel does not: the cause is its own."""
    if live.outage is not None and live.outage.cause is OutageCause.UPLINK:
        docket.accountant.hand_over(live, since, Kind.BAD_UPSTREAM, Kind.BAD)
        own = live.health.cause or OutageCause.TIMEOUT
        live.outage = replace(live.outage, cause=own)


# --- one node


def witnessed(docket: Docket, watch: NodeWatch, failed: Instant) -> bool:
    """Somebody outside the branches below a node gave a good answer after `failed`."""
    below = {docket.lives[c].branch for c in watch.channels if c in docket.lives}
    return docket.witness.seen_outside(below, failed)


def node_down(docket: Docket, watch: NodeWatch, now: Instant) -> None:
    """A node is down from now on: one incident, and what fails below it is part of it."""
    below = [docket.lives[c] for c in watch.uncontradicted() if c in docket.lives]
    below = [live for live in below if not live.takeover]
    if any(not live.maintenance for live in below) or watch.node.id in docket.incidents.of_node:
        case = docket.incidents.open_node(watch, watch.down_since or now, now)
        for channel in case.members:
            _join(docket, docket.lives[channel], case)
            _rename(docket, docket.lives[channel], case)
    for live in below:
        if live.health.phase in SUSPICION:
            # Each child needs a witness of its own: it is decided on the next sweep.
            docket.awaiting[live.camera.id] = live
            decide(docket, live, now)
        elif live.outage is not None and not live.outage.planned:
            held = docket.incidents.of_node.get(watch.node.id)
            if held is not None and live.camera.id not in docket.incidents.of_channel:
                _join(docket, live, held)


def recovering(docket: Docket, watch: NodeWatch, at: Instant) -> None:
    """A good answer came from below a node that is down: its other children are asked at once."""
    docket.root.revive(watch)
    case = docket.incidents.of_node.get(watch.node.id)
    if case is None or case.recovering is not None:
        return
    case.recovering = at
    for channel in case.members:
        docket.ask(docket.lives[channel], Step.REACH, at)


def split(docket: Docket, case: Case, now: Instant) -> None:
    """End an incident whose root has been back for two cadences; what is still out splits off."""
    back = case.recovering
    if back is None or now < back + 2 * docket.rules.health.cadence_s:
        return
    left = {c: docket.lives[c] for c in case.members if docket.lives[c].outage is not None}
    if case.node is not None and _all_out(docket, case.node, left):
        # Nobody came back for good: it was no recovery.
        case.recovering, case.node.down_since = None, case.row.began_at
        return
    for watch in list(case.node.below()) if case.node else []:
        part = [left[c] for c in watch.channels if c in left]
        if len(part) > 1 and _all_out(docket, watch, left):
            failed = min(live.outage.failed_at for live in part if live.outage)
            watch.down_since = failed
            new = docket.incidents.open_node(watch, failed, now, case.row.id)
            for live in part:
                if new.row.cause is not OutageCause.UPLINK:
                    _disown(docket, live, back)
                _join(docket, live, new)
                del left[live.camera.id]
    for live in left.values():
        _disown(docket, live, back)
        if live.outage is not None:
            _rename(docket, live, docket.incidents.open_single(live.outage, now, case.row.id))
    docket.incidents.end(case, back, Ending.SPLIT)


def _all_out(docket: Docket, watch: NodeWatch, out: Mapping[ChannelId, Live]) -> bool:
    """Every channel below a node is out (those never seen good say nothing)."""
    return all(c in out or docket.lives[c].takeover for c in watch.channels)
