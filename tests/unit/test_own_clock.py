"""One device off is its own fault; all off by the same is ours."""

from gateway.domain.camera import DeviceId
from gateway.domain.own_clock import LEAST, OwnClock


def measured(*offsets_s: float) -> OwnClock:
    clock = OwnClock()
    for number, offset_s in enumerate(offsets_s):
        clock.note(DeviceId(f"d{number}"), offset_s)
    return clock


def test_an_offset_that_most_devices_share_is_ours() -> None:
    assert measured(3600.2, 3599.1, 3601.0, 3594.0, 0.0, 3604.9).is_ours(3600.0)
    assert measured(-3600.0, -3600.0, -3600.0, -3600.0, -3600.0).is_ours(-3600.0)


def test_one_device_that_is_off_is_on_its_own() -> None:
    clock = measured(0.1, -0.2, 0.3, 0.0, 600.0)
    assert not clock.is_ours(600.0)


def test_many_devices_that_are_off_by_different_times_are_each_on_their_own() -> None:
    clock = measured(60.0, -120.0, 300.0, 600.0, 3600.0, 86_400.0, 0.0)
    assert not any(clock.is_ours(offset_s) for offset_s in (60.0, -120.0, 300.0, 3600.0))


def test_half_of_the_devices_are_not_most_of_them() -> None:
    assert not measured(600.0, 600.0, 600.0, 0.0, 0.0, 0.0).is_ours(600.0)


def test_too_few_devices_say_nothing() -> None:
    assert not measured(*[600.0] * (LEAST - 1)).is_ours(600.0)
    assert measured(*[600.0] * LEAST).is_ours(600.0)


def test_the_last_measurement_of_a_device_counts_once() -> None:
    clock = measured(600.0, 600.0, 600.0, 600.0, 600.0)
    clock.note(DeviceId("d0"), None)
    assert clock.is_ours(600.0)
    for number in range(3):
        clock.note(DeviceId(f"d{number}"), 0.0)
        clock.note(DeviceId(f"d{number}"), 0.5)
    assert not clock.is_ours(600.0)


def test_after_our_clock_was_set_nothing_is_known() -> None:
    clock = measured(*[600.0] * LEAST)
    clock.forget()
    clock.note(DeviceId("d0"), 600.0)
    assert not clock.is_ours(600.0)
