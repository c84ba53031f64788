"""What the judge holds of one channel, and the accountant who gives every second to a kind."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.domain.camera import Camera, Device, NodeId
from gateway.domain.health import LOST, SUSPICION, Health, Phase
from gateway.domain.ledger import Fault, Outage, State
from gateway.domain.observation import Answer, FaultCause, Instant, Step
from gateway.domain.seconds import Book, Kind


@dataclass(slots=True)
class FaultRun:
    """A fault that has been seen, but not often enough yet."""

    first_started: Instant
    failed: Instant
    count: int = 1


@dataclass(slots=True)
class Live:
    """One channel.

    Invariants (`check_invariants`): an outage row is open exactly in the LOST phases; `kind` is GOOD or
    UNOBSERVED when the last completed check was good; `mark` never lies after `ended` but for gaps.

    Attributes:
        seen: start of the last answered check.
        clean / signed_clean: start of the last unsigned / signed check without findings.
        ended: end of the last completed check.
        mark / kind: every second before `mark` has been given away; those after it are of `kind`.
        bad_since: since when the open outage has been bad without a break.
    """

    index: int
    camera: Camera
    device: Device
    branch: NodeId
    since: Instant
    mark: Instant
    state: State = State.UNKNOWN
    health: Health = field(default_factory=Health)
    seen: Instant | None = None
    clean: Instant | None = None
    signed_clean: Instant | None = None
    ended: Instant | None = None
    first_good: Instant | None = None
    outage: Outage[Instant] | None = None
    faults: dict[FaultCause, Fault[Instant]] = field(default_factory=dict)
    runs: dict[FaultCause, FaultRun] = field(default_factory=dict)
    kind: Kind = Kind.UNOBSERVED
    maintenance: bool = False
    unwatched: bool = False
    bad_since: Instant | None = None
    why: tuple[str, ...] = ()
    """The reason chain of the last check that failed."""

    def saw_clean(self, answer: Answer) -> None:
        """A check without findings: from here on a new fault has its lower bound."""
        if answer.step is Step.REACH:
            self.clean = answer.started
        elif answer.step is Step.SIGNED and answer.tested:
            self.signed_clean = answer.started

    @property
    def takeover(self) -> bool:
        """Never seen good since import (存量故障)."""
        return self.first_good is None

    def check_invariants(self) -> None:
        """Raise AssertionError when the parts contradict each other (tests call it)."""
        lost = self.health.phase in LOST
        assert (self.outage is not None) == lost, (self.camera.id, self.health.phase)  # noqa: S101
        if self.health.phase in SUSPICION:
            assert self.health.first_started is not None  # noqa: S101
        if self.health.phase is Phase.UP:
            assert self.kind in {Kind.GOOD, Kind.UNOBSERVED}, self.kind  # noqa: S101


class Accountant:
    """Gives every second of a channel to a kind, in the book."""

    def __init__(self, book: Book, epoch: Callable[[Instant], float]) -> None:
        self.book = book
        self.epoch = epoch

    def settle(self, live: Live, until: Instant, then: Kind | None = None) -> None:
        """Give away the seconds up to `until`; those after it are of kind `then`."""
        if until > live.mark:
            kind = live.kind
            if live.maintenance and kind is not Kind.UNOBSERVED:
                kind = Kind.MAINTENANCE
            start, end = self.epoch(live.mark), self.epoch(until)
            self.book.add(live.index, kind, start, end)
            if kind is Kind.GOOD and live.faults:
                self.book.add(live.index, Kind.DEGRADED, start, end)
            live.mark = until
        if then is not None:
            live.kind = then

    def settle_observed(self, live: Live) -> None:
        """Give away what is certain now: up to the last completed check, never under suspicion."""
        if live.ended is not None and live.health.phase not in SUSPICION:
            self.settle(live, live.ended)

    def gap(self, live: Live, start: Instant, end: Instant) -> float:
        """We could not watch between two instants; returns the seconds that were lost."""
        self.settle(live, start)
        before = live.kind
        begin = live.mark
        live.kind = Kind.UNOBSERVED
        self.settle(live, end, before)
        return max(0.0, end - begin)
