"""The docket: everything the judge holds, and how a change of it becomes a row.

One object owns the live state: `Judge` is a `Docket` with the flow of observations on top. The questions it
asks (`blindness`, `faults`, `causes`) are functions over the docket; they hold nothing themselves.

Invariants:

- What people can see changes through the methods here only: a row that was put stands in the next `collect`.
- `awaiting` is a part of `suspects`; both hold channels in the phases of SUSPICION only.
- While `gap` is open the gateway is blind; `gap_ended` and `last_gap` tell of the one before.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import NamedTuple

from gateway.domain.camera import ChannelId, DeviceId
from gateway.domain.health import SUSPICION, Phase, Rules, state_of
from gateway.domain.ledger import (
    Changes,
    ChannelRecord,
    Ending,
    Fault,
    GatewayGap,
    Outage,
    RollUp,
)
from gateway.domain.observation import DeviceMemory, FaultCause, Instant, Step
from gateway.domain.root_cause import NEVER, RootCause, RootRules
from gateway.domain.seconds import Book
from gateway.domain.witness import Witness
from gateway.runtime.incidents import IncidentBook
from gateway.runtime.live import Accountant, Live


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


class Docket:
    """The live state of every channel, of the gateway's own sight, and the rows that changed.

    Args:
        rules: the numbers.
        epoch: UTC epoch seconds of an instant (follows the clock's anchor).
        started: when the service started, an instant.

    Attributes:
        lives / order: every channel by id, and by its index in the book of seconds.
        suspects: channels under suspicion.
        awaiting: those that have failed often enough, or whose node is down: they wait for a verdict.
        blindfolded: channels whose checks failed, or whose outage was open, while the gateway was blind.
        gap: the blindness that is going on; `last_gap` the one before, which ended at `gap_ended`.
        asks: checks wanted outside the routine; the pipeline hands them to the poller.
        rollups: rows of seconds to be written with the next changes.
        in_windows: targets of the maintenance windows that are open; None = look again.
        sequence: of the last changes that were told.
        watched_before: up to when the process before this one watched.
        accepted: channels of the takeover list that were accepted as work, and since when.
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
        self.watched_before: Instant | None = None
        self.accepted: dict[ChannelId, Instant] = {}
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

    def ask(self, live: Live, step: Step, at: Instant) -> None:
        """Wish for a check."""
        self.asks.append(Ask(live.device.id, step, at))

    # --- suspicion

    def known_until(self, now: Instant) -> Instant:
        """Up to when everything that was seen stands in rows, for `watched_until`.

        After a crash every channel whose row says that it answers is believed to have answered one
        cadence before that. So it is held back by whoever answered least lately: who is under
        suspicion, was asked late, or was not yet asked since the start. Who is known to be unknown
        or lost does not count.
        """
        rules = self.rules.health
        believed = SUSPICION | {Phase.UP}
        if now < self.started + rules.lapse_cadences * rules.cadence_s:
            believed |= {Phase.NEW}
        seen = (
            live.seen
            for live in self.order
            if live.seen is not None and live.camera.in_use and live.health.phase in believed
        )
        until = min(now, Instant(min(seen, default=now) + rules.cadence_s))
        if until < self.started and self.watched_before is not None:
            # Not everybody was asked since: the hole from before the start is still the same one.
            return min(until, self.watched_before)
        return until

    def release(self, live: Live) -> None:
        """A channel is not under suspicion any more, whichever way."""
        self.suspects.pop(live.camera.id, None)
        self.awaiting.pop(live.camera.id, None)

    def drop_suspicion(self, live: Live) -> None:
        """A suspicion ends without an answer: we could not watch, so it proves nothing."""
        if live.health.phase in SUSPICION:
            self.release(live)
            self.root.forget(live.device.id, live.camera.id)

    # --- what people see

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
            self.record(live)

    def record(self, live: Live) -> None:
        """Write the state of a channel."""
        self._records[live.camera.id] = ChannelRecord(
            live.camera.id, live.state, live.since, live.first_good, live.seen
        )

    def remember(self, device: DeviceId, memory: DeviceMemory) -> None:
        """Write what was learned about a device."""
        self._memories[device] = memory

    # --- rows

    def put_outage(self, live: Live, outage: Outage[Instant]) -> None:
        """Replace the open outage of a channel."""
        live.outage = outage
        self._outages[outage.id] = outage

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
        for fault in list(live.faults.values()):
            lost = ended - max(outage.failed_at, fault.failed_at)
            unobserved = fault.unobserved_s + max(0.0, lost)
            self.put_fault(live, replace(fault, unobserved_s=unobserved))

    def put_fault(self, live: Live, fault: Fault[Instant]) -> None:
        """Replace the open fault of a channel."""
        live.faults[fault.cause] = fault
        self._faults[fault.id] = fault

    def close_fault(self, live: Live, cause: FaultCause, ended: Instant, ending: Ending) -> None:
        """Close an open fault of a channel."""
        fault = replace(live.faults.pop(cause), ended_at=ended, ending=ending)
        self._faults[fault.id] = fault

    def put_gap(self, gap: GatewayGap[Instant]) -> None:
        """Note a gateway gap."""
        self._gaps[gap.id] = gap

    def want_single(self, live: Live, at: Instant) -> None:
        """Open an incident for the outage of a channel at `at`, unless it joins another."""
        if live.outage is not None:
            heapq.heappush(self._singles, (at, live.camera.id, live.outage.id))

    def due_singles(self, now: Instant) -> Iterator[Live]:
        """Take out the channels whose own incident is due and whose outage is still that one."""
        while self._singles and self._singles[0][0] <= now:
            _, channel, outage_id = heapq.heappop(self._singles)
            live = self.lives.get(channel)
            if live is not None and live.outage is not None and live.outage.id == outage_id:
                yield live

    def collect(self) -> Changes[Instant]:
        """Take out the rows that changed since the last call; they get the next sequence number."""
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
