"""Topics, messages and what becomes of them: pure."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from adapters.onvif.events import Translator
from adapters.onvif.notifications import (
    EmptyPulls,
    Notification,
    device_time,
    read_notifications,
    times,
)
from adapters.onvif.standing import STANDING
from adapters.onvif.topics import FILE, Fate, Meaning, Topics, normalise, read_topics
from gateway.domain.camera import Camera, ChannelId, DeviceId
from gateway.domain.event import Event, EventKind, EventSource
from gateway.metrics import EVENT_MESSAGES
from gateway.resources import data_dir
from gateway.rulebook import load

DEVICE = DeviceId("10.0.0.1:80")
NOW_AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
TOLD = "2026-11-23T08:00:00Z"


def test_what_never_ages_at_the_device_is_never_given_up_by_the_rules() -> None:
    rows = tomllib.loads((data_dir("config") / FILE).read_text(encoding="utf-8"))["topics"]
    standing = {row["kind"] for row in rows.values() if row["state"] and row["ages_s"] == 0}
    book = load()
    assert standing >= {"signal_loss", "hardware_failure", "storage_failure"}
    assert {kind: book.kind(EventKind(kind)).stuck_s for kind in standing} == dict.fromkeys(
        standing, 0.0
    )
    assert book.kind(EventKind.TAMPER).stuck_s > 0


@pytest.fixture(scope="module")
def topics() -> Topics:
    return read_topics()


def cameras(*tokens: str) -> tuple[Camera, ...]:
    return tuple(
        Camera(ChannelId(f"c{n}"), DEVICE, f"camera {n}", t) for n, t in enumerate(tokens, 1)
    )


def translator(topics: Topics, *tokens: str) -> Translator:
    return Translator(topics, {DEVICE: cameras(*tokens or ("VideoSource_1",))})


def note(
    topic: str = "tns1:VideoSource/MotionAlarm",
    value: str = "true",
    *,
    operation: str = "Changed",
    told_at: str = TOLD,
    source: Mapping[str, str] | None = None,
    name: str = "State",
) -> Notification:
    source = {"Source": "VideoSource_1"} if source is None else source
    return Notification(topic, operation, told_at, source, {name: value})


def told(held: Translator, *notes: Notification, now: float = 0.0) -> list[Event]:
    return held.translate(DEVICE, notes, NOW_AT, now)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("tns1:Device/Trigger/DigitalInput", EventKind.DIGITAL_INPUT),
        ("tns1:Device/Trigger/tnshik:DigitalInput/", EventKind.DIGITAL_INPUT),
        ("tns1:Device/Trigger/Relay", EventKind.RELAY),
        ("tns1:RuleEngine/TamperDetector/Tamper", EventKind.TAMPER),
        ("tns1:VideoSource/SignalLoss", EventKind.SIGNAL_LOSS),
        ("tns1:VideoSource/ImageTooDark/AnalyticsService", EventKind.TOO_DARK),
        ("tns1:VideoSource/ImageTooBright/ImagingService", EventKind.TOO_BRIGHT),
        ("tns1:VideoSource/ImageTooBlurry/RecordingService", EventKind.TOO_BLURRY),
        ("tns1:VideoSource/GlobalSceneChange/ImagingService//.", EventKind.SCENE_CHANGE),
        ("tns1:Device/HardwareFailure/StorageFailure", EventKind.STORAGE_FAILURE),
        ("tns1:Device/HardwareFailure/FanFailure", EventKind.HARDWARE_FAILURE),
        ("tns1:Device/HardwareFailure/TemperatureCritical", EventKind.TEMPERATURE),
        ("tns1:VideoSource/MotionAlarm.", EventKind.MOTION),
        ("tns1:RuleEngine/CellMotionDetector/Motion", EventKind.MOTION),
        ("tns1:RuleEngine/MotionRegionDetector/Motion", EventKind.MOTION),
        ("tns1:RuleEngine/FieldDetector/ObjectsInside", EventKind.FIELD_DETECTION),
        ("tns1:RuleEngine/LineDetector/Crossed", EventKind.LINE_CROSSING),
    ],
)
def test_topics_of_devices_have_a_kind(topics: Topics, raw: str, kind: EventKind) -> None:
    meaning = topics.look_up(raw)[1]
    assert isinstance(meaning, Meaning)
    assert meaning.kind is kind


@pytest.mark.parametrize(
    "raw",
    [
        "tns1:RuleEngine/MyRuleDetector/FaceDetect",
        "tns1:RuleEngine/MyRuleDetector/PeopleDetect",
        "tns1:RuleEngine/MyRuleDetector/Visitor",
        "tns1:RuleEngine/MyRuleDetector/VehicleDetect",
        "tns1:RuleEngine/LicensePlateDetector/Plate",
        "tns1:RuleEngine/Recognition/Face",
        "tns1:UserAlarm/IVA/HumanShapeDetect",
        "tns1:VideoAnalytics/facedetection",
        "tns1:RuleEngine/ANPR/Read",
        "tns1:RuleEngine/CountAggregation/PersonCounter",
        "tns1:VideoSource/MotionAlarm/People",
    ],
)
def test_topics_of_people_and_plates_are_private(topics: Topics, raw: str) -> None:
    assert topics.look_up(raw)[1] is Fate.PRIVATE


@pytest.mark.parametrize(
    "raw",
    ["tns1:Monitoring/ProcessorUsage", "tns1:Media/ProfileChanged", "", "//.", "tns1:VideoSource"],
)
def test_other_topics_are_unknown(topics: Topics, raw: str) -> None:
    assert topics.look_up(raw)[1] is Fate.UNKNOWN


def test_words_within_words_are_not_private(topics: Topics) -> None:
    assert topics.look_up("tns1:VideoSource/ImageTooDark/SurfaceService")[1] is not Fate.PRIVATE


def test_a_device_that_invents_topics_fills_no_memory(topics: Topics) -> None:
    fresh = read_topics()
    for number in range(5000):
        fresh.look_up(f"tns1:Vendor/{number}")
    assert len(fresh._known) <= 4096


def test_a_topic_is_cut_to_a_length() -> None:
    assert len(normalise("tns1:" + "x/" * 5000)) < 310


@pytest.mark.parametrize(
    ("row", "told_of"), [('kind = "face"', "face"), ('kind = "motion"\ncolour = 1', "colour")]
)
def test_a_table_with_a_wrong_row_is_refused(tmp_path: Path, row: str, told_of: str) -> None:
    file = tmp_path / "topics.toml"
    file.write_text(f'[topics."A/B"]\n{row}\n[dropped]\nwords = []\n')
    with pytest.raises(ValueError, match=told_of):
        read_topics(file)


@pytest.mark.parametrize("value", ["true", "1", "active", "True", " on "])
def test_values_that_mean_it_began(topics: Topics, value: str) -> None:
    assert [e.active for e in told(translator(topics), note(value=value))] == [True]


@pytest.mark.parametrize("value", ["false", "0", "inactive", ""])
def test_values_that_mean_it_is_over(topics: Topics, value: str) -> None:
    assert [e.active for e in told(translator(topics), note(value=value))] == [False]


def test_a_message_without_a_state_is_a_moment(topics: Topics) -> None:
    crossed = note("tns1:RuleEngine/LineDetector/Crossed", "17", name="ObjectId")
    (event,) = told(translator(topics), crossed)
    assert event.active is None


def degrees(*readings: str) -> list[Notification]:
    topic = "tns1:Monitoring/EnvironmentalConditions/Temperature"
    source = {"Token": "Sensor_1"}
    return [note(topic, text, name="Temperature", source=source) for text in readings]


def test_ordinary_readings_are_counted_and_no_event(topics: Topics) -> None:
    labels = (EventSource.ONVIF_PULL.value, "reading")
    before = EVENT_MESSAGES.labels(*labels)._value.get()
    ordinary = degrees("31", "-28.5", "79.9", "hot", "", "inf", "nan")
    assert told(translator(topics), *ordinary) == []
    assert EVENT_MESSAGES.labels(*labels)._value.get() == before + len(ordinary)


def test_a_reading_begins_above_its_threshold_and_is_over_at_the_clearing_one(
    topics: Topics,
) -> None:
    readings = degrees("80", "80.1", "76", "91", "broken", "75", "79", "81")
    events = told(translator(topics), *readings)
    assert [(e.value, e.active) for e in events] == [(80.1, True), (75.0, False), (81.0, True)]
    assert {(e.unit, e.kind, e.token) for e in events} == {
        ("Cel", EventKind.TEMPERATURE, "Sensor_1 Temperature")
    }


def test_a_hot_reading_stands_over_a_restart_and_what_was_not_stored_is_told_again(
    topics: Topics,
) -> None:
    held = translator(topics)
    (hot,) = told(held, *degrees("90"))
    assert told(held, *degrees("90")) == []
    held.doubt([hot])
    assert [e.active for e in told(held, *degrees("90"))] == [True]

    later = translator(topics)
    later.stand([hot], 0.0)
    assert [e.active for e in told(later, *degrees("78", "60"))] == [False]


def test_a_cooler_reading_does_not_end_what_the_device_calls_critical(topics: Topics) -> None:
    held = translator(topics)
    critical = note(
        "tns1:Device/HardwareFailure/TemperatureCritical",
        name="Critical",
        source={"Token": "Sensor_1"},
    )
    began, hot, cool = told(held, critical, *degrees("90", "60"))
    assert (began.active, hot.active, cool.active) == (True, True, False)
    assert began.token != hot.token == cool.token


@pytest.mark.parametrize(
    ("value", "told_of"),
    [
        ('{ name = "T", abov = 1 }', "abov"),
        ('{ name = "T", clear = 1 }', "belongs to above"),
        ('{ name = "T", above = 1, clear = 2 }', "must not be above"),
        ('{ name = "T", above = nan }', "finite"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(tmp_path: Path, value: str, told_of: str) -> None:
    file = tmp_path / "topics.toml"
    row = f'kind = "temperature"\nvalue = {value}'
    file.write_text(f'[topics."A/B"]\n{row}\n[dropped]\nwords = []\n')
    with pytest.raises(ValueError, match=told_of):
        read_topics(file)


def test_a_reading_without_a_threshold_is_counted_only(tmp_path: Path) -> None:
    file = tmp_path / "topics.toml"
    row = 'kind = "temperature"\nvalue = { name = "T" }'
    file.write_text(f'[topics."A/B"]\n{row}\n[dropped]\nwords = []\n')
    assert told(translator(read_topics(file)), note("A/B", "900", name="T")) == []


def test_ids_are_stable_over_repeats_and_differ_within_a_reply(topics: Topics) -> None:
    first = told(translator(topics), note(), note(value="false"), note())
    again = told(translator(topics), note(), note(value="false"), note())
    assert [e.id for e in first] == [e.id for e in again]
    assert len({e.id for e in first}) == 3


def test_the_time_of_a_device_is_an_extra_and_never_the_time_of_the_event(topics: Topics) -> None:
    (event,) = told(translator(topics), note(told_at="2001-01-01T00:00:00Z"))
    assert event.received_at == NOW_AT
    assert event.device_at == datetime(2001, 1, 1, tzinfo=UTC)
    (event,) = told(translator(topics), note(told_at="0000-00-00T00:00:00Z"))
    assert event.device_at is None


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2024-08-17-12:30:45Z", datetime(2024, 8, 17, 12, 30, 45, tzinfo=UTC)),
        ("2024-08-17T12:30:45", datetime(2024, 8, 17, 12, 30, 45, tzinfo=UTC)),
        ("2024-08-17T20:30:45.123+08:00", datetime(2024, 8, 17, 12, 30, 45, 123000, tzinfo=UTC)),
        ("0000-00-00T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        ("soon", None),
    ],
)
def test_times_as_devices_write_them(text: str, at: datetime | None) -> None:
    assert device_time(text) == at


def test_a_synchronization_point_tells_nothing_new(topics: Topics) -> None:
    held = translator(topics)
    assert not told(held, note(value="false", operation="Initialized"))
    assert len(told(held, note())) == 1
    assert not told(held, note(operation="Initialized"))
    assert [e.active for e in told(held, note(value="false", operation="Initialized"))] == [False]
    assert not told(held, note(value="false", operation="Initialized"))


def test_a_deleted_property_is_over(topics: Topics) -> None:
    held = translator(topics)
    assert not told(held, note(operation="Deleted"))
    told(held, note())
    assert [e.active for e in told(held, note(operation="Deleted"))] == [False]


def stored(
    *, active: bool | None, topic: str = "VideoSource/MotionAlarm", device: DeviceId | None = DEVICE
) -> Event:
    return Event(
        f"{active}", EventSource.ONVIF_PULL, EventKind.MOTION, NOW_AT, ChannelId("c1"), device,
        active=active, token="VideoSource_1", topic=topic,
    )  # fmt: skip


def test_what_stood_before_a_restart_can_end(topics: Topics) -> None:
    held = translator(topics)
    held.stand([stored(active=True)], 0.0)
    assert not told(held, note(operation="Initialized"))
    (event,) = told(held, note(value="false", operation="Initialized"))
    assert (event.active, event.token) == (False, "VideoSource_1")


@pytest.mark.parametrize(
    "events",
    [
        [stored(active=True), stored(active=False)],
        [stored(active=None)],
        [stored(active=True, topic="Of/Nobody")],
        [stored(active=True, device=None)],
    ],
    ids=["ended", "moment", "unknown topic", "no device"],
)
def test_what_did_not_stand_before_a_restart_does_not_end(
    topics: Topics, events: list[Event]
) -> None:
    held = translator(topics)
    held.stand(events, 0.0)
    assert not told(held, note(value="false", operation="Initialized"))
    assert DEVICE not in held.states


def test_what_stood_before_a_restart_ages_from_then_on(topics: Topics) -> None:
    held = translator(topics)
    held.stand([stored(active=True)], 5000.0)
    assert not held.age(5500.0, NOW_AT)
    (event,) = held.age(5700.0, NOW_AT)
    assert (event.active, event.channel) == (False, "c1")


def test_a_stuck_state_ages_and_a_repeated_one_does_not(topics: Topics) -> None:
    held = translator(topics)
    told(held, note(), now=0.0)
    told(held, note(), now=500.0)
    assert not held.age(700.0, NOW_AT)
    (event,) = held.age(1100.0, NOW_AT)
    assert (event.active, event.extra, event.channel) == (False, {"aged": "true"}, "c1")
    assert not held.age(9999.0, NOW_AT)


def test_a_lost_signal_never_ages(topics: Topics) -> None:
    held = translator(topics)
    told(held, note("tns1:VideoSource/SignalLoss"), now=0.0)
    assert not held.age(1e9, NOW_AT)


def test_a_device_that_invents_tokens_fills_no_memory(topics: Topics) -> None:
    held = translator(topics)
    told(held, *(note(source={"Source": f"VideoSource_{n}"}) for n in range(500)))
    assert len(held.states.of(DEVICE)) == STANDING
    held.forget(DEVICE)
    assert DEVICE not in held.states


@pytest.mark.parametrize(
    ("tokens", "named", "channel"),
    [
        (("VideoSource_1",), "vsconf", "c1"),
        (("VideoSource_1",), "", "c1"),
        (("VideoSource_1", "VideoSource_2"), "VideoSource_2", "c2"),
        (("VideoSource_1", "VideoSource_2"), "VideoSourceConfig_2", "c2"),
        (("000", "001"), "VideoSourceToken_001", "c2"),
        (("VideoSource_1", "VideoSource_2"), "vsconf", None),
        (("VideoSource_1", "VideoSource_2"), "VideoSource_9", None),
        (("a1", "b1"), "x1", None),
    ],
)
def test_which_channel_a_token_means(
    topics: Topics, tokens: tuple[str, ...], named: str, channel: str | None
) -> None:
    (event,) = told(translator(topics, *tokens), note(source={"Source": named}))
    assert event.channel == channel


def test_an_input_of_a_recorder_belongs_to_no_channel(topics: Topics) -> None:
    pressed = note(
        "tns1:Device/Trigger/DigitalInput", source={"InputToken": "2"}, name="LogicalState"
    )
    (event,) = told(translator(topics, "1", "2"), pressed)
    assert (event.channel, event.device, event.token) == (None, DEVICE, "2")


def test_rules_of_one_source_are_told_apart(topics: Topics) -> None:
    source = {"Rule": "north", "VideoSourceConfigurationToken": "VideoSourceConfig_1"}
    topic = "tns1:RuleEngine/FieldDetector/ObjectsInside"
    events = told(
        translator(topics, "VideoSource_1", "VideoSource_2"),
        note(topic, source=source, name="IsInside"),
        note(topic, source={**source, "Rule": "south"}, name="IsInside"),
    )
    assert [e.token for e in events] == ["VideoSourceConfig_1 north", "VideoSourceConfig_1 south"]
    assert {e.channel for e in events} == {"c1"}
    assert len({e.id for e in events}) == 2


REPLY = """<tev:PullMessagesResponse xmlns:tev="http://www.onvif.org/ver10/events/wsdl"
 xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" xmlns:tt="http://www.onvif.org/ver10/schema">
