"""Who is due when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.camera import DeviceId
from gateway.domain.observation import Instant, Step
from gateway.domain.schedule import Agenda, Due, next_due, phase

A, B = DeviceId("a:80"), DeviceId("b:80")


def due(at: float, device: DeviceId = A, step: Step = Step.REACH, *, routine: bool = True) -> Due:
    return Due(Instant(at), device, step, routine)


def test_phases_are_even_over_the_interval() -> None:
    phases = sorted(phase(DeviceId(f"10.0.{i // 256}.{i % 256}:80"), 30.0) for i in range(12_328))
    per_second = [0] * 30
    for at in phases:
        per_second[int(at)] += 1
    assert min(per_second) > 0.8 * 12_328 / 30
    assert max(per_second) < 1.2 * 12_328 / 30


def test_a_phase_is_always_the_same_and_another_for_another_seed() -> None:
    assert phase(A, 30.0) == phase(A, 30.0)
    assert phase(A, 30.0) != phase(A, 30.0, "signed")
    assert phase(A, 60.0) == 2 * phase(A, 30.0)


@given(st.floats(0.0, 29.99), st.floats(0.1, 3600.0), st.floats(0.0, 1e7))
def test_the_next_slot_is_later_and_within_one_interval(
    phase_s: float, interval_s: float, after: float
) -> None:
    at = next_due(min(phase_s, interval_s * 0.999), interval_s, Instant(after))
    assert after < at <= after + interval_s + 0.001 + 1e-6


def test_a_slot_that_is_now_is_not_later() -> None:
    assert next_due(10.0, 30.0, Instant(40.0)) == 70.0


def test_entries_come_out_earliest_first_and_only_when_due() -> None:
    agenda = Agenda()
    for entry in (due(3.0), due(1.0, B), due(2.0, B, Step.SIGNED)):
        agenda.put(entry)
    assert agenda.next_at() == 1.0
    assert [d.at for d in agenda.pop_due(Instant(2.5), 10)] == [1.0, 2.0]
    assert len(agenda) == 1
    assert agenda.pop_due(Instant(2.5), 10) == []


def test_no_more_come_out_than_were_asked_for() -> None:
    agenda = Agenda()
    for i in range(5):
        agenda.put(due(float(i), DeviceId(f"{i}")))
    assert len(agenda.pop_due(Instant(10.0), 2)) == 2
    assert len(agenda) == 3


@pytest.mark.parametrize("order", [(5.0, 3.0), (3.0, 5.0)])
def test_of_two_wishes_for_one_thing_only_the_earlier_stays(order: tuple[float, float]) -> None:
    agenda = Agenda()
    for at in order:
        agenda.put(due(at))
    assert [d.at for d in agenda.pop_due(Instant(10.0), 10)] == [3.0]
    assert agenda.pop_due(Instant(10.0), 10) == []


def test_steps_and_routine_are_different_things() -> None:
    agenda = Agenda()
    agenda.put(due(1.0))
    agenda.put(due(1.0, step=Step.SIGNED))
    agenda.put(due(1.0, routine=False))
    assert len(agenda) == 3


def test_a_device_can_be_dropped() -> None:
    agenda = Agenda()
    agenda.put(due(1.0))
    agenda.put(due(1.0, step=Step.SIGNED))
    agenda.put(due(2.0, B))
    agenda.drop(A)
    assert [d.device for d in agenda.pop_due(Instant(10.0), 10)] == [B]
    assert agenda.next_at() is None


def test_an_agenda_that_is_served_does_not_grow() -> None:
    agenda = Agenda()
    for turn in range(1000):
        agenda.put(due(turn + 5.0))
        agenda.put(due(turn + 1.0))
        agenda.pop_due(Instant(turn + 1.0), 10)
    assert len(agenda._heap) <= 10
