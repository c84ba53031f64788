"""What stands active at each device, however it tells it: one memory for those pulled and those that push.

A device that an import switches between the two keeps what stands: told again on the new way, it is nothing
new, and its end is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from adapters.onvif.topics import Meaning
from gateway.domain.camera import ChannelId, DeviceId

STANDING: Final = 64
"""States held active for one device; a device that invents tokens must not fill the memory."""
AGED_AT_ONCE: Final = 200
Key = tuple[str, str]
"""Topic and token."""


@dataclass(slots=True)
class Standing:
    """One state that stands.

    Attributes:
        told: when it was last said to be active, seconds of the loop.
    """

    meaning: Meaning
    channel: ChannelId | None
    told: float


class States:
    """The states that stand, and those that are doubted, by device."""

    def __init__(self) -> None:
        self._held: dict[DeviceId, dict[Key, Standing]] = {}
        self._doubted: dict[DeviceId, set[Key]] = {}
        self._to_age: list[DeviceId] = []

    def __contains__(self, device: DeviceId) -> bool:
        """Something stands there."""
        return device in self._held

    def of(self, device: DeviceId) -> dict[Key, Standing]:
        """What stands at a device."""
        return self._held.get(device, {})

    def hold(self, device: DeviceId, key: Key, standing: Standing) -> None:
        """It stands; of too many the oldest is let go."""
        held = self._held.setdefault(device, {})
        if key not in held and len(held) >= STANDING:
            held.pop(next(iter(held)))
        held[key] = standing

    def end(self, device: DeviceId, key: Key) -> None:
        """It is over."""
        held = self._held.get(device)
        if held is not None and held.pop(key, None) is not None and not held:
            del self._held[device]

    def forget(self, device: DeviceId) -> None:
        """The device left."""
        self._held.pop(device, None)
        self._doubted.pop(device, None)

    def doubt(self, device: DeviceId, key: Key) -> None:
        """It was not stored: what is told next of it is news."""
        doubted = self._doubted.setdefault(device, set())
        if len(doubted) < STANDING:
            doubted.add(key)

    def trust(self, device: DeviceId, key: Key) -> bool:
        """True if it was doubted; from now on it is not."""
        doubted = self._doubted.get(device, set())
        if key not in doubted:
            return False
        doubted.discard(key)
        if not doubted:
            del self._doubted[device]
        return True

    def end_aged(self, now: float) -> Iterator[tuple[DeviceId, Key, Standing]]:
        """End what has stood for longer than its kind may, without a word; some of the devices a call."""
        if not self._to_age:
            self._to_age = list(self._held)
        for device in self._to_age[:AGED_AT_ONCE]:
            for key, standing in list(self.of(device).items()):
                if 0 < standing.meaning.ages_s <= now - standing.told:
                    self.end(device, key)
                    yield device, key, standing
        del self._to_age[:AGED_AT_ONCE]
