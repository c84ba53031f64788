"""The judge: the only owner of live state. Observations in, changes of the ledger out.

`judge` takes a batch and goes through the domain's decisions in a fixed order:

    health.observe -> faults -> blindness -> root_cause.step -> causes -> incidents -> lapses

It does no I/O, reads no clock and knows no loop (`runtime.pipeline` feeds it). What it wants asked sooner
stands in `asks`: the one edge that goes back to the poller. docs/design/judging.md follows one observation
through it.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from gateway.domain.health import LOST, SUSPICION, Check, Phase, next_recheck, observe
from gateway.domain.ledger import Changes, Ending, GapReason, GatewayGap
from gateway.domain.observation import Answer, FaultCause, Instant, Observation, Step, Verdict
from gateway.domain.own_clock import OwnClock
from gateway.domain.root_cause import NEVER
from gateway.domain.seconds import Kind
from gateway.domain.witness import CANARY
from gateway.runtime.blindness import (
    failed_blind,
    fold_and_unfold,
    lapse,
    look_for_witness,
    see_again,
    unfold,
)
from gateway.runtime.causes import decide, node_down, open_singles, recovering, split, witnessed
from gateway.runtime.docket import Ask, Docket, JudgeRules
from gateway.runtime.faults import find
from gateway.runtime.live import Live, reason_of
from gateway.runtime.takeover import become_work

__all__ = ["SWEEP_S", "Ask", "Judge", "JudgeRules"]

SWEEP_S = 0.25
"""Decisions that wait for time to pass are looked at so often."""
LAPSE_PORTIONS = 64


class Judge(Docket):
    """Owns the live state of every channel, and takes each observation through it.

    The arguments are those of `Docket`.
    """

    def __init__(
        self, rules: JudgeRules, epoch: Callable[[Instant], float], started: Instant
    ) -> None:
        super().__init__(rules, epoch, started)
        self.swept: Instant = NEVER
        self.own_clock = OwnClock()
        self._portion = 0
        self._witnessed = partial(witnessed, self)

    # --- one batch

    def judge(self, batch: Iterable[Observation], now: Instant) -> Changes[Instant]:
        """Take a batch, decide what is due, and return what changed."""
        for observation in batch:
            live = self.lives.get(observation.channel)
            if live is None or not live.camera.in_use:
                continue
            if live.device.id == observation.device:  # else: asked before its address changed
                self._take(live, observation.answer)
        if now - self.swept >= SWEEP_S:
            self.swept = now
            self._sweep(now)
        return self.collect()

    def canary(self, received: Instant) -> None:
        """A canary gave a good answer."""
        self.witness.good(CANARY, received)
        if self.gap is not None and received > self.gap.started_at:
            see_again(self, received)

    def stalled(self, began: Instant, ended: Instant) -> None:
        """Our own loop stood still: a row says why what was due then is known later than it should be."""
        row_id = self.row_id("gap", GapReason.STALLED, began)
        self.put_gap(GatewayGap(row_id, GapReason.STALLED, began, ended))

    def _take(self, live: Live, answer: Answer) -> None:
        if answer.memory is not None:
            self.remember(live.device.id, answer.memory)
        if answer.verdict is Verdict.ANSWERED:
            self._answered(live, answer)
        elif answer.verdict is Verdict.NO_ANSWER:
            self._unanswered(live, answer)
        elif live.health.phase in SUSPICION:
            self.ask(live, Step.REACH, next_recheck(live.health, self.rules.health, answer.ended))
        else:
            # Our own trouble cost this device its turn: it is asked again soon, so that what is
            # known of it gets no older than it must.
            self.ask(live, Step.REACH, Instant(answer.ended + 0.2 * self.rules.health.recheck_s))

    # --- one answer

    def _answered(self, live: Live, answer: Answer) -> None:
        self._judge_first(live, answer)
        self.witness.good(live.branch, answer.heard)
        if self.gap is not None and answer.heard > self.gap.started_at:
            see_again(self, answer.heard)
        for watch in self.root.good(live.device.id, live.camera.id, answer.started):
            recovering(self, watch, answer.ended)
        if live.camera.id in self.blindfolded:
            unfold(self, live)
        before = live.health
        self._count(live, answer)
        if before.phase is not Phase.UP:
            if live.kind in {Kind.BAD, Kind.BAD_UPSTREAM, Kind.UNOBSERVED}:
                self.accountant.settle(live, answer.ended, Kind.GOOD)
            self._came_back(live, answer)
        live.seen = answer.started
        live.ended = answer.ended
        live.unwatched = False
        self.own_clock.note(live.device.id, answer.clock_offset_s)
        if answer.found or live.faults or live.runs:
            find(self, live, self._own_clock_aside(answer))
        if not answer.found:
            live.saw_clean(answer)
        if live.first_good is None:
            live.first_good = answer.ended
            self.record(live)
        if before.phase is not Phase.UP:
            self.restate(live, answer.ended)

    def _judge_first(self, live: Live, answer: Answer) -> None:
        """Who has failed often enough is judged before it is believed again.

        Otherwise its row would depend on how the observations fell into batches. The answer is no
        witness of the failures before it, but it acquits the nodes above.
        """
        if live.camera.id in self.awaiting and live.health.phase is Phase.AWAITING:
            decide(self, live, answer.ended, answered=True)

    def _own_clock_aside(self, answer: Answer) -> Answer:
        """The answer without a clock finding that is about our own clock."""
        offset_s = answer.clock_offset_s
        theirs = tuple(f for f in answer.found if f.cause is not FaultCause.CLOCK)
        if offset_s is None or len(theirs) == len(answer.found):
            return answer
        if not self.own_clock.is_ours(offset_s):
            return answer
        return replace(answer, found=theirs, tested=answer.tested - {FaultCause.CLOCK})

    def clock_was_set(self) -> None:
        """Our wall clock was stepped: what it said about other clocks does not count any more."""
        self.own_clock.forget()
        for live in self.order:
            live.runs.pop(FaultCause.CLOCK, None)

    def _count(self, live: Live, answer: Answer) -> None:
        lapse_s = self.rules.health.lapse_cadences * self.rules.health.cadence_s
        if live.ended is not None and answer.ended - live.ended > lapse_s:
            self.accountant.settle(live, live.ended, Kind.UNOBSERVED)
            good = answer.verdict is Verdict.ANSWERED
            self.accountant.settle(live, answer.ended, Kind.GOOD if good else live.bad_kind)
            live.lose_sight(live.ended)
        if live.lost_since is not None and live.outage is not None:
            self.put_outage(live, live.catch_sight(live.outage, answer.ended))
        rtt = answer.rtt_s if answer.step is Step.REACH else None
        self.accountant.book.probe((live.index,), rtt, self.epoch(answer.ended))

    def _came_back(self, live: Live, answer: Answer) -> None:
        before = live.health
        check = Check(answer.verdict, answer.started, answer.ended)
        after = live.health = observe(before, check, self.rules.health)
        self.release(live)
        if live.outage is not None and live.bad_since is not None:
            bad = live.outage.bad_s + answer.ended - live.bad_since
            live.outage = replace(live.outage, bad_s=bad)
            live.bad_since = None
            if live.outage.flapping:
                # It may be long until the row is written again.
                self.put_outage(live, live.outage)
        if after.phase is Phase.RETURNING:
            self.ask(live, Step.REACH, answer.ended)
        elif before.phase in LOST and after.phase is Phase.UP:
            ended = before.back if before.back is not None else answer.ended
            self.close_outage(live, ended, Ending.RECOVERED)
            # The device may have been rebooted or exchanged: ask who it is.
            self.ask(live, Step.SIGNED, answer.ended)

    def _unanswered(self, live: Live, answer: Answer) -> None:
        if self.gap is not None or answer.started <= self.gap_ended:
            failed_blind(self, live, answer)
            return
        if live.camera.id in self.blindfolded:
            unfold(self, live)
        before = live.health
        self._count(live, answer)
        if live.kind in {Kind.GOOD, Kind.UNOBSERVED}:
            self.accountant.settle(live, answer.ended, live.bad_kind)
        check = Check(answer.verdict, answer.started, answer.ended, answer.cause)
        after = live.health = observe(before, check, self.rules.health)
        live.ended = answer.ended
        if live.last_failed is not None and self.witness.newest > live.last_failed:
            live.failed_before = live.last_failed
        live.last_failed = answer.started
        live.why = reason_of(answer)
        live.unwatched = False
        first = before.phase not in SUSPICION and after.phase in SUSPICION
        if not live.takeover and after.failed is not None:
            self.root.bad(live.device.id, live.camera.id, after.failed, first=first)
        if live.first_good is not None:
            # Seen good once, and down again before it was up: no longer of the takeover list.
            become_work(self, live, live.first_good, answer.ended)
        if live.outage is not None and live.bad_since is None:
            live.bad_since = answer.ended
        if after.phase in SUSPICION:
            self._suspect(live, answer)
        self.restate(live, answer.ended)

    def _suspect(self, live: Live, answer: Answer) -> None:
        """Ask a suspect again, or let it await its verdict."""
        health = live.health
        self.suspects[live.camera.id] = live
        down = not live.takeover and self.root.down_above(live.device.id) is not None
        if (health.phase is Phase.AWAITING and live.borne_out) or down:
            self.awaiting[live.camera.id] = live
        # A witness counts from the next failure on: one that appears only after the last
        # failure says that *we* see again, not that the camera is away.
        seen = health.failed is not None and self.witness.seen_since(live.branch, health.failed)
        live.borne_out = seen
        if not down:
            self.ask(live, Step.REACH, next_recheck(health, self.rules.health, answer.ended))

    # --- what waits for time to pass

    def _sweep(self, now: Instant) -> None:
        if self.gap is None:
            look_for_witness(self, now)
        fold_and_unfold(self)
        rounds, down = self.root.step(now, self._witnessed)
        for round_ in rounds:
            self.asks += [Ask(device, Step.REACH, now) for device in round_.devices]
        for watch in down:
            node_down(self, watch, now)
        for live in list(self.awaiting.values()):
            decide(self, live, now)
        open_singles(self, now)
        for case in list(self.incidents.cases.values()):
            if case.recovering is not None:
                split(self, case, now)
        self._portion = (self._portion + 1) % LAPSE_PORTIONS
        lapse(self, self.order[self._portion :: LAPSE_PORTIONS], now)
