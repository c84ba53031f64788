"""The script of the virtual district holds what semantics §10 lists, whatever the seed."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest

from adapters.virtual.fleet import build_district
from adapters.virtual.model import Quirk, Trouble, TruthRow, VirtualDistrict
from adapters.virtual.narration import archive_told, clock_text, narrate, script_told
from adapters.virtual.runner import BEGIN, Told
from adapters.virtual.scenario import (
    AFTER_REBOOT,
    KILLS,
    WHILE_UP,
    PlanOptions,
    ScriptedTrouble,
    plan,
)
from gateway.domain.camera import ChannelId

LENGTH_S = 180.0


@cache
def district(seed: int = 1, cameras: int = 12_328) -> VirtualDistrict:
    return build_district(
        seed, cameras, port=20_001, tls_port=20_002, killable_port=20_003, canary_port=20_004
    )


def script(seed: int) -> list[ScriptedTrouble]:
    return plan(district(), seed, LENGTH_S)


def length(trouble: ScriptedTrouble) -> float:
    return (LENGTH_S if trouble.ends_s is None else trouble.ends_s) - trouble.begins_s


@pytest.mark.parametrize("seed", [1, 2, 99])
def test_the_full_script_holds_everything_that_is_listed(seed: int) -> None:
    troubles = script(seed)
    kinds = Counter(t.kind for t in troubles)
    assert kinds["uplink"] == kinds["switch"] == kinds["blind"] == 1
    assert kinds["flapping"] == 2 * 3
    assert kinds["dip"] >= 50
    faults = Counter(t.trouble for t in troubles if t.kind == "fault")
    assert all(faults[trouble] >= 10 for trouble in (*WHILE_UP, *AFTER_REBOOT))
    rebooted = {t.devices for t in troubles if t.kind == "fault"}
    deaths = Counter(
        t.trouble for t in troubles if t.kind == "outage" and t.devices not in rebooted
    )
    assert sum(deaths.values()) >= 300
    assert min(deaths[kill] for kill in KILLS) >= 100


@pytest.mark.parametrize("seed", [1, 2, 99])
def test_a_device_has_one_trouble_and_most_have_none(seed: int) -> None:
    troubles = script(seed)
    pairs = {"flapping", "fault", "outage"}
    used = Counter(d for t in troubles for d in t.devices)
    for device, times in used.items():
        kinds = [t.kind for t in troubles if device in t.devices]
        assert times == 1 or (times == 2 and set(kinds) <= pairs), (device, kinds)
        assert kinds.count("outage") <= 1
    channels = {d.device.id: len(d.channels) for d in district().devices}
    assert sum(channels.values()) - sum(channels[device] for device in used) >= 11_000


@pytest.mark.parametrize("seed", [1, 2, 99])
def test_only_killable_devices_die_and_only_tls_devices_fail_a_handshake(seed: int) -> None:
    devices = {d.device.id: d for d in district().devices}
    for trouble in script(seed):
        for device in trouble.devices:
            assert trouble.trouble not in KILLS or devices[device].killable
            assert trouble.trouble is not Trouble.TLS or devices[device].device.tls


@pytest.mark.parametrize("seed", [1, 2, 99])
def test_times_leave_the_gateway_a_fair_chance(seed: int) -> None:
    troubles = script(seed)
    blind = next(t for t in troubles if t.kind == "blind")
    assert blind.ends_s is not None
    assert 25 <= blind.ends_s - blind.begins_s <= 30
    for t in troubles:
        if t is blind:
            continue
        assert not blind.begins_s - 45 < t.begins_s < blind.ends_s, "a verdict would wait"
        assert t.ends_s is None or t.ends_s <= blind.begins_s - 30 or t.ends_s >= blind.ends_s + 5
        if t.kind == "dip":
            assert 1 <= length(t) <= 9
        elif t.kind != "flapping" or t.ends_s is None:
            assert length(t) >= 60, "it must be found"
            assert t.begins_s <= LENGTH_S - 60, "it must be found"
        else:
            assert length(t) >= 50


@pytest.mark.parametrize("seed", [1, 2, 99])
def test_a_fault_after_a_reboot_begins_when_the_device_comes_back(seed: int) -> None:
    troubles = script(seed)
    for fault in troubles:
        if fault.trouble not in AFTER_REBOOT:
            continue
        dead = next(t for t in troubles if t.devices == fault.devices and t.kind == "outage")
        assert dead.ends_s == fault.begins_s
        assert 60 <= length(dead) <= 75
        assert fault.ends_s is None


def test_the_same_seed_gives_the_same_script_and_another_one_another() -> None:
    assert script(5) == script(5)
    assert script(5) != script(6)


def test_clock_faults_spare_devices_whose_clock_cannot_be_read_plainly() -> None:
    quirks = {d.device.id: d.personality.quirk for d in district().devices}
    clocks = [t.devices[0] for t in script(1) if t.trouble is Trouble.CLOCK]
    assert not {quirks[d] for d in clocks} & {Quirk.TIME_NEEDS_AUTH, Quirk.LOCAL_TIME_ONLY}


def test_a_small_district_at_a_tenth_of_the_time_has_some_of_everything() -> None:
    small = district(1, 300)
    troubles = plan(small, 1, 18.0, PlanOptions(scale=0.1))
    kinds = Counter(t.kind for t in troubles)
    assert {"outage", "fault", "dip", "flapping", "uplink", "switch", "blind"} == set(kinds)
    assert {t.trouble for t in troubles if t.kind == "outage"} == set(KILLS)
    assert {t.trouble for t in troubles if t.kind == "fault"} == {*WHILE_UP, *AFTER_REBOOT}
    assert max(t.begins_s for t in troubles) < 18


@pytest.mark.parametrize("length_s", [5.0, 20.0, 60.0, 90.0, 150.0, 600.0])
def test_any_length_gives_a_script_within_it(length_s: float) -> None:
    for t in plan(district(1, 300), 1, length_s):
        assert 0 <= t.begins_s < length_s
        assert t.ends_s is None or t.begins_s < t.ends_s <= length_s


def told(kind: str, seen: int = 1, **more: object) -> Told:
    row = TruthRow(kind, "hang", (ChannelId("c1"),), None, None, "2026-11-23T08:00:00+00:00")
    trouble = script(1)[0]
    return Told(trouble, BEGIN, replace(row, **more), seen)  # type: ignore[arg-type]


def test_notable_steps_are_told_in_both_languages_and_the_rest_is_not() -> None:
    uplink = narrate(told("uplink", node="up-1"), {})
    assert uplink is not None
    assert "up-1" in uplink.en
    assert "上联" in uplink.zh
    blind = narrate(told("blind", channels=()), {})
    assert blind is not None
    assert narrate(told("outage", seen=51), {}) is not None
    assert narrate(told("outage", seen=52), {}) is None
    assert narrate(told("dip"), {}) is None
    for cause in (*WHILE_UP, *AFTER_REBOOT):
        assert narrate(told("fault", cause=str(cause)), {}) is not None


def test_a_fault_is_counted_in_words_of_both_languages() -> None:
    fault = narrate(told("fault", cause="clock"), {})
    assert fault is not None
    assert fault.en == "Camera c1 has a clock that is minutes off (fault 1)"
    assert fault.zh.endswith("（第 1 个故障）")


def test_the_script_is_told_in_both_languages() -> None:
    kinds = Counter(t.kind for t in script(1))
    sentence = script_told(kinds)
    assert f"{kinds['outage']} single deaths" in sentence.en
    assert "1 blindness of the gateway" in sentence.en
    assert f"{kinds['outage']} 路单机离线" in sentence.zh
    assert not {"{", "'"} & set(sentence.en + sentence.zh)
    assert not any(kind in sentence.zh for kind in kinds)


def test_what_was_imported_is_told_in_both_languages() -> None:
    sentence = archive_told({"cameras": 12_328, "devices": 11_000, "grids": 3_641, "notes": 2})
    assert sentence.en == "12,328 cameras, 11,000 devices, 3,641 grid cells"
    assert sentence.zh == "12,328 路摄像机，11,000 台设备，3,641 个网格"


def test_the_time_of_day_carries_its_zone() -> None:
    assert clock_text(datetime(2026, 3, 1, 16, 0, 1, tzinfo=UTC)) == "00:00:01+08:00"
