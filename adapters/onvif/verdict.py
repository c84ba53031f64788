"""What the reply to the unsigned GetSystemDateAndTime says about a device (`semantics.md` §2).

HTTP status before SOAP; any status line is a sign of life. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from adapters.dial import MEANING, Trouble
from adapters.onvif.content import device_time, header_time
from adapters.onvif.known import KnownReplies
from adapters.onvif.replies import Fault, FaultKind, Soap, read
from adapters.onvif.transport import NoReply, Reply
from gateway.domain.camera import Device
from gateway.domain.observation import FaultCause, Finding, OutageCause, TraceStep, Verdict

SERVICE = frozenset({FaultCause.NOT_ONVIF, FaultCause.BAD_RESPONSE, FaultCause.TLS})
"""What a reply that is not a time can still be judged by."""
TESTED_WITH: Mapping[FaultCause, frozenset[FaultCause]] = {
    # What is broken hides what lies behind it: that is not tested, so it neither opens nor closes.
    FaultCause.TLS: frozenset({FaultCause.TLS}),
    FaultCause.NOT_ONVIF: frozenset({FaultCause.TLS, FaultCause.NOT_ONVIF}),
    FaultCause.BAD_RESPONSE: frozenset({FaultCause.TLS, FaultCause.BAD_RESPONSE}),
}
WITH_CLOCK = {
    tested: tested | {FaultCause.CLOCK} for tested in (SERVICE, TESTED_WITH[FaultCause.TLS])
}
"""Made once: 12,328 last answers share them."""
DEMANDS_LOGIN = frozenset({401, 403, 407})
BUSY = frozenset({429, 503})
HTTP_OK = 200
HALF_SECOND_S = 0.5
"""Devices cut their time down to whole seconds: on average half a second is missing."""


@dataclass(slots=True)
class Reached:
    """The verdict of the unsigned question."""

    verdict: Verdict
    cause: OutageCause | None = None
    tested: frozenset[FaultCause] = frozenset()
    found: tuple[Finding, ...] = ()
    rtt_s: float | None = None
    offset_s: float | None = None
    service: TraceStep | None = None
    """What SOAP said, when there was anything to say."""
    chain: list[TraceStep] = field(default_factory=list)


def reach(
    outcome: Reply | NoReply,
    utc_at_end: Callable[[], datetime],
    clock_limit_s: float,
    known: KnownReplies | None = None,
) -> Reached:
    """Judge the outcome of one GetSystemDateAndTime.

    Args:
        outcome: what the transport brought back.
        utc_at_end: our UTC time at the moment when the body had been read.
        clock_limit_s: an offset beyond it is a `clock` fault.
        known: replies that lxml has judged good before; read without it, and added to.
    """
    if isinstance(outcome, NoReply):
        return _silent(outcome)
    spoken, told = _understand(outcome, known)
    offset_s = None
    if told is not None:
        # The device read its clock half a round trip before its first byte arrived.
        since_s = outcome.read_s + outcome.rtt_s / 2 + HALF_SECOND_S
        offset_s = (told - utc_at_end()).total_seconds() + since_s
    reached = Reached(Verdict.ANSWERED, rtt_s=outcome.rtt_s, offset_s=offset_s)
    if isinstance(spoken, Finding):
        reached.tested, reached.found = TESTED_WITH[spoken.cause], (spoken,)
        reached.service = TraceStep("soap", ok=False, detail=spoken.detail)
        return reached
    reached.tested = SERVICE if outcome.status not in BUSY else TESTED_WITH[FaultCause.TLS]
    if offset_s is not None:
        reached.tested = WITH_CLOCK[reached.tested]
        if abs(offset_s) > clock_limit_s:
            reached.found = (Finding(FaultCause.CLOCK, f"{offset_s:+.0f} s off"),)
    reached.service = _said(spoken, outcome.status)
    return reached


def _understand(
    reply: Reply, known: KnownReplies | None
) -> tuple[Soap | Finding | None, datetime | None]:
    """What the service says, and its time; (None, time) for a known reply."""
    plain = known is not None and reply.status == HTTP_OK and reply.flaw is None
    if known is not None and plain and (told := known.read(reply.body)) is not None:
        return None, told
    spoken = _service(reply)
    if isinstance(spoken, Finding):
        return spoken, None
    soap = spoken if spoken is not None and spoken.fault is None else None
    told = device_time(soap) if soap is not None else None
    if known is not None and plain and soap is not None and told is not None and not soap.mended:
        known.learn(reply.body, told)
    return spoken, told or header_time(reply.headers)


def _silent(outcome: NoReply) -> Reached:
    meaning = MEANING[outcome.trouble]
    if meaning.fault is None:
        return Reached(meaning.verdict, meaning.cause)
    found = (Finding(meaning.fault, outcome.detail),)
    return Reached(meaning.verdict, None, TESTED_WITH[meaning.fault], found)


def _service(reply: Reply) -> Soap | Finding | None:
    """The envelope, what is wrong, or None: alive, but it tells nothing to a stranger (quirk 2)."""
    status = reply.status
    if status in DEMANDS_LOGIN or status in BUSY:
        return None
    if 300 <= status < 400:  # noqa: PLR2004 - never followed
        return Finding(FaultCause.NOT_ONVIF, "redirect")
    soap = read(reply)
    ok = 200 <= status < 300  # noqa: PLR2004
    if isinstance(soap, Finding):
        return soap if ok else _not_soap(reply, soap)
    if soap.fault is not None:
        return _faulted(soap, soap.fault)
    if not ok or soap.name != "GetSystemDateAndTimeResponse":
        return Finding(FaultCause.BAD_RESPONSE, f"HTTP {status}: {soap.name[:60]} is no answer")
    return soap


def _not_soap(reply: Reply, finding: Finding) -> Finding:
    """An error status without a fault: something else answers, or the service is broken."""
    if reply.body.strip():
        if finding.cause is FaultCause.BAD_RESPONSE:
            return Finding(finding.cause, f"HTTP {reply.status}: {finding.detail}")
    elif reply.status >= 500:  # noqa: PLR2004
        return Finding(FaultCause.BAD_RESPONSE, f"HTTP {reply.status} without a body")
    return Finding(FaultCause.NOT_ONVIF, f"HTTP {reply.status}, not SOAP")


def _faulted(soap: Soap, fault: Fault) -> Soap | Finding:
    """A fault that shows an ONVIF service at work is a sign of health without a time (quirk 2)."""
    if fault.kind is FaultKind.OTHER:
        return Finding(FaultCause.BAD_RESPONSE, f"fault: {fault.text}")
    return soap


def _said(spoken: Soap | None, status: int) -> TraceStep:
    if spoken is None and status == HTTP_OK:
        return TraceStep("soap", ok=True)  # a known reply
    if spoken is None:
        return TraceStep("soap", ok=None, detail="tells nothing without a login")
    if spoken.fault is not None:
        return TraceStep("soap", ok=None, detail=f"fault: {spoken.fault.text}")
    return TraceStep("soap", ok=True, detail=spoken.mended)


def chain(outcome: Reply | NoReply, reached: Reached, device: Device) -> list[TraceStep]:
    """What was tried, in the order of the ladder: tcp, tls, http, soap, clock."""
    steps = _line(outcome, device)
    if isinstance(outcome, NoReply):
        return steps
    steps.append(TraceStep("http", ok=True, detail=str(outcome.status), ms=outcome.rtt_s * 1000))
    if reached.service is not None:
        steps.append(reached.service)
    if reached.offset_s is not None:
        off = any(finding.cause is FaultCause.CLOCK for finding in reached.found)
        steps.append(TraceStep("clock", ok=not off, detail=f"{reached.offset_s:+.1f} s"))
    return steps


def _line(outcome: Reply | NoReply, device: Device) -> list[TraceStep]:
    reused = outcome.reused if isinstance(outcome, NoReply) else outcome.connect_s is None
    if reused:
        steps = [TraceStep("tcp", ok=True, detail="kept connection")]
    elif outcome.connect_s is not None:
        ms = outcome.connect_s * 1000
        steps = [TraceStep("tcp", ok=True, ms=ms)]
        if device.tls:
            steps.append(TraceStep("tls", ok=True, detail="not verified; time stands at tcp"))
    else:
        return _not_connected(outcome)
    if isinstance(outcome, NoReply):
        ms = outcome.waited_s * 1000
        name = "tls" if outcome.trouble is Trouble.TLS else "http"
        steps.append(TraceStep(name, ok=False, detail=outcome.detail, ms=ms))
    return steps


def _not_connected(outcome: Reply | NoReply) -> list[TraceStep]:
    assert isinstance(outcome, NoReply)  # noqa: S101 - a reply has a connection
    ms = outcome.waited_s * 1000
    if outcome.trouble is Trouble.TLS:
        return [TraceStep("tcp", ok=True), TraceStep("tls", ok=False, detail=outcome.detail, ms=ms)]
    ok = None if outcome.trouble is Trouble.OURS else False
    return [TraceStep("tcp", ok=ok, detail=outcome.detail, ms=ms)]
