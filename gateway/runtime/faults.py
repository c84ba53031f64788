"""Which fault (故障) does a channel that answers have, and since when?

A finding of an unsigned check is confirmed like a loss: often enough, over long enough. One of a signed
check counts at once, for asking again would cost logins. A fault closes with the first check that could
have found it and did not.

Invariants: at most one open fault a channel and cause; a cause has a run (`Live.runs`) or an open fault
(`Live.faults`), never both; a check says nothing about causes it did not test.
"""

from dataclasses import replace

from gateway.domain.ledger import Ending, Fault
from gateway.domain.observation import Answer, FaultCause, Finding, Instant, Step
from gateway.runtime.docket import Docket
from gateway.runtime.live import FaultRun, Live, reason_of

SIGNED_CAUSES = frozenset({FaultCause.AUTH, FaultCause.LOCKED_OUT, FaultCause.WRONG_DEVICE})
"""Faults that only a signed check can find."""


def find(docket: Docket, live: Live, answer: Answer) -> None:
    """Open, keep and close the faults that an answer speaks of."""
    found = {finding.cause: finding for finding in answer.found}
    for cause in answer.tested | set(found):
        finding = found.get(cause)
        if finding is not None:
            _seen(docket, live, answer, finding)
            continue
        live.clean_of[cause] = answer.started
        live.runs.pop(cause, None)
        if cause in live.faults:
            docket.accountant.settle(live, answer.ended)
            docket.close_fault(live, cause, answer.ended, Ending.RECOVERED)
    docket.restate(live, answer.ended)


def _seen(docket: Docket, live: Live, answer: Answer, finding: Finding) -> None:
    fault = live.faults.get(finding.cause)
    if fault is not None:
        # Not a row each time: it is written when something else about it changes.
        live.faults[finding.cause] = replace(fault, last_failed_at=answer.started)
        return
    run = live.runs.get(finding.cause)
    if run is None:
        run = live.runs[finding.cause] = FaultRun(answer.started, answer.ended)
    else:
        run.count += 1
    rules = docket.rules.health
    span = answer.ended - run.first_started
    # A login is judged once: asking again would cost logins, and devices lock out.
    once = finding.cause in SIGNED_CAUSES
    if once or (run.count >= rules.confirm_failures and span >= rules.confirm_span_s):
        _open(docket, live, answer, finding)
    else:
        docket.ask(live, Step.REACH, Instant(run.first_started + run.count * rules.recheck_s))


def _open(docket: Docket, live: Live, answer: Answer, finding: Finding) -> None:
    run = live.runs.pop(finding.cause)
    docket.accountant.settle(live, run.failed)
    fault = Fault(
        id=docket.row_id(f"fault/{finding.cause}", live.camera.id, run.failed),
        channel=live.camera.id,
        cause=finding.cause,
        last_seen_at=live.clean_before(finding.cause, signed=finding.cause in SIGNED_CAUSES),
        failed_at=run.failed,
        confirmed_at=answer.ended,
        last_failed_at=answer.started,
        reason=(*reason_of(answer), finding.detail),
        planned=live.maintenance,
    )
    docket.put_fault(live, fault)
