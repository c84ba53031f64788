"""The door for pushed events (WS-BaseNotification): `Notify` of devices that were told our address.

Each device has a short path of its own that cannot be guessed (some limit the length of the address), made
from its id and a key: nothing is stored. Who is not known, or comes from elsewhere, gets 200 and is not
read: devices go on pushing for a quarter of an hour after an Unsubscribe (quirk 23), and an error would
only tell a stranger that there is something to find.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.onvif.events import Translator
from adapters.onvif.notifications import read_notifications
from adapters.onvif.replies import Soap, read
from adapters.onvif.standing import States
from adapters.onvif.topics import read_topics
from adapters.onvif.transport import BODY_LIMIT, Reply
from gateway.domain.camera import Camera, Device, DeviceId
from gateway.domain.event import Event, EventSource
from gateway.errors import StoreUnavailable
from gateway.metrics import EVENT_MESSAGES, PUSHING_DEVICES
from gateway.ports import Clock, Secret
from gateway.ports.events import Deliver, DevicesToPull

PREFIX: Final = "/n/"
_NAME_BYTES: Final = 10
"""80 bits: 16 letters and digits."""
_TICK_S: Final = 0.5
_STORE_WAIT_S: Final = 5.0
_SOURCE: Final = EventSource.ONVIF_PUSH.value


def push_path(device: DeviceId, key: Secret) -> str:
    """Where a device sends its events: `/n/` and 16 letters and digits, the same after each restart."""
    digest = hmac.digest(
        key.reveal().encode(), b"sightline push\0" + device.encode(), hashlib.sha256
    )
    return PREFIX + base64.b32encode(digest[:_NAME_BYTES]).decode().lower()


class PushDoor:
    """Takes what devices push.

    Args:
        clock: stamps what comes.
        key: makes the paths; another key makes all of them others.
        devices / channels: of the archive; `devices_changed` tells of others.
        deliver: gets the events; the device's 200 waits for it.
        signals: the newest of each source of before the restart: what of them stands can end.
    """

    def __init__(
        self,
        clock: Clock,
        key: Secret,
        devices: DevicesToPull,
        channels: Mapping[DeviceId, Sequence[Camera]],
        deliver: Deliver,
        signals: Sequence[Event] = (),
    ) -> None:
        self._clock = clock
        self._key = key
        self._deliver = deliver
        self._translator = Translator(read_topics(), channels, EventSource.ONVIF_PUSH)
        self._paths: dict[str, Device] = {}
        self._admitted: dict[DeviceId, Device] = {}
        self._heard: set[DeviceId] = set()
        self.devices_changed(devices, channels)
        if signals:
            known = (event for event in signals if event.device in devices)
            self._translator.stand(known, asyncio.get_running_loop().time())

    def devices_changed(
        self, devices: DevicesToPull, channels: Mapping[DeviceId, Sequence[Camera]]
    ) -> None:
        """Another archive."""
        self._translator.channels = channels
        for device in self._paths.values():
            # Who is pulled from now on keeps what stands.
            if device.id not in channels:
                self._translator.forget(device.id)
        stay = {d: one for d, one in self._admitted.items() if d in channels and d not in devices}
        self._admitted = stay
        known = (*devices.values(), *stay.values())
        self._paths = {push_path(device.id, self._key): device for device in known}
        self._heard &= devices.keys() | stay.keys()

    def admit(self, device: Device) -> None:
        """One that the archive has pulled, and that cannot be: it pushes, as long as that is so."""
        path = push_path(device.id, self._key)
        if path not in self._paths:
            self._admitted[device.id] = self._paths[path] = device

    def dismiss(self, device: Device) -> None:
        """One that was admitted pushes no more; who is to push by the archive stays."""
        if self._admitted.pop(device.id, None) is not None:
            self._paths.pop(push_path(device.id, self._key), None)
            self._heard.discard(device.id)

    @property
    def states(self) -> States:
        """What stands at the devices that push: for who pulls the same ones when an import says so."""
        return self._translator.states

    @property
    def heard(self) -> int:
        """Devices that have pushed since the start: none of many = our address is not reached."""
        return len(self._heard)

    def knows(self, path: str, sender: str) -> bool:
        """True if this sender may push to this path; else nothing of it need be read."""
        device = self._paths.get(path)
        known = device is not None and device.host == sender
        if not known:
            EVENT_MESSAGES.labels(_SOURCE, "stranger").inc()
        return known

    async def take(self, path: str, body: bytes) -> bool:
        """Take what was pushed by one that `knows`; False = not stored, the device may repeat it."""
        device = self._paths.get(path)
        if device is None:  # it left the archive while its message was read
            EVENT_MESSAGES.labels(_SOURCE, "stranger").inc()
            return True
        soap = read(Reply(200, {}, body)) if len(body) <= BODY_LIMIT else None
        if not isinstance(soap, Soap) or soap.name != "Notify":
            EVENT_MESSAGES.labels(_SOURCE, "unreadable").inc()
            return True
        self._heard.add(device.id)
        now = asyncio.get_running_loop().time()
        received_at = self._clock.utc(self._clock.now())
        notes = read_notifications(soap.content)
        events = self._translator.translate(device.id, notes, received_at, now)
        try:
            if events:
                await self._deliver(events)
        except BaseException as error:  # the device hung up, too: it may repeat all of this
            self._translator.doubt(events)
            if isinstance(error, StoreUnavailable):
                return False
            raise
        return True

    async def run(self) -> None:
        """Close stuck states (quirk 29) and count who is heard, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            PUSHING_DEVICES.labels("heard").set(self.heard)
            PUSHING_DEVICES.labels("silent").set(len(self._paths) - self.heard)
            now = asyncio.get_running_loop().time()
            aged = self._translator.age(now, self._clock.utc(self._clock.now()))
            while aged:
                try:
                    await self._deliver(aged)
                except StoreUnavailable:
                    await asyncio.sleep(_STORE_WAIT_S)
                else:
                    break
