"""The transport port on aiohttp: a second opinion for the wire tests (docs/adr/0003), never shipped.

One session for the fleet, at most one connection a device.

TLS certificates of cameras are self-signed and are not verified yet (trust on first use, a pin by
device, comes later); credentials only ever travel as digests.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

import aiohttp
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import AddrInfoType
from aiohttp.tracing import Trace

from adapters.dial import Trouble, describe, trouble_of
from adapters.onvif.http1 import tls_context
from adapters.onvif.transport import BODY_LIMIT, Anew, Flaw, Keeping, NoReply, Reply
from gateway.domain.camera import Device, DeviceId

KEEPALIVE_S = 86_400.0
"""We never drop an idle connection ourselves; the device or `Keeping` decides."""
RETRIED = frozenset({Trouble.CLOSED, Trouble.GARBLED})
TLS_RECORD = (b"\x15\x03", b"\x16\x03")
"""Alert and handshake records: the port speaks TLS (quirk 17)."""


class _Listener(ResponseHandler):
    """Notes whether, and with what, the device began to speak."""

    first = b""
    served = False
    """A request was sent on it before; aiohttp's pool may know this when we do not."""

    def data_received(self, data: bytes) -> None:
        if not self.first:
            self.first = bytes(data[:8])
        super().data_received(data)


