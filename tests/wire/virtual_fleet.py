"""Small virtual districts built by hand, and a plain HTTP client, for the tests of the devices."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Self

from adapters.virtual.listeners import HeldPort
from adapters.virtual.login import LoginRules
from adapters.virtual.model import (
    LinkQuality,
    Personality,
    VirtualDevice,
    VirtualDistrict,
)
from adapters.virtual.server import DistrictServer
from gateway.domain.camera import Camera, ChannelId, Device, DeviceId, Node, NodeId, NodeKind

SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
TDS = "http://www.onvif.org/ver10/device/wsdl"
TRT = "http://www.onvif.org/ver10/media/wsdl"
TR2 = "http://www.onvif.org/ver20/media/wsdl"
_hosts = count(secrets.randbelow(200) * 256)


def next_host() -> str:
    """An address of 127.64.0.0/10 that no other test of this process uses."""
    number = next(_hosts)
    return f"127.{64 + number // 65536 % 64}.{number // 254 % 250 + 1}.{number % 254 + 1}"


@dataclass
class Fleet:
    """Collects devices, then becomes a district, on ports that are its own while it lives."""

    held: tuple[HeldPort, ...] = field(default_factory=lambda: tuple(HeldPort() for _ in range(4)))
    devices: list[VirtualDevice] = field(default_factory=list)
    links: dict[str, LinkQuality] = field(default_factory=lambda: {"t1": LinkQuality(0.0)})
    nodes: list[Node] = field(
        default_factory=lambda: [Node(NodeId("core"), NodeKind.CORE, "core", None)]
    )

    def __post_init__(self) -> None:
        numbers = [hold.number for hold in self.held]
        self.port, self.tls_port, self.killable_port, self.canary_port = numbers

    def add(
        self,
        personality: Personality | None = None,
        *,
        killable: bool = False,
        tls: bool = False,
        channels: int = 1,
        node: str = "core",
    ) -> DeviceId:
        """One more device; its id."""
        host = next_host()
        port = self.killable_port if killable else self.tls_port if tls else self.port
        device_id = DeviceId(f"{host}:{port}")
        number = len(self.devices) + 1
        device = Device(
            device_id, host, port, NodeId(node), tls=tls, serial=f"SN{number:06d}",
            mac=f"02:00:00:00:00:{number:02x}", manufacturer="Hikvision", model="DS-2CD",
            credential_set="district",
        )  # fmt: skip
        cameras = tuple(
            Camera(ChannelId(f"c{number}-{c}"), device_id, f"camera {number}/{c}",
                   source_token=f"VideoSource_{c}")
            for c in range(1, channels + 1)
        )  # fmt: skip
        self.devices.append(
            VirtualDevice(device, cameras, personality or Personality(), killable, "V5.7.3", "t1")
        )
        return device_id

    def district(self) -> VirtualDistrict:
        """The district of what was added, with one canary."""
        return VirtualDistrict(
            7, tuple(self.devices), tuple(self.nodes), (), (), (), self.links,
            ((next_host(), self.canary_port),), "admin", "A1b2-secret",
        )  # fmt: skip

    @asynccontextmanager
    async def served(self, rules: LoginRules | None = None) -> AsyncIterator[DistrictServer]:
        """The district, running."""
        server = DistrictServer(self.district(), rules=rules)
        await server.start()
        try:
            yield server
        finally:
            await server.close()


@dataclass
class Got:
    """A reply as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def envelope(body: str, header: str = "", namespace: str = SOAP12) -> bytes:
    """A SOAP request."""
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return (
        f'<?xml version="1.0"?><s:Envelope xmlns:s="{namespace}">{head}'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def call(operation: str, namespace: str = TDS, inner: str = "", header: str = "") -> bytes:
    """A SOAP request for one operation."""
    return envelope(f'<{operation} xmlns="{namespace}">{inner}</{operation}>', header)


def wsse(
    password: str = "A1b2-secret",
    *,
    skew_s: float = 0.0,
    zulu: bool = True,
    nonce: bytes | None = None,
    username: str = "admin",
) -> str:
    """A WS-UsernameToken header with a password digest."""
    nonce = secrets.token_bytes(16) if nonce is None else nonce
    moment = datetime.now(UTC) + timedelta(seconds=skew_s)
    created = moment.strftime("%Y-%m-%dT%H:%M:%S") + ("Z" if zulu else "+00:00")
    secret = nonce + created.encode() + password.encode()
    digest = base64.b64encode(hashlib.sha1(secret).digest())  # noqa: S324 - the standard
    base = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-"
    return (
        f'<Security xmlns="{base}secext-1.0.xsd"><UsernameToken><Username>{username}</Username>'
        f"<Password>{digest.decode()}</Password><Nonce>{base64.b64encode(nonce).decode()}</Nonce>"
        f'<Created xmlns="{base}utility-1.0.xsd">{created}</Created></UsernameToken></Security>'
    )


class Client:
    """One connection to one device, without any mercy for what it sends."""

    def __init__(self, device: str) -> None:
        self.host, _, port = device.partition(":")
        self.port = int(port)
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def send(
        self,
        body: bytes = b"",
        path: str = "/onvif/device_service",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Write one request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        await self.writer.drain()

    async def read(self) -> Got:
        """Read one reply; a body without a length runs to the end of the connection."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
        elif "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            body = await self.reader.read()
        return Got(int(lines[0].split(" ")[1]), headers, body)

    async def ask(
        self,
        body: bytes = b"",
        path: str = "/onvif/device_service",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> Got:
        """Send one request and read its reply."""
        await self.send(body, path, method, headers)
        return await self.read()


async def ask(device: str, body: bytes, path: str = "/onvif/device_service") -> Got:
    """One request on a connection of its own."""
    async with asyncio.timeout(10), Client(device) as client:
        return await client.ask(body, path)
