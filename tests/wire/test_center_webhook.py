"""The webhook against a center that really answers, properly and not."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.outbox import OLD_SECRET, SECRET, message

from adapters.center_webhook import CenterWebhook, asked_pause
from adapters.virtual.center import Misbehaviour, VirtualCenter
from gateway.domain.alerting.retry import Delivery
from gateway.errors import SettingsError
from gateway.ports import Secret
from gateway.ports.events import SinkContext
from gateway.runtime.clock import SystemClock

CLOCK = SystemClock()
NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def webhook(
    url: str, *secrets: str, timeout_s: float = 1.0, authorities: Path | None = None
) -> CenterWebhook:
    trusted = tuple(Secret(one) for one in (secrets or (SECRET,)))
    return CenterWebhook(SinkContext(CLOCK, url, trusted, timeout_s, authorities))


@pytest.fixture
async def center() -> AsyncIterator[VirtualCenter]:
    async with VirtualCenter((SECRET,), slow_s=0.3, late_s=1.5) as one:
        yield one


async def sent(center: VirtualCenter, *behaviour: Misbehaviour, revision: int = 1) -> Delivery:
    center.misbehave(*behaviour)
    sink = webhook(center.url)
    try:
        return await sink.send(message("k", revision, CLOCK.utc(CLOCK.now())))
    finally:
        await sink.close()


async def test_a_signed_event_is_verified_taken_and_acknowledged(center: VirtualCenter) -> None:
    assert await sent(center) == Delivery(delivered=True, reason="200")

    (event,) = center.messages
    assert event["specversion"] == "1.0"
    assert event["data"]["title"] == "烟雾报警：k"
    assert (center.counts.received, center.counts.forged) == (1, 0)


@pytest.mark.parametrize("known", [SECRET, OLD_SECRET])
async def test_while_a_secret_is_replaced_a_center_with_either_verifies(known: str) -> None:
    async with VirtualCenter((known,)) as center:
        sink = webhook(center.url, SECRET, OLD_SECRET)
        delivery = await sink.send(message("k", 1, NOW))
        await sink.close()

    assert delivery.delivered


async def test_a_center_with_another_secret_refuses_and_the_message_is_a_dead_letter() -> None:
    async with VirtualCenter((OLD_SECRET,)) as center:
        sink = webhook(center.url, SECRET)
        delivery = await sink.send(message("k", 1, NOW))
        await sink.close()

    assert delivery == Delivery(delivered=False, retry=False, reason="401 Unauthorized")
    assert (center.counts.received, center.counts.forged) == (0, 1)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (Misbehaviour.ERROR, Delivery(False, True, None, "500 Internal Server Error")),
        (Misbehaviour.BUSY, Delivery(False, True, 1.0, "429 Too Many Requests")),
        (Misbehaviour.GONE, Delivery(False, False, None, "410 Gone")),
        (
            Misbehaviour.REDIRECT,
            Delivery(False, True, None, "307 Temporary Redirect (redirects are not followed)"),
        ),
        (Misbehaviour.DOWN, Delivery(False, True, None, "hung up without an answer")),
        (Misbehaviour.LATE, Delivery(False, True, None, "no answer in time")),
        (
            Misbehaviour.WRONG,
            Delivery(False, True, None, "wrong acknowledgement: 'msg_of_somebody_else'"),
        ),
        (Misbehaviour.SLOW, Delivery(True, True, None, "200")),
    ],
)
async def test_each_way_to_answer_means_what_it_should(
    center: VirtualCenter, behaviour: Misbehaviour, expected: Delivery
) -> None:
    began = time.monotonic()

    assert await sent(center, behaviour) == expected

    assert time.monotonic() - began < 1.4
    assert center.counts.received == (
        behaviour in {Misbehaviour.LATE, Misbehaviour.WRONG, Misbehaviour.SLOW}
    )


async def test_other_4xx_are_dead_letters_too(center: VirtualCenter) -> None:
    delivery = await sent(center, Misbehaviour.REFUSE)

    assert not delivery.retry
    assert delivery.reason.startswith("422 ")


async def test_a_date_in_retry_after_is_a_pause_from_now(center: VirtualCenter) -> None:
    center.retry_after_s = 100

    delivery = await sent(center, Misbehaviour.BUSY_DATE)

    assert delivery.retry
    assert delivery.after_s == pytest.approx(100, abs=3)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("120", 120.0), (" 7 ", 7.0), ("-1", None), ("soon", None), ("1.5", None),
        ("9" * 30, None), ("²", None), ("Mon, 23 Nov 2026 04:02:00 GMT", 120.0),
        ("Mon, 23 Nov 2026 03:00:00 GMT", 0.0), ("Mon, 23 Nov 2026 12:00:30 +0800", 30.0), ("", None),
    ],
)  # fmt: skip
def test_what_retry_after_may_say(value: str | None, seconds: float | None) -> None:
    assert asked_pause(value, NOW) == seconds


async def test_an_answer_without_end_is_read_to_64_kb(center: VirtualCenter) -> None:
    began = time.monotonic()

    delivery = await sent(center, Misbehaviour.ENDLESS)

    assert delivery == Delivery(delivered=True, reason="200, with more than 64 kB to say")
    assert time.monotonic() - began < 0.9


async def test_a_port_that_refuses_and_a_name_that_is_none_are_tried_again() -> None:
    async with VirtualCenter((SECRET,)) as center:
        url = center.url
    for address, reason in (
        (url, "cannot be connected to"),
        ("http://no-such-host.invalid/", "its name is not known"),
    ):
        sink = webhook(address, timeout_s=5.0)
        delivery = await sink.send(message("k", 1, NOW))
        await sink.close()
        assert delivery == Delivery(delivered=False, reason=reason)


async def test_nothing_but_the_configured_address_is_called(
    center: VirtualCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with VirtualCenter((SECRET,)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert (await sent(center)).delivered
        await sent(center, Misbehaviour.REDIRECT)

        assert proxy.counts.received == 0
    assert center.counts.received == 1


async def test_attempts_run_beside_each_other(center: VirtualCenter) -> None:
    center.current = Misbehaviour.SLOW
    sink = webhook(center.url)
    began = time.monotonic()

    await asyncio.gather(*(sink.send(message(f"k{n}", 1, NOW)) for n in range(8)))

    await sink.close()
    assert time.monotonic() - began < 3 * center.slow_s
    assert center.counts.received == 8


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "secret", "whsec_" + "A" * 8, "whsec_" + "A" * 200, "whsec_€"]
)
def test_what_is_no_secret_is_refused_without_being_quoted(secret: str) -> None:
    with pytest.raises(SettingsError) as told:
        webhook("http://127.0.0.1:1/", secret)

    assert "24 to 64 bytes" in str(told.value)
    assert len(secret) < 7 or secret not in str(told.value)


def test_three_secrets_are_too_many() -> None:
    with pytest.raises(SettingsError, match="two while one replaces"):
        webhook("http://127.0.0.1:1/", SECRET, OLD_SECRET, SECRET)


async def test_the_center_counts_two_ids_for_one_revision_and_the_same_id_apart(
    center: VirtualCenter, tmp_path: Path
) -> None:
    sink = webhook(center.url)
    first = message("k", 1, NOW)
    for one in (first, first, message("k", 1, NOW, recipient="other"), message("k", 2, NOW)):
        assert (await sink.send(one)).delivered
    await sink.send(message("k", 3, NOW + timedelta(seconds=60)))
    await sink.send(message("z", 2, NOW))
    await sink.send(message("z", 1, NOW))
    await sink.close()

    counts = center.counts
    assert (counts.received, counts.distinct) == (7, 6)
    assert (counts.duplicated, counts.redelivered, counts.disordered) == (1, 1, 1)
    assert counts.opened == 2
