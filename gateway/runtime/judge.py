"""The judge: the only owner of live state. Observations in, changes of the ledger out.

`judge` takes a batch and goes through the domain's decisions in a fixed order:

    health.observe -> blindness -> root_cause.step -> convict -> incidents -> lapses, windows

It does no I/O, reads no clock and knows no loop (`runtime.pipeline` feeds it). What it wants asked sooner
stands in `asks`: the one edge that goes back to the poller.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import NamedTuple

from gateway.domain.camera import ChannelId, DeviceId, NodeKind
from gateway.domain.health import (
    LOST,
    SUSPICION,
    Check,
    Phase,
    Rules,
    Sign,
    convict,
    next_recheck,
    observe,
    sighted,
    state_of,
    unwatch,
)
from gateway.domain.ledger import (
    Changes,
    ChannelRecord,
    Ending,
    Fault,
    GapReason,
    GatewayGap,
    Outage,
    RollUp,
)
from gateway.domain.observation import (
    Answer,
    DeviceMemory,
    FaultCause,
    Finding,
    Instant,
    Observation,
    OutageCause,
    Step,
    Verdict,
)
from gateway.domain.root_cause import NEVER, NodeWatch, RootCause, RootRules
from gateway.domain.seconds import Book, Kind
from gateway.domain.witness import CANARY, Witness
from gateway.runtime.incidents import Case, IncidentBook
from gateway.runtime.live import Accountant, FaultRun, Live

SWEEP_S = 0.25
"""Decisions that wait for time to pass are looked at so often."""
PORTION = 500
"""Channels handled a sweep when all of them change at once: keeps the loop free."""
LAPSE_PORTIONS = 64
SIGNED_CAUSES = frozenset({FaultCause.AUTH, FaultCause.LOCKED_OUT, FaultCause.WRONG_DEVICE})
"""Faults that only a signed check can find."""


@dataclass(frozen=True, slots=True)
class JudgeRules:
    """Everything that can be set about judging."""

    health: Rules = field(default_factory=Rules)
    root: RootRules = field(default_factory=RootRules)


class Ask(NamedTuple):
    """A check wanted outside the routine."""

    device: DeviceId
    step: Step
    at: Instant


class Judge:
    """Owns the live state of every channel.

    Args:
        rules: the numbers.
        epoch: UTC epoch seconds of an instant (follows the clock's anchor).
        started: when the service started, an instant.
    """

    def __init__(
        self, rules: JudgeRules, epoch: Callable[[Instant], float], started: Instant
    ) -> None:
        self.rules = rules
        self.epoch = epoch
        self.started = started
        self.lives: dict[ChannelId, Live] = {}
        self.order: list[Live] = []
        self.witness = Witness()
        self.root = RootCause({}, (), rules.root)
        self.incidents = IncidentBook(self.row_id, 2 * rules.health.cadence_s)
        self.accountant = Accountant(Book(()), epoch)
        self.gap: GatewayGap[Instant] | None = None
        self.last_gap: GatewayGap[Instant] | None = None
        self.gap_ended: Instant = NEVER
        self.suspects: dict[ChannelId, Live] = {}
        self.awaiting: dict[ChannelId, Live] = {}
        self.blindfolded: dict[ChannelId, Live] = {}
        self.asks: list[Ask] = []
        self.rollups: list[RollUp] = []
        self.in_windows: frozenset[str] | None = None
        self.sequence = 0
        self.swept: Instant = NEVER
        self._portion = 0
        self._singles: list[tuple[Instant, ChannelId, str]] = []
        self._outages: dict[str, Outage[Instant]] = {}
        self._faults: dict[str, Fault[Instant]] = {}
        self._records: dict[ChannelId, ChannelRecord[Instant]] = {}
        self._gaps: dict[str, GatewayGap[Instant]] = {}
        self._memories: dict[DeviceId, DeviceMemory] = {}

    def row_id(self, kind: str, subject: str, at: Instant) -> str:
        """The stable id of a row: the same facts give the same id, also after a restart."""
        text = f"{kind}/{subject}/{round(self.epoch(at) * 1000)}"
        return blake2b(text.encode(), digest_size=10).hexdigest()

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
        return self._collect()

    def canary(self, received: Instant) -> None:
        """A canary gave a good answer."""
        self.witness.good(CANARY, received)
        if self.gap is not None and received > self.gap.started_at:
            self._see_again(received)

    def _take(self, live: Live, answer: Answer) -> None:
        if answer.memory is not None:
            self._memories[live.device.id] = answer.memory
        if answer.verdict is Verdict.ANSWERED:
            self._answered(live, answer)
        elif answer.verdict is Verdict.NO_ANSWER:
            self._unanswered(live, answer)
        elif live.health.phase in SUSPICION:
            self.ask(live, Step.REACH, next_recheck(live.health, self.rules.health, answer.ended))
        else:
            # Our own trouble cost this device its turn: it is asked again before the next one.
            self.ask(live, Step.REACH, Instant(answer.ended + self.rules.health.recheck_s))

    def ask(self, live: Live, step: Step, at: Instant) -> None:
        """Wish for a check."""
        self.asks.append(Ask(live.device.id, step, at))

    def _answered(self, live: Live, answer: Answer) -> None:
        self.witness.good(live.branch, answer.heard)
        if self.gap is not None and answer.heard > self.gap.started_at:
            self._see_again(answer.heard)
        for watch in self.root.good(live.device.id, live.camera.id, answer.started):
            self._recovering(watch, answer.ended)
        if live.camera.id in self.blindfolded:
            self._unfold(live)
        before = live.health
        self._count(live, answer)
        if before.phase is not Phase.UP:
            if live.kind in {Kind.BAD, Kind.BAD_UPSTREAM, Kind.UNOBSERVED}:
                self.accountant.settle(live, answer.ended, Kind.GOOD)
            self._came_back(live, answer)
        live.seen = answer.started
        live.ended = answer.ended
        live.unwatched = False
        if answer.found or live.faults or live.runs:
            self._find(live, answer)
        if not answer.found:
            live.saw_clean(answer)
        if live.first_good is None:
            live.first_good = answer.ended
            self._record(live)
        if before.phase is not Phase.UP:
            self.restate(live, answer.ended)

    def _count(self, live: Live, answer: Answer) -> None:
        lapse = self.rules.health.lapse_cadences * self.rules.health.cadence_s
        if live.ended is not None and answer.ended - live.ended > lapse:
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
        self.suspects.pop(live.camera.id, None)
        self.awaiting.pop(live.camera.id, None)
        if live.outage is not None and live.bad_since is not None:
            bad = live.outage.bad_s + answer.ended - live.bad_since
            live.outage = replace(live.outage, bad_s=bad)
            live.bad_since = None
            if live.outage.flapping:
                # It may be long until the row is written again.
                self._outages[live.outage.id] = live.outage
        if after.phase is Phase.RETURNING:
            self.ask(live, Step.REACH, answer.ended)
        elif before.phase in LOST and after.phase is Phase.UP:
            ended = before.back if before.back is not None else answer.ended
            self.close_outage(live, ended, Ending.RECOVERED)
            # The device may have been rebooted or exchanged: ask who it is.
            self.ask(live, Step.SIGNED, answer.ended)

    def close_outage(self, live: Live, ended: Instant, ending: Ending) -> None:
        """Close the open outage of a channel; its faults were unobserved meanwhile."""
        if live.outage is not None and live.lost_since is not None:
            live.outage = live.catch_sight(live.outage, ended)
        outage = live.outage
        if outage is None:
            return
        if live.bad_since is not None:
            outage = replace(outage, bad_s=outage.bad_s + max(0.0, ended - live.bad_since))
        last_failed = live.last_failed or outage.last_failed_at
        last_failed = (
            max(last_failed, outage.last_failed_at) if ending is Ending.RECOVERED else ended
        )
        outage = replace(
            outage, ended_at=ended, last_failed_at=min(last_failed, ended), ending=ending
        )
        self._outages[outage.id] = outage
        live.outage = None
        live.bad_since = None
        self.incidents.leave(live.camera.id, ended, ending)
        for cause, fault in live.faults.items():
            lost = ended - max(outage.failed_at, fault.failed_at)
            live.faults[cause] = replace(fault, unobserved_s=fault.unobserved_s + max(0.0, lost))
            self._faults[fault.id] = live.faults[cause]

    def _unanswered(self, live: Live, answer: Answer) -> None:
        if self.gap is not None or answer.started <= self.gap_ended:
            self._failed_blind(live, answer)
            return
        if live.camera.id in self.blindfolded:
            self._unfold(live)
        before = live.health
        self._count(live, answer)
        if live.kind in {Kind.GOOD, Kind.UNOBSERVED}:
            self.accountant.settle(live, answer.ended, live.bad_kind)
        check = Check(answer.verdict, answer.started, answer.ended, answer.cause)
        after = live.health = observe(before, check, self.rules.health)
        live.ended = answer.ended
        live.last_failed = answer.started
        live.why = _chain(answer)
        live.unwatched = False
        first = before.phase not in SUSPICION and after.phase in SUSPICION
        if not live.takeover and after.failed is not None:
            self.root.bad(live.device.id, live.camera.id, after.failed, first=first)
        if live.outage is not None and live.bad_since is None:
            live.bad_since = answer.ended
        if after.phase in SUSPICION:
            self.suspects[live.camera.id] = live
            down = not live.takeover and self.root.down_above(live.device.id) is not None
            if (after.phase is Phase.AWAITING and live.borne_out) or down:
                self.awaiting[live.camera.id] = live
            # A witness counts from the next failure on: one that appears only after the last
            # failure says that *we* see again, not that the camera is away.
            seen = after.failed is not None and self.witness.seen_since(live.branch, after.failed)
            live.borne_out = seen
            if not down:
                self.ask(live, Step.REACH, next_recheck(after, self.rules.health, answer.ended))
        self.restate(live, answer.ended)

    # --- faults

    def _find(self, live: Live, answer: Answer) -> None:
        found = {finding.cause: finding for finding in answer.found}
        for cause in answer.tested | set(found):
            finding = found.get(cause)
            if finding is not None:
                self._fault_seen(live, answer, finding)
                continue
            live.clean_of[cause] = answer.started
            live.runs.pop(cause, None)
            fault = live.faults.get(cause)
            if fault is not None:
                self.accountant.settle(live, answer.ended)
                self.close_fault(live, cause, answer.ended, Ending.RECOVERED)
        self.restate(live, answer.ended)

    def _fault_seen(self, live: Live, answer: Answer, finding: Finding) -> None:
        fault = live.faults.get(finding.cause)
        if fault is not None:
            live.faults[finding.cause] = replace(fault, last_failed_at=answer.started)
            return
        run = live.runs.get(finding.cause)
        if run is None:
            run = live.runs[finding.cause] = FaultRun(answer.started, answer.ended)
        else:
            run.count += 1
        rules = self.rules.health
        span = answer.ended - run.first_started
        # A login is judged once: asking again would cost logins, and devices lock out.
        once = finding.cause in SIGNED_CAUSES
        if once or (run.count >= rules.confirm_failures and span >= rules.confirm_span_s):
            self._open_fault(live, answer, finding, run)
        else:
            self.ask(live, Step.REACH, Instant(run.first_started + run.count * rules.recheck_s))

    def _open_fault(self, live: Live, answer: Answer, finding: Finding, run: FaultRun) -> None:
        del live.runs[finding.cause]
        self.accountant.settle(live, run.failed)
        clean = live.clean_before(finding.cause, signed=finding.cause in SIGNED_CAUSES)
        fault = Fault(
            id=self.row_id(f"fault/{finding.cause}", live.camera.id, run.failed),
            channel=live.camera.id,
            cause=finding.cause,
            last_seen_at=clean,
            failed_at=run.failed,
            confirmed_at=answer.ended,
            last_failed_at=answer.started,
            reason=(*_chain(answer), finding.detail),
            planned=live.maintenance,
        )
        live.faults[finding.cause] = fault
        self._faults[fault.id] = fault

    def close_fault(self, live: Live, cause: FaultCause, ended: Instant, ending: Ending) -> None:
        """Close an open fault of a channel."""
        fault = replace(live.faults.pop(cause), ended_at=ended, ending=ending)
        self._faults[fault.id] = fault

    # --- confirming

    def _convict(self, live: Live, now: Instant, node: NodeWatch | None) -> None:
        health = live.health = convict(live.health, now, self.rules.health)
        self.suspects.pop(live.camera.id, None)
        self.awaiting.pop(live.camera.id, None)
        failed = health.failed if health.failed is not None else now
        upstream = node is not None and node.node.kind is not NodeKind.DEVICE
        live.kind = Kind.BAD_UPSTREAM if upstream else Kind.BAD
        live.bad_since = failed
        live.outage = Outage(
            id=self.row_id("outage", live.camera.id, failed),
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
        self._outages[live.outage.id] = live.outage
        if not live.takeover and not live.maintenance:
            case = None if node is None else self.incidents.of_node.get(node.node.id)
            if case is not None:
                self._join(live, case)
            else:
                due = Instant(now + self.rules.health.cadence_s)
                heapq.heappush(self._singles, (due, live.camera.id, live.outage.id))
        self.restate(live, failed)

    def _join(self, live: Live, case: Case) -> None:
        if live.outage is None:
            return
        if case.row.cause is OutageCause.UPLINK and live.outage.cause is not OutageCause.UPLINK:
            self.accountant.hand_over(live, live.outage.failed_at, Kind.BAD, Kind.BAD_UPSTREAM)
            live.outage = replace(live.outage, cause=OutageCause.UPLINK)
        self.incidents.join(case, live.outage)
        self.put_outage(live, replace(live.outage, incident=case.row.id))

    def _disown(self, live: Live, since: Instant) -> None:
        """The node above answers since then and this channel does not: the cause is its own."""
        if live.outage is not None and live.outage.cause is OutageCause.UPLINK:
            self.accountant.hand_over(live, since, Kind.BAD_UPSTREAM, Kind.BAD)
            own = live.health.cause or OutageCause.TIMEOUT
            live.outage = replace(live.outage, cause=own)

    def _witnessed(self, watch: NodeWatch, failed: Instant) -> bool:
        below = {self.lives[c].branch for c in watch.channels if c in self.lives}
        return self.witness.seen_outside(below, failed)

    def _node_down(self, watch: NodeWatch, now: Instant) -> None:
        below = [self.lives[c] for c in watch.uncontradicted() if c in self.lives]
        below = [live for live in below if not live.takeover]
        if any(not live.maintenance for live in below) or watch.node.id in self.incidents.of_node:
            case = self.incidents.open_node(watch, watch.down_since or now, now)
            for channel in case.members:
                self._join(self.lives[channel], case)
                self._rename(self.lives[channel], case)
        for live in below:
            if live.health.phase in SUSPICION:
                # Each child needs a witness of its own: it is decided on the next sweep.
                self.awaiting[live.camera.id] = live
                self._decide(live, now)
            elif live.outage is not None and not live.outage.planned:
                held = self.incidents.of_node.get(watch.node.id)
                if held is not None and live.camera.id not in self.incidents.of_channel:
                    self._join(live, held)

    def _rename(self, live: Live, case: Case) -> None:
        if live.outage is not None and live.outage.incident != case.row.id:
            live.outage = replace(live.outage, incident=case.row.id)
            self._outages[live.outage.id] = live.outage

    # --- what waits for time to pass

    def _sweep(self, now: Instant) -> None:
        if self.gap is None:
            self._look_for_witness(now)
        self._fold_and_unfold()
        rounds, down = self.root.step(now, self._witnessed)
        for round_ in rounds:
            self.asks += [Ask(device, Step.REACH, now) for device in round_.devices]
        for watch in down:
            self._node_down(watch, now)
        for live in list(self.awaiting.values()):
            self._decide(live, now)
        self._open_singles(now)
        for case in list(self.incidents.cases.values()):
            if case.recovering is not None:
                self._split(case, now)
        self._lapses(now)

    def _decide(self, live: Live, now: Instant) -> None:
        failed = live.health.failed
        if failed is None or self._began_blind(live):
            return
        if not self.witness.seen_since(live.branch, failed):
            return
        node = None if live.takeover else self.root.down_above(live.device.id)
        if node is not None or live.takeover or not self.root.accused_above(live.device.id):
            if node is not None or live.health.phase is Phase.AWAITING:
                self._convict(live, now, node)
            else:
                # The node above is back, and this one has not failed often enough by itself.
                del self.awaiting[live.camera.id]
                self.ask(live, Step.REACH, next_recheck(live.health, self.rules.health, now))

    def _open_singles(self, now: Instant) -> None:
        while self._singles and self._singles[0][0] <= now:
            _, channel, outage_id = heapq.heappop(self._singles)
            live = self.lives.get(channel)
            if live is None or live.outage is None or live.outage.id != outage_id:
                continue
            if live.outage.incident is not None or live.outage.planned or live.outage.takeover:
                continue
            node = self.root.down_above(live.device.id)
            if node is not None:
                self._join(live, self.incidents.open_node(node, live.outage.failed_at, now))
                continue
            if self.root.accused_above(live.device.id):
                heapq.heappush(self._singles, (Instant(now + 1.0), channel, outage_id))
                continue
            self._rename(live, self.incidents.open_single(live.outage, now))

    def _recovering(self, watch: NodeWatch, at: Instant) -> None:
        self.root.revive(watch)
        case = self.incidents.of_node.get(watch.node.id)
        if case is None or case.recovering is not None:
            return
        case.recovering = at
        for channel in case.members:
            self.ask(self.lives[channel], Step.REACH, at)

    def _split(self, case: Case, now: Instant) -> None:
        if case.recovering is None:
            return
        if now < case.recovering + 2 * self.rules.health.cadence_s:
            return
        left = {c: self.lives[c] for c in case.members if self.lives[c].outage is not None}
        if case.node is not None and self._all_out(case.node, left):
            # Nobody came back for good: it was no recovery.
            case.recovering, case.node.down_since = None, case.row.began_at
            return
        watches = list(case.node.below()) if case.node else []
        for watch in watches:
            part = [left[c] for c in watch.channels if c in left]
            if len(part) > 1 and self._all_out(watch, left):
                failed = min(live.outage.failed_at for live in part if live.outage)
                watch.down_since = failed
                new = self.incidents.open_node(watch, failed, now, case.row.id)
                for live in part:
                    if new.row.cause is not OutageCause.UPLINK:
                        self._disown(live, case.recovering)
                    self._join(live, new)
                    del left[live.camera.id]
        for live in left.values():
            self._disown(live, case.recovering)
            if live.outage is not None:
                self._rename(live, self.incidents.open_single(live.outage, now, case.row.id))
        self.incidents.end(case, case.recovering, Ending.SPLIT)

    def _all_out(self, watch: NodeWatch, out: Mapping[ChannelId, Live]) -> bool:
        """Every channel below a node is out (those never seen good say nothing)."""
        return all(c in out or self.lives[c].takeover for c in watch.channels)

    def _lapses(self, now: Instant) -> None:
        self._portion = (self._portion + 1) % LAPSE_PORTIONS
        limit = now - self.rules.health.lapse_cadences * self.rules.health.cadence_s
        for live in self.order[self._portion :: LAPSE_PORTIONS]:
            if live.ended is None or max(live.ended, self.gap_ended) > limit or live.unwatched:
                continue
            if live.health.phase in {Phase.NEW, Phase.UNWATCHED} or not live.camera.in_use:
                continue
            self.accountant.settle(live, live.ended, Kind.UNOBSERVED)
            self._drop_suspicion(live)
            live.lose_sight(live.ended)
            live.health = unwatch(live.health, Sign.LAPSED)
            live.unwatched = live.health.phase in LOST
            self.restate(live, live.ended)

    # --- blindness

    def _look_for_witness(self, now: Instant) -> None:
        limit = now - self.rules.health.blind_after_s
        for live in self.suspects.values():
            failed = live.health.failed
            if failed is None or failed > limit or self.witness.seen_since(live.branch, failed):
                continue
            self._go_blind()
            return

    def _go_blind(self) -> None:
        started = max(self.witness.newest, self.started)
        self.gap = GatewayGap(self.row_id("gap", "blind", started), GapReason.BLIND, started)
        self._gaps[self.gap.id] = self.gap
        self.root.blinded()
        for live in self.order:
            if live.health.phase in LOST:
                live.unwatched = True
                live.lose_sight(started)
                self.blindfolded[live.camera.id] = live
                self.restate(live, started)

    def _see_again(self, at: Instant) -> None:
        gap = self.gap
        if gap is None:
            return
        self._gaps[gap.id] = replace(gap, ended_at=at)
        self.gap, self.gap_ended, self.last_gap = None, at, gap

    def _fold_and_unfold(self) -> None:
        if self.gap is not None:
            for live in list(self.suspects.values())[:PORTION]:
                self._blindfold(live)
        elif stale := [live for live in self.suspects.values() if self._began_blind(live)]:
            for live in stale[:PORTION]:
                self._blindfold(live)
        else:
            for live in list(self.blindfolded.values())[:PORTION]:
                self._unfold(live)
                self.ask(live, Step.REACH, self.gap_ended)

    def _began_blind(self, live: Live) -> bool:
        """Its run of failures began in a blindness that is over: it proves nothing."""
        failed = live.health.failed
        return failed is not None and failed <= self.gap_ended

    def _failed_blind(self, live: Live, answer: Answer) -> None:
        if self.gap is None:
            # Begun blind, ended after: it proves nothing, so it is asked again.
            self.ask(live, Step.REACH, answer.ended)
            return
        if live.health.phase is Phase.UP:
            self.accountant.settle(live, self.gap.started_at, Kind.UNOBSERVED)
        self._blindfold(live)

    def _blindfold(self, live: Live) -> None:
        self._drop_suspicion(live)
        live.kind = live.kind if live.health.phase in LOST else Kind.UNOBSERVED
        live.health = unwatch(live.health, Sign.BLINDED)
        self.blindfolded[live.camera.id] = live
        gap = self.gap or self.last_gap
        self.restate(live, gap.started_at if gap else live.mark)

    def _unfold(self, live: Live) -> None:
        del self.blindfolded[live.camera.id]
        start = self.last_gap.started_at if self.last_gap else self.gap_ended
        end = self.gap_ended
        if live.outage is not None:
            begin = max(start, live.outage.failed_at)
            self.accountant.gap(live, begin, end)
            live.unwatched = False
            self.put_outage(live, live.catch_sight(live.outage, end))
            live.bad_since = end if live.health.phase is Phase.DOWN else None
        else:
            basis = live.health.basis
            self.accountant.settle(live, end, Kind.GOOD if basis is Phase.UP else Kind.UNOBSERVED)
            live.health = sighted(live.health)
        self.restate(live, end)

    def _drop_suspicion(self, live: Live) -> None:
        if live.health.phase in SUSPICION:
            self.suspects.pop(live.camera.id, None)
            self.awaiting.pop(live.camera.id, None)
            self.root.forget(live.device.id, live.camera.id)

    # --- what comes out

    def known_until(self, now: Instant) -> Instant:
        """Up to when everything has been seen and told.

        A check may be under way since its limit, and a suspicion has no row yet.
        """
        seen = Instant(now - self.rules.root.check_s)
        began = (live.health.first_started for live in self.suspects.values())
        return min(seen, min((at for at in began if at is not None), default=seen))

    def restate(self, live: Live, at: Instant) -> None:
        """Bring the visible state up to date."""
        state = state_of(
            live.health,
            in_use=live.camera.in_use,
            in_maintenance=live.maintenance,
            unwatched=live.unwatched,
            faulty=bool(live.faults),
        )
        if state is not live.state:
            live.state = state
            live.since = at
            self._record(live)

    def _record(self, live: Live) -> None:
        self._records[live.camera.id] = ChannelRecord(
            live.camera.id, live.state, live.since, live.first_good, live.seen
        )

    def put_outage(self, live: Live, outage: Outage[Instant]) -> None:
        """Replace the open outage of a channel."""
        live.outage = outage
        self._outages[outage.id] = outage

    def put_fault(self, live: Live, fault: Fault[Instant]) -> None:
        """Replace the open fault of a channel."""
        live.faults[fault.cause] = fault
        self._faults[fault.id] = fault

    def put_gap(self, gap: GatewayGap[Instant]) -> None:
        """Note a gateway gap."""
        self._gaps[gap.id] = gap

    def want_single(self, live: Live, at: Instant) -> None:
        """Open an incident for the outage of a channel at `at`, unless it joins another."""
        if live.outage is not None:
            heapq.heappush(self._singles, (at, live.camera.id, live.outage.id))

    def _collect(self) -> Changes[Instant]:
        incidents = self.incidents.take()
        parts = (
            self._outages,
            self._faults,
            self._records,
            self._gaps,
            self._memories,
            self.rollups,
        )
        if not incidents and not any(parts):
            return Changes(self.sequence)
        self.sequence += 1
        changes = Changes(
            sequence=self.sequence,
            outages=tuple(self._outages.values()),
            faults=tuple(self._faults.values()),
            incidents=incidents,
            gaps=tuple(self._gaps.values()),
            channels=tuple(self._records.values()),
            memories=tuple(self._memories.items()),
            rollups=tuple(self.rollups),
        )
        for part in parts:
            part.clear()
        return changes


def _chain(answer: Answer) -> tuple[str, ...]:
    marks = {True: "ok", False: "failed", None: "-"}
    return tuple(f"{t.name}: {marks[t.ok]} {t.detail}".strip() for t in answer.chain)
