"""The stream: greeting, replay, reset, coalescing, bounds."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from fakes.web_service import WebService, channel, district, running

from gateway.domain.ledger import GapReason, GatewayGap, Incident, Outage, State
from gateway.domain.observation import OutageCause
from gateway.feed import RING
from gateway.ports import Role
from gateway.web.stream import StreamLimits

QUICK = StreamLimits(pause_s=0.05, as_of_s=30.0, comment_s=60.0)


@dataclass
class Reader:
    """What a browser's EventSource does, in plain sight."""

    response: aiohttp.ClientResponse
    last_id: str = ""

    async def block(self) -> list[tuple[str, str]]:
        """The next block of lines, as (field, value)."""
        lines: list[tuple[str, str]] = []
        while True:
            raw = await asyncio.wait_for(self.response.content.readline(), 10)
            if not raw:
                raise EOFError
            line = raw.decode().rstrip("\n")
            if not line:
                return lines
            name, _, value = line.partition(":")
            lines.append((name, value.removeprefix(" ")))

    async def event(self) -> tuple[str, Any]:
        """The next event; remembers its id."""
        while True:
            lines = dict(await self.block())
            self.last_id = lines.get("id", self.last_id)
            if "event" in lines:
                return lines["event"], json.loads(lines["data"])


@asynccontextmanager
async def stream(
    service: WebService, last_id: str = "", query: str = "", role: Role = Role.VIEWER
) -> AsyncIterator[Reader]:
    """An open stream."""
    headers = service.headers(role) | ({"Last-Event-ID": last_id} if last_id else {})
    async with service.session.get(service.url + "/api/v1/stream" + query, headers=headers) as r:
        assert r.status == 200, await r.text()
        yield Reader(r)


def outage(service: WebService, number: int, row_id: str = "o1") -> Outage[datetime]:
    now = service.now()
    return Outage(row_id, channel(number), OutageCause.REFUSED, now, now, now, now)


async def test_a_stream_begins_with_hello_and_names_this_run() -> None:
    async with running(district(10), limits=QUICK) as service, stream(service) as reader:
        assert await reader.event() == ("hello", {"run": "run1", "as_of": _as_of(service)})
        assert reader.last_id == "run1-0"
        response = reader.response
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Cache-Control"] == "no-store"


def _as_of(service: WebService) -> str:
    assert service.projection.as_of is not None
    return service.projection.as_of.isoformat().replace("+00:00", "Z")


async def test_states_of_one_wake_up_come_as_one_event_with_the_last_value() -> None:
    async with running(district(10), limits=QUICK) as service, stream(service) as reader:
        await reader.event()
        await service.set_state(State.ONLINE, 1, 2, 3)
        await service.set_state(State.OFFLINE, 2)
        name, data = await reader.event()
        assert name == "states"
        assert data["states"] == [[1, "o"], [2, "f"], [3, "o"]]
        assert reader.last_id == "run1-4"


async def test_rows_come_before_the_states_and_look_as_in_the_api() -> None:
    async with running(district(10), limits=QUICK) as service, stream(service) as reader:
        await reader.event()
        now = service.now()
        await service.change(
            outages=(outage(service, 1),),
            incidents=(Incident("i1", channel(1), OutageCause.REFUSED, now, now, now),),
            gaps=(GatewayGap("g1", GapReason.BLIND, now),),
        )
        await service.set_state(State.OFFLINE, 1)
        events = [await reader.event() for _ in range(4)]
        assert [name for name, _ in events] == ["outage", "incident", "gap", "states"]
        listed = (await service.get("/api/v1/outages"))["items"][0]
        assert events[0][1] == listed
        incident = (await service.get("/api/v1/incidents"))["items"][0]
        assert events[1][1] == {k: v for k, v in incident.items() if k != "notes"}


async def test_only_the_last_event_of_a_batch_has_an_id() -> None:
    async with running(district(10), limits=QUICK) as service, stream(service) as reader:
        await reader.event()
        await service.change(outages=(outage(service, 1),))
        await service.set_state(State.OFFLINE, 1)
        first, second = dict(await reader.block()), dict(await reader.block())
        assert "id" not in first
        assert second["id"] == "run1-2"


async def test_a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice() -> None:
    async with running(district(10), limits=QUICK) as service:
        async with stream(service) as reader:
            await reader.event()
            await service.set_state(State.ONLINE, 1)
            await reader.event()
            last = reader.last_id
        await service.set_state(State.ONLINE, 2)
        await service.change(outages=(outage(service, 3),))
        async with stream(service, last) as reader:
            assert (await reader.event())[0] == "outage"
            assert (await reader.event())[1]["states"] == [[2, "o"]]
            await service.set_state(State.OFFLINE, 5)
            assert (await reader.event())[1]["states"] == [[5, "f"]]


async def test_a_page_follows_the_wall_without_a_hole() -> None:
    async with running(district(10), limits=QUICK) as service:
        wall = await service.get("/api/v1/wall")
        await service.set_state(State.DEGRADED, 4)
        async with stream(service, query=f"?last_event_id={wall['stream_id']}") as reader:
            assert (await reader.event())[1]["states"] == [[4, "d"]]


