"""Could we watch at all? No witness, no offline (semantics §4).

The gateway is *blind* when a suspect has failed for a while and nobody in another branch, nor a canary, has
given a good answer since. Then every suspect is *blindfolded*: its failures prove nothing, people see
`unknown`. The first good answer from anywhere ends the gap; afterwards each blindfold comes off, and what
was believed before is believed again until the channel is asked. A channel that nobody checked for three
cadences *lapses*: the same, for one channel.

Invariants: while `Docket.gap` is open no failed check is judged; a run of failures that began in a gap is
never judged, not even afterwards; the seconds of a gap are unobserved, whatever the channel was.
"""

from collections.abc import Iterable
from dataclasses import replace

from gateway.domain.health import LOST, Phase, Sign, sighted, unwatch
from gateway.domain.ledger import GapReason, GatewayGap
from gateway.domain.observation import Answer, Instant, Step
from gateway.domain.seconds import Kind
from gateway.runtime.docket import Docket
from gateway.runtime.live import Live

PORTION = 500
"""Channels handled a sweep when all of them change at once: keeps the loop free."""


# --- the gateway


def look_for_witness(docket: Docket, now: Instant) -> None:
    """Go blind when a suspect has waited too long for a witness."""
    limit = now - docket.rules.health.blind_after_s
    for live in docket.suspects.values():
        failed = live.health.failed
        if failed is None or failed > limit or docket.witness.seen_since(live.branch, failed):
            continue
        _go_blind(docket)
        return


def _go_blind(docket: Docket) -> None:
    started = max(docket.witness.newest, docket.started)
    docket.gap = GatewayGap(docket.row_id("gap", "blind", started), GapReason.BLIND, started)
    docket.put_gap(docket.gap)
    docket.root.blinded()
    for live in docket.order:
        if live.health.phase in LOST:
            if live.last_failed is not None and live.last_failed > started:
                live.last_failed = live.failed_before
            live.unwatched = True
            live.lose_sight(started)
            docket.blindfolded[live.camera.id] = live
            docket.restate(live, started)


def see_again(docket: Docket, at: Instant) -> None:
    """Somebody was heard at `at`, after the gap began: it is over."""
    gap = docket.gap
    if gap is None:
        return
    docket.put_gap(replace(gap, ended_at=at))
    docket.gap, docket.gap_ended, docket.last_gap = None, at, gap


def fold_and_unfold(docket: Docket) -> None:
    """Blindfold suspects while blind, and those whose run began blind; else take blindfolds off."""
    if docket.gap is not None:
        for live in list(docket.suspects.values())[:PORTION]:
            _blindfold(docket, live)
    elif stale := [live for live in docket.suspects.values() if began_blind(docket, live)]:
        for live in stale[:PORTION]:
            _blindfold(docket, live)
    else:
        for live in list(docket.blindfolded.values())[:PORTION]:
            unfold(docket, live)
            docket.ask(live, Step.REACH, docket.gap_ended)


# --- one channel


def began_blind(docket: Docket, live: Live) -> bool:
    """Its run of failures began in a blindness that is over: it proves nothing."""
    failed = live.health.failed
    return failed is not None and failed <= docket.gap_ended


def failed_blind(docket: Docket, live: Live, answer: Answer) -> None:
    """A check failed that was made, or begun, while the gateway was blind."""
    if docket.gap is None:
        # Begun blind, ended after: it proves nothing, so it is asked again.
        docket.ask(live, Step.REACH, answer.ended)
        return
    if live.health.phase is Phase.UP:
        docket.accountant.settle(live, docket.gap.started_at, Kind.UNOBSERVED)
    _blindfold(docket, live)


def _blindfold(docket: Docket, live: Live) -> None:
    docket.drop_suspicion(live)
    live.kind = live.kind if live.health.phase in LOST else Kind.UNOBSERVED
    live.health = unwatch(live.health, Sign.BLINDED)
    docket.blindfolded[live.camera.id] = live
    gap = docket.gap or docket.last_gap
    docket.restate(live, gap.started_at if gap else live.mark)


def unfold(docket: Docket, live: Live) -> None:
    """The gap is over for this channel: its seconds in it are unobserved, the rest goes on."""
    del docket.blindfolded[live.camera.id]
    start = docket.last_gap.started_at if docket.last_gap else docket.gap_ended
    end = docket.gap_ended
    if live.outage is not None:
        begin = max(start, live.outage.failed_at)
        docket.accountant.gap(live, begin, end)
        live.unwatched = False
        docket.put_outage(live, live.catch_sight(live.outage, end))
        live.bad_since = end if live.health.phase is Phase.DOWN else None
    else:
        basis = live.health.basis
        kind = Kind.GOOD if basis is Phase.UP else Kind.UNOBSERVED
        docket.accountant.settle(live, end, kind)
        live.health = sighted(live.health)
    docket.restate(live, end)


def lapse(docket: Docket, lives: Iterable[Live], now: Instant) -> None:
    """Stop believing in those of `lives` that nobody has checked for three cadences."""
    limit = now - docket.rules.health.lapse_cadences * docket.rules.health.cadence_s
    for live in lives:
        if live.ended is None or max(live.ended, docket.gap_ended) > limit or live.unwatched:
            continue
        if live.health.phase in {Phase.NEW, Phase.UNWATCHED} or not live.camera.in_use:
            continue
        docket.accountant.settle(live, live.ended, Kind.UNOBSERVED)
        docket.drop_suspicion(live)
        live.lose_sight(live.ended)
        live.health = unwatch(live.health, Sign.LAPSED)
        live.unwatched = live.health.phase in LOST
        docket.restate(live, live.ended)
