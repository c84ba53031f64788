"""A small real ONVIF device on loopback, with its own idea of HTTP, SOAP and signatures.

It shares no code with the adapter: it is the second opinion. Each operation can be replaced by raw
bytes or by a coroutine that writes to the connection as it likes.
"""

import asyncio
import base64
import calendar
import contextlib
import hashlib
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from fakes.raw_server import raw_server

from gateway.domain.camera import Device, DeviceId, NodeId

DATA = Path(__file__).parent.parent / "data" / "onvif"
USERNAME = "viewer"
PASSWORD = 'p&ss<w>"rd 榆阳 %'
TDS = "http://www.onvif.org/ver10/device/wsdl"
TRT = "http://www.onvif.org/ver10/media/wsdl"
TR2 = "http://www.onvif.org/ver20/media/wsdl"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: str
    connection: int

    @property
    def operation(self) -> str:
        """Local name of the first element of the body."""
        found = re.search(r"Body>\s*<(?:\w+:)?(\w+)", self.body)
        return found[1] if found else ""

    @property
    def signed(self) -> bool:
        """It carries a credential."""
        return "UsernameToken" in self.body or "authorization" in self.headers


Writes = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]
Reply = bytes | Writes


def reply(
    body: str | bytes,
    status: str = "200 OK",
    kind: str = "application/soap+xml; charset=utf-8",
    *headers: str,
) -> bytes:
    """A reply with Content-Length."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + content


def envelope(content: str) -> str:
    """A SOAP 1.2 envelope with the usual prefixes."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        f'xmlns:tds="{TDS}" xmlns:trt="{TRT}" xmlns:tr2="{TR2}" '
        'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:ter="http://www.onvif.org/ver10/error">'
        f"<s:Body>{content}</s:Body></s:Envelope>"
    )


def fault(code: str, text: str, status: str = "400 Bad Request", *headers: str) -> bytes:
    """A SOAP fault as ONVIF devices send it."""
    content = (
        f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{code}</s:Value>"
        f'</s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">{text}</s:Text></s:Reason></s:Fault>'
    )
    return reply(envelope(content), status, "application/soap+xml; charset=utf-8", *headers)


def recorded(name: str, **values: str) -> bytes:
    """A recorded reply of tests/data/onvif, its Content-Length put right, `{{name}}` filled in.

    The files keep the head with plain line feeds; the body is sent byte for byte.
    """
    head, _, body = (DATA / name).read_bytes().partition(b"\n\n")
    body = body.removesuffix(b"\n")
    for key, value in values.items():
        body = body.replace(b"{{%s}}" % key.encode(), value.encode())
    lines = head.replace(b"{{length}}", str(len(body)).encode()).split(b"\n")
    return b"\r\n".join([*lines, b"", b""]) + body


