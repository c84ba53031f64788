"""Whose clock is wrong: that of one device, or ours.

A device's clock is judged by ours. When ours is set wrong, every device seems to be off, all by the
same; blaming each of them would open as many faults as there are devices. What most devices share is
ours, and no fault of theirs.
"""

from collections import Counter

from gateway.domain.camera import DeviceId

WIDTH_S = 10.0
"""Offsets that differ by less than about this are taken for the same."""
LEAST = 5
"""So many devices must have been measured before anything is said about our own clock."""


class OwnClock:
    """Remembers by how much each device's clock last differed from ours, roughly."""

    __slots__ = ("_count", "_place")

    def __init__(self) -> None:
        self._place: dict[DeviceId, int] = {}
        self._count: Counter[int] = Counter()

    def note(self, device: DeviceId, offset_s: float | None) -> None:
        """A device's clock minus ours, if the check has measured it."""
        if offset_s is None:
            return
        place = round(offset_s / WIDTH_S)
        old = self._place.get(device)
        if old == place:
            return
        if old is not None:
            self._count[old] -= 1
        self._place[device] = place
        self._count[place] += 1

    def is_ours(self, offset_s: float) -> bool:
        """True when more than half of the devices are off by about so much."""
        place = round(offset_s / WIDTH_S)
        sharing = sum(self._count[near] for near in (place - 1, place, place + 1))
        return len(self._place) >= LEAST and sharing > len(self._place) / 2

    def forget(self) -> None:
        """Our clock was set: what was measured against it before says nothing any more."""
        self._place.clear()
        self._count.clear()
