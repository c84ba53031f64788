"""Which check fits a device, decided from answers."""

from gateway.domain.camera import CheckBy, Device, DeviceId, NodeId
from gateway.domain.observation import (
    Answer,
    FaultCause,
    Finding,
    Instant,
    OutageCause,
    Step,
    Verdict,
)
from gateway.domain.survey import Proposal, propose, questions

DEVICE = Device(DeviceId("10.0.0.1:80"), "10.0.0.1", 80, NodeId("n"), tls=True)


def answer(
    verdict: Verdict, fault: FaultCause | None = None, cause: OutageCause | None = None
) -> Answer:
    found = (Finding(fault),) if fault else ()
    return Answer(Step.REACH, Instant(0), Instant(1), verdict, cause, found=found)


GOOD = answer(Verdict.ANSWERED)
PAGE = answer(Verdict.ANSWERED, FaultCause.NOT_ONVIF)
SILENT = answer(Verdict.NO_ANSWER, cause=OutageCause.REFUSED)


def decide(*answers: Answer) -> Proposal | None:
    return propose(DEVICE, list(zip(questions(DEVICE), answers, strict=False)))


def test_onvif_is_asked_first_then_rtsp_on_554_and_here_then_tcp() -> None:
    asked = [(q.check_by, q.port, q.tls) for q in questions(DEVICE)]
    assert asked == [
        (CheckBy.ONVIF, 80, True),
        (CheckBy.RTSP, 554, False),
        (CheckBy.RTSP, 80, False),
        (CheckBy.TCP, 80, True),
    ]


def test_port_554_is_asked_once() -> None:
    device = Device(DeviceId("d"), "10.0.0.1", 554, NodeId("n"))
    assert [q.check_by for q in questions(device)] == [CheckBy.ONVIF, CheckBy.RTSP, CheckBy.TCP]


def test_what_speaks_onvif_stays_even_with_a_wrong_clock() -> None:
    for good in (GOOD, answer(Verdict.ANSWERED, FaultCause.CLOCK)):
        assert decide(good) == Proposal(CheckBy.ONVIF, 80, changes=False, reason="answers ONVIF")


def test_nothing_is_decided_before_the_next_question() -> None:
    assert decide() is None
    assert decide(PAGE) is None
    assert decide(PAGE, SILENT, PAGE) is None


def test_rtsp_is_proposed_with_its_port() -> None:
    found = decide(PAGE, GOOD)
    assert found is not None
    assert (found.check_by, found.port, found.changes) == (CheckBy.RTSP, 554, True)


def test_tcp_is_the_last_resort() -> None:
    found = decide(PAGE, SILENT, PAGE, GOOD)
    assert found is not None
    assert (found.check_by, found.port, found.changes) == (CheckBy.TCP, 80, True)


def test_a_dead_device_gets_no_proposal() -> None:
    found = decide(SILENT, SILENT, SILENT, SILENT)
    assert found == Proposal(None, 80, changes=False, reason="nothing answers: refused")


def test_our_own_trouble_ends_the_survey() -> None:
    found = decide(PAGE, answer(Verdict.COULD_NOT_TELL))
    assert found is not None
    assert found.check_by is None
    assert "try again" in found.reason
