"""What the service does about sensors beside their messages: the registry, the minute's report."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.sensors import sensor
from structlog.testing import capture_logs

from adapters.memory import MemoryStore
from gateway.domain.alerting.rows import Posture, PostureLevel
from gateway.domain.camera import DivisionCode
from gateway.domain.event import Event, EventKind, EventSource
from gateway.domain.sensor_mapping import Dropped, DropReason, Message
from gateway.errors import SettingsError
from gateway.runtime import sensing
from gateway.runtime.atlas import Atlas
from gateway.runtime.clock import SystemClock
from gateway.runtime.postures import Postures
from gateway.runtime.sensing import Sensing, broker_of
from gateway.settings import IntakeSettings, MqttSettings, Settings

GOOD = "whsec_" + "QUJD" * 8
BUTTON = sensor(1, EventKind.SOS, "a/sos")


async def deliver(_: Sequence[Event]) -> None:
    raise AssertionError("nothing is sent here")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "a.secret").write_text(GOOD, encoding="utf-8")
    return Settings(intake=IntakeSettings(secrets_dir=tmp_path))


async def until(what: Any) -> None:
    async with asyncio.timeout(5):
        while not what():  # noqa: ASYNC110 - of a loop that tells nobody
            await asyncio.sleep(0.01)


async def test_an_import_counts_without_a_restart(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensing, "REGISTRY_EVERY_S", 0.02)
    store, atlas = MemoryStore(), Atlas()
    await store.open()
    one = Sensing(settings, store, SystemClock(), deliver, atlas)
    await one.load()
    work = asyncio.create_task(one.keep_current())
    with capture_logs() as logs:
        await store.events.save_sensors([BUTTON, sensor(2, EventKind.RELAY, "a/relay")])
        await until(lambda: len(one.sensors))
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert set(atlas.sensors) == {"s1", "s2"}
    assert [row["ids"] for row in logs if row["log_level"] == "warning"] == [["s2"]]


async def test_topics_without_a_sensor_are_told_once_with_their_names(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensing, "REPORT_EVERY_S", 0.05)
    one = Sensing(settings, MemoryStore(), SystemClock(), deliver)
    now = SystemClock().utc(SystemClock().now())
    for n in range(30):
        for _ in range(n + 1):
            found = one.sensors.read(Message(f"x/{n}", b"1", now, EventSource.MQTT))
            assert isinstance(found, Dropped)
            assert found.reason is DropReason.UNKNOWN_TOPIC
    with capture_logs() as logs:
        work = asyncio.create_task(one.tell_unknown())
        await asyncio.sleep(0.3)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    (told,) = logs
    assert (told["messages"], told["topics"], len(told["busiest"])) == (465, 30, 20)
    assert next(iter(told["busiest"].items())) == ("x/29", 30)


async def test_a_sensor_is_judged_by_the_posture_of_its_village(settings: Settings) -> None:
    store, clock = MemoryStore(), SystemClock()
    await store.open()
    postures = Postures(store, clock)
    one = Sensing(settings, store, clock, deliver, postures=postures)
    inside = replace(sensor(1, EventKind.WATER_LEVEL, "a"), village=DivisionCode("610802001001"))
    outside = replace(sensor(2, EventKind.WATER_LEVEL, "b"), township=DivisionCode("610802002"))
    one.sensors.take_sensors([inside, outside])

    def told(topic: str, value: float = 2.4) -> bool | None:
        now, content = clock.utc(clock.now()), json.dumps({"value": value}).encode()
        found = one.sensors.read(Message(topic, content, now, EventSource.MQTT))
        return found.active if isinstance(found, Event) else None

    assert [told("a", 2.1), told("b", 2.1)] == [False, False]
    at = clock.utc(clock.now())
    level = PostureLevel.HEIGHTENED
    await postures.set(Posture("p", level, "610802001", at, None, "duty", "a flood is near"))
    assert told("a") is True
    assert told("b") is None, "it is as well as before where the posture is routine"
    await postures.end("p")
    assert told("a") is True, "an alarm is over where the routine threshold says so"
    assert told("a", 2.3) is False


async def test_without_a_broker_and_secrets_nothing_is_started() -> None:
    one = Sensing(Settings(), MemoryStore(), SystemClock(), deliver)
    assert not one.stages


async def test_the_broker_is_listened_to_only_where_one_is_named() -> None:
    mqtt = MqttSettings.model_validate({"host": "h", "topics": ["a/#"], "password": "geheim"})
    one = Sensing(Settings(mqtt=mqtt), MemoryStore(), SystemClock(), deliver)
    assert set(one.stages) == {"sensors", "unknown_topics", "mqtt"}
    broker = broker_of(mqtt)
    assert (broker.host, broker.topics, broker.password) == ("h", ("a/#",), "geheim")
    assert "geheim" not in repr(broker) + repr(mqtt)


async def test_wrong_rules_keep_the_service_from_starting(tmp_path: Path) -> None:
    wrong = tmp_path / "sensors.toml"
    wrong.write_text('[[rules]]\nname = "x"\n', encoding="utf-8")
    settings = Settings(intake=IntakeSettings(mapping=wrong))
    with pytest.raises(SettingsError, match="needs topic, kind or both"):
        Sensing(settings, MemoryStore(), SystemClock(), deliver)


def test_a_broker_without_topics_is_a_settings_error_that_shows_no_password() -> None:
    with pytest.raises(ValueError, match="name at least one"):
        MqttSettings.model_validate({"host": "h"})
