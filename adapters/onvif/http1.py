"""The transport port on a small HTTP/1.1 client of our own: the hot path of the whole service.

aiohttp costs 0.42-0.52 ms of CPU a kept check, whatever is set; the fleet asks for 0.20 ms in all. What
this client does is what a check needs and no more: one request at a time on one connection a device,
Content-Length, chunked and close-delimited bodies in any number of pieces, TLS, a deadline, a cap. The
bytes are parsed by httptools (Node's llhttp). docs/adr/0003 tells why it exists.
"""

import asyncio
import ssl
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from adapters.dial import Trouble, describe, trouble_of
from adapters.onvif.http1_line import Line
from adapters.onvif.transport import Anew, Flaw, Keeping, NoReply, Reply
from gateway.domain.camera import Device, DeviceId

TLS_RECORD: Final = (b"\x15\x03", b"\x16\x03")
"""Alert and handshake records: the port speaks TLS (quirk 17)."""
RETRIED: Final = frozenset({Trouble.CLOSED, Trouble.GARBLED})
Done = Callable[[Device, Reply | NoReply], None]
"""Told how a request ended that nobody awaits (`Http1Transport.ask`)."""
_Asked = tuple[Device, str, int, bool]
"""Device, path, length of the body, whether the connection is to be kept."""


