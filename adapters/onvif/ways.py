"""Which way the events of a device come: it is pulled, or it pushes. Never both: some freeze (quirk 25).

What a device says of itself is no help, only trying is (quirk 20): one that refuses its way is asked for the
other one, once. One that refuses both is left alone, and begins with its own way again.
"""

from collections.abc import Callable

import structlog

from adapters.onvif.pull_point import PullPoint, recall
from adapters.onvif.push import PushDoor
from gateway.domain.camera import Device, DeviceId

log = structlog.get_logger("sightline.pull")


class Ways:
    """Puts pull points on their way, and lets in at the door those that push though nobody said so.

    Args:
        door: for what is pushed; None = nothing would be heard.
        may_push: consumer address for a device that cannot be pulled; "" = there is none.
    """

    def __init__(self, door: PushDoor | None, may_push: Callable[[DeviceId], str]) -> None:
        self._door = door
        self._may_push = may_push

    def begin(self, device: Device, consumer: str, remembered: str = "") -> PullPoint:
        """A pull point on the way that it is to go, or on the one that it went before a restart."""
        instead = self._instead(device.id)
        point = recall(device, remembered, consumer, instead)
        if point.consumer and not point.wanted and self._door is not None:
            self._door.admit(device)
        return point

    def turn(self, point: PullPoint) -> bool:
        """It refused its way: the other one from now on. False = there is none, or it refused both."""
        tried = point.consumer
        if tried == point.wanted:
            self._go(point, "" if tried else self._instead(point.device.id))
            return point.consumer != tried
        self._go(point, point.wanted)
        return False

    def end(self, point: PullPoint) -> None:
        """Nothing of it is heard any more, unless the archive says that it is to push."""
        if self._door is not None:
            self._door.dismiss(point.device)

    def _instead(self, device: DeviceId) -> str:
        return "" if self._door is None else self._may_push(device)

    def _go(self, point: PullPoint, consumer: str) -> None:
        if consumer == point.consumer:
            return
        point.consumer = consumer
        point.worked = False
        if consumer and self._door is not None:
            self._door.admit(point.device)
            log.info("asked to push: it cannot be pulled", device=point.device.id)
        elif not consumer:
            self.end(point)
            log.info("pulled: it cannot push", device=point.device.id)
