"""Is a channel there: the state machine of one channel, as a table.

Everything that moves a channel from one phase to another stands in TRANSITIONS; the diagram in
docs/design/health.md is drawn from it. Phases are inside the machine; `state_of` says what people
see. The clock is the caller's: all times are CLOCK_BOOTTIME seconds.

- Suspicion (疑似离线) is not a state: people go on seeing what it began from (`basis`).
- `offline` needs enough failures (ENOUGH) *and* a witness (CONVICTED): no witness, no offline.
- One good answer is not yet a return: the second is asked for at once.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.domain.ledger import State
from gateway.domain.observation import Instant, OutageCause, Verdict


class Phase(StrEnum):
    """Where a channel stands inside the machine."""

    NEW = "new"
    """Never yet checked."""
    UP = "up"
    SUSPECT = "suspect"
    AWAITING = "awaiting"
    """Failed often enough; waits for a witness, or for the verdict on a node above."""
    DOWN = "down"
    RETURNING = "returning"
    """One good answer; the second decides."""
    CALMING = "calming"
    """Answers again, but it flaps: the row stays open until it is calm."""
    UNWATCHED = "unwatched"
    """We could not watch; what it was before does not count any more."""


class Sign(StrEnum):
    """What happened to a channel."""

    GOOD = "good"
    SHAKY = "shaky"
    """A good answer of a flapping channel that has not been calm for long enough."""
    BAD = "bad"
    ENOUGH = "enough"
    """A failure that completes the run."""
    CONVICTED = "convicted"
    """A witness (or a node that is down) bears the failures out."""
    UNTOLD = "untold"
    """Our own trouble: neither counts nor resets."""
    BLINDED = "blinded"
    """A check failed, and the gateway was blind: it proves nothing."""
    LAPSED = "lapsed"
    """No completed check for three cadences."""
    SIGHTED = "sighted"
    """The gateway sees again: what was good before the blindness is believed until it is asked."""


TRANSITIONS: dict[tuple[Phase, Sign], Phase] = {
    **{(phase, Sign.UNTOLD): phase for phase in Phase},
    **{(phase, Sign.SIGHTED): phase for phase in Phase},
    (Phase.UNWATCHED, Sign.SIGHTED): Phase.UP,
    (Phase.NEW, Sign.GOOD): Phase.UP,
    (Phase.NEW, Sign.SHAKY): Phase.UP,
    (Phase.NEW, Sign.BAD): Phase.SUSPECT,
    (Phase.NEW, Sign.ENOUGH): Phase.SUSPECT,
    (Phase.NEW, Sign.CONVICTED): Phase.NEW,
    (Phase.NEW, Sign.BLINDED): Phase.NEW,
    (Phase.NEW, Sign.LAPSED): Phase.NEW,
    (Phase.UP, Sign.GOOD): Phase.UP,
    (Phase.UP, Sign.SHAKY): Phase.UP,
    (Phase.UP, Sign.BAD): Phase.SUSPECT,
    (Phase.UP, Sign.ENOUGH): Phase.SUSPECT,
    (Phase.UP, Sign.CONVICTED): Phase.UP,
    (Phase.UP, Sign.BLINDED): Phase.UNWATCHED,
    (Phase.UP, Sign.LAPSED): Phase.UNWATCHED,
    (Phase.SUSPECT, Sign.GOOD): Phase.UP,
    (Phase.SUSPECT, Sign.SHAKY): Phase.UP,
    (Phase.SUSPECT, Sign.BAD): Phase.SUSPECT,
    (Phase.SUSPECT, Sign.ENOUGH): Phase.AWAITING,
    (Phase.SUSPECT, Sign.CONVICTED): Phase.DOWN,
    (Phase.SUSPECT, Sign.BLINDED): Phase.UNWATCHED,
    (Phase.SUSPECT, Sign.LAPSED): Phase.UNWATCHED,
    (Phase.AWAITING, Sign.GOOD): Phase.UP,
    (Phase.AWAITING, Sign.SHAKY): Phase.UP,
    (Phase.AWAITING, Sign.BAD): Phase.AWAITING,
    (Phase.AWAITING, Sign.ENOUGH): Phase.AWAITING,
    (Phase.AWAITING, Sign.CONVICTED): Phase.DOWN,
    (Phase.AWAITING, Sign.BLINDED): Phase.UNWATCHED,
    (Phase.AWAITING, Sign.LAPSED): Phase.UNWATCHED,
    (Phase.DOWN, Sign.GOOD): Phase.RETURNING,
    (Phase.DOWN, Sign.SHAKY): Phase.RETURNING,
    (Phase.DOWN, Sign.BAD): Phase.DOWN,
    (Phase.DOWN, Sign.ENOUGH): Phase.DOWN,
    (Phase.DOWN, Sign.CONVICTED): Phase.DOWN,
    (Phase.DOWN, Sign.BLINDED): Phase.DOWN,
    (Phase.DOWN, Sign.LAPSED): Phase.DOWN,
    (Phase.RETURNING, Sign.GOOD): Phase.UP,
    (Phase.RETURNING, Sign.SHAKY): Phase.CALMING,
    (Phase.RETURNING, Sign.BAD): Phase.DOWN,
    (Phase.RETURNING, Sign.ENOUGH): Phase.DOWN,
    (Phase.RETURNING, Sign.CONVICTED): Phase.RETURNING,
    (Phase.RETURNING, Sign.BLINDED): Phase.RETURNING,
    (Phase.RETURNING, Sign.LAPSED): Phase.DOWN,
    (Phase.CALMING, Sign.GOOD): Phase.UP,
    (Phase.CALMING, Sign.SHAKY): Phase.CALMING,
    (Phase.CALMING, Sign.BAD): Phase.DOWN,
    (Phase.CALMING, Sign.ENOUGH): Phase.DOWN,
    (Phase.CALMING, Sign.CONVICTED): Phase.CALMING,
    (Phase.CALMING, Sign.BLINDED): Phase.CALMING,
    (Phase.CALMING, Sign.LAPSED): Phase.DOWN,
    (Phase.UNWATCHED, Sign.GOOD): Phase.UP,
    (Phase.UNWATCHED, Sign.SHAKY): Phase.UP,
    (Phase.UNWATCHED, Sign.BAD): Phase.SUSPECT,
    (Phase.UNWATCHED, Sign.ENOUGH): Phase.SUSPECT,
    (Phase.UNWATCHED, Sign.CONVICTED): Phase.UNWATCHED,
    (Phase.UNWATCHED, Sign.BLINDED): Phase.UNWATCHED,
    (Phase.UNWATCHED, Sign.LAPSED): Phase.UNWATCHED,
}

SUSPICION = frozenset({Phase.SUSPECT, Phase.AWAITING})
LOST = frozenset({Phase.DOWN, Phase.RETURNING, Phase.CALMING})
"""Phases with an open outage row."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Numbers of semantics §4, in seconds; the defaults are the law's."""

    cadence_s: float = 30.0
    recheck_s: float = 5.0
    confirm_failures: int = 3
    confirm_span_s: float = 10.0
    blind_after_s: float = 15.0
    lapse_cadences: float = 3.0
    flap_losses: int = 4
    flap_window_s: float = 1800.0
    flap_calm_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Check:
    """The part of an answer that health looks at."""

    verdict: Verdict
    started: Instant
    ended: Instant
    cause: OutageCause | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """One channel inside the machine.

    Attributes:
        basis: what the suspicion began from: UP, NEW or UNWATCHED.
        first_started / failed: start and end of the first failed check of the run.
        last_failed: start of the last failed check.
        failures: failed checks in a row.
        back: end of the first good answer of a return that is still going on.
        losses: when the last losses were confirmed (inside the flapping window).
        flapping: the open row is a flapping one.
    """

    phase: Phase = Phase.NEW
    basis: Phase = Phase.NEW
    first_started: Instant | None = None
    failed: Instant | None = None
    last_failed: Instant | None = None
    failures: int = 0
    cause: OutageCause | None = None
    back: Instant | None = None
    losses: tuple[Instant, ...] = ()
    flapping: bool = False


