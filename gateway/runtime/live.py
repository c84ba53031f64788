"""What the judge holds of one channel, and the accountant who gives every second to a kind."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gateway.domain.camera import Camera, Device, NodeId
from gateway.domain.health import LOST, SUSPICION, Health, Phase
from gateway.domain.ledger import Fault, Outage, State
from gateway.domain.observation import Answer, FaultCause, Instant, OutageCause, Step
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
        clean_of: the same by cause, for checks that found something else.
        ended: end of the last completed check.
        last_failed: start of the last check that got no answer.
        failed_before: the one before it that somebody else's good answer bears out: what counts when
            the last one turns out to have been made blind.
        mark / kind: every second before `mark` has been given away; those after it are of `kind`.
        bad_since: since when the open outage has been bad without a break.
        lost_since: since when the open outage could not be watched.
        borne_out: a witness was there when its last failed check was judged.
        accepted: it is work although it may never have been seen good (runtime.takeover).
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
    clean_of: dict[FaultCause, Instant] = field(default_factory=dict)
    ended: Instant | None = None
    last_failed: Instant | None = None
    failed_before: Instant | None = None
    first_good: Instant | None = None
    outage: Outage[Instant] | None = None
    faults: dict[FaultCause, Fault[Instant]] = field(default_factory=dict)
    runs: dict[FaultCause, FaultRun] = field(default_factory=dict)
    kind: Kind = Kind.UNOBSERVED
    maintenance: bool = False
    unwatched: bool = False
    bad_since: Instant | None = None
    lost_since: Instant | None = None
    borne_out: bool = False
    accepted: bool = False
    why: tuple[str, ...] = ()
    """The reason chain of the last check that failed."""

    def saw_clean(self, answer: Answer) -> None:
        """A check without findings: from here on a new fault has its lower bound."""
        self.clean = answer.started
        if answer.step is Step.SIGNED and FaultCause.AUTH in answer.tested:
            self.signed_clean = answer.started

    def clean_before(self, cause: FaultCause, *, signed: bool) -> Instant | None:
        """Start of the last check that would have found a fault, and did not."""
        clean = self.signed_clean if signed else self.clean
        known = [at for at in (clean, self.clean_of.get(cause)) if at is not None]
        return max(known, default=None)

    @property
    def bad_kind(self) -> Kind:
        """Whose the seconds are while it does not answer."""
        upstream = self.outage is not None and self.outage.cause is OutageCause.UPLINK
        return Kind.BAD_UPSTREAM if upstream else Kind.BAD

    def lose_sight(self, at: Instant) -> None:
        """From here on the open outage is not watched: its seconds are not bad any more."""
        if self.outage is None or self.lost_since is not None:
            return
        if self.bad_since is not None:
            bad = self.outage.bad_s + max(0.0, at - self.bad_since)
            self.outage = replace(self.outage, bad_s=bad)
            self.bad_since = None
        self.lost_since = max(at, self.outage.failed_at)

    def catch_sight(self, outage: Outage[Instant], at: Instant) -> Outage[Instant]:
        """It is watched again: the open outage with what was lost meanwhile."""
        if self.lost_since is None:
            return outage
        lost = max(0.0, at - self.lost_since)
        self.lost_since = None
        return replace(outage, unobserved_s=outage.unobserved_s + lost)

    @property
    def takeover(self) -> bool:
        """Never seen good since import, nor accepted as work (存量故障)."""
        return self.first_good is None and not self.accepted

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

    def hand_over(self, live: Live, since: Instant, old: Kind, new: Kind) -> None:
        """The seconds since then that were given to one kind belong to another after all."""
        if live.mark > since and live.outage is not None and not live.outage.flapping:
            self.book.move(live.index, old, new, self.epoch(since), self.epoch(live.mark))
        if live.kind is old:
            self.settle(live, since, new)

    def settle_observed(self, live: Live) -> None:
        """Give away what is certain now: up to the last completed check, never under suspicion."""
        if live.ended is not None and live.health.phase not in SUSPICION:
            self.settle(live, live.ended)

    def gap(self, live: Live, start: Instant, end: Instant) -> None:
        """We could not watch between two instants; afterwards it is what it was before."""
        self.settle(live, start)
        before, live.kind = live.kind, Kind.UNOBSERVED
        self.settle(live, end, before)


def reason_of(answer: Answer) -> tuple[str, ...]:
    """The reason chain of a check, one line a step, as it stands in the rows."""
    marks = {True: "ok", False: "failed", None: "-"}
    return tuple(f"{t.name}: {marks[t.ok]} {t.detail}".strip() for t in answer.chain)
