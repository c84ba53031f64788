"""What messages of sensors mean: tables of payloads, thresholds, ids, and rules that are wrong."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import sensor_config
from gateway.domain.event import Event, EventKind, EventSource, Sensor, SensorId
from gateway.domain.sensor_intake import OTHER_TOPICS, UNKNOWN_MOST, SensorIntake
from gateway.domain.sensor_mapping import (
    PAYLOAD_MOST,
    Dropped,
    DropReason,
    Ignored,
    Message,
    SensorRule,
    applies,
    decide,
    in_heightened,
    problems,
)
from gateway.domain.sensor_payload import Form, bad_pattern, topic_matches
from gateway.errors import SettingsError

NOW = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
SENSOR = Sensor(SensorId("s1"), "水位一号", EventKind.WATER_LEVEL, "yuyang/water/1")
STATE = SensorRule(
    "contact", kind=EventKind.DOOR, state="/open", active=(True, "OPEN"), inactive=(0, "shut")
)
LEVEL = SensorRule("level", kind=EventKind.WATER_LEVEL, value="/v", unit="m", above=2.5, clear=2.3)
PLAIN = SensorRule(
    "volts", topic="#", payload=Form.NUMBER, value="", unit="V", below=170, clear=190
)
PRESS = SensorRule("press", kind=EventKind.SOS, moment=True, id="/id", time="/t")


def message(content: Any, mark: str = "1", topic: str = SENSOR.topic) -> Message:
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Message(topic, payload, NOW, EventSource.MQTT, mark)


def event(rule: SensorRule, content: Any, mark: str = "1", before: bool | None = None) -> Event:
    found = decide(rule, SENSOR, message(content, mark), before=before)
    assert isinstance(found, Event), found
    return found


def dropped(rule: SensorRule, content: Any, before: bool | None = None) -> DropReason:
    found = decide(rule, SENSOR, message(content), before=before)
    assert isinstance(found, Dropped), found
    return found.reason


@pytest.mark.parametrize(
    ("content", "active"),
    [
        ({"open": True}, True),
        ({"open": "true"}, True),
        ({"open": " Open "}, True),
        ({"open": 0}, False),
        ({"open": 0.0}, False),
        ({"open": "SHUT"}, False),
    ],
)
def test_a_state_is_compared_as_text_without_case(content: Any, active: bool) -> None:
    assert event(STATE, content).active is active


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"open": 2}, DropReason.UNKNOWN_STATE),
        ({"open": None}, DropReason.UNKNOWN_STATE),
        ({"open": {}}, DropReason.UNKNOWN_STATE),
        ({"shut": 1}, DropReason.NO_VALUE),
        ([1], DropReason.NO_VALUE),
        (b"{", DropReason.UNREADABLE),
        (b"\xff", DropReason.UNREADABLE),
        (b"", DropReason.UNREADABLE),
        (b" " * (PAYLOAD_MOST + 1), DropReason.TOO_LARGE),
    ],
)
def test_what_is_no_state_is_dropped_with_a_reason(content: Any, reason: DropReason) -> None:
    assert dropped(STATE, content) is reason


def test_the_same_good_state_is_told_once_and_an_alarm_every_time() -> None:
    assert dropped(STATE, {"open": 0}, before=False) is DropReason.UNCHANGED
    assert event(STATE, {"open": 0}, before=True).active is False
    assert event(STATE, {"open": 0}, before=None).active is False
    assert event(STATE, {"open": True}, before=True).active is True


@pytest.mark.parametrize(
    ("value", "before", "active"),
    [
        (2.51, None, True),
        (2.5, None, None),
        (2.5, True, True),
        (2.4, True, True),
        (2.3, True, False),
        (2.3, None, False),
        ("3.1", False, True),
    ],
)
def test_a_threshold_holds_until_the_clearing_value(
    value: Any, before: bool | None, active: bool | None
) -> None:
    if active is None:
        assert dropped(LEVEL, {"v": value}, before) is DropReason.BETWEEN
    else:
        found = event(LEVEL, {"v": value}, before=before)
        assert (found.active, found.value, found.unit) == (active, float(value), "m")


def test_between_the_values_a_sensor_that_was_well_says_nothing_new() -> None:
    assert dropped(LEVEL, {"v": 2.4}, before=False) is DropReason.UNCHANGED


def test_below_works_the_other_way_round() -> None:
    assert event(PLAIN, b"12").active is True
    assert event(PLAIN, b" 189.9 \n", before=True).active is True
    assert event(PLAIN, b"190", before=True).active is False
    assert dropped(PLAIN, b"ON") is DropReason.UNREADABLE
    assert dropped(PLAIN, b"nan") is DropReason.UNREADABLE


def test_without_a_clearing_value_the_threshold_is_where_it_is_over() -> None:
    rule = replace(LEVEL, clear=None)
    assert event(rule, {"v": 2.5}, before=True).active is False


@pytest.mark.parametrize("value", [True, None, "high", [], "inf", 10**400])
def test_what_is_no_number_is_no_reading(value: Any) -> None:
    content = json.dumps({"v": value}).encode() if value != 10**400 else b'{"v": "1e999"}'
    assert dropped(LEVEL, content) is DropReason.NO_VALUE


def test_a_scale_turns_the_reading_into_the_unit() -> None:
    assert event(replace(LEVEL, scale=0.01), {"v": 310}).value == pytest.approx(3.1)


def test_a_plain_word_is_a_state() -> None:
    rule = SensorRule(
        "word", topic="#", payload=Form.TEXT, state="", active=("on",), inactive=("off",)
    )
    assert event(rule, b" ON ").active is True
    assert dropped(rule, b"  ") is DropReason.UNREADABLE


def test_signs_of_life_are_no_readings() -> None:
    rule = replace(PRESS, ignore=(Ignored("/type", ("battery", "heartbeat")),))
    assert dropped(rule, {"type": "Battery"}) is DropReason.LIFE_SIGN
    assert event(rule, {"type": "press"}).active is None
    assert event(rule, {"press": 1}).active is None


def test_a_button_is_pressed_whatever_it_says() -> None:
    assert event(PRESS, b"PRESS \xff").active is None
    assert dropped(PRESS, b" \n") is DropReason.UNREADABLE


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/a/b", "1"),
        ("/a~1b", "2"),
        ("/m~0n", "3"),
        ("/list/1", "5"),
        ("/", "6"),
        ("/list/01", None),
        ("/list/-", None),
        ("/list/9", None),
        ("/list/٣", None),
        ("/a/b/c", None),
        ("/none", None),
    ],
)
def test_pointers_are_those_of_rfc_6901(pointer: str, found: str | None) -> None:
    content = {"a": {"b": 1}, "a/b": 2, "m~n": 3, "list": [4, 5], "": 6}
    rule = SensorRule("p", topic="#", state=pointer, active=(found or "x",), inactive=("never",))
    if found is None:
        assert dropped(rule, content) is DropReason.NO_VALUE
    else:
        assert event(rule, content).active is True


@pytest.mark.parametrize(
    ("time", "at"),
    [
        ("2026-03-01T08:00:00+08:00", NOW),
        ("2026-03-01 08:00:00", NOW),
        ("2026-03-01T00:00:00Z", NOW),
        (NOW.timestamp(), NOW),
        (NOW.timestamp() * 1000, NOW),
        (str(int(NOW.timestamp())), NOW),
        ("yesterday", None),
        (1e30, None),
        ({}, None),
    ],
)
def test_times_of_devices_come_in_many_forms(time: Any, at: datetime | None) -> None:
    assert event(PRESS, {"t": time}).device_at == at


def test_an_id_of_its_own_is_the_same_over_repeats_and_other_for_the_end_of_an_alarm() -> None:
    rule = replace(STATE, id="/id")
    first = event(rule, {"id": 17, "open": True, "rssi": -60})
    assert first.id == event(rule, {"id": 17, "open": True, "rssi": -75}, "other").id
    assert first.id != event(rule, {"id": 17, "open": 0}).id
    assert first.id != event(rule, {"id": 18, "open": True}).id
    other = decide(rule, replace(SENSOR, id=SensorId("s2")), message({"id": 17, "open": True}))
    assert isinstance(other, Event)
    assert other.id != first.id


@pytest.mark.parametrize("own", [None, "", [], {}])
def test_without_an_id_the_content_with_its_time_is_the_identity(own: Any) -> None:
    content = {"id": own, "t": "2026-03-01T00:00:00Z"}
    assert event(PRESS, content, "1").id == event(PRESS, content, "2").id
    later = {**content, "t": "2026-03-01T00:00:01Z"}
    assert event(PRESS, content, "1").id != event(PRESS, later, "1").id


def test_without_any_time_the_mark_of_the_transport_tells_two_presses_apart() -> None:
    assert event(PRESS, {"on": 1}, "7").id == event(PRESS, {"on": 1}, "7").id
    assert event(PRESS, {"on": 1}, "7").id != event(PRESS, {"on": 1}, "8").id


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("a/+/c", "a/b/c", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("+/b", "$SYS/b", False),
        ("#", "$SYS/b", False),
        ("$SYS/#", "$SYS/b", True),
    ],
)
def test_patterns_are_those_of_mqtt(pattern: str, topic: str, fits: bool) -> None:
    assert topic_matches(pattern, topic) is fits


@pytest.mark.parametrize("pattern", ["", "a/#/b", "a#", "a/b+", "a\x00"])
def test_patterns_that_mqtt_refuses_are_refused(pattern: str) -> None:
    assert bad_pattern(pattern)


def test_a_rule_is_for_a_kind_a_topic_or_both() -> None:
    assert applies(LEVEL, SENSOR)
    assert not applies(STATE, SENSOR)
    assert applies(replace(LEVEL, topic="yuyang/+/1"), SENSOR)
    assert not applies(replace(LEVEL, topic="other/#"), SENSOR)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (replace(LEVEL, name=""), "needs a name"),
        (replace(LEVEL, kind=None), "needs topic, kind or both"),
        (replace(LEVEL, topic="a/#/b"), "topic: `#` must"),
        (replace(LEVEL, below=1.0), "exactly one of"),
        (replace(LEVEL, above=None, clear=None), "exactly one of"),
        (replace(LEVEL, value=None), "a threshold needs a reading"),
        (replace(LEVEL, clear=2.6), "must not be above"),
        (replace(PLAIN, clear=100.0), "must not be below"),
        (replace(PRESS, clear=1.0), "belongs to above or below"),
        (replace(LEVEL, above=float("nan")), "must be finite"),
        (replace(LEVEL, scale=0.0), "scale not 0"),
        (replace(LEVEL, heightened_above=2.6), "must not be above `above`"),
        (replace(PLAIN, heightened_below=160.0), "must not be below `below`"),
        (replace(LEVEL, heightened_below=2.0), "heightened_below: belongs to below"),
        (replace(STATE, heightened_above=1.0), "heightened_above: belongs to above"),
        (replace(LEVEL, heightened_above=float("inf")), "heightened_above: must be finite"),
        (replace(STATE, inactive=()), "needs the values"),
        (replace(STATE, inactive=("true",)), "both active and inactive: true"),
        (replace(LEVEL, value="v"), "begins with /"),
        (replace(LEVEL, id="/a~2"), "~ is written ~0"),
        (replace(PLAIN, time="/t"), "no parts"),
        (replace(PRESS, ignore=(Ignored("x", (1,)),)), "ignore.0.pointer"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(rule: SensorRule, told: str) -> None:
    assert any(told in problem for problem in problems([rule])), problems([rule])


def test_good_rules_have_no_problems_and_two_of_one_name_have() -> None:
    assert problems([STATE, LEVEL, PLAIN, PRESS]) == []
    tighter = [replace(LEVEL, heightened_above=2.0), replace(PLAIN, heightened_below=200.0)]
    assert problems(tighter) == []
    assert len(problems([STATE, STATE])) == 1


# --- thresholds of a heightened posture


def test_a_heightened_threshold_moves_and_its_clearing_value_with_it() -> None:
    above = in_heightened(replace(LEVEL, heightened_above=2.0))
    assert (above.above, above.clear) == (2.0, 1.8)
    below = in_heightened(replace(PLAIN, heightened_below=200.0))
    assert (below.below, below.clear) == (200.0, 220.0)
    bare = in_heightened(replace(LEVEL, clear=None, heightened_above=2.0))
    assert (bare.above, bare.clear) == (2.0, None)


@pytest.mark.parametrize("rule", [STATE, LEVEL, PLAIN, PRESS])
def test_a_rule_without_a_heightened_threshold_reads_the_same_in_every_posture(
    rule: SensorRule,
) -> None:
    assert in_heightened(rule) is rule


def test_the_threshold_of_a_sensor_follows_the_posture_of_its_place_and_time() -> None:
    begins = NOW + timedelta(hours=1)
    rule = replace(LEVEL, heightened_above=2.0)
    intake = SensorIntake([rule])
    quiet = replace(SENSOR, id=SensorId("s2"), topic="yuyang/water/2")
    intake.take_sensors([SENSOR, quiet])
    assert not intake.heightened(SENSOR, NOW), "unless somebody knows better"
    intake.heightened = lambda sensor, now: sensor.id == SENSOR.id and now >= begins

    def state(value: float, at: datetime, topic: str = SENSOR.topic) -> bool | DropReason | None:
        found = intake.read(replace(message({"v": value}, topic=topic), received_at=at))
        return found.active if isinstance(found, Event) else found.reason

    assert state(2.2, NOW) is False, "routine: an alarm is above 2.5"
    assert state(2.2, begins) is True
    assert state(2.2, begins, quiet.topic) is False, "elsewhere it is routine"
    assert state(1.9, begins) is True, "not over before 1.8"
    assert state(1.8, begins) is False
    assert state(2.1, begins) is True
    assert state(2.1, NOW) is False, "when the posture is over, its alarm is"


# --- the intake


def test_one_state_for_a_sensor_whatever_way_its_messages_come() -> None:
    intake = SensorIntake([LEVEL])
    intake.take_sensors([SENSOR])
    high, low = message({"v": 3.0}), replace(message({"v": 1.0}), source=EventSource.HTTP)
    assert isinstance(intake.read(high), Event)
    over = intake.read(low)
    assert isinstance(over, Event)
    assert (over.active, over.source) == (False, EventSource.HTTP)
    again = intake.read(low)
    assert isinstance(again, Dropped)
    assert again.reason is DropReason.UNCHANGED
    intake.forget([over, replace(over, sensor=None)])
    assert isinstance(intake.read(low), Event), "what could not be stored is told again"


def test_a_new_registry_keeps_the_states_of_sensors_that_stay() -> None:
    intake = SensorIntake([LEVEL])
    intake.take_sensors([SENSOR])
    intake.read(message({"v": 1.0}))
    intake.take_sensors([replace(SENSOR, name="renamed")])
    assert isinstance(intake.read(message({"v": 1.0})), Dropped)
    intake.take_sensors([])
    intake.take_sensors([SENSOR])
    assert isinstance(intake.read(message({"v": 1.0})), Event)


def test_moments_leave_no_state() -> None:
    intake = SensorIntake([PRESS])
    intake.take_sensors([replace(SENSOR, kind=EventKind.SOS)])
    assert isinstance(intake.read(message({"id": 1})), Event)
    assert isinstance(intake.read(message({"id": 2})), Event)


def test_sensors_out_of_use_and_without_a_rule_are_dropped_with_that_reason() -> None:
    resting = replace(SENSOR, in_use=False)
    door = replace(SENSOR, id=SensorId("d"), kind=EventKind.DOOR, topic="door")
    intake = SensorIntake([LEVEL])
    intake.take_sensors([resting, door])
    assert len(intake) == 2
    assert intake.unread() == [door]
    assert intake.read(message({"v": 3})) == Dropped(DropReason.NOT_IN_USE, "s1")
    assert intake.read(message({}, topic="door")) == Dropped(DropReason.NO_RULE, "d")


def test_unknown_topics_are_counted_by_name_up_to_a_bound() -> None:
    intake = SensorIntake([])
    for n in range(UNKNOWN_MOST + 50):
        found = intake.read(message({}, topic=f"t{n}"))
        assert isinstance(found, Dropped)
        assert found.reason is DropReason.UNKNOWN_TOPIC
    intake.read(message({}, topic="t1"))
    unknown = intake.take_unknown()
    assert (unknown["t1"], unknown[OTHER_TOPICS], len(unknown)) == (2, 50, UNKNOWN_MOST + 1)
    assert intake.take_unknown() == {}


# --- the file


def test_the_rules_that_come_along_are_good_and_read_every_kind_of_sensor() -> None:
    from gateway.domain.archive_lists import SENSOR_KINDS

    rules = sensor_config.load().rules
    kinds = {rule.kind for rule in rules}
    assert set(SENSOR_KINDS.values()) <= kinds


def test_the_rule_in_the_guide_is_a_good_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/guide/sensors.md").read_text(encoding="utf-8")
    (block,) = [b for b in page.split("```toml\n")[1:] if b.startswith("[[rules]]")]
    path = tmp_path / "sensors.toml"
    path.write_text(block.partition("```")[0], encoding="utf-8")
    (rule,) = sensor_config.load(path).rules
    found = event(rule, {"data": {"level_cm": 260}, "msgId": "a", "ts": 1772323200})
    assert (found.active, found.device_at) == (True, NOW)
    assert found.value == pytest.approx(2.6)


def test_everything_wrong_with_a_file_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(
        'extra = 1\n[[rules]]\nname = "a"\nkind = "smoke"\nmoment = true\nspeed = 1\n'
        'ignore = [{pointer = "x", values = [1], more = 1}]\n[[rules]]\nname = "a"\ntopic = "a#"\n'
        '[[sources]]\nname = "Bad Name"\ntopics = ["a/#/b"]\n',
        encoding="utf-8",
    )
    with pytest.raises(SettingsError) as caught:
        sensor_config.load(path)
    text = "\n".join(caught.value.problems)
    for part in (
        "extra: is not known", "rules.0.speed", "rules.0.ignore.more", "ignore.0.pointer", "name of its own",
        "exactly one", "`#` must", "Bad Name", "sources.0.topics",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize("content", ["x = ", 'rules = [{name = 1, moment = "maybe"}]', None])
def test_a_file_that_cannot_be_read_is_a_settings_error(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "sensors.toml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError):
        sensor_config.load(path)


def test_a_source_may_report_below_its_own_name_and_what_the_file_grants() -> None:
    source = sensor_config.IntakeSource("jiedao", ("street/+/smoke/#",))
    mapping = sensor_config.SensorMapping((), (source,))
    assert mapping.may_report("other", "other/1")
    assert not mapping.may_report("other", "others/1")
    assert mapping.may_report("jiedao", "street/5/smoke/1")
    assert not mapping.may_report("other", "street/5/smoke/1")


GOOD = "whsec_" + "QUJD" * 8


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.secret", "", "holds 0 secrets"),
        ("a.secret", f"{GOOD}\n{GOOD}\n{GOOD}", "holds 3"),
        ("a.secret", "QUJDQUJD", "begin with whsec_"),
        ("a.secret", "whsec_QUJD", "at least 24 bytes"),
        ("a.secret", "whsec_Q", "is not base64"),
        ("A b.secret", GOOD, "small letters"),
        ("a.txt", GOOD, "holds no"),
    ],
)
def test_bad_secrets_are_named_and_never_shown(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=told) as caught:
        sensor_config.load_secrets(tmp_path)
    assert "QUJD" not in str(caught.value)


def test_secrets_are_read_by_source_two_at_most(tmp_path: Path) -> None:
    (tmp_path / "jiedao.secret").write_text(f"{GOOD}\n{GOOD}\n", encoding="utf-8")
    assert sensor_config.load_secrets(tmp_path) == {"jiedao": (GOOD, GOOD)}
    assert sensor_config.load_secrets(None) == {}
    with pytest.raises(SettingsError, match="no folder"):
        sensor_config.load_secrets(tmp_path / "none")
    (tmp_path / "broken.secret").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        sensor_config.load_secrets(tmp_path)


def test_a_year_of_readings_keeps_one_state_a_sensor() -> None:
    intake = SensorIntake([LEVEL])
    intake.take_sensors([SENSOR])
    told = 0
    for n in range(1000):
        value = 3.0 if n % 100 == 50 else 1.0
        at = NOW + timedelta(minutes=n)
        found = intake.read(replace(message({"v": value, "n": n}), received_at=at))
        told += isinstance(found, Event)
    assert told == 1 + 2 * 10
