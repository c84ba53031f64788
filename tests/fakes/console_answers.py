"""What devices answer in the scene of the console: well, not at all, not well enough."""

from random import Random

from gateway.domain.observation import (
    Answer,
    FaultCause,
    Finding,
    Instant,
    OutageCause,
    Step,
    TraceStep,
    Verdict,
)

FAILED_CHAINS = {
    OutageCause.REFUSED: (TraceStep("tcp", ok=False, detail="connection refused", ms=0.8),),
    OutageCause.UNREACHABLE: (TraceStep("tcp", ok=False, detail="no route to host", ms=1204.0),),
    OutageCause.UPLINK: (TraceStep("tcp", ok=False, detail="no answer within 2 s", ms=2000.3),),
    OutageCause.POWER: (TraceStep("tcp", ok=False, detail="no answer within 2 s", ms=2000.3),),
    OutageCause.TIMEOUT: (
        TraceStep("tcp", ok=True, ms=11.2),
        TraceStep("http", ok=False, detail="no status line within 3 s", ms=2988.7),
    ),
}
FAULTS = {
    FaultCause.CLOCK: "device clock 41.7 s ahead",
    FaultCause.AUTH: "401 after a signed request",
    FaultCause.NOT_ONVIF: "200 text/html from /onvif/device_service",
    FaultCause.BAD_RESPONSE: "the envelope ends before its closing tag",
    FaultCause.WRONG_DEVICE: "serial differs from the archive",
}


def good(started: Instant, rng: Random) -> Answer:
    """A check in which every step was good."""
    rtt = rng.uniform(0.004, 0.04)
    ended = Instant(started + rtt)
    offset = rng.uniform(-2, 2)
    return Answer(Step.REACH, started, ended, Verdict.ANSWERED, rtt_s=rtt, clock_offset_s=offset)


def failed(started: Instant, cause: OutageCause) -> Answer:
    """A check without an answer."""
    ended = Instant(started + 2)
    chain = FAILED_CHAINS[cause]
    return Answer(Step.REACH, started, ended, Verdict.NO_ANSWER, cause=cause, chain=chain)


def degraded(started: Instant, cause: FaultCause) -> Answer:
    """A check of a device that answers, but not well."""
    chain = (
        TraceStep("tcp", ok=True, ms=9.1),
        TraceStep("http", ok=True, detail="200", ms=18.4),
        TraceStep("soap", ok=cause is not FaultCause.BAD_RESPONSE, ms=1.2),
        TraceStep(cause.value, ok=False, detail=FAULTS[cause], ms=0.1),
    )
    return Answer(
        Step.SIGNED,
        started,
        Instant(started + 0.03),
        Verdict.ANSWERED,
        tested=frozenset({cause}),
        found=(Finding(cause, FAULTS[cause]),),
        chain=chain,
        rtt_s=0.018,
    )
