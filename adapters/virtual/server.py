"""The whole district as a server: all devices answering on loopback, each able to fail.

`apply` and `heal` are plain functions that return the moment (UTC) at which the last path fell
silent or just before the first one answered again: that moment is the truth.
"""

import asyncio
import random
import resource
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from adapters.virtual.device import DEAD, LiveDevice
from adapters.virtual.http_server import HttpConnection, Network
from adapters.virtual.legacy import NEVER_ALIVE
from adapters.virtual.listeners import Listener, server_context
from adapters.virtual.login import LoginRules
from adapters.virtual.model import LinkQuality, Trouble, VirtualDevice, VirtualDistrict
from adapters.virtual.signals import SIGNALS
from gateway.domain.camera import DeviceId

ANY_HOST: Final = "0.0.0.0"  # noqa: S104 - bound to the loopback device, peers are checked
_HANDSHAKE_FAILURE: Final = bytes((0x15, 3, 3, 0, 2, 2, 40))
_STALL_S: Final = (0.2, 3.0)
_LOCK_WINDOW_S: Final = 31 * 60.0


def utc_now() -> datetime:
    """The wall clock, aware."""
    return datetime.now(UTC)


class _BrokenTls(asyncio.Protocol):
    """Answers a ClientHello with a fatal alert: the trouble `tls`."""

    def __init__(self) -> None:
        self._transport: Any = None  # uvloop's transports are no asyncio.Transport

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401
        self._transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it says
        if self._transport is not None:
            self._transport.write(_HANDSHAKE_FAILURE)
            self._transport.close()


