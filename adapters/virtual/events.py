"""Pull points of one virtual device: create, pull (long poll), renew, unsubscribe, forget on reboot."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from adapters.virtual.notify import push
from adapters.virtual.signals import Message, iso

MAX_PULL_POINTS: Final = 5
DEFAULT_LIFE_S: Final = 60.0
MAX_PULL_S: Final = 60.0
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_PARTS_S: Final = (86_400, 3600, 60, 1)


def read_duration(text: str, device_utc: float) -> float | None:
    """Seconds of an xs:duration or until an absolute xs:dateTime; None when it is neither."""
    match = _DURATION.fullmatch(text)
    if match and any(match.groups()):
        return sum(
            float(part) * s for part, s in zip(match.groups(), _PARTS_S, strict=True) if part
        )
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return until.timestamp() - device_utc


def times_xml(prefix: str, device_utc: float, life_s: float) -> str:
    """TerminationTime and CurrentTime, in the order of the schema that `prefix` belongs to."""
    ends = f"TerminationTime>{iso(device_utc + life_s)}"
    current = f"CurrentTime>{iso(device_utc)}"
    order = (current, ends) if prefix == "tev" else (ends, current)
    return "".join(f"<{prefix}:{text}</{prefix}:{text.partition('>')[0]}>" for text in order)


@dataclass(slots=True)
class PullPoint:
    """One subscription. `until` is loop time."""

    number: int
    until: float
    consumer: str = ""
    """Where it pushes; empty = it is pulled."""
    source: str = ""
    """The device's own address, to push from."""
    waiting_messages: deque[Message] = field(default_factory=lambda: deque(maxlen=100))
    _wake: Callable[[], None] | None = None
    _timer: asyncio.TimerHandle | None = None

    @property
    def awaited(self) -> bool:
        """A pull waits here now."""
        return self._wake is not None

    def put(self, message: Message) -> None:
        """Queue a message and wake the pull that waits for one; or push it."""
        if self.consumer:
            push(self.source, self.consumer, message.xml("urn:push"))
            return
        self.waiting_messages.append(message)
        self.end_wait()

    def wait(self, seconds: float, wake: Callable[[], None]) -> None:
        """Call `wake` once: when a message is there, or after so many seconds.

        A pull that was waiting before is answered at once: a subscription has one pull at a time.
        """
        self.end_wait()
        if self.waiting_messages or seconds <= 0:
            wake()
            return
        self._wake = wake
        self._timer = asyncio.get_running_loop().call_later(seconds, self.end_wait)

    def end_wait(self) -> None:
        """Answer the pull that waits, if there is one."""
        wake, self._wake = self._wake, None
        self.cancel()
        if wake is not None:
            wake()

    def cancel(self) -> None:
        """Forget the pull that waits."""
        self._wake = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take(self, limit: int) -> list[Message]:
        """The next messages, oldest first."""
        count = min(limit, len(self.waiting_messages))
        return [self.waiting_messages.popleft() for _ in range(count)]


class PullPoints:
    """All subscriptions of one device."""

    __slots__ = ("_last", "_points", "inputs")

    def __init__(self) -> None:
        self._points: dict[int, PullPoint] = {}
        self._last = 0
        self.inputs: dict[tuple[str, str], Message] = {}

    def __len__(self) -> int:
        return len(self._points)

    def create(
        self, life_s: float, now: float, consumer: str = "", source: str = ""
    ) -> PullPoint | None:
        """A new subscription, or None when there are too many already (quirk 18)."""
        self._expire(now)
        if len(self._points) >= MAX_PULL_POINTS:
            return None
        self._last += 1
        point = PullPoint(self._last, now + life_s, consumer, source)
        self._points[point.number] = point
        self.tell_again(point)
        return point

    def find(self, number: int, now: float) -> PullPoint | None:
        """The subscription with this number, if it still lives."""
        self._expire(now)
        return self._points.get(number)

    def remove(self, number: int) -> None:
        """End a subscription; a pull that waits is answered."""
        point = self._points.pop(number, None)
        if point is not None:
            point.end_wait()

    def emit(self, message: Message) -> None:
        """Tell every subscriber."""
        if message.signal.stateful:
            self.inputs[message.key] = message
        for point in list(self._points.values()):
            point.put(message)

    def tell_again(self, point: PullPoint) -> None:
        """The present state, as after a synchronization point."""
        for message in self.inputs.values():
            point.put(message.again())

    @property
    def newest(self) -> PullPoint | None:
        """The subscription that was created last, while it lives."""
        return self._points.get(self._last)

    def remove_all(self) -> None:
        """End every subscription; pulls that wait are answered."""
        for number in list(self._points):
            self.remove(number)

    def reboot(self) -> None:
        """Drop everything, as a device does when it starts again (quirk 19)."""
        for point in self._points.values():
            point.cancel()
        self._points.clear()
        self._last = 0

    def _expire(self, now: float) -> None:
        for number in [n for n, p in self._points.items() if p.until < now]:
            self.remove(number)
