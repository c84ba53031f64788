"""The MQTT source against a real mosquitto."""

import asyncio
import json
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fakes.sensors import Shelf, broker, intake, listening, need_mosquitto, sensor

from adapters.virtual.sensors import MqttLine
from gateway.domain.event import EventKind, EventSource
from gateway.metrics import REGISTRY
from gateway.ports.events import MqttBroker

SMOKE = sensor(1, EventKind.SMOKE)
SOS = sensor(2, EventKind.SOS)
POWER = sensor(3, EventKind.CABINET_POWER)
ALL = (SMOKE, SOS, POWER)


def at(port: int, **more: Any) -> MqttBroker:
    return MqttBroker("127.0.0.1", ("yuyang/#",), port=port, client_id="gateway-1", **more)


def counted(fate: str) -> float:
    return (
        REGISTRY.get_sample_value(
            "sightline_sensor_messages_total", {"source": "mqtt", "fate": fate}
        )
        or 0.0
    )


def make_user(file: Path, password: str) -> None:
    """A password file with user `gateway`."""
    command = ["mosquitto_passwd", "-b", "-c", str(file), "gateway", password]
    subprocess.run(command, check=True, capture_output=True)


async def test_an_alarm_and_its_end_come_with_value_time_and_id(tmp_path: Path) -> None:
    shelf = Shelf()
    async with (
        broker(tmp_path) as mosquitto,
        listening(at(mosquitto.port), intake(ALL), shelf),
        MqttLine("127.0.0.1", mosquitto.port) as line,
    ):
        message = {"alarm": True, "value": 0.4, "id": "m1", "time": "2026-03-01T08:00:00+08:00"}
        await line.send(SMOKE.topic, json.dumps(message).encode())
        await line.send(SMOKE.topic, json.dumps(message).encode())
        await line.send(SMOKE.topic, b'{"type": "battery", "alarm": false}')
        await line.send(SMOKE.topic, b'{"alarm": false, "id": "m2"}')
        await line.send(POWER.topic, b"12.5")
        began, ended, power = await shelf.until(3)

    assert (began.active, began.value, began.unit, began.source) == (
        True, 0.4, "dB/m", EventSource.MQTT,
    )  # fmt: skip
    assert began.device_at is not None
    assert began.device_at.isoformat() == "2026-03-01T00:00:00+00:00"
    assert (began.sensor, began.kind, began.topic) == (SMOKE.id, EventKind.SMOKE, SMOKE.topic)
    assert ended.active is False
    assert (power.active, power.value, power.unit) == (True, 12.5, "V")


