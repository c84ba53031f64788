"""The poller: due device -> Probe -> observations. Holds no state that matters.

Load is spread by a stable hash over the interval; limits and lanes keep a dead third of the fleet from
delaying the rest; wishes of the judge come in through `ask` and are capped.
"""

import asyncio
from collections.abc import Callable, Collection, Container, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from gateway.domain.camera import CheckBy, Device, DeviceId, NodeId
from gateway.domain.observation import Answer, Instant, Observation, Step, Verdict
from gateway.domain.schedule import Agenda, Due, next_due, phase
from gateway.errors import Refused, Unavailable
from gateway.inventory import Inventory
from gateway.metrics import CHECK_SECONDS, CHECKS, IN_FLIGHT, LATENESS_SECONDS, LOOP_LAG_SECONDS
from gateway.ports import Clock, Probe
from gateway.runtime.judge import Ask
from gateway.runtime.limits import Limits
from gateway.runtime.mailbox import Mailbox
from gateway.runtime.stats import Stats
from gateway.settings import PollSettings

log = structlog.get_logger("sightline.poller")
TICK_S = 0.02
HASTE_S = 0.002
"""The pause after a turn that did not begin all that is due: after a start, or a network that came back."""
NEVER = float("-inf")
STARTS_A_TICK = 100
"""Checks begun without letting the loop breathe."""
NEW_LOGIN_S = 600.0
"""Within so many seconds each device of a changed credential set is asked with it."""
STALL_TOLD_S = 0.25
LATE_AT_MOST_S = 1.0
SIGNED_CHECKS = 4
"""A signed check makes several requests: it has so many times the limit of a plain one."""


@dataclass(slots=True)
class Target:
    """A device as the poller sees it."""

    device: Device
    probe: Probe
    uplink: NodeId
    observe: tuple[Any, ...]
    """Channel ids behind it."""
    phase_s: float
    signed_phase_s: float
    dead: bool = False
    asked: bool = False
    heard: float = NEVER
    """When an answer came by another way than a check: an event channel."""
    heightened: bool = False
    """Asked more often: its place is in heightened posture."""
    changed: bool = False
    """Another port, path or way of asking than in the archive before."""