def time_reply(offset_s: float = 0.0, *headers: str) -> bytes:
    """GetSystemDateAndTime of a device whose clock is off by so many seconds."""
    t = time.gmtime(time.time() + offset_s)
    stamp = (
        f"<tt:Time><tt:Hour>{t.tm_hour}</tt:Hour><tt:Minute>{t.tm_min}</tt:Minute>"
        f"<tt:Second>{t.tm_sec}</tt:Second></tt:Time><tt:Date><tt:Year>{t.tm_year}</tt:Year>"
        f"<tt:Month>{t.tm_mon}</tt:Month><tt:Day>{t.tm_mday}</tt:Day></tt:Date>"
    )
    content = (
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime>"
        "<tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
        f"<tt:UTCDateTime>{stamp}</tt:UTCDateTime>"
        "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )
    return reply(envelope(content), "200 OK", "application/soap+xml; charset=utf-8", *headers)


@dataclass
class OnvifDevice:
    """A device; `async with` listens on a free port of 127.0.0.1.

    Attributes:
        login: `wsse`, `MD5`, `SHA-256` (both: Digest only), `both`, or `open`.
        skew_s: how far its clock is off.
        window_s: how far Created may be from its clock.
        closes: closes the connection after each answer, without a word.
        replies: overrides by operation, `*` for all.
        seen / refused / connections: what came, credentials refused, connections accepted.
    """

    login: str = "wsse"
    password: str = PASSWORD
    skew_s: float = 0.0
    window_s: float = 5.0
    closes: bool = False
    tls: ssl.SSLContext | None = None
    serial: str = "DS-2CD0001"
    mac: str = "00:11:22:aa:bb:cc"
    media: str = "/onvif/media_service"
    replies: dict[str, Reply] = field(default_factory=dict)
    seen: list[Request] = field(default_factory=list)
    refused: list[Request] = field(default_factory=list)
    connections: int = 0
    nonces: dict[str, tuple[str, int]] = field(default_factory=dict)
    port: int = 0
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self.port = await self._stack.enter_async_context(
            raw_server(self._serve, port=self.port, tls=self.tls)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def drop(self) -> None:
        """Reset every open connection."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def device(
        self, *, path: str = "/onvif/device_service", serial: str = "", mac: str = ""
    ) -> Device:
        """What the archive says about it."""
        return Device(
            DeviceId(f"127.0.0.1:{self.port}"),
            "127.0.0.1",
            self.port,
            NodeId("access-1"),
            tls=self.tls is not None,
            path=path,
            credential_set="district",
            serial=serial,
            mac=mac,
        )

    @property
    def operations(self) -> list[str]:
        """The operations asked, in order."""
        return [request.operation for request in self.seen]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        try:
            while True:
                request = await _request(reader, number)
                self.seen.append(request)
                answer = self._answer(request)
                if callable(answer):
                    await answer(request, writer)
                else:
                    writer.write(answer)
                    await writer.drain()
                said = request.headers.get("connection", "") == "close"
                if self.closes or said or writer.is_closing():
                    return
        finally:
            self._writers.discard(writer)

    def _answer(self, request: Request) -> Reply:
        operation = request.operation
        override = self.replies.get(operation) or self.replies.get("*")
        if override is not None:
            return override
        if operation == "GetSystemDateAndTime":
            return time_reply(self.skew_s)
        return self._checked(request) or reply(envelope(self._content(request)))

    def _checked(self, request: Request) -> bytes | None:
        """None when the login is good; otherwise the refusal."""
        if self.login == "open":
            return None
        if self.login in ("wsse", "both") and "UsernameToken" in request.body:
            if self._token_is_good(request.body):
                return None
            return self._refuse(request)
        if self.login == "wsse":
            return fault("ter:NotAuthorized", "Sender not Authorized")
        if "authorization" not in request.headers:
            return fault("ter:NotAuthorized", "no", "401 Unauthorized", self._challenge(request))
        good, stale = self._digest_is_good(request)
        if good and not stale:
            return None
        if stale:
            text = self._challenge(request, stale=True)
            return fault("ter:NotAuthorized", "stale", "401 Unauthorized", text)
        return self._refuse(request)

    def _refuse(self, request: Request) -> bytes:
        self.refused.append(request)
        if self.login == "wsse":
            return fault("ter:NotAuthorized", "Sender not Authorized")
        return fault("ter:NotAuthorized", "no", "401 Unauthorized", self._challenge(request))

    def _token_is_good(self, body: str) -> bool:
        part = {
            name: re.search(rf"<\w+:{name}(?:\s[^>]*)?>([^<]*)<", body)
            for name in ("Username", "Password", "Nonce", "Created")
        }
        values = {name: match[1] if match else "" for name, match in part.items()}
        created = values["Created"]
        raw = base64.b64decode(values["Nonce"]) + created.encode() + self.password.encode()
        digest = base64.b64encode(hashlib.sha1(raw).digest()).decode()  # noqa: S324
        try:
            at = time.strptime(created, "%Y-%m-%dT%H:%M:%SZ")
        except ValueError:
            return False
        off_s = _epoch(at) - (time.time() + self.skew_s)
        right = digest == values["Password"] and values["Username"] == USERNAME
        return right and abs(off_s) <= self.window_s

    def _challenge(self, request: Request, *, stale: bool = False) -> str:
        nonce = hashlib.sha256(f"{time.monotonic_ns()}".encode()).hexdigest()[:24]
        self.nonces[nonce] = (request.path, 0)
        algorithm = "MD5" if self.login == "both" else self.login
        text = f'Basic realm="x", Digest realm="Login to \\"C1\\", x", nonce="{nonce}", '
        text += f'qop="auth,auth-int", algorithm={algorithm}, opaque="o="'
        return f"WWW-Authenticate: {text}" + (", stale=true" if stale else "")

    def _digest_is_good(self, request: Request) -> tuple[bool, bool]:
        found = {
            name: quoted or plain
            for name, quoted, plain in re.findall(
                r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', request.headers["authorization"]
            )
        }
        name = "sha256" if found.get("algorithm") == "SHA-256" else "md5"

        def digest(text: str) -> str:
            return hashlib.new(name, text.encode()).hexdigest()

        first = digest(f'{USERNAME}:Login to "C1", x:{self.password}')
        second = digest(f"POST:{request.path}")
        middle = ":".join(found.get(key, "") for key in ("nonce", "nc", "cnonce", "qop"))
        path, used = self.nonces.get(found.get("nonce", ""), ("", -1))
        fresh = path == request.path and int(found.get("nc", "0"), 16) == used + 1
        good = digest(f"{first}:{middle}:{second}") == found.get("response")
        if good and fresh:
            self.nonces[found["nonce"]] = (path, used + 1)
        return good, good and not fresh

    def _content(self, request: Request) -> str:
        base = f"http://127.0.0.1:{self.port}"
        if request.operation == "GetProfiles":
            media2 = TR2 in request.body
            prefix = "tr2" if media2 else "trt"
            profiles = "".join(
                f'<{prefix}:Profiles token="{token}" fixed="true"><tt:Name>x</tt:Name>'
                f"</{prefix}:Profiles>"
                for token in ("main", "sub")
            )
            return f"<{prefix}:GetProfilesResponse>{profiles}</{prefix}:GetProfilesResponse>"
        uri = "rtsp://127.0.0.1:554/Streaming/Channels/101?transport=unicast"
        return {
            "GetDeviceInformation": (
                "<tds:GetDeviceInformationResponse><tds:Manufacturer>HIKVISION</tds:Manufacturer>"
                "<tds:Model>DS-2CD</tds:Model><tds:FirmwareVersion>V5.5</tds:FirmwareVersion>"
                f"<tds:SerialNumber>{self.serial}</tds:SerialNumber><tds:HardwareId>88"
                "</tds:HardwareId></tds:GetDeviceInformationResponse>"
            ),
            "GetNetworkInterfaces": (
                '<tds:GetNetworkInterfacesResponse><tds:NetworkInterfaces token="eth0">'
                f"<tt:Enabled>true</tt:Enabled><tt:Info><tt:HwAddress>{self.mac}</tt:HwAddress>"
                "</tt:Info></tds:NetworkInterfaces></tds:GetNetworkInterfacesResponse>"
            ),
            "GetServices": (
                "<tds:GetServicesResponse><tds:Service>"
                f"<tds:Namespace>{TRT}</tds:Namespace><tds:XAddr>{base}{self.media}</tds:XAddr>"
                "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version>"
                "</tds:Service></tds:GetServicesResponse>"
            ),
            "GetCapabilities": (
                "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media>"
                f"<tt:XAddr>{base}{self.media}</tt:XAddr></tt:Media></tds:Capabilities>"
                "</tds:GetCapabilitiesResponse>"
            ),
            "GetStreamUri": (
                f"<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{uri}</tt:Uri></trt:MediaUri>"
                "</trt:GetStreamUriResponse>"
            ),
        }.get(request.operation, "<tds:Unknown/>")


def _epoch(at: time.struct_time) -> float:
    return calendar.timegm(at)


async def _request(reader: asyncio.StreamReader, connection: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.split("\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
        if name
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(first.split()[1], headers, body.decode(), connection)