<tev:CurrentTime>2026-11-23T08:00:00Z</tev:CurrentTime>
<tev:TerminationTime>2026-11-23T08:10:00Z</tev:TerminationTime>{}</tev:PullMessagesResponse>"""
MESSAGE = """<wsnt:NotificationMessage><wsnt:Topic> tns1:VideoSource/MotionAlarm </wsnt:Topic>
<wsnt:Message><tt:Message UtcTime="2026-11-23T07:59:59Z" PropertyOperation="Changed"><tt:Source>
<tt:SimpleItem Value="VideoSource_1" Name="Source"/></tt:Source><tt:Key/><tt:Data>
<tt:SimpleItem Name="State" Value="true"/><tt:ElementItem Name="x"><a/></tt:ElementItem>
</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"""


def test_messages_are_read_whatever_stands_around_them() -> None:
    broken = (
        "<wsnt:NotificationMessage><wsnt:Topic/></wsnt:NotificationMessage>"
        "<wsnt:NotificationMessage><wsnt:Topic>t</wsnt:Topic><wsnt:Message/>"
        "</wsnt:NotificationMessage>"
    )
    content = etree.fromstring(REPLY.format(MESSAGE + broken))
    first, second = read_notifications(content)
    assert first == Notification(
        "tns1:VideoSource/MotionAlarm", "Changed", "2026-11-23T07:59:59Z",
        {"Source": "VideoSource_1"}, {"State": "true"},
    )  # fmt: skip
    assert second == Notification("t", "", "", {}, {})
    assert times(content).life_s == 600.0


def test_a_reply_of_very_many_messages_is_read_in_part() -> None:
    one = "<wsnt:NotificationMessage><wsnt:Topic>t</wsnt:Topic></wsnt:NotificationMessage>"
    assert len(read_notifications(etree.fromstring(REPLY.format(one * 1500)))) == 1000


def test_an_empty_reply_is_known_by_all_but_its_times() -> None:
    known = EmptyPulls()
    body = REPLY.format("").encode()
    assert not known.is_known(body)
    known.learn(body)
    later = body.replace(b"08:00:00", b"09:13:57").replace(b"08:10:00", b"09:23:57")
    assert known.is_known(later)
    assert known.current(later) == datetime(2026, 11, 23, 9, 13, 57, tzinfo=UTC)
    assert not known.is_known(REPLY.format(MESSAGE).encode())
    assert not known.is_known(later.replace(b"Current", b"Currant"))
    assert not known.is_known(later + b"<x/>")


def test_no_more_empty_replies_are_remembered_than_there_are_firmwares() -> None:
    known = EmptyPulls()
    for number in range(2000):
        known.learn(b"<a>%d</a>" % number)
    known.learn(b"<a>" + b"x" * 5000)
    assert len(known) <= 512
