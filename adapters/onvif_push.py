"""The HTTP side of pushed events: what the service's own server hands to `adapters.onvif.push`.

Apart from `adapters.onvif`, which asks cameras by its own client and knows no aiohttp.
"""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from adapters.onvif.push import PREFIX, PushDoor, push_path

__all__ = ["PushDoor", "push_path", "push_routes"]
BODY_LIMIT: Final = 256 * 1024
_PIECE: Final = 16_384
AddressOf = Callable[[web.Request], str]


def _peer(request: web.Request) -> str:
    return request.remote or ""


def push_routes(door: PushDoor, address_of: AddressOf = _peer) -> list[web.RouteDef]:
    """`POST /n/{name}` for the service's HTTP server.

    200 whatever came; 503 when it could not be stored, so that the device may repeat it.

    Args:
        door: takes what is pushed.
        address_of: the sender's address (behind a proxy, what the proxy says).
    """

    async def handle(request: web.Request) -> web.Response:
        if not door.knows(request.path, address_of(request)):
            return web.Response()
        taken = await door.take(request.path, await _body(request))
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