class DistrictServer:
    """All devices and canaries of a district, in one event loop.

    Steady devices share a wildcard listener a port; killable ones have a listener each at their
    own address. Start it inside a running loop; close it in the same one.

    Args:
        district: what to serve.
        rules: how logins are checked; by default from the district, Created within 5 s.
        links: replaces the district's network quality (township code -> quality).
    """

    def __init__(
        self,
        district: VirtualDistrict,
        *,
        rules: LoginRules | None = None,
        links: dict[str, LinkQuality] | None = None,
    ) -> None:
        self.district = district
        self.network = Network()
        self._rules = rules or LoginRules(district.username, district.password)
        self._links = dict(district.links if links is None else links)
        self._random = random.Random(district.seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._shared: list[Listener] = []
        self._own: dict[DeviceId, Listener] = {}
        self._canaries: list[Listener] = []
        self._tls: ssl.SSLContext | None = None
        self._started = 0.0
        self.since = utc_now()
        """From then on devices answer, but for those that never do."""
        self.devices: dict[DeviceId, LiveDevice] = {
            facts.device.id: self._live(facts) for facts in district.devices
        }
        self._by_address = {
            (facts.device.host, facts.device.port): self.devices[facts.device.id]
            for facts in district.devices
        }

    def _live(self, facts: VirtualDevice) -> LiveDevice:
        township = facts.township
        return LiveDevice.of(facts, self.network, lambda: self._delay(township), self._rules)

    def _delay(self, township: str) -> float | None:
        """How late an answer of this township is; None = its connection is reset instead."""
        link = self._links.get(township)
        if link is None:
            return 0.0
        if link.stall_rate or link.reset_rate:
            drawn = self._random.random()
            if drawn < link.reset_rate:
                return None
            if drawn < link.reset_rate + link.stall_rate:
                return link.latency_s + self._random.uniform(*_STALL_S)
        return link.latency_s

    def set_link(self, township: str, quality: LinkQuality) -> None:
        """Change the network of a township from now on."""
        self._links[township] = quality

    # --- life
    async def start(self) -> None:
        """Open all listeners.

        Raises:
            OSError: an address is taken; nothing stays open.
        """
        self._started = time.monotonic()
        facts = self.district.devices
        if any(f.device.tls for f in facts):
            self._tls = server_context()
        try:
            for port in sorted({f.device.port for f in facts if not f.killable}):
                self._open(self._shared, (ANY_HOST, port))
            for f in facts:
                if f.killable:
                    listener = Listener((f.device.host, f.device.port), self._accepted, 128)
                    self._own[f.device.id] = listener
                    listener.open()
            for address in self.district.canaries:
                listener = Listener(address, socket.socket.close, 512)
                self._canaries.append(listener)
                listener.open()
        except OSError:
            await self.close()
            raise
        for f in facts:
            legacy = f.personality.legacy
            if legacy is not None and legacy in NEVER_ALIVE:
                self.apply(f.device.id, NEVER_ALIVE[legacy])
        self.since = utc_now()

    def _open(self, group: list[Listener], address: tuple[str, int]) -> None:
        listener = Listener(address, self._accepted)
        group.append(listener)
        listener.open()

    async def close(self) -> None:
        """Close all listeners and cut all connections."""
        for listener in (*self._shared, *self._own.values(), *self._canaries):
            listener.close()
        self._shared.clear()
        self._own.clear()
        self._canaries.clear()
        for device in self.devices.values():
            for connection in list(device.connections):
                connection.reset()
            device.reboot()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def _accepted(self, sock: socket.socket) -> None:
        """Give a new connection to the device at its local address."""
        try:
            device = self._by_address.get(sock.getsockname())
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            device = None
        if device is None:
            sock.close()
            return
        factory: Callable[[], asyncio.Protocol] = partial(HttpConnection, device, self.network)
        context = self._tls if device.facts.device.tls else None
        if device.soft is Trouble.TLS and context is not None:
            factory, context = _BrokenTls, None
        task = asyncio.get_running_loop().create_task(self._connect(factory, sock, context))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(
        self,
        factory: Callable[[], asyncio.Protocol],
        sock: socket.socket,
        context: ssl.SSLContext | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                factory, sock, ssl=context, ssl_handshake_timeout=10 if context else None
            )
        except (OSError, ssl.SSLError):
            # The client left, or does not like our certificate: nothing to do for a device.
            sock.close()

    # --- trouble
    def apply(self, device_id: DeviceId, trouble: Trouble) -> datetime:
        """Give a device a trouble, now; returns when its last path was affected.

        Raises:
            ValueError: a steady device cannot die, or only a TLS device can fail its handshake.
        """
        device = self.devices[device_id]
        if trouble in DEAD:
            self._kill(device, trouble)
        else:
            if trouble is Trouble.TLS and not device.facts.device.tls:
                raise ValueError(f"{device_id}: does not use TLS")
            device.set_soft(trouble)
            if trouble is Trouble.TLS:
                self._cut(device.connections)
        return utc_now()

    def _kill(self, device: LiveDevice, trouble: Trouble) -> None:
        listener = self._own.get(device.facts.device.id)
        if listener is None:
            raise ValueError(f"{device.facts.device.id}: is steady, it cannot die")
        device.dead = trouble
        if trouble is Trouble.REFUSE:
            listener.close()
            self._cut(device.connections)
        elif trouble is Trouble.DROP_SYN:
            listener.block()

    def signal(
        self, device_id: DeviceId, name: str, *, active: bool, token: str = "", value: str = ""
    ) -> datetime:
        """Let a device tell its subscribers one of `SIGNALS`; returns when.

        Raises:
            ValueError: there is no such signal.
        """
        if name not in SIGNALS:
            raise ValueError(f"no signal {name!r}: one of {', '.join(SIGNALS)}")
        at = utc_now()
        device = self.devices[device_id]
        if device.dead is None:
            device.signal(name, active=active, token=token, value=value)
        return at

    def heal(self, device_id: DeviceId, trouble: Trouble | None = None) -> datetime:
        """End one trouble of a device, or all; returns the moment just before it answers again.

        A device that was dead comes back as after a restart: old connections are reset, its
        subscriptions are gone.
        """
        device = self.devices[device_id]
        at = utc_now()
        if trouble is None or trouble is device.soft:
            drips = device.soft is Trouble.BAD_RESPONSE
            device.set_soft(None)
            if drips:
                self._cut(device.connections)
        if device.dead is not None and (trouble is None or trouble is device.dead):
            device.reboot()
            self._cut(device.connections)
            device.dead = None
            if not self.network.blind:
                self._own[device_id].open()
        return at

    def set_blind(self, blind: bool) -> datetime:  # noqa: FBT001 - a switch
        """Let nothing answer at all, canaries included, or end that; returns when it took hold."""
        at = utc_now()
        if blind == self.network.blind:
            return at
        self.network.blind = blind
        alive = [o for i, o in self._own.items() if self.devices[i].dead is None]
        for listener in (*self._shared, *alive, *self._canaries):
            if blind:
                listener.block()
            else:
                listener.open()
        if blind:
            return utc_now()
        for device in self.devices.values():
            if device.dead is None:
                self._cut({c for c in device.connections if c.missed})
        return at

    @staticmethod
    def _cut(connections: Iterable[HttpConnection]) -> None:
        for connection in list(connections):
            connection.reset()

    # --- what it saw
    def stats(self) -> dict[str, float]:
        """Counters and costs since the start; CPU and memory are those of this process."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        refusing = [d for d in self.devices.values() if d.guard.refusals]
        return {
            "requests": self.network.counts.get("requests", 0),
            "replies": self.network.counts.get("replies", 0),
            "resets": self.network.counts.get("resets", 0),
            "connections_opened": self.network.counts.get("connections", 0),
            "connections_open": sum(len(d.connections) for d in self.devices.values()),
            "refused_logins": sum(d.refused_logins for d in refusing),
            "refused_logins_max_per_device": max((d.refused_logins for d in refusing), default=0),
            "refused_logins_max_in_31_min": max(
                (d.guard.refused_within(_LOCK_WINDOW_S) for d in refusing), default=0
            ),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
            "rss_mb": round(_resident_mb(), 1),
            "uptime_s": round(time.monotonic() - self._started, 3),
        }


def _resident_mb() -> float:
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - one line, often read
            return int(file.read().split()[1]) * resource.getpagesize() / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