def tls_context() -> ssl.SSLContext:
    """What cameras can: self-signed certificates, and TLS from 1.0 on (docs/adr/0009).

    Certificates are not verified yet (a pin a device comes later), so an old protocol loses nothing
    that a new one would give: who sits in between is not noticed either way. Security level 0,
    because at level 1 OpenSSL 3 refuses the SHA-1 signatures of TLS 1.0 and 1.1, and short keys.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


class Http1Transport:
    """`Transport` on lines of our own.

    Args:
        connect_s: limit for TCP and TLS together, seconds.
        keeping: what is known about which devices keep their connection.
    """

    def __init__(self, connect_s: float, keeping: Keeping) -> None:
        self.keeping = keeping
        self._connect_s = connect_s
        self._kept: dict[DeviceId, Line] = {}
        self._asked: dict[DeviceId, Line] = {}
        self._heads: dict[DeviceId, tuple[Mapping[str, str], _Asked, bytes]] = {}
        self._tls = tls_context()

    @property
    def kept(self) -> int:
        """Connections kept now."""
        return len(self._kept)

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
        """Close the connection to a device, whatever waits on it; `done` is not called any more."""
        for lines in (self._kept, self._asked):
            line = lines.pop(device, None)
            if line is not None:
                line.on_end = None
                line.drop()

    def forget(self, device: DeviceId) -> None:
        """See `Transport.forget`."""
        self.let_go(device)
        self._heads.pop(device, None)
        self.keeping.forget(device)

    async def close(self) -> None:
        """See `Transport.close`."""
        for device in (*self._kept, *self._asked):
            self.let_go(device)
        await asyncio.sleep(0)

    # --- long polls: nobody awaits them, so that each costs no task and no timer

    @property
    def asked(self) -> int:
        """Requests of `ask` under way."""
        return len(self._asked)

    def ask(
        self, device: Device, path: str, body: bytes, headers: Mapping[str, str], done: Done
    ) -> bool:
        """Send a request on the kept connection; `done` is told once how it ended.

        There is no time limit but `give_up`. False: no connection stands (`connect` makes one), and
        nothing was sent.
        """
        line = self._kept.pop(device.id, None)
        if line is None or line.transport is None or line.lost or _closing(line):
            if line is not None:
                line.drop()
            return False
        loop = asyncio.get_running_loop()
        keep = self.keeping.wanted(device.id, len(self._kept))
        self._asked[device.id] = line
        line.begin(partial(loop.call_soon, self._answered, device, line, loop.time(), keep, done))
        line.transport.write(self._head(device, path, headers, len(body), keep=keep) + body)
        return True

    def give_up(self, device: DeviceId) -> None:
        """End a request of `ask` that is under way, soon: its time is over."""
        line = self._asked.get(device)
        if line is not None:
            line.finish()

    async def connect(self, device: Device, deadline: float) -> NoReply | None:
        """Make the connection for `ask` where there is none; what was in the way, or None."""
        line = self._kept.get(device.id)
        if line is not None and not line.lost and not _closing(line):
            return None
        dialled = await self._connect(device, deadline)
        if isinstance(dialled, NoReply):
            return dialled
        dialled.rests_since = asyncio.get_running_loop().time()
        self._kept[device.id] = dialled
        return None

    def _answered(
        self, device: Device, line: Line, sent: float, keep: bool, done: Done  # noqa: FBT001
    ) -> None:  # fmt: skip
        if self._asked.get(device.id) is not line:
            return  # let go of meanwhile
        del self._asked[device.id]
        ended = asyncio.get_running_loop().time()
        if not line.headed_at:
            line.drop()
            done(device, _no_reply(line, None, ended - sent, reused=True))
            return
        reply = _reply(line, None, sent, ended)
        self._put_back(device, line, keep=keep, reused=True, lost=False, times=(sent, ended))
        done(device, reply)

    async def _once(
        self,
        device: Device,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
    ) -> Reply | NoReply:
        loop = asyncio.get_running_loop()
        started = loop.time()
        line = self._kept.pop(device.id, None)
        lost = line is not None and (line.lost or _closing(line))
        if line is None or lost:
            if line is not None:
                line.drop()
            dialled = await self._connect(device, min(deadline, started + self._connect_s))
            if isinstance(dialled, NoReply):
                return dialled
            line, reused = dialled, False
        else:
            reused = True
        sent = loop.time()
        keep = self.keeping.wanted(device.id, len(self._kept))
        waiter = loop.create_future()
        line.begin(partial(_expire, waiter))
        timer = loop.call_at(deadline, _expire, waiter)
        try:
            assert line.transport is not None  # noqa: S101 - connected
            line.transport.write(self._head(device, path, headers, len(body), keep=keep) + body)
            await waiter
        except asyncio.CancelledError:
            line.drop()
            raise
        finally:
            timer.cancel()
            line.on_end = None
        connect_s = None if reused else sent - started
        ended = loop.time()
        if not line.headed_at:
            line.drop()
            return _no_reply(line, connect_s, ended - started, reused=reused)
        reply = _reply(line, connect_s, sent, ended)
        self._put_back(device, line, keep=keep, reused=reused, lost=lost, times=(started, ended))
        return reply

    def _put_back(
        self,
        device: Device,
        line: Line,
        *,
        keep: bool,
        reused: bool,
        lost: bool,
        times: tuple[float, float],
    ) -> None:
        """Keep the connection, or close it; and learn."""
        stays = line.complete and line.stays and not line.lost and not _closing(line)
        if keep and stays:
            if reused:
                self.keeping.held(device.id, times[0] - line.rests_since)
            line.rest(times[1])
            self._kept[device.id] = line
        else:
            line.drop()
        ok = 200 <= line.status < 300  # noqa: PLR2004 - a busy 401 closes too (quirk 7)
        if ok and line.flaw is None and keep and (lost or not stays):
            self.keeping.let_go(device.id)

    async def _connect(self, device: Device, deadline: float) -> "Line | NoReply":
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout_at(deadline):
                _, line = await loop.create_connection(
                    Line,
                    device.host,
                    device.port,
                    ssl=self._tls if device.tls else None,
                    server_hostname=device.host if device.tls else None,
                )
        except TimeoutError as error:
            waited = loop.time() - started
            detail = error.strerror or f"no connection within {waited:.1f} s"
            return NoReply(Trouble.TIMEOUT, detail, None, waited)
        except ssl.SSLError as error:
            return NoReply(
                Trouble.TLS, error.reason or type(error).__name__, None, loop.time() - started
            )
        except OSError as error:
            trouble, detail = _not_connected(device, error)
            return NoReply(trouble, detail, None, loop.time() - started)
        return line

    def _head(
        self, device: Device, path: str, headers: Mapping[str, str], length: int, *, keep: bool
    ) -> bytes:
        """The request's first bytes; the last ones sent to a device are kept: they seldom change."""
        held = self._heads.get(device.id)
        if held is not None and held[0] is headers and held[1] == (device, path, length, keep):
            return held[2]
        host = f"[{device.host}]" if ":" in device.host else device.host
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}:{device.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append(f"Content-Length: {length}")
        if not keep:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self._heads[device.id] = headers, (device, path, length, keep), head
        return head


def _closing(line: Line) -> bool:
    return line.transport is None or line.transport.is_closing()


def _expire(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _reply(line: Line, connect_s: float | None, sent: float, ended: float) -> Reply:
    if not line.complete and line.flaw is None:
        line.flaw = Flaw.ENDLESS
    return Reply(
        line.status,
        line.headers,
        line.body[0] if len(line.body) == 1 else b"".join(line.body),
        tuple(line.challenges),
        line.flaw,
        connect_s,
        line.headed_at - sent,
        ended - line.headed_at,
    )


def _no_reply(line: Line, connect_s: float | None, waited: float, *, reused: bool) -> NoReply:
    trouble = line.trouble or (Trouble.GARBLED if line.first else Trouble.TIMEOUT)
    detail = {
        Trouble.CLOSED: "closed without a byte",
        Trouble.GARBLED: "not HTTP",
        Trouble.TIMEOUT: "accepted, then silent",
    }[trouble]
    if line.first.startswith(TLS_RECORD):
        trouble, detail = Trouble.TLS, "the port speaks TLS, the archive says plain HTTP"
    elif line.trouble is None and line.first:
        detail = "the header did not end in time"
    return NoReply(trouble, detail, connect_s, waited, reused=reused, sent=True)


def _not_connected(device: Device, error: OSError) -> tuple[Trouble, str]:
    """The one place where errors of connecting become ours."""
    if error.errno is None and not isinstance(error, ConnectionError):
        return Trouble.OURS, "the name does not resolve"
    trouble = trouble_of(error, device.host)
    if isinstance(error, ConnectionResetError | ConnectionAbortedError):
        trouble = Trouble.CLOSED
    if device.tls and trouble is Trouble.CLOSED:
        return Trouble.TLS, "closed during the handshake"
    # A reset of a plain connection before it stood: nobody listens in earnest.
    return (Trouble.REFUSED if trouble is Trouble.CLOSED else trouble), describe(error)
