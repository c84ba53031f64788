"""A district in fake time before a real judge: who is asked when, and what comes back.

Stands in for the poller and the devices, without a loop: checks at stable phases, the judge's asks
honoured at their time, answers by script. After every batch the invariants of every channel are
checked, and the sum of owned seconds is.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count

from fakes.clock import FakeClock

from gateway.domain.camera import ChannelId, DeviceId
from gateway.domain.health import Rules
from gateway.domain.ledger import (
    Changes,
    ChannelRecord,
    Fault,
    GatewayGap,
    Incident,
    Outage,
    RollUp,
    State,
    stamp,
)
from gateway.domain.observation import (
    Answer,
    FaultCause,
    Finding,
    Instant,
    Observation,
    OutageCause,
    Step,
    TraceStep,
    Verdict,
)
from gateway.domain.schedule import phase
from gateway.domain.seconds import Book, Kind
from gateway.inventory import Inventory
from gateway.ports import Accepted, LiveState
from gateway.runtime.judge import Judge, JudgeRules
from gateway.runtime.live import Live
from gateway.runtime.restore import keep_windows, load, restore

REACH_TESTED = frozenset(
    {FaultCause.CLOCK, FaultCause.NOT_ONVIF, FaultCause.BAD_RESPONSE, FaultCause.TLS}
)
SIGNED_TESTED = frozenset({FaultCause.AUTH, FaultCause.LOCKED_OUT, FaultCause.WRONG_DEVICE})


@dataclass
class Trouble:
    """What is the matter with a device between two instants (end excluded)."""

    start: float
    end: float
    cause: OutageCause | None = None
    """Does not answer: refused at once, or after the deadline."""
    fault: FaultCause | None = None
    untold: bool = False


@dataclass(order=True)
class _Check:
    at: float
    order: int
    device: DeviceId = field(compare=False)
    step: Step = field(compare=False)
    routine: bool = field(compare=False)


class Scene:
    """The judge under watch.

    Args:
        inventory: who is there.
        rules: the judge's numbers.
        phases: when in the cadence a device is asked, where a test wants to know.
        tick_s: the judge gets what came in so often.
        canary: a canary answers every 2 s (while `canary_up`).
    """

    def __init__(
        self,
        inventory: Inventory,
        rules: JudgeRules | None = None,
        *,
        phases: dict[str, float] | None = None,
        tick_s: float = 0.25,
        canary: bool = False,
        clock: FakeClock | None = None,
        known: LiveState | None = None,
        written: Iterable[RollUp] = (),
        check_s: float = 3.0,
    ) -> None:
        self.inventory = inventory
        self.rules = rules or JudgeRules(Rules())
        self.clock = clock or FakeClock()
        self.start = self.clock.now()
        self.tick_s = tick_s
        self.check_s = check_s
        self.canary = canary
        self.canary_up = True
        self.watching = True
        self.phases = phases or {}
        self.troubles: dict[DeviceId, list[Trouble]] = {}
        self.asked: list[tuple[float, DeviceId, Step, bool]] = []
        self.outages: dict[str, Outage[Instant]] = {}
        self.faults: dict[str, Fault[Instant]] = {}
        self.incidents: dict[str, Incident[Instant]] = {}
        self.gaps: dict[str, GatewayGap[Instant]] = {}
        self.records: dict[ChannelId, list[ChannelRecord[Instant]]] = {}
        self.rollups: dict[tuple[ChannelId, str], RollUp] = {}
        self.batches: list[Changes[Instant]] = []
        self.accepted: tuple[Accepted, ...] = ()
        self._agenda: list[_Check] = []
        self._wished: dict[tuple[DeviceId, Step], float] = {}
        self._busy: dict[DeviceId, float] = {}
        self._order = count()
        self._ready: list[tuple[float, int, Observation]] = []
        self._windows_at = -1.0
        self._canary_at = 0.0
        self.judge = Judge(self.rules, self.clock.epoch, self.start)
        book = self.judge.accountant.book = Book(tuple(inventory.cameras))
        book.take(written, {channel: index for index, channel in enumerate(book.channels)})
        load(self.judge, inventory, self.start)
        if known is not None:
            restore(self.judge, known, self.clock.instant, self.start)
        self._collect(self.judge.judge((), self.start))
        for device in inventory.watched:
            self._plan(device.id, self.start)

    # --- the script

    def down(
        self,
        name: str,
        start: float,
        end: float = 1e9,
        cause: OutageCause = OutageCause.REFUSED,
    ) -> None:
        """Device `name` does not answer between two times, seconds after the start."""
        self._trouble(name, Trouble(self.start + start, self.start + end, cause))

    def faulty(self, name: str, fault: FaultCause, start: float, end: float = 1e9) -> None:
        """Device `name` answers with a fault."""
        self._trouble(name, Trouble(self.start + start, self.start + end, fault=fault))

    def untold(self, name: str, start: float, end: float) -> None:
        """Our own trouble spoils the checks of `name`."""
        self._trouble(name, Trouble(self.start + start, self.start + end, untold=True))

    def cut(self, start: float, end: float, names: Iterable[str] | None = None) -> None:
        """Everybody (or some) falls silent."""
        everybody = [d.host for d in self.inventory.watched]
        for name in everybody if names is None else names:
            self.down(name, start, end, OutageCause.TIMEOUT)

    def _trouble(self, name: str, trouble: Trouble) -> None:
        self.troubles.setdefault(DeviceId(f"{name}:80"), []).append(trouble)

    # --- time

    def run(self, until: float, each: Callable[[], None] | None = None) -> "Scene":
        """Go on until so many seconds after the start."""
        end = self.start + until
        while self.clock.now() < end - 1e-9:
            self.clock.move(min(self.tick_s, end - self.clock.now()))
            self._tick(self.clock.now())
            if each is not None:
                each()
        return self

    def _tick(self, now: Instant) -> None:
        while self._agenda and self._agenda[0].at <= now:
            self._check(heapq.heappop(self._agenda))
        if self.canary and now >= self._canary_at:
            self._canary_at = now + 2.0
            if self.canary_up:
                self.judge.canary(now)
        if now >= self._windows_at + 1.0:
            self._windows_at = now
            keep_windows(self.judge, self.inventory, self.clock.utc(now), now)
        batch = []
        while self._ready and self._ready[0][0] <= now:
            batch.append(heapq.heappop(self._ready)[2])
        self.give(batch, now)

    def give(self, batch: list[Observation], now: Instant) -> None:
        """Hand a batch to the judge, as the pipeline does."""
        self._collect(self.judge.judge(batch, now))
        for ask in self.judge.asks:
            self._wish(ask.device, ask.step, max(ask.at, now))
        self.judge.asks.clear()

    def _wish(self, device: DeviceId, step: Step, at: float) -> None:
        if self._wished.get((device, step), 1e18) <= at:
            return
        self._wished[device, step] = at
        heapq.heappush(self._agenda, _Check(at, next(self._order), device, step, routine=False))

    def _plan(self, device: DeviceId, after: float) -> None:
        cadence = self.rules.health.cadence_s
        name = device.removesuffix(":80")
        at = self.start + self.phases.get(name, phase(device, cadence))
        while at <= after:
            at += cadence
        heapq.heappush(self._agenda, _Check(at, next(self._order), device, Step.REACH, True))

    def _check(self, check: _Check) -> None:
        if check.routine:
            self._plan(check.device, check.at)
        elif self._wished.pop((check.device, check.step), None) != check.at:
            return
        if not self.watching or check.device not in self.inventory.channels_of:
            return
        if self._busy.get(check.device, 0.0) > check.at:
            # One check a device at a time: a wish waits, the round's answer is under way.
            if not check.routine:
                self._wish(check.device, check.step, self._busy[check.device])
            return
        self.asked.append((check.at - self.start, check.device, check.step, check.routine))
        answer = self.answer(check.device, check.step, check.at)
        self._busy[check.device] = answer.ended
        for camera in self.inventory.channels_of[check.device]:
            observation = Observation(camera.id, check.device, answer)
            heapq.heappush(self._ready, (answer.ended, next(self._order), observation))

    def answer(self, device: DeviceId, step: Step, at: float) -> Answer:
        """What a check that starts at `at` finds."""
        found: list[Finding] = []
        tested = SIGNED_TESTED if step is Step.SIGNED else REACH_TESTED
        for trouble in self.troubles.get(device, ()):
            if not trouble.start <= at < trouble.end:
                continue
            if trouble.untold:
                return Answer(step, Instant(at), Instant(at + 0.01), Verdict.COULD_NOT_TELL)
            if trouble.cause is not None:
                took = 0.01 if trouble.cause is OutageCause.REFUSED else self.check_s
                return Answer(
                    step,
                    Instant(at),
                    Instant(at + took),
                    Verdict.NO_ANSWER,
                    trouble.cause,
                    chain=(TraceStep("tcp", ok=False, detail=trouble.cause.value),),
                )
            if trouble.fault in tested:
                found.append(Finding(trouble.fault, "as scripted"))
        return Answer(
            step,
            Instant(at),
            Instant(at + 0.02),
            Verdict.ANSWERED,
            tested=tested,
            found=tuple(found),
            rtt_s=0.02,
        )

    # --- what came of it

    def _collect(self, changes: Changes[Instant]) -> None:
        self.batches.append(changes)
        self.outages |= {row.id: row for row in changes.outages}
        self.faults |= {row.id: row for row in changes.faults}
        self.incidents |= {row.id: row for row in changes.incidents}
        self.gaps |= {row.id: row for row in changes.gaps}
        self.rollups |= {(row.channel, row.day): row for row in changes.rollups}
        for record in changes.channels:
            self.records.setdefault(record.channel, []).append(record)
        for live in self.judge.lives.values():
            live.check_invariants()

    def live(self, channel: str) -> Live:
        """What the judge holds of a channel."""
        return self.judge.lives[ChannelId(channel)]

    def state(self, channel: str) -> State:
        """What people see."""
        return self.live(channel).state

    def outages_of(self, channel: str) -> list[Outage[Instant]]:
        """All outage rows of a channel, oldest first."""
        rows = [row for row in self.outages.values() if row.channel == channel]
        return sorted(rows, key=lambda row: row.failed_at)

    def faults_of(self, channel: str) -> list[Fault[Instant]]:
        """All fault rows of a channel, oldest first."""
        rows = [row for row in self.faults.values() if row.channel == channel]
        return sorted(rows, key=lambda row: row.failed_at)

    def since(self, at: Instant | None) -> float:
        """Seconds after the start."""
        assert at is not None
        return at - self.start

    def seconds(self, channel: str) -> dict[str, float]:
        """Owned seconds of a channel by kind, everything settled up to the last check."""
        live = self.live(channel)
        self.judge.accountant.settle(live, self.clock.now())
        totals = dict.fromkeys(("good", "bad", "upstream", "maintenance", "unobserved"), 0.0)
        book = self.judge.accountant.book
        return {n: book.owned(live.index, kind) for kind, n in zip(Kind, totals, strict=False)}

    def known(self, watched_until: Instant | None = None) -> LiveState:
        """What a store would give after a crash now: open rows, records.

        Args:
            watched_until: what was last written as that; None = the present.
        """
        utc = self.clock.utc
        return LiveState(
            outages=tuple(stamp(r, utc) for r in self.outages.values() if r.ended_at is None),
            faults=tuple(stamp(r, utc) for r in self.faults.values() if r.ended_at is None),
            incidents=tuple(stamp(r, utc) for r in self.incidents.values() if r.ended_at is None),
            gaps=tuple(stamp(r, utc) for r in self.gaps.values() if r.ended_at is None),
            channels=tuple(stamp(rows[-1], utc) for rows in self.records.values()),
            accepted=self.accepted,
            watched_until_at=self.utc_now() if watched_until is None else utc(watched_until),
            sequence=self.judge.sequence,
        )

    def utc_now(self) -> datetime:
        """UTC of the present."""
        return self.clock.utc(self.clock.now())

    def flush(self) -> None:
        """Write all roll-ups, as the portions do over five minutes."""
        for live in self.judge.order:
            self.judge.accountant.settle_observed(live)
        self.judge.rollups += self.judge.accountant.book.portion(0, 1)
        self._collect(self.judge.judge((), self.clock.now()))

    def restarted(
        self,
        pause_s: float,
        inventory: Inventory | None = None,
        watched_until: Instant | None = None,
    ) -> "Scene":
        """The process is killed, and starts again `pause_s` later, before the same devices."""
        known = self.known(watched_until)
        self.clock.move(pause_s)
        again = Scene(
            inventory or self.inventory,
            self.rules,
            phases=self.phases,
            tick_s=self.tick_s,
            canary=self.canary,
            clock=self.clock,
            known=known,
            written=self.rollups.values(),
            check_s=self.check_s,
        )
        again.troubles = self.troubles
        again.outages = {**self.outages, **again.outages}
        again.faults = {**self.faults, **again.faults}
        again.incidents = {**self.incidents, **again.incidents}
        again.gaps = {**self.gaps, **again.gaps}
        return again

    def take(self, inventory: Inventory) -> None:
        """A new archive is imported."""
        new = [d.id for d in inventory.watched if d.id not in self.inventory.devices]
        self.inventory = inventory
        load(self.judge, inventory, self.clock.now())
        for device in new:
            self._plan(device, self.clock.now())


def quick(**changes: float) -> JudgeRules:
    """The law's numbers with some changed."""
    rules = Rules()
    return JudgeRules(replace(rules, **changes))  # type: ignore[arg-type]