class Poller:
    """Asks every device once a cadence, and sooner what the judge or a person wishes."""

    def __init__(
        self,
        clock: Clock,
        settings: PollSettings,
        probes: Mapping[CheckBy, Probe],
        out: Mailbox[Observation],
        stats: Stats,
        stall_s: float = 1.0,
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.probes = probes
        self.out = out
        self.stats = stats
        self.stall_s = stall_s
        self.limits = Limits(settings.slots, settings.dead_slots, settings.per_uplink)
        self.targets: dict[DeviceId, Target] = {}
        self.routine = Agenda()
        self.wishes = Agenda()
        self.unasked = 0
        self._heightened: Collection[DeviceId] = frozenset()
        self._waiting: dict[tuple[DeviceId, Step], Due] = {}
        self._held: dict[DeviceId, dict[Step, Due]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._futures: dict[DeviceId, list[asyncio.Future[Answer]]] = {}
        self._stall: tuple[float, float] = (NEVER, NEVER)
        self.on_stall: Callable[[Instant, Instant], None] = lambda _began, _ended: None
        """Told of each stall of the loop that voids checks."""
        self._turned: float = NEVER
        self.progress: Instant = clock.now()
        """When a check last ended, or nothing was under way. What an event channel brings is none."""
        self._credit = float(settings.recheck_rate)
        self._credited = clock.now()
        self._round: tuple[int, float] = (0, 0.0)

    def load(self, inventory: Inventory) -> None:
        """Take an archive; devices that stay keep their place in the interval."""
        now = self.clock.now()
        old, self.targets = self.targets, {}
        for device in inventory.watched:
            target = self._target(inventory, device, old.pop(device.id, None))
            self.targets[device.id] = target
            # The agenda keeps the earlier of two entries: planning again moves nothing.
            if not target.asked or target.changed:
                self._plan(target, Step.REACH, now)
                if device.check_by is CheckBy.ONVIF:
                    self._plan(target, Step.SIGNED, now)
        for gone in old.values():
            self.routine.drop(gone.device.id)
            self.wishes.drop(gone.device.id)
            self._held.pop(gone.device.id, None)
            gone.probe.forget(gone.device.id)
        self.unasked = sum(not t.asked for t in self.targets.values())

    def _target(self, inventory: Inventory, device: Device, old: Target | None) -> Target:
        channels = tuple(c.id for c in inventory.channels_of[device.id])
        target = Target(
            device,
            self.probes[device.check_by],
            inventory.branch(device),
            channels,
            phase(device.id, self.settings.cadence_s),
            phase(device.id, self.settings.signed_every_s, "signed"),
            heightened=device.id in self._heightened,
        )
        if old is not None:
            target.dead, target.asked, target.heard = old.dead, old.asked, old.heard
            target.changed = old.device != device
            if target.changed:
                old.probe.forget(device.id)
        return target

    def _plan(self, target: Target, step: Step, after: Instant) -> None:
        if step is Step.REACH:
            cadence_s = self._cadence_s(target)
            due = next_due(target.phase_s % cadence_s, cadence_s, after)
        else:
            due = next_due(target.signed_phase_s, self.settings.signed_every_s, after)
        self.routine.put(Due(due, target.device.id, step, routine=True))

    def _cadence_s(self, target: Target) -> float:
        poll = self.settings
        return poll.heightened_s if target.heightened else poll.cadence_s

    @property
    def heightened(self) -> Collection[DeviceId]:
        """The devices that are asked at the heightened cadence."""
        return self._heightened

    def heighten(self, devices: Collection[DeviceId]) -> None:
        """Ask these devices at the heightened cadence from now on, all others at the routine one."""
        self._heightened = devices
        now = self.clock.now()
        for device, target in self.targets.items():
            before, target.heightened = target.heightened, device in devices
            if target.heightened and not before:  # the agenda keeps the earlier slot of the two
                self._plan(target, Step.REACH, now)

    def ask(self, asks: Iterable[Ask]) -> None:
        """Wishes of the judge: re-checks, siblings, signed checks after a return."""
        for wish in asks:
            self.wishes.put(Due(wish.at, wish.device, wish.step, routine=False))

    def ask_signed(self, sets: Container[str]) -> None:
        """Try the new logins of some credential sets: spread, so that the breaker sees a wrong one."""
        now = self.clock.now()
        span_s = min(NEW_LOGIN_S, self.settings.signed_every_s)
        for device in (target.device for target in self.targets.values() if not target.dead):
            if device.credential_set in sets and device.check_by is CheckBy.ONVIF:
                at = Instant(now + phase(device.id, span_s, "login"))
                self.wishes.put(Due(at, device.id, Step.SIGNED, routine=False))

    async def check_now(self, device: DeviceId) -> Answer:
        """Ask a device at once, within the limits, and return the answer.

        Raises:
            Refused: it is not polled.
            Unavailable: no answer came back in time (too much is waiting).
        """
        if device not in self.targets:
            raise Refused("this channel is not polled: it is decommissioned or unknown")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(device, []).append(future)
        self.wishes.put(Due(self.clock.now(), device, Step.REACH, routine=False))
        try:
            async with asyncio.timeout(3 * self.settings.check_s):
                return await future
        except TimeoutError as error:
            raise Unavailable("the check did not come to its turn in time") from error

    # --- the loop

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            before, pause_s = self.clock.now(), TICK_S
            while True:
                await asyncio.sleep(pause_s)
                now = self.clock.now()
                self._turned = now
                self._lag(before, now, pause_s)
                more = self.step(now)
                before, pause_s = self.clock.now(), HASTE_S if more else TICK_S
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def step(self, now: Instant) -> bool:
        """Begin what is due; True = not all routine checks were begun that have a slot."""
        rate = self.settings.recheck_rate
        self._credit = min(rate, self._credit + (now - self._credited) * rate)
        self._credited = now
        if not self._tasks and not self._waiting:
            self.progress = now  # nothing was due: all devices may be heard by their events
        if not self.out.room:
            return False
        waiting, self._waiting = self._waiting, {}
        for due in waiting.values():
            self._begin(due, now)
        routine = self.routine.pop_due(now, STARTS_A_TICK)
        for due in routine:
            if (target := self.targets.get(due.device)) is not None:
                # A slot that was missed by more than a cadence is gone, not made up for.
                if due.step is Step.REACH and self._spared(target, now):
                    continue
                self._plan(target, due.step, max(due.at, Instant(now - self._cadence_s(target))))
                self._begin(due, now)
        wishes = self.wishes.pop_due(now, min(STARTS_A_TICK, int(self._credit)))
        self._credit -= sum(self._begin(due, now) for due in wishes)
        return len(routine) == STARTS_A_TICK and not self._waiting

    def heard(self, device: DeviceId, at: Instant) -> None:
        """A device answered all that a liveness check asks, by another way, at `at`."""
        target = self.targets.get(device)
        if target is None:
            return
        if at > target.heard:
            self.stats.heard += 1
        target.heard, target.dead = at, False
        if not target.asked:
            target.asked = True
            self.unasked -= 1

    def _spared(self, target: Target, now: Instant) -> bool:
        """True if the device was heard within its cadence: it is asked one cadence after that.

        So what is known of a device gets no older than by slots of its own.
        """
        due = Instant(target.heard + self._cadence_s(target))
        if due <= now:
            return False
        self.routine.put(Due(due, target.device.id, Step.REACH, routine=True))
        return True

    def _begin(self, due: Due, now: Instant) -> bool:
        """Begin a check, or keep it for later; False when it costs nothing now."""
        target = self.targets.get(due.device)
        if target is None:
            return False
        device = target.device
        if device.id in self.limits.busy:
            # Asked when that one is over, the routine check too: what is known of a device would
            # otherwise be older than a cadence and a check.
            self._held.setdefault(device.id, {})[due.step] = due
            return False
        dead = target.dead
        if not self.limits.admit(device, target.uplink, dead=dead):
            self._waiting.setdefault((device.id, due.step), due)
            return True
        if due.routine and due.step is Step.REACH:
            late = now - due.at
            if not dead:
                self.stats.lateness_s.append(late)
                LATENESS_SECONDS.observe(late)
        # The limit counts from the slot, so that being late does not widen what is known of the
        # start of an outage; a second of it is the most that lateness may cost the device.
        begun = Instant(max(due.at, now - LATE_AT_MOST_S))
        self._spawn(self._check(target, due.step, begun, dead=dead))
        return True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A probe never raises for what a device does: this is a bug of ours, made loud.
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a check failed inside the gateway", "exception": error}
            )

    async def _check(self, target: Target, step: Step, begun: Instant, *, dead: bool) -> None:
        limit = self.settings.check_s * (SIGNED_CHECKS if step is Step.SIGNED else 1)
        try:
            answer = await target.probe.check(target.device, step, Instant(begun + limit))
        finally:
            self.limits.release(target.device, target.uplink, dead=dead)
            for due in self._held.pop(target.device.id, {}).values():
                self.wishes.put(replace(due, at=self.clock.now(), routine=False))
        self.progress = self.clock.now()
        if answer.verdict is Verdict.NO_ANSWER and self._stalled(answer):
            answer = replace(answer, verdict=Verdict.COULD_NOT_TELL, cause=None)
        device = target.device.id
        current = self.targets.get(device)
        if current is not None and current.device == target.device:
            # Not one that left the archive, or was given another address, while it was asked.
            if answer.verdict is not Verdict.COULD_NOT_TELL:
                current.dead = answer.verdict is Verdict.NO_ANSWER
            self._note(current, answer)
            self.out.put([Observation(channel, device, answer) for channel in current.observe])
        for future in self._futures.pop(device, ()):
            if not future.done():
                future.set_result(answer)

    # --- measuring ourselves

    def _note(self, target: Target, answer: Answer) -> None:
        self.stats.checks += 1
        self.stats.observations += len(target.observe)
        CHECKS.labels(answer.step.name.lower(), answer.verdict.value).inc()
        CHECK_SECONDS.labels(answer.step.name.lower()).observe(answer.ended - answer.started)
        if not target.asked:
            target.asked = True
            self.unasked -= 1
        if answer.step is Step.REACH and not target.heightened:  # those have rounds of their own
            self._note_round(target, answer)

    def _note_round(self, target: Target, answer: Answer) -> None:
        """A round = the checks whose slots lie in one cadence; it lasts until the last one ended."""
        turn = int((answer.started - target.phase_s) // self.settings.cadence_s)
        if turn > self._round[0]:
            if self._round[0]:
                begun = self._round[0] * self.settings.cadence_s
                self.stats.rounds_s.append(self._round[1] - begun)
            self._round = (turn, answer.ended)
        elif turn == self._round[0]:
            self._round = (turn, max(self._round[1], answer.ended))

    def _lag(self, before: Instant, now: Instant, pause_s: float = TICK_S) -> None:
        lag = max(0.0, now - before - pause_s)
        self.stats.loop_lag_s.append(lag)
        LOOP_LAG_SECONDS.observe(lag)
        IN_FLIGHT.labels("healthy").set(self.limits.healthy)
        IN_FLIGHT.labels("dead").set(self.limits.dead)
        if lag > STALL_TOLD_S:
            log.warning("the event loop was late", seconds=round(lag, 3))
        if lag > self.stall_s:
            self._stall = (before, now)
            self.on_stall(before, now)

    def _stalled(self, answer: Answer) -> bool:
        """The check overlapped a stall of our own loop: its silence proves nothing.

        The loop may go on with a check before it goes on with the poller, so a stall that is only just
        over is seen by the poller's own last turn.
        """
        start, end = self._stall
        running = self._turned > NEVER
        if running and answer.ended - max(self._turned, answer.started) > self.stall_s + TICK_S:
            return True
        return answer.started < end and answer.ended > start