async def test_what_the_store_did_not_take_is_not_acknowledged_and_comes_again(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    async with broker(tmp_path) as mosquitto, MqttLine("127.0.0.1", mosquitto.port) as line:
        sensors = intake(ALL)
        async with listening(at(mosquitto.port), sensors, shelf):
            shelf.is_away = True
            for _n in range(5):
                await line.send(SOS.topic, b'"pressed"')
            async with asyncio.timeout(10):
                while not shelf.refused:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert not shelf.events
        shelf.is_away = False
        async with listening(at(mosquitto.port), intake(ALL), shelf):
            await shelf.until(5)
        shelf.events.clear()
        async with listening(at(mosquitto.port), intake(ALL), shelf):
            await line.send(SOS.topic, b'"last"')
            await shelf.until(1)
            await asyncio.sleep(0.3)

    assert len(shelf.events) == 1, "acknowledged messages do not come again"


async def test_five_presses_of_a_button_without_ids_are_five_events(tmp_path: Path) -> None:
    shelf = Shelf()
    async with (
        broker(tmp_path) as mosquitto,
        MqttLine("127.0.0.1", mosquitto.port) as line,
        listening(at(mosquitto.port), intake(ALL), shelf),
    ):
        for _n in range(5):
            await line.send(SOS.topic, b"PRESS")
        events = await shelf.until(5)

    assert {event.active for event in events} == {None}


async def test_the_same_press_under_the_same_packet_id_counts_in_a_new_session(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    async with broker(tmp_path) as mosquitto, MqttLine("127.0.0.1", mosquitto.port) as line:
        for number in (1, 2):
            async with listening(at(mosquitto.port), intake(ALL), shelf, tmp_path):
                await line.send(SOS.topic, b"PRESS")
                await shelf.until(number)
                await asyncio.sleep(0.1)  # acknowledged
            # The broker forgets the session, as after its end or a start without persistence.
            async with aiomqtt.Client(
                "127.0.0.1", mosquitto.port, identifier="gateway-1",
                protocol=aiomqtt.ProtocolVersion.V5, clean_start=True,
            ):  # fmt: skip
                pass

    assert len(shelf.events) == 2


async def test_what_was_stored_and_not_acknowledged_comes_again_as_the_same_event(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    async with broker(tmp_path) as mosquitto, MqttLine("127.0.0.1", mosquitto.port) as line:
        async with listening(at(mosquitto.port), intake(ALL), shelf, tmp_path):
            await line.send(SOS.topic, b"PRESS")
            await shelf.until(1)
            await asyncio.sleep(0.1)
            shelf.goes_on_after.clear()  # stored, but our answer does not come
            await line.send(SOS.topic, b"PRESS")
            await shelf.until(2)
        shelf.goes_on_after.set()
        calls = len(shelf.calls)
        async with listening(at(mosquitto.port), intake(ALL), shelf, tmp_path):
            async with asyncio.timeout(10):
                while len(shelf.calls) == calls:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await line.send(SOS.topic, b"PRESS")
            await shelf.until(3)

    assert len(shelf.events) == 3


async def test_messages_wait_at_the_broker_while_we_are_away(tmp_path: Path) -> None:
    shelf = Shelf()
    async with broker(tmp_path) as mosquitto, MqttLine("127.0.0.1", mosquitto.port) as line:
        async with listening(at(mosquitto.port), intake(ALL), shelf):
            pass
        for n in range(300):
            await line.send(SOS.topic, json.dumps({"id": n}).encode())
        async with listening(at(mosquitto.port), intake(ALL), shelf):
            await shelf.until(300)


async def test_a_slow_store_holds_back_the_broker(tmp_path: Path) -> None:
    shelf = Shelf()
    async with (
        broker(tmp_path) as mosquitto,
        MqttLine("127.0.0.1", mosquitto.port) as line,
        listening(at(mosquitto.port, in_flight=10), intake(ALL), shelf) as source,
    ):
        shelf.goes_on.clear()
        for n in range(200):
            await line.send(SOS.topic, json.dumps({"id": n}).encode())
        await asyncio.sleep(0.3)
        assert source.waiting <= 10
        shelf.goes_on.set()
        await shelf.until(200)

    assert max(shelf.calls) <= 10


async def test_the_source_comes_back_after_a_broker_that_was_killed(tmp_path: Path) -> None:
    shelf = Shelf()
    async with (
        broker(tmp_path) as mosquitto,
        listening(at(mosquitto.port), intake(ALL), shelf) as source,
    ):
        await mosquitto.stop(9)
        async with asyncio.timeout(10):
            while source.connected.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await mosquitto.start()
        async with asyncio.timeout(10):
            await source.connected.wait()
        async with MqttLine("127.0.0.1", mosquitto.port) as line:
            await line.send(SOS.topic, b'{"id": 1}')
            await shelf.until(1)


async def test_a_large_message_is_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    shelf = Shelf()
    before = counted("too_large")
    async with (
        broker(tmp_path) as mosquitto,
        MqttLine("127.0.0.1", mosquitto.port) as line,
        listening(at(mosquitto.port), intake(ALL), shelf),
    ):
        await line.send(SOS.topic, b"x" * 65_537)
        await line.send(SOS.topic, b"x" * 2_000_000)
        await line.send(SOS.topic, b'{"id": 1}')
        await shelf.until(1)

    assert counted("too_large") == before + 1


async def test_topics_without_a_sensor_are_counted_by_name(tmp_path: Path) -> None:
    shelf, sensors = Shelf(), intake(ALL)
    async with (
        broker(tmp_path) as mosquitto,
        MqttLine("127.0.0.1", mosquitto.port) as line,
        listening(at(mosquitto.port), sensors, shelf),
    ):
        await line.send("yuyang/smoke/99", b"1")
        await line.send("yuyang/smoke/99", b"1")
        await line.send(SOS.topic, b"1")
        await shelf.until(1)

    assert sensors.take_unknown() == {"yuyang/smoke/99": 2}


async def test_a_wrong_password_is_tried_again_with_patience_and_a_right_one_is_let_in(
    tmp_path: Path,
) -> None:
    users = tmp_path / "users"
    need_mosquitto()
    make_user(users, "right")
    shelf = Shelf()
    async with broker(tmp_path, users=users.read_text()) as mosquitto:
        wrong = at(mosquitto.port, username="gateway", password="wrong")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2), listening(wrong, intake(ALL), shelf):
                pass
        right = at(mosquitto.port, username="gateway", password="right")
        async with listening(right, intake(ALL), shelf) as source:
            assert source.connected.is_set()
    assert "right" not in repr(right)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "key.pem", folder / "certificate.pem"
    files[0].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    files[1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return files


# paho leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_tls_needs_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    key, certificate = make_certificate(tmp_path)
    shelf = Shelf()
    async with broker(tmp_path, more=f"certfile {certificate}\nkeyfile {key}") as mosquitto:
        with pytest.raises(TimeoutError):
            async with (
                asyncio.timeout(2),
                listening(at(mosquitto.port, tls=True), intake(ALL), shelf),
            ):
                pass
        trusting = at(mosquitto.port, tls=True, ca_file=str(certificate))
        async with listening(trusting, intake(ALL), shelf) as source:
            assert source.connected.is_set()


async def test_two_gateways_share_a_subscription(tmp_path: Path) -> None:
    first, second = Shelf(), Shelf()
    async with broker(tmp_path) as mosquitto, MqttLine("127.0.0.1", mosquitto.port) as line:
        one = at(mosquitto.port, share="gateways")
        other = MqttBroker("127.0.0.1", ("yuyang/#",), one.port, "gateway-2", "gateways")
        async with (
            listening(one, intake(ALL), first),
            listening(other, intake(ALL), second),
        ):
            for n in range(40):
                await line.send(SOS.topic, json.dumps({"id": n}).encode())
            async with asyncio.timeout(10):
                while len(first.events) + len(second.events) < 40:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    assert first.events
    assert second.events
    assert not first.events.keys() & second.events.keys()


async def test_a_flood_of_unsure_messages_does_not_push_out_sure_ones(tmp_path: Path) -> None:
    shelf = Shelf()
    before = counted("overflow")
    async with broker(tmp_path) as mosquitto, listening(at(mosquitto.port), intake(ALL), shelf):
        shelf.goes_on.clear()
        async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
            await client.publish(SOS.topic, b'{"id": "first"}', qos=1)
            async with asyncio.timeout(10):
                while not shelf.calls:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            for n in range(3000):
                await client.publish(SOS.topic, json.dumps({"unsure": n}).encode(), qos=0)
            await client.publish(SOS.topic, b'{"id": "sure"}', qos=1)
        await asyncio.sleep(0.5)
        shelf.goes_on.set()
        async with asyncio.timeout(10):
            while counted("event") == 0 or sum(shelf.calls) < 1002:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    assert counted("overflow") > before
    assert sum(shelf.calls) == 1002
