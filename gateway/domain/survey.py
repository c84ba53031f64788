"""Which check fits a device: asked once after an import, proposed to a person, never applied alone.

`questions` lists what to ask, in order; `propose` decides as soon as the answers so far allow it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.domain.camera import CheckBy, Device
from gateway.domain.observation import Answer, FaultCause, OutageCause, Verdict

RTSP_PORT = 554
NOT_THIS_SERVICE = frozenset({FaultCause.NOT_ONVIF, FaultCause.BAD_RESPONSE, FaultCause.TLS})
"""Something answers, but not what was asked for."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """How a device should be asked.

    Attributes:
        check_by: None when nothing answered, so nothing can be proposed.
        port: the port at which it answered.
        changes: it differs from the archive.
        reason: one plain sentence.
    """

    check_by: CheckBy | None
    port: int
    changes: bool
    reason: str


def questions(device: Device) -> tuple[Device, ...]:
    """What to ask (step REACH, by `check_by` of each): ONVIF, RTSP on 554 and here, TCP."""
    rtsp_ports = dict.fromkeys((RTSP_PORT, device.port))
    return (
        replace(device, check_by=CheckBy.ONVIF),
        *(replace(device, check_by=CheckBy.RTSP, port=port, tls=False) for port in rtsp_ports),
        replace(device, check_by=CheckBy.TCP),
    )


def propose(device: Device, asked: Sequence[tuple[Device, Answer]]) -> Proposal | None:
    """The proposal, or None while the next question must be asked.

    Args:
        device: as the archive has it.
        asked: the questions asked so far, in order, with their answers.
    """
    if not asked:
        return None
    question, answer = asked[-1]
    if answer.verdict is Verdict.COULD_NOT_TELL:
        return Proposal(None, device.port, changes=False, reason="we could not tell: try again")
    if _speaks(answer):
        return _proposal(device, question)
    if len(asked) < len(questions(device)):
        return None
    cause = next((a.cause for _, a in asked if a.cause is not None), OutageCause.TIMEOUT)
    return Proposal(None, device.port, changes=False, reason=f"nothing answers: {cause.value}")


def _speaks(answer: Answer) -> bool:
    broken = {finding.cause for finding in answer.found} & NOT_THIS_SERVICE
    return answer.verdict is Verdict.ANSWERED and not broken


def _proposal(device: Device, question: Device) -> Proposal:
    changes = (question.check_by, question.port) != (device.check_by, device.port)
    reason = {
        CheckBy.ONVIF: "answers ONVIF",
        CheckBy.RTSP: f"no ONVIF; answers RTSP on port {question.port}",
        CheckBy.TCP: f"no ONVIF, no RTSP; port {question.port} accepts connections",
    }[question.check_by]
    return Proposal(question.check_by, question.port, changes, reason)
