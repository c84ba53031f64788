"""How many checks may be under way: by lane, by uplink, one a host."""

from collections import Counter

from gateway.domain.camera import Device, DeviceId, NodeId


class Limits:
    """Counts what is under way. Healthy devices and those that do not answer have lanes of their own.

    A check that waits for a dead device holds its slot for seconds; in a lane of its own it delays no
    healthy camera (reference: with a third of the fleet dropping SYNs, dead x deadline / cadence slots).
    """

    def __init__(self, slots: int, dead_slots: int, per_uplink: int) -> None:
        self.slots = slots
        self.dead_slots = dead_slots
        self.per_uplink = per_uplink
        self.busy: set[DeviceId] = set()
        self.healthy = 0
        self.dead = 0
        self._uplinks: Counter[NodeId] = Counter()

    def admit(self, device: Device, uplink: NodeId, *, dead: bool) -> bool:
        """Take a slot for a check; False = not now."""
        if device.id in self.busy:
            return False
        if dead:
            if self.dead >= self.dead_slots:
                return False
            self.dead += 1
        else:
            if self.healthy >= self.slots or self._uplinks[uplink] >= self.per_uplink:
                return False
            self.healthy += 1
            self._uplinks[uplink] += 1
        self.busy.add(device.id)
        return True

    def release(self, device: Device, uplink: NodeId, *, dead: bool) -> None:
        """Give a slot back, with the arguments it was taken with."""
        self.busy.discard(device.id)
        if dead:
            self.dead -= 1
        else:
            self.healthy -= 1
            self._uplinks[uplink] -= 1
