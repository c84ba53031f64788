"""The HTTP side of pushed events: what the service's own server hands to `adapters.onvif.push`.

Apart from `adapters.onvif`, which asks cameras by its own client and knows no aiohttp.
"""

import asyncio
from collections.abc import Collection
from ipaddress import IPv6Address, ip_address
from typing import Final

from aiohttp import web

from adapters.onvif.push import PREFIX, PushDoor, push_path

__all__ = ["PushDoor", "push_path", "push_routes", "sender_of"]
BODY_LIMIT: Final = 256 * 1024
_PIECE: Final = 16_384
_BODY_S: Final = 10.0


def sender_of(request: web.Request, proxies: Collection[str] = ()) -> str:
    """The address that a request comes from; a proxy of ours is believed whom it took it from.

    Args:
        request: as it came.
        proxies: addresses of proxies; each adds its own peer behind what `X-Forwarded-For` says.
    """
    hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    sender = _plain(request.remote or "")
    while sender in proxies and hops:
        sender = _plain(hops.pop())
    return sender


def _plain(address: str) -> str:
    """As the archive writes it: an IPv4 address inside an IPv6 one counts as what it is."""
    try:
        found = ip_address(address.strip().partition("%")[0])
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def push_routes(door: PushDoor, proxies: Collection[str] = ()) -> list[web.RouteDef]:
    """`POST /n/{name}` for the service's HTTP server.

    200 whatever came; 503 when it could not be stored, 408 when it did not come within ten seconds, so
    that the device may repeat it.

    Args:
        door: takes what is pushed.
        proxies: addresses of proxies that are believed who the sender is.
    """

    async def handle(request: web.Request) -> web.Response:
        if not door.knows(request.path, sender_of(request, proxies)):
            return web.Response()
        try:
            async with asyncio.timeout(_BODY_S):
                body = await _body(request)
        except TimeoutError:
            return web.Response(status=408, headers={"Connection": "close"})
        taken = await door.take(request.path, body)
        return web.Response(status=200 if taken else 503)

    return [web.post(PREFIX + "{name:[a-z2-7]{16}}", handle)]


async def _body(request: web.Request) -> bytes:
    """At most 256 kB; of more, nothing."""
    parts: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_chunked(_PIECE):
        size += len(chunk)
        if size > BODY_LIMIT:
            return b""
        parts.append(chunk)
    return b"".join(parts)