def _listener(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Listener(loop)


@dataclass(slots=True)
class _Line:
    """What is kept for one device."""

    scheme: str
    urls: dict[str, yarl.URL] = field(default_factory=dict)
    kept: _Listener | None = None
    rests_since: float = 0.0


@dataclass(slots=True)
class _Exchange:
    """One request under way, as far as it has come."""

    device: Device
    line: _Line
    started: float
    keep: bool
    protocol: _Listener | None = None
    connected: float | None = None
    reused: bool = False
    lost: bool = False
    response: aiohttp.ClientResponse | None = None
    answered: float = 0.0
    body: bytearray = field(default_factory=bytearray)


_exchange: ContextVar[_Exchange] = ContextVar("_exchange")


class _Connector(aiohttp.TCPConnector):
    """Connects to the registered address of the exchange under way, and to nothing else."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(
            limit=0,
            ssl=tls,
            keepalive_timeout=KEEPALIVE_S,
            happy_eyeballs_delay=None,
            socket_factory=_guarded_socket,
        )
        self._factory = functools.partial(_listener, self._loop)

    @property
    def idle(self) -> int:
        """Connections kept now."""
        return len(self._conns)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the base's signature
    ) -> aiohttp.connector.Connection:
        """Note what the pool had, and whether the connection is a kept one."""
        exchange = _exchange.get()
        kept, exchange.line.kept = exchange.line.kept, None
        connection = await super().connect(req, traces, timeout)
        protocol = connection.protocol
        if not isinstance(protocol, _Listener):
            raise TypeError("a connection that is not ours")
        exchange.reused, protocol.served = protocol.served, True
        exchange.lost = kept is not None and not exchange.reused
        protocol.first = b""
        if not exchange.keep:
            protocol.force_close()
        exchange.protocol = protocol
        exchange.connected = self._loop.time()
        return connection


def _guarded_socket(addr_info: AddrInfoType) -> socket.socket:
    """A socket, if the address is the registered one: a redirect or a bad URL ends here."""
    family, kind, protocol, _, address = addr_info
    device = _exchange.get().device
    if address[1] != device.port or (_is_literal(device.host) and address[0] != device.host):
        raise PermissionError(1, "not the registered address")
    return socket.socket(family, kind, protocol)


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


class AiohttpTransport:
    """`Transport` on one aiohttp session.

    Args:
        connect_s: limit for TCP and TLS together, seconds.
        keeping: what is known about which devices keep their connection.
    """

    def __init__(self, connect_s: float, keeping: Keeping) -> None:
        self.keeping = keeping
        self._connect_s = connect_s
        self._lines: dict[DeviceId, _Line] = {}
        self._connector: _Connector | None = None
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self,
        device: Device,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
        *,
        anew: Anew | None = None,
    ) -> Reply | NoReply:
        """See `Transport.post`."""
        outcome = await self._once(device, path, body, headers, deadline)
        if isinstance(outcome, NoReply) and outcome.reused and outcome.trouble in RETRIED:
            # The device let go of the kept connection meanwhile: no failure, ask afresh.
            if anew is not None:
                body, headers = anew()
            outcome = await self._once(device, path, body, headers, deadline)
            if isinstance(outcome, Reply):
                self.keeping.let_go(device.id)
        return outcome

    def let_go(self, device: DeviceId) -> None:
        """See `Transport.let_go`."""
        line = self._lines.pop(device, None)
        if line is not None and line.kept is not None:
            line.kept.close()

    def forget(self, device: DeviceId) -> None:
        """See `Transport.forget`."""
        self.let_go(device)
        self.keeping.forget(device)

    async def close(self) -> None:
        """See `Transport.close`."""
        self._lines.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(
        self,
        device: Device,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
    ) -> Reply | NoReply:
        loop = asyncio.get_running_loop()
        session, connector = self._opened()
        line = self._line(device)
        keep = self.keeping.wanted(device.id, connector.idle)
        exchange = _Exchange(device, line, loop.time(), keep)
        _exchange.set(exchange)
        sent = headers if keep else {**headers, "Connection": "close"}
        try:
            async with asyncio.timeout_at(deadline):
                exchange.response = await session.post(
                    _url(device, line, path), data=body, headers=sent, allow_redirects=False
                )
                exchange.answered = loop.time()
                flaw = await _read(exchange)
        except TimeoutError:
            if exchange.response is not None:
                return self._reply(exchange, Flaw.ENDLESS, loop.time())
            return _timed_out(exchange, loop.time())
        except aiohttp.ClientPayloadError:
            return self._reply(exchange, Flaw.BROKEN, loop.time())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if exchange.response is not None:
                return self._reply(exchange, Flaw.BROKEN, loop.time())
            return _failed(exchange, error, loop.time())
        finally:
            if exchange.response is not None:
                exchange.response.close()
            elif exchange.protocol is not None:
                exchange.protocol.close()
        return self._reply(exchange, flaw, loop.time())

    def _opened(self) -> tuple[aiohttp.ClientSession, _Connector]:
        if self._session is None or self._connector is None:
            self._connector = _Connector(tls_context())
            self._session = aiohttp.ClientSession(
                connector=self._connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s),
                auto_decompress=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
            )
        return self._session, self._connector

    def _line(self, device: Device) -> _Line:
        scheme = "https" if device.tls else "http"
        line = self._lines.get(device.id)
        if line is None or line.scheme != scheme:
            line = self._lines[device.id] = _Line(scheme)
        return line

    def _reply(self, exchange: _Exchange, flaw: Flaw | None, now: float) -> Reply:
        response, protocol = exchange.response, exchange.protocol
        assert response is not None
        if flaw is not None and protocol is not None:
            # A body that ended while we gave it up is back in the pool: nothing bad is kept.
            protocol.close()
        connected = exchange.connected or exchange.started
        line = exchange.line
        kept = flaw is None and protocol is not None and protocol.is_connected()
        if kept and exchange.keep:
            if exchange.reused:
                self.keeping.held(exchange.device.id, exchange.started - line.rests_since)
            line.kept, line.rests_since = protocol, now
        ok = 200 <= response.status < 300
        if ok and flaw is None and exchange.keep and (exchange.lost or not kept):
            self.keeping.let_go(exchange.device.id)
        return Reply(
            response.status,
            response.headers,
            bytes(exchange.body),
            tuple(response.headers.getall("WWW-Authenticate", ())),
            flaw,
            None if exchange.reused else connected - exchange.started,
            exchange.answered - connected,
            now - exchange.answered,
        )


def _url(device: Device, line: _Line, path: str) -> yarl.URL:
    """Always the registered scheme, host and port; built once for the path of the hot check."""
    url = line.urls.get(path)
    if url is None:
        host = f"[{device.host}]" if ":" in device.host else device.host
        url = yarl.URL(f"{line.scheme}://{host}:{device.port}{path}", encoded=True)
        if path == device.path:
            line.urls[path] = url
    return url


async def _read(exchange: _Exchange) -> Flaw | None:
    assert exchange.response is not None
    content = exchange.response.content
    body = exchange.body
    while chunk := await content.readany():
        body += chunk
        if len(body) > BODY_LIMIT:
            return Flaw.TOO_LARGE
    return None


def _timed_out(exchange: _Exchange, now: float) -> NoReply:
    waited = now - exchange.started
    if exchange.connected is None or exchange.protocol is None:
        return NoReply(Trouble.TIMEOUT, f"no connection within {waited:.1f} s", None, waited)
    heard = bool(exchange.protocol.first)
    trouble = Trouble.GARBLED if heard else Trouble.TIMEOUT
    detail = "the header did not end in time" if heard else "accepted, then silent"
    connect_s = None if exchange.reused else exchange.connected - exchange.started
    return NoReply(trouble, detail, connect_s, waited, reused=exchange.reused, sent=True)


def _failed(exchange: _Exchange, error: Exception, now: float) -> NoReply:
    """The one place where errors of aiohttp become ours; most specific first."""
    waited = now - exchange.started
    protocol = exchange.protocol
    if exchange.connected is None or protocol is None:
        trouble, detail = _not_connected(exchange.device, error)
        return NoReply(trouble, detail, None, waited)
    connect_s = None if exchange.reused else exchange.connected - exchange.started
    if protocol.first.startswith(TLS_RECORD):
        trouble, detail = Trouble.TLS, "the port speaks TLS, the archive says plain HTTP"
    elif protocol.first:
        trouble, detail = Trouble.GARBLED, "not HTTP"
    elif isinstance(error, OSError) and error.errno is not None:
        trouble, detail = trouble_of(error, exchange.device.host), describe(error)
    else:
        trouble, detail = Trouble.CLOSED, "closed without a byte"
    return NoReply(trouble, detail, connect_s, waited, reused=exchange.reused, sent=True)


def _not_connected(device: Device, error: Exception) -> tuple[Trouble, str]:
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        cause = getattr(error, "os_error", error)
        return Trouble.TLS, getattr(cause, "reason", None) or type(cause).__name__
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Trouble.OURS, "the name does not resolve"
    if isinstance(error, OSError):
        cause = getattr(error, "os_error", error)
        trouble = trouble_of(cause, device.host)
        if device.tls and (trouble is Trouble.CLOSED or cause.errno is None):
            return Trouble.TLS, "closed during the handshake"
        # A reset of a plain connection before it stood: nobody listens in earnest.
        return (Trouble.REFUSED if trouble is Trouble.CLOSED else trouble), describe(cause)
    return Trouble.OURS, type(error).__name__
