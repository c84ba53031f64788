"""Requests of the event services, and what is remembered of a pull point."""

import importlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from lxml import etree

from adapters.onvif import event_calls as calls
from adapters.onvif.addressing import Subscription
from adapters.onvif.pull_point import PullPoint, recall, remember
from adapters.onvif.templates import wsdl_path
from gateway.domain.camera import Device, DeviceId, NodeId

DEVICE = Device(DeviceId("10.0.0.1:80"), "10.0.0.1", 80, NodeId("n"))
SOAP = "{http://www.w3.org/2003/05/soap-envelope}"
BINDINGS = {
    "CreatePullPointSubscription": "EventBinding",
    "PullMessages": "PullPointSubscriptionBinding",
    "SetSynchronizationPoint": "PullPointSubscriptionBinding",
    "Renew": "SubscriptionManagerBinding",
    "Unsubscribe": "SubscriptionManagerBinding",
    "Subscribe": "NotificationProducerBinding",
}


@pytest.fixture(scope="module")
def client() -> Any:
    zeep: Any = importlib.import_module("zeep")
    return zeep.Client(wsdl_path("events.wsdl"), settings=zeep.Settings(strict=False))


def canonical(element: Any) -> bytes:
    found: bytes = etree.tostring(element, method="c14n", exclusive=True)
    copy = etree.fromstring(found)
    for node in copy.iter():
        node.text = (node.text or "").strip() or None
    etree.cleanup_namespaces(copy)
    return b"|".join(f"{node.tag}={node.text}".encode() for node in copy.iter())


@pytest.mark.parametrize(
    ("operation", "values", "body"),
    [
        (
            "CreatePullPointSubscription",
            {"InitialTerminationTime": "PT600S"},
            calls.create("PT600S"),
        ),
        (
            "PullMessages",
            {"Timeout": timedelta(seconds=24), "MessageLimit": 100},
            calls.pull(24, 100),
        ),
        ("SetSynchronizationPoint", {}, calls.SYNCHRONIZE),
        ("Renew", {"TerminationTime": "PT600S"}, calls.renew("PT600S")),
        ("Unsubscribe", {}, calls.UNSUBSCRIBE),
        (
            "Subscribe",
            {
                "ConsumerReference": {"Address": "http://10.1.1.1/n/a"},
                "InitialTerminationTime": "PT600S",
            },
            calls.subscribe("http://10.1.1.1/n/a", "PT600S"),
        ),
    ],
)
def test_requests_are_what_zeep_makes_of_the_wsdl(
    client: Any, operation: str, values: dict[str, Any], body: str
) -> None:
    name = f"{{http://www.onvif.org/ver10/events/wsdl}}{BINDINGS[operation]}"
    binding = client.wsdl.bindings[name]
    envelope, _ = binding._create(operation, (), values, client=client, options={"address": ""})
    assert canonical(etree.fromstring(body)) == canonical(envelope.find(f"{SOAP}Body")[0])
    assert calls.ACTIONS[operation] == binding.get(operation).soapaction or operation in {
        "Renew", "Unsubscribe", "Subscribe"
    }  # fmt: skip


def test_every_request_has_addressing_headers_and_echoes_the_reference() -> None:
    echo = b'<d:SubscriptionId xmlns:d="http://www.axis.com/2009/event">5</d:SubscriptionId>'
    made = calls.template(
        "Renew", calls.renew("PT60S"), "http://h/x?a=1&b=2", "urn:uuid:7", (echo,)
    )
    for text in (made.plain, made.signed):
        envelope = etree.fromstring(text)
        header = envelope.find(f"{SOAP}Header")
        assert header is not None
        assert header.findtext(f"{{{calls.WSA}}}To") == "http://h/x?a=1&b=2"
        assert header.findtext(f"{{{calls.WSA}}}MessageID") == "urn:uuid:7"
        assert header.findtext(f"{{{calls.WSA}}}Action", "").endswith("/RenewRequest")
        assert header.findtext("{http://www.axis.com/2009/event}SubscriptionId") == "5"
    assert "UsernameToken" in made.signed
    assert "UsernameToken" not in made.plain
    assert "mustUnderstand" not in made.signed


def test_message_ids_are_unique_and_look_like_uuids() -> None:
    make = calls.message_ids()
    made = [make() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {len(text) for text in made} == {len("urn:uuid:") + 36}


def test_durations_and_moments() -> None:
    assert calls.duration(600) == "PT600S"
    assert calls.duration(0.5) == "PT0.500S"
    assert calls.duration(0) == "PT0S"
    at = datetime(2026, 1, 2, 11, 4, 5, tzinfo=timezone(timedelta(hours=8)))
    assert calls.moment(at) == "2026-01-02T03:04:05Z"
    assert calls.moment(at.astimezone(UTC)) == "2026-01-02T03:04:05Z"


def test_a_reference_survives_a_restart() -> None:
    point = PullPoint(DEVICE, where=Subscription("/sub?x=1", (b"<a>5</a>",)), event_path="/ev")
    again = recall(DEVICE, remember(point))
    assert (again.where, again.event_path) == (point.where, "/ev")


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "nonsense", '{"path": "http://evil/", "parameters": []}', '{"path": 1}'],
)
def test_a_reference_that_is_none_is_not_used(text: str) -> None:
    assert recall(DEVICE, text).where is None


def test_a_reference_that_is_too_long_is_not_remembered() -> None:
    point = PullPoint(DEVICE, where=Subscription("/s", (b"<a>" + b"x" * 9000 + b"</a>",)))
    assert remember(point) == ""
    assert remember(PullPoint(DEVICE)) == ""


@pytest.mark.parametrize(
    ("told_s", "life_s", "absolute"),
    [(600.0, 600.0, False), (None, 600.0, False), (30.0, 30.0, True)],
)
def test_a_life_is_renewed_at_four_fifths(
    told_s: float | None, life_s: float, absolute: bool
) -> None:
    point = PullPoint(DEVICE)
    point.lives(told_s, 600.0, 1000.0)
    assert point.ends_at == 1000.0 + life_s
    assert 0.69 * life_s <= point.renew_at - 1000.0 <= 0.8 * life_s
    assert point.absolute is absolute


def test_a_short_life_is_believed_once() -> None:
    point = PullPoint(DEVICE, absolute=True)
    point.lives(5.0, 600.0, 1000.0)
    assert point.ends_at == 1060.0


def test_back_off_doubles_up_to_a_limit() -> None:
    point = PullPoint(DEVICE)
    waits = []
    for point.failures in (1, 2, 3, 50):
        waits.append(point.backoff_s(60.0, 1800.0))
    for wait, step in zip(waits, (60, 120, 240, 1800), strict=True):
        assert step <= wait <= 1.25 * step
