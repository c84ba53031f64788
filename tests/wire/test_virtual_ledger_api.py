"""Reading the ledger through HTTP: pages, the token, and what cannot be read."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from adapters.virtual.ledger_api import load_rows
from gateway.domain.ledger import GapReason
from gateway.errors import Unavailable

Handler = Callable[[web.Request], Awaitable[web.Response]]
OUTAGE = {
    "channel": "c1", "cause": "timeout", "last_seen_at": "2026-11-23T08:00:00Z",
    "failed_at": "2026-11-23T08:00:05Z", "confirmed_at": "2026-11-23T08:00:20Z",
    "last_failed_at": "2026-11-23T08:01:00Z", "ended_at": None,
}  # fmt: skip
GAP = {"id": "g", "reason": "blind", "started_at": "2026-11-23T08:00:00Z", "ended_at": None}


async def outages(request: web.Request) -> web.Response:
    """Two pages: the next one is told by a Link header, as a relative address."""
    assert request.headers["Authorization"] == "Bearer secret"
    if "cursor" in request.query:
        return web.json_response({"items": [{"id": "o2", **OUTAGE}], "next": None})
    page = {"items": [{"id": "o1", **OUTAGE}], "next": "/api/v1/outages?cursor=2"}
    headers = {"Link": '</api/v1/outages?cursor=2>; rel="next"'}
    return web.json_response(page, headers=headers)


async def incidents(request: web.Request) -> web.Response:
    assert request.query["include_merged"] == "true"
    return web.json_response({"items": [], "next": None})


async def faults(_: web.Request) -> web.Response:
    return web.json_response({"items": [], "next": None})


async def gaps(request: web.Request) -> web.Response:
    if "cursor" in request.query:
        return web.json_response({"items": [], "next": None})
    return web.json_response({"items": [GAP], "next": "/api/v1/gateway-gaps?cursor=2"})


@asynccontextmanager
async def api(**routes: Handler) -> AsyncIterator[str]:
    app = web.Application()
    for name, handler in routes.items():
        app.router.add_get(f"/api/v1/{name.replace('_', '-')}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def test_all_pages_of_all_lists_are_read() -> None:
    async with api(outages=outages, incidents=incidents, faults=faults, gateway_gaps=gaps) as url:
        rows = await load_rows(url, "secret")
    assert [row.id for row in rows.outages] == ["o1", "o2"]
    assert rows.gaps[0].reason is GapReason.BLIND
    assert not rows.faults
    assert not rows.incidents


async def test_an_api_that_lacks_something_is_unavailable() -> None:
    async with api(outages=outages) as url:
        with pytest.raises(Unavailable, match="404"):
            await load_rows(url, "secret")


async def test_an_api_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        await load_rows("http://127.0.0.1:1", "secret")
