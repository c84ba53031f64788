"""Listening sockets of the district: the shared ones, those that can be killed, and canaries.

All are bound to the loopback device where the kernel allows it; else peers from elsewhere are
refused. A listener can be *blocked*: its queue is shrunk to one place, which its own connection
takes, so the kernel drops every further SYN, as behind a cut line.
"""

import asyncio
import datetime
import errno
import ipaddress
import os
import random
import socket
import ssl
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BACKLOG: Final = 4096
_ACCEPTS_A_TURN: Final = 64
_RETRY_S: Final = 0.2
_NO_LINGER: Final = struct.pack("ii", 1, 0)
_HELD_RANGE: Final = (20_000, 32_000)
_HOLD_ATTEMPTS: Final = 200

OnAccept = Callable[[socket.socket], None]


def bind_to_loopback(sock: socket.socket) -> bool:
    """Bind a socket to the loopback device; False where that is not permitted."""
    option = getattr(socket, "SO_BINDTODEVICE", 25)
    try:
        sock.setsockopt(socket.SOL_SOCKET, option, b"lo\0")
    except OSError:
        return False
    return True


class Listener:
    """One listening socket, with the ways it can fail.

    Args:
        address: host and port; the host `0.0.0.0` is the shared listener of all steady devices.
        on_accept: gets each accepted, non-blocking socket.
        backlog: the length of its queue.
    """

    __slots__ = ("_backlog", "_fillers", "_loop", "_on_accept", "_retry", "_sock", "address")

    def __init__(
        self, address: tuple[str, int], on_accept: OnAccept, backlog: int = BACKLOG
    ) -> None:
        self.address = address
        self._on_accept = on_accept
        self._backlog = backlog
        self._sock: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._retry: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def open(self) -> None:
        """Listen and accept; a blocked listener is unblocked.

        Raises:
            OSError: the address is taken.
        """
        if self._sock is None:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.settimeout(0)
                bind_to_loopback(sock)
                sock.bind(self.address)
                sock.listen(self._backlog)
            except OSError:
                sock.close()
                raise
            self._sock = sock
        elif self._fillers:
            self._sock.listen(self._backlog)
            self._drop_fillers()
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Refuse: nobody listens any more."""
        self._drop_fillers()
        if self._sock is not None:
            self._stop_accepting()
            self._sock.close()
            self._sock = None

    def block(self) -> None:
        """Drop SYNs: stop accepting, shrink the queue to one place and take it.

        What is queued already stays queued and is never answered.
        """
        if self._sock is None or self._fillers:
            return
        self._stop_accepting()
        self._sock.listen(0)
        host = "127.0.0.1" if self.address[0] == "0.0.0.0" else self.address[0]  # noqa: S104
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        filler.settimeout(0)
        filler.connect_ex((host, self.address[1]))
        # Loopback completes the handshake inside connect(). Where it does not, somebody else has
        # the one place already: never accepted, never answered, which is as good.
        self._fillers.append(filler)

    def _drop_fillers(self) -> None:
        for filler in self._fillers:
            filler.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            filler.close()
        self._fillers.clear()

    def _stop_accepting(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._sock is not None:
            self._loop.remove_reader(self._sock.fileno())

    def _accept(self) -> None:
        if self._sock is None:
            return
        for _ in range(_ACCEPTS_A_TURN):
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                # Out of files: the queue keeps its place in the line, look again soon.
                self._loop.remove_reader(self._sock.fileno())
                self._retry = self._loop.call_later(_RETRY_S, self.open)
                return
            if not peer[0].startswith("127."):
                sock.close()
                continue
            sock.settimeout(0)
            self._on_accept(sock)


def server_context() -> ssl.SSLContext:
    """TLS for the devices that use it: a self-signed P-256 certificate made now, kept nowhere."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "virtual camera")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    handle, path = tempfile.mkstemp(prefix="sightline-virtual-", suffix=".pem")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()
    return context


def is_free(port: int) -> bool:
    """True when a server can listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class HeldPort:
    """A port number that is nobody else's while this object lives, in this process or any other.

    It is bound on every address and never listens. So the kernel gives the number to no outgoing
    connection and no other hold finds it free, while the listeners it is meant for can take it and
    leave it as often as they like, from a child process too: they set SO_REUSEADDR.

    Attributes:
        number: below the usual range of outgoing connections.

    Raises:
        OSError: no number is free.
    """

    __slots__ = ("_fd", "number")

    def __init__(self) -> None:
        self._fd = -1
        chooser = random.SystemRandom()
        for _ in range(_HOLD_ATTEMPTS):
            number = chooser.randrange(*_HELD_RANGE)
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                try:
                    # Without SO_REUSEADDR: nobody else may have it, on any address, in any state.
                    sock.bind(("0.0.0.0", number))  # noqa: S104 - it never listens
                except OSError:
                    continue
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._fd = sock.detach()
            self.number = number
            return
        low, high = _HELD_RANGE
        raise OSError(errno.EADDRINUSE, f"no free port between {low} and {high}")

    def release(self) -> None:
        """Let others have the number."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.release()
