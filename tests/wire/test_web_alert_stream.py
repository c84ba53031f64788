"""The feed of alerts as server-sent events: order, resumption, reset, bounds."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from fakes.event_rows import alert
from fakes.web_service import WebService, district, running

from gateway.ports import Role
from gateway.ports.events import EventChanges
from gateway.web import alert_stream, alert_watch
from gateway.web.stream import StreamLimits


@dataclass
class Reader:
    response: aiohttp.ClientResponse

    async def event(self) -> tuple[str, str, Any]:
        """Name, id and data of the next event."""
        fields: dict[str, str] = {}
        while True:
            raw = await asyncio.wait_for(self.response.content.readline(), 10)
            if not raw:
                raise EOFError
            name, _, value = raw.decode().rstrip("\n").partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            elif "event" in fields:
                return fields["event"], fields.get("id", ""), json.loads(fields["data"])
            else:
                fields = {}

    async def alerts(self, count: int) -> list[str]:
        """Ids of the next messages."""
        found = [await self.event() for _ in range(count)]
        assert {name for name, _, _ in found} <= {"alert"}
        return [data["id"] for _, _, data in found]


@asynccontextmanager
async def reading(service: WebService, last_id: str = "", query: str = "") -> AsyncIterator[Reader]:
    headers = service.headers(Role.CENTER) | ({"Last-Event-ID": last_id} if last_id else {})
    url = service.url + "/api/v1/alerts/stream" + query
    async with service.session.get(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        yield Reader(response)


async def write(service: WebService, first: int, last: int, recipient: str = "feed") -> None:
    rows = [alert(f"a{n}", f"ev-{n}", recipient=recipient) for n in range(first, last + 1)]
    await service.store.events.commit(EventChanges(alerts=tuple(rows)))


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebService]:
    monkeypatch.setattr(alert_stream, "WAIT_S", 0.05)
    monkeypatch.setattr(alert_watch, "LEAST_S", 0.03)
    monkeypatch.setattr(alert_watch, "LOOK_S", 0.05)
    limits = StreamLimits(streams=2, as_of_s=0.2, comment_s=60.0)
    async with running(district(2), limits=limits) as one:
        yield one


async def test_what_stands_there_comes_first_in_order_then_what_is_stored(
    service: WebService,
) -> None:
    await write(service, 1, 3)
    await write(service, 90, 91, recipient="center")
    async with reading(service) as reader:
        name, event_id, data = await reader.event()
        assert (name, event_id, data["after"]) == ("hello", "", 0)
        assert await reader.alerts(3) == ["a1", "a2", "a3"]
        await write(service, 4, 4)
        name, event_id, data = await reader.event()
        listed = (await service.get("/api/v1/alerts", role=Role.CENTER))["items"][-1]
        assert (name, data) == ("alert", listed)
        assert event_id == str(listed["cursor"])


async def test_more_than_a_page_comes_whole(service: WebService) -> None:
    await write(service, 1, 2 * alert_stream.PAGE + 7)
    async with reading(service) as reader:
        await reader.event()
        found = await reader.alerts(2 * alert_stream.PAGE + 7)
        assert found == [f"a{n}" for n in range(1, 2 * alert_stream.PAGE + 8)]


@pytest.mark.parametrize("by", ["header", "query"])
async def test_a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice(
    service: WebService, by: str
) -> None:
    await write(service, 1, 2)
    async with reading(service) as reader:
        await reader.event()
        _, last_id, _ = [await reader.event() for _ in range(2)][-1]
    await write(service, 3, 4)
    given = {"last_id": last_id} if by == "header" else {"query": f"?last_event_id={last_id}"}
    async with reading(service, **given) as reader:
        name, _, data = await reader.event()
        assert (name, data["after"]) == ("hello", int(last_id))
        assert await reader.alerts(2) == ["a3", "a4"]


@pytest.mark.parametrize("last_id", ["999999", "run1-4", "-1", "1" * 40, "٣"])
async def test_an_id_that_is_none_of_this_store_resets_and_everything_comes_again(
    service: WebService, last_id: str
) -> None:
    await write(service, 1, 2)
    async with reading(service, query=f"?last_event_id={last_id}") as reader:
        name, _, data = await reader.event()
        assert (name, data["after"]) == ("reset", 0)
        assert await reader.alerts(2) == ["a1", "a2"]


async def test_a_store_that_is_away_delays_the_stream_and_loses_nothing(
    service: WebService,
) -> None:
    async with reading(service) as reader:
        await reader.event()
        service.store.is_away = True
        await asyncio.sleep(0.3)
        service.store.is_away = False
        await write(service, 1, 1)
        assert await reader.alerts(1) == ["a1"]
    service.store.is_away = True
    status, _, _ = await service.call("GET", "/api/v1/alerts/stream", role=Role.CENTER)
    service.store.is_away = False
    assert status == 503


async def test_all_streams_together_read_the_store_no_more_often_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alert_stream, "WAIT_S", 0.05)
    monkeypatch.setattr(alert_watch, "LEAST_S", 0.3)
    monkeypatch.setattr(alert_watch, "LOOK_S", 0.4)
    limits = StreamLimits(streams=12, as_of_s=60.0, comment_s=60.0)
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running(district(2), limits=limits))
        await write(service, 1, 2)
        await write(service, 90, 91, recipient="center")
        names = ["feed", "center", "nobody"]
        readers = [
            await stack.enter_async_context(reading(service, query=f"?recipient={names[n % 3]}"))
            for n in range(12)
        ]
        for n, reader in enumerate(readers):
            await reader.event()
            await reader.alerts((2, 2, 0)[n % 3])
        await asyncio.sleep(1.0)
        read = 0
        alerts = service.store.events.alerts

        async def counting(**query: Any) -> Any:
            nonlocal read
            read += 1
            return await alerts(**query)

        monkeypatch.setattr(service.store.events, "alerts", counting)
        await asyncio.sleep(2.0)
        assert 3 <= read <= 7
        await write(service, 3, 4)
        await write(service, 92, 92, recipient="center")
        for n, reader in enumerate(readers):
            expected = (["a3", "a4"], ["a92"], [])[n % 3]
            assert await reader.alerts(len(expected)) == expected
        assert read <= 10


async def test_a_stream_is_woken_by_what_this_process_commits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alert_stream, "WAIT_S", 60.0)
    monkeypatch.setattr(alert_watch, "LEAST_S", 0.05)
    monkeypatch.setattr(alert_watch, "LOOK_S", 60.0)
    async with running(district(2)) as service, reading(service) as reader:
        await reader.event()
        await asyncio.sleep(0.3)
        await write(service, 1, 1)
        for wake in service.alerts_committed:
            wake()
        assert await reader.alerts(1) == ["a1"]


async def test_a_reader_that_the_ring_has_left_behind_goes_on_without_gap_or_repeat(
    service: WebService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_watch, "RING", 5)
    async with reading(service, query="?recipient=center") as quiet, reading(service) as reader:
        await quiet.event()
        await reader.event()
        for first in range(1, 61, 20):
            await write(service, first, first + 19)
            await asyncio.sleep(0.1)
        assert await reader.alerts(60) == [f"a{n}" for n in range(1, 61)]
        await write(service, 90, 90, recipient="center")
        assert await quiet.alerts(1) == ["a90"]


async def test_both_kinds_of_streams_count_together_and_viewers_get_none(
    service: WebService,
) -> None:
    async with reading(service), reading(service):
        for path in ("/api/v1/alerts/stream", "/api/v1/stream"):
            status, body, _ = await service.call("GET", path, role=Role.CENTER)
            assert (status, body["type"]) == (503, "urn:sightline:problem:too-many-streams")
    status, _, _ = await service.call("GET", "/api/v1/alerts/stream", role=Role.VIEWER)
    assert status == 403