def observe(health: Health, check: Check, rules: Rules) -> Health:
    """What one completed check makes of a channel."""
    if check.verdict is Verdict.COULD_NOT_TELL:
        return health
    if check.verdict is Verdict.ANSWERED:
        return _good(health, check, rules)
    return _bad(health, check, rules)


def _good(health: Health, check: Check, rules: Rules) -> Health:
    back = health.back if health.back is not None else check.ended
    calm = check.ended - back >= rules.flap_calm_s
    sign = Sign.SHAKY if health.flapping and not calm else Sign.GOOD
    phase = TRANSITIONS[health.phase, sign]
    if phase is Phase.UP:
        return Health(phase, Phase.UP, losses=health.losses, back=None)
    return replace(health, phase=phase, back=back)


def _bad(health: Health, check: Check, rules: Rules) -> Health:
    cause = check.cause or OutageCause.TIMEOUT
    if health.phase in LOST:
        phase = TRANSITIONS[health.phase, Sign.BAD]
        return replace(health, phase=phase, last_failed=check.started, cause=cause, back=None)
    if health.first_started is None or health.phase not in SUSPICION:
        return Health(
            TRANSITIONS[health.phase, Sign.BAD],
            health.phase,
            first_started=check.started,
            failed=check.ended,
            last_failed=check.started,
            failures=1,
            cause=cause,
            losses=health.losses,
        )
    failures = health.failures + 1
    span = check.ended - health.first_started
    enough = failures >= rules.confirm_failures and span >= rules.confirm_span_s
    sign = Sign.ENOUGH if enough else Sign.BAD
    return replace(
        health,
        phase=TRANSITIONS[health.phase, sign],
        failures=failures,
        last_failed=check.started,
        cause=cause,
    )


