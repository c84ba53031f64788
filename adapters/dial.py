"""Connecting to a registered address, and what each failure to do so means.

The one table that turns operating-system errors into words (`semantics.md` §2); the ONVIF, RTSP and
TCP checks all read it.
"""

import asyncio
import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.observation import FaultCause, OutageCause, Verdict


class Trouble(StrEnum):
    """Why there is no reply."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    """No SYN-ACK, or accepted and silent."""
    UNREACHABLE = "unreachable"
    """A router on the path said so."""
    CLOSED = "closed"
    """TCP answered, then closed or reset before the first byte."""
    GARBLED = "garbled"
    """Bytes came that are not the protocol, or a header that never ended."""
    TLS = "tls"
    """TCP answered, the handshake failed; or TLS bytes where the archive says plain HTTP."""
    OURS = "ours"
    """Our own host is in trouble: nothing is known about the device."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a trouble says about the device."""

    verdict: Verdict
    cause: OutageCause | None = None
    fault: FaultCause | None = None


MEANING: Mapping[Trouble, Meaning] = {
    Trouble.REFUSED: Meaning(Verdict.NO_ANSWER, cause=OutageCause.REFUSED),
    Trouble.TIMEOUT: Meaning(Verdict.NO_ANSWER, cause=OutageCause.TIMEOUT),
    Trouble.UNREACHABLE: Meaning(Verdict.NO_ANSWER, cause=OutageCause.UNREACHABLE),
    Trouble.CLOSED: Meaning(Verdict.ANSWERED, fault=FaultCause.BAD_RESPONSE),
    Trouble.GARBLED: Meaning(Verdict.ANSWERED, fault=FaultCause.BAD_RESPONSE),
    Trouble.TLS: Meaning(Verdict.ANSWERED, fault=FaultCause.TLS),
    Trouble.OURS: Meaning(Verdict.COULD_NOT_TELL),
}

ERRNO: Mapping[int, Trouble] = {
    errno.ECONNREFUSED: Trouble.REFUSED,
    errno.ECONNABORTED: Trouble.REFUSED,
    errno.ETIMEDOUT: Trouble.TIMEOUT,
    errno.EHOSTUNREACH: Trouble.UNREACHABLE,
    errno.EHOSTDOWN: Trouble.UNREACHABLE,
    errno.ENETUNREACH: Trouble.UNREACHABLE,  # from the path; from our own host: see trouble_of
    errno.ECONNRESET: Trouble.CLOSED,
    errno.EPIPE: Trouble.CLOSED,
    errno.EMFILE: Trouble.OURS,
    errno.ENFILE: Trouble.OURS,
    errno.ENOMEM: Trouble.OURS,
    errno.ENOBUFS: Trouble.OURS,
    errno.EADDRNOTAVAIL: Trouble.OURS,
    errno.ENETDOWN: Trouble.OURS,
    errno.EACCES: Trouble.OURS,  # our own firewall
    errno.EPERM: Trouble.OURS,
}


def trouble_of(error: OSError, host: str) -> Trouble:
    """The trouble behind an error of connecting or sending; unknown errors are ours.

    ENETUNREACH comes both from a router on the path (the device's trouble) and from our own routing
    table (ours): the table itself tells them apart.
    """
    trouble = ERRNO.get(error.errno or 0, Trouble.OURS)
    if error.errno == errno.ENETUNREACH and not has_route(host):
        return Trouble.OURS
    return trouble


def has_route(host: str) -> bool:
    """True if our own host knows a way to the address. Sends nothing: UDP connect only looks up."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Dialled:
    """An open connection, or the trouble on the way to it."""

    reader: asyncio.StreamReader | None
    writer: asyncio.StreamWriter | None
    trouble: Trouble | None
    detail: str
    seconds: float

    def hang_up(self) -> None:
        """Close the connection, if there is one, without waiting."""
        if self.writer is not None:
            self.writer.close()


async def dial(host: str, port: int, limit_s: float) -> Dialled:
    """Connect to exactly this address within `limit_s` seconds."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(max(limit_s, 0.0)):
            reader, writer = await asyncio.open_connection(host, port)
    except TimeoutError as error:
        # ETIMEDOUT of the kernel and our own limit are the same class and mean the same.
        detail = error.strerror or f"no connection within {limit_s:.1f} s"
        return Dialled(None, None, Trouble.TIMEOUT, detail, loop.time() - started)
    except OSError as error:
        trouble = trouble_of(error, host)
        return Dialled(None, None, trouble, describe(error), loop.time() - started)
    return Dialled(reader, writer, None, "", loop.time() - started)


def describe(error: OSError) -> str:
    """A short text for people: the errno's name and meaning, no address."""
    if error.errno is None:
        return type(error).__name__
    name = errno.errorcode.get(error.errno, str(error.errno))
    return f"{name}: {error.strerror or 'no text'}"