@pytest.mark.parametrize(
    "last_id", ["other-3", "run1-99", "run1-x", "run1", "-", "run1--1", "run1-1e3", "9" * 99]
)
async def test_an_id_of_another_run_or_of_nowhere_is_answered_by_reset(last_id: str) -> None:
    async with running(district(10), limits=QUICK) as service:
        await service.set_state(State.ONLINE, 1)
        async with stream(service, last_id) as reader:
            name, data = await reader.event()
            assert (name, data["run"]) == ("reset", "run1")
            assert reader.last_id == "run1-1"
            await service.set_state(State.OFFLINE, 2)
            assert (await reader.event())[1]["states"] == [[2, "f"]]


async def test_an_id_older_than_the_ring_is_answered_by_reset() -> None:
    async with running(district(10), limits=QUICK) as service:
        for n in range(RING + 10):
            service.projection.feed.publish("outage", outage(service, n % 10))
        async with stream(service, "run1-5") as reader:
            assert (await reader.event())[0] == "reset"


async def test_after_an_import_channels_have_other_numbers_so_readers_start_anew() -> None:
    async with running(district(10), limits=QUICK) as service:
        await service.set_state(State.ONLINE, 1)
        async with stream(service) as reader:
            await reader.event()
            service.projection.load(district(12), service.now())
            await service.set_state(State.ONLINE, 2)
            assert (await reader.event())[0] == "reset"
            old = "run1-1"
        async with stream(service, old) as reader:
            assert (await reader.event())[0] == "reset"


async def test_as_of_and_comments_come_even_when_nothing_happens() -> None:
    limits = replace(QUICK, as_of_s=0.05, comment_s=0.05)
    async with running(district(10), limits=limits) as service, stream(service) as reader:
        await reader.event()
        service.reasons.append("store: away")
        blocks = [await reader.block() for _ in range(2)]
        assert ("event", "as_of") in blocks[0]
        assert json.loads(dict(blocks[0])["data"])["reasons"] == ["store: away"]
        assert blocks[1] == [("", "still here")]


async def test_the_number_of_streams_is_bounded() -> None:
    async with running(district(10), limits=replace(QUICK, streams=2)) as service:
        async with stream(service), stream(service):
            status, problem, response = await service.call("GET", "/api/v1/stream")
            assert (status, problem["type"]) == (503, "urn:sightline:problem:too-many-streams")
            assert response.headers["Retry-After"] == "10"
        for _ in range(100):  # the server notices a reader that left
            status, _, _ = await _peek(service)
            if status == 200:
                break
            await asyncio.sleep(0.02)
        assert status == 200


async def _peek(service: WebService) -> tuple[int, str, str]:
    headers = service.headers()
    async with service.session.get(service.url + "/api/v1/stream", headers=headers) as r:
        return r.status, "", ""


async def test_a_reader_that_takes_nothing_is_disconnected() -> None:
    limits = replace(QUICK, write_s=0.3, pause_s=0.0, buffer_bytes=1024)
    async with running(district(50), limits=limits) as service:
        host, port = "127.0.0.1", int(service.url.rsplit(":", 1)[1])
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (host, port))
        token = service.tokens[Role.VIEWER]
        request = f"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        await loop.sock_sendall(sock, request.encode())
        async with stream(service) as healthy:
            await healthy.event()
            rows = 0
            for _ in range(400):
                for _ in range(100):
                    service.projection.feed.publish("outage", outage(service, 1))
                rows += 100
                await asyncio.sleep(0.005)
                if "sightline_streams_open 1.0" in await _metrics(service):
                    break
            assert "sightline_streams_open 1.0" in await _metrics(service)
        sock.close()


async def _metrics(service: WebService) -> str:
    service.clock.ahead_s += 1.1  # the page is made once a second
    text: str = await service.get("/metrics", role=None)
    return text


async def test_a_stream_does_not_outlive_its_token() -> None:
    limits = replace(QUICK, as_of_s=0.1)
    async with running(district(10), limits=limits) as service, stream(service) as reader:
        await reader.event()
        token = next(t for t in await service.store.tokens() if t.role is Role.VIEWER)
        await service.store.save_token(replace(token, revoked_at=service.now()))
        service.clock.ahead_s += 6
        with pytest.raises(EOFError):
            await _read_on(reader)


async def _read_on(reader: Reader) -> None:
    for _ in range(20):
        await reader.event()


async def test_streams_end_at_once_on_shutdown() -> None:
    async with running(district(10), limits=QUICK) as service:
        session = aiohttp.ClientSession()
        response = await session.get(service.url + "/api/v1/stream", headers=service.headers())
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 2
    response.close()
    await session.close()


@pytest.mark.parametrize("role", [None, Role.AUDITOR])
async def test_a_stream_needs_a_token_that_may_read(role: Role | None) -> None:
    async with running(district(10), limits=QUICK) as service:
        status, _, _ = await service.call("GET", "/api/v1/stream", role)
        assert status == (401 if role is None else 403)
