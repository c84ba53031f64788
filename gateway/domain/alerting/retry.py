"""When a message is tried again, when it is given up, and when the whole center counts as away.

Two questions, apart: what becomes of *this message* (`after_attempt`), and whether the center answers *at
all* (`Reach`). While it does not, one message at a time feels for it, so that a center which comes back finds
everything due at once and nobody hammers one that is down.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.domain.alerting.rows import Alert, AlertPhase, AlertState

REASON_MOST = 300
NO_ADDRESS = "the settings name no address for this recipient"


@dataclass(frozen=True, slots=True)
class RetryRules:
    """The numbers of retrying; all times in seconds.

    Attributes:
        first_s / most_s: pause after the first failure of a message, doubled each time up to the most.
        give_up_s: a message older than this becomes a dead letter with its next failure ...
        attempts_least: ... once it was tried so often: what is replayed is old already.
        asked_most_s: what `Retry-After` may ask for at most: as long as our own longest pause. It holds
            back everything for the center, also what is a matter of life, and a wrong date may ask for
            weeks; after so long one attempt asks again.
        away_after: so many failures in a row, over all messages, and the center counts as away.
        probe_first_s / probe_most_s: pauses between attempts while it is away.
    """

    first_s: float = 5.0
    most_s: float = 3600.0
    give_up_s: float = 3 * 86_400.0
    attempts_least: int = 8
    asked_most_s: float = 3600.0
    away_after: int = 3
    probe_first_s: float = 1.0
    probe_most_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one attempt ended.

    Attributes:
        delivered: the center said 2xx in time and its acknowledgement, if any, fits.
        retry: whether trying again makes sense (False = dead letter).
        after_s: what `Retry-After` asked for, if it did.
        reason: for people, without secrets.
    """

    delivered: bool
    retry: bool = True
    after_s: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether the center answers.

    Attributes:
        failures: attempts in a row that ended without a proper answer.
        wait_until_s: nothing is sent before this instant (any steady clock, seconds).
        away: one attempt at a time, with pauses.
    """

    failures: int = 0
    wait_until_s: float = 0.0
    away: bool = False


def spread(pause_s: float, jitter: float) -> float:
    """A pause between half of it and all of it; `jitter` is drawn from [0, 1)."""
    return pause_s * (0.5 + jitter / 2)


def doubled(first_s: float, most_s: float, times: int) -> float:
    """`first_s` doubled so many times, bounded."""
    return min(most_s, first_s * 2.0 ** min(times, 30))


def reached(
    reach: Reach, outcome: Delivery, now_s: float, rules: RetryRules, jitter: float
) -> Reach:
    """The center after one attempt. A proper "no" is an answer too."""
    if outcome.delivered or not outcome.retry:
        return Reach()
    failures = reach.failures + 1
    away = failures >= rules.away_after
    pause_s = 0.0
    if away:
        steps = failures - rules.away_after
        pause_s = spread(doubled(rules.probe_first_s, rules.probe_most_s, steps), jitter)
    if outcome.after_s is not None:
        pause_s = max(pause_s, min(outcome.after_s, rules.asked_most_s))
    return Reach(failures, max(reach.wait_until_s, now_s + pause_s), away)


def may_send(reach: Reach, in_flight: int, now_s: float) -> bool:
    """Whether another message may go out now."""
    return now_s >= reach.wait_until_s and not (reach.away and in_flight)


def after_attempt(
    alert: Alert, outcome: Delivery, reach: Reach, now: datetime, rules: RetryRules, jitter: float
) -> Alert:
    """The message after one attempt.

    Args:
        alert: as it was sent.
        outcome: how the attempt ended.
        reach: the center after it: a message that failed because the center is away is due again as
            soon as that may have changed, not after a pause of its own.
        now: when the attempt ended.
        rules: numbers.
        jitter: drawn from [0, 1).
    """
    attempts = alert.attempts + 1
    reason = outcome.reason[:REASON_MOST]
    if outcome.delivered:
        return replace(
            alert,
            state=AlertState.DELIVERED,
            attempts=attempts,
            next_at=None,
            delivered_at=now,
            reason=reason,
        )
    if not outcome.retry:
        return _dead(alert, attempts, reason)
    old = (now - alert.created_at).total_seconds() >= rules.give_up_s
    if old and attempts >= rules.attempts_least:
        return _dead(alert, attempts, f"given up after {attempts} attempts: {reason}"[:REASON_MOST])
    most_s = rules.probe_most_s if reach.away else rules.most_s
    pause_s = spread(doubled(rules.first_s, most_s, attempts - 1), jitter)
    if outcome.after_s is not None:
        pause_s = max(pause_s, min(outcome.after_s, rules.asked_most_s))
    due = now + timedelta(seconds=pause_s)
    return replace(alert, attempts=attempts, next_at=due, reason=reason)


def _dead(alert: Alert, attempts: int, reason: str) -> Alert:
    return replace(alert, state=AlertState.DEAD, attempts=attempts, next_at=None, reason=reason)


def without_address(alert: Alert) -> Alert:
    """The message of a recipient that is not in the settings: a dead letter, to be sent again later."""
    return _dead(alert, alert.attempts, NO_ADDRESS)


def compact(pending: Sequence[Alert]) -> tuple[Alert, tuple[Alert, ...]]:
    """Of several pending revisions of one incident: the one to send, and those it supersedes.

    Each message tells the whole incident, so the newest says everything that the older ones would.

    Args:
        pending: at least one, of one recipient and key, none of them on its way.
    """
    newest = max(pending, key=lambda alert: alert.revision)
    over = "closed" if newest.phase is AlertPhase.CLOSE else "told again"
    older = tuple(
        replace(
            alert,
            state=AlertState.SUPERSEDED,
            next_at=None,
            superseded_by=newest.id,
            reason=f"{over} before it was delivered",
        )
        for alert in sorted(pending, key=lambda alert: alert.revision)
        if alert is not newest
    )
    return newest, older


def replayed(alert: Alert, later: Sequence[Alert], now: datetime, who: str) -> Alert | str:
    """A dead letter that is pending again, or why it cannot be.

    Args:
        alert: the dead letter.
        later: newer messages of the same recipient and incident.
        now: when.
        who: asked for it.
    """
    if alert.state is not AlertState.DEAD:
        return f"only dead letters are replayed; this one is {alert.state}"
    told = [one for one in later if one.state is not AlertState.DEAD]
    if told:
        newest = max(told, key=lambda one: one.revision)
        return f"revision {newest.revision} of the same incident is {newest.state} and says more"
    return replace(
        alert,
        state=AlertState.PENDING,
        attempts=0,
        next_at=now,
        reason=f"replayed by {who}"[:REASON_MOST],
    )
