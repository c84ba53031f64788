"""What an answer says of when the device was heard."""

from gateway.domain.observation import Answer, FaultCause, Finding, Instant, Step, Verdict


def answer(step: Step, *found: Finding) -> Answer:
    return Answer(step, Instant(10.0), Instant(12.5), Verdict.ANSWERED, found=found)


def test_a_whole_good_reply_was_heard_at_its_end() -> None:
    assert answer(Step.REACH).heard == 12.5


def test_of_several_requests_or_an_odd_reply_only_the_start_is_certain() -> None:
    assert answer(Step.SIGNED).heard == 10.0
    assert answer(Step.REACH, Finding(FaultCause.BAD_RESPONSE)).heard == 10.0