def convict(health: Health, now: Instant, rules: Rules) -> Health:
    """Confirm the loss of a channel under suspicion: the caller has a witness."""
    phase = TRANSITIONS[health.phase, Sign.CONVICTED]
    if phase is not Phase.DOWN or health.phase is Phase.DOWN:
        return replace(health, phase=phase)
    losses = (*(at for at in health.losses if at > now - rules.flap_window_s), now)
    flapping = len(losses) >= rules.flap_losses
    return replace(health, phase=phase, losses=losses, flapping=flapping, back=None)


def unwatch(health: Health, sign: Sign) -> Health:
    """A check failed while the gateway was blind (BLINDED), or none was made (LAPSED).

    After a blindness `basis` keeps what the channel was before; after a lapse nothing is known, and a
    return that was going on begins anew: calm is an *unbroken* run of good answers.
    """
    phase = TRANSITIONS[health.phase, sign]
    if phase is not Phase.UNWATCHED:
        return replace(health, phase=phase, back=None if sign is Sign.LAPSED else health.back)
    inside = health.phase in SUSPICION or health.phase is Phase.UNWATCHED
    before = health.basis if inside else health.phase
    basis = before if sign is Sign.BLINDED else Phase.UNWATCHED
    return Health(phase, basis, losses=health.losses)


def sighted(health: Health) -> Health:
    """The gateway sees again."""
    sign = Sign.SIGHTED if health.basis is Phase.UP else Sign.UNTOLD
    return replace(health, phase=TRANSITIONS[health.phase, sign])


def next_recheck(health: Health, rules: Rules, after: Instant) -> Instant:
    """When a suspect is asked again: 5 s, 10 s ... after the *start* of the first failed check."""
    started = health.first_started if health.first_started is not None else after
    turns = max(1, int((after - started) / rules.recheck_s) + 1)
    return Instant(started + turns * rules.recheck_s)


def state_of(
    health: Health,
    *,
    in_use: bool = True,
    in_maintenance: bool = False,
    unwatched: bool = False,
    faulty: bool = False,
) -> State:
    """What people see, by precedence (semantics §2)."""
    phase = health.basis if health.phase in SUSPICION else health.phase
    ladder = (
        (not in_use, State.DECOMMISSIONED),
        (in_maintenance, State.MAINTENANCE),
        (unwatched or phase in {Phase.NEW, Phase.UNWATCHED}, State.UNKNOWN),
        (phase in LOST, State.OFFLINE),
        (faulty, State.DEGRADED),
    )
    return next((state for holds, state in ladder if holds), State.ONLINE)
