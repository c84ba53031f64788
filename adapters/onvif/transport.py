"""The port between the ONVIF check and HTTP: what is asked, what comes back, what is kept.

Codec, reply reading and verdicts know nothing below this port, so that the HTTP client can change.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from adapters.dial import Trouble
from gateway.domain.camera import Device, DeviceId

BODY_LIMIT = 256 * 1024
"""Bytes of one reply; 10 MB of small elements would stall the loop for 0.7 s."""


Anew = Callable[[], tuple[bytes, Mapping[str, str]]]
"""Makes the body and headers of a request once more, signed afresh."""


class Flaw(StrEnum):
    """What was wrong with the body as a body."""

    TOO_LARGE = "over 256 kB"
    ENDLESS = "did not end in time"
    BROKEN = "ended early"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP status line came from the registered address; the body as far as it was read.

    Attributes:
        headers: to be asked by names in lower case; the first value of each.
        challenges: every `WWW-Authenticate` header, in order.
        flaw: None when the body is whole.
        connect_s: TCP and TLS, seconds; None on a reused connection.
        rtt_s: from sending to the end of the headers, seconds.
        read_s: from there to the end of the body, seconds.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    challenges: tuple[str, ...] = ()
    flaw: Flaw | None = None
    connect_s: float | None = None
    rtt_s: float = 0.0
    read_s: float = 0.0

    @property
    def closes(self) -> bool:
        """The device said that it closes the connection."""
        return self.headers.get("connection", "").lower() == "close"


@dataclass(frozen=True, slots=True)
class NoReply:
    """No HTTP status line. `connect_s` is None when TCP (or TLS) did not come about."""

    trouble: Trouble
    detail: str = ""
    connect_s: float | None = None
    waited_s: float = 0.0
    reused: bool = False
    sent: bool = False
    """The request may have reached the device."""


class Transport(Protocol):
    """Sends one request to the registered address of a device, and nowhere else.

    Redirects are never followed, compression is never asked for. RST or EOF before the first byte
    on a reused connection is retried at once on a fresh one, inside the same call.
    """

    keeping: "Keeping"

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
        """POST `body`; return before `deadline` (time of the event loop). Never raises for devices.

        Args:
            device: who is asked, at its registered address.
            path: absolute and already quoted, with its query.
            body: sent as it is.
            headers: beside those of HTTP itself.
            deadline: time of the event loop.
            anew: what the retry sends; without it, the same again. A signed request needs one: a
                device takes the same token or count for a replay, and refuses the login.
        """
        ...

    def let_go(self, device: DeviceId) -> None:
        """Close the connection kept for a device, if there is one."""
        ...

    def forget(self, device: DeviceId) -> None:
        """Close what is kept for a device, and drop what was learned of it."""
        ...

    async def close(self) -> None:
        """Close everything."""
        ...


@dataclass(slots=True)
class _Habit:
    keeps: bool | None
    held: int = 0


@dataclass(slots=True)
class Keeping:
    """Which devices keep their connection (`semantics.md` §7): learned over two intervals.

    Not learned yet: kept tentatively. A device that lets go before we come back is asked to close
    from then on. One that kept, and then let go once (a reboot), is learned anew.

    Attributes:
        limit: idle connections kept in all.
        interval_s: a reuse after a shorter rest proves nothing.
    """

    limit: int
    interval_s: float = 0.5
    _habits: dict[DeviceId, _Habit] = field(default_factory=dict)

    def start(self, device: DeviceId, keeps: bool | None) -> None:  # noqa: FBT001 - tri-state
        """Take what was learned before a restart."""
        self._habits[device] = _Habit(keeps)

    def learned(self, device: DeviceId) -> bool | None:
        """True, False, or None while it is not known."""
        habit = self._habits.get(device)
        return None if habit is None else habit.keeps

    def wanted(self, device: DeviceId, open_now: int) -> bool:
        """Whether to keep the connection after the next reply, with `open_now` of others kept."""
        return self.learned(device) is not False and open_now < self.limit

    def held(self, device: DeviceId, rest_s: float) -> None:
        """The kept connection served again after resting."""
        if rest_s < self.interval_s:
            return
        habit = self._habits.setdefault(device, _Habit(None))
        if habit.keeps is None:
            habit.held += 1
            if habit.held >= 2:  # noqa: PLR2004 - "over two intervals"
                habit.keeps = True

    def let_go(self, device: DeviceId) -> None:
        """The device closed what we would have kept, and answers on a fresh connection."""
        habit = self._habits.setdefault(device, _Habit(None))
        habit.keeps = None if habit.keeps else False
        habit.held = 0

    def forget(self, device: DeviceId) -> None:
        """Drop what was learned."""
        self._habits.pop(device, None)
