"""A device pushes: one `Notify` to where it was told to, on a connection of its own."""

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from adapters.virtual.soap import PREFIXES, SOAP12

_LIMIT_S: Final = 5.0
_running: Final[set[asyncio.Task[None]]] = set()


def push(source: str, consumer: str, message: str) -> None:
    """Send one message from the device's own address, soon; whether it arrives is not known."""
    task = asyncio.get_running_loop().create_task(_send(source, consumer, message))
    _running.add(task)
    task.add_done_callback(_running.discard)


async def _send(source: str, consumer: str, message: str) -> None:
    address = urlsplit(consumer)
    spaces = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in PREFIXES.items())
    body = (
        f'<s:Envelope xmlns:s="{SOAP12}"{spaces}><s:Body><wsnt:Notify>{message}'
        "</wsnt:Notify></s:Body></s:Envelope>"
    ).encode()
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        "Content-Type: application/soap+xml; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_LIMIT_S):
            reader, writer = await asyncio.open_connection(
                address.hostname, address.port or 80, local_addr=(source, 0)
            )
            writer.write(head.encode() + body)
            await reader.read()
            writer.close()
