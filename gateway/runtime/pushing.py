"""How the events of each device come, and the door for those that are pushed (WS-BaseNotification)."""

import os
import secrets
import stat
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from aiohttp import web

from gateway.domain.camera import CheckBy, Device, DeviceId
from gateway.domain.event import Event
from gateway.errors import UsageError
from gateway.inventory import Inventory
from gateway.ports import Clock, Secret
from gateway.ports.events import Deliver
from gateway.registry import get
from gateway.settings import EventSettings

KEY_FILE = "push.key"
SHORTEST_KEY = 16
OTHERS = 0o077


class EventsBy(StrEnum):
    """How a device's own events come to us (`events` in the archive)."""

    PULL = "pull"
    PUSH = "push"
    NONE = "none"


def events_by(inventory: Inventory, settings: EventSettings) -> Mapping[DeviceId, EventsBy]:
    """How the events of each ONVIF device in use come.

    What the archive says of a channel comes first, then the lists of the settings; else a device is
    pulled. Without an address that devices can reach, and without pulls where those are switched off,
    nothing is asked for that cannot come.
    """
    vendors = {name.casefold() for name in settings.push_vendors}
    listed = set(settings.push_devices)
    found: dict[DeviceId, EventsBy] = {}
    for device in inventory.watched:
        if device.check_by is CheckBy.ONVIF:
            way = _asked(device, inventory, listed, vendors)
            if way is EventsBy.PUSH and not settings.push_address:
                way = EventsBy.PULL
            if way is EventsBy.PULL and not settings.pull:
                way = EventsBy.NONE
            found[device.id] = way
    return found


def _asked(device: Device, inventory: Inventory, listed: set[str], vendors: set[str]) -> EventsBy:
    cameras = inventory.channels_of[device.id]
    said = next((text for one in cameras if (text := one.archive.get("events"))), "")
    if said in set(EventsBy):
        return EventsBy(said)
    named = {device.id, *(camera.id for camera in cameras)}
    if not listed.isdisjoint(named) or device.manufacturer.casefold() in vendors:
        return EventsBy.PUSH
    return EventsBy.PULL


def read_key(settings: EventSettings, state_dir: Path) -> Secret:
    """The secret that the devices' paths are made of; the default file is made on first use.

    Raises:
        UsageError: the file cannot be read, others may read it, or it holds too little.
    """
    path = settings.push_key_file or state_dir / KEY_FILE
    try:
        if settings.push_key_file is None:
            _make(path)
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise UsageError(f"events.push_key_file: {path}: {reason}") from error
    if mode & OTHERS:
        raise UsageError(f"events.push_key_file: {path}: others may read it: chmod 600 it")
    if len(text) < SHORTEST_KEY:
        raise UsageError(f"events.push_key_file: {path}: at least {SHORTEST_KEY} characters")
    return Secret(text)


def _make(path: Path) -> None:
    # 0711: the store's own user must get through to its data below; the file itself is 0600.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if not path.exists():
            os.link(draft, path)  # unlike a rename, this does not replace a file made meanwhile
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)


class Pushing:
    """Which devices push, to which addresses, and the door that takes it.

    Args:
        settings: of events; `push_address` is set.
        state_dir: where the key is made when the settings name none.
        clock / deliver: the service's.
        inventory: of now; `take_archive` tells of others.
        signals: the newest of each source of before the restart.

    Raises:
        UsageError: there is no usable key.
    """

    def __init__(
        self,
        settings: EventSettings,
        state_dir: Path,
        clock: Clock,
        deliver: Deliver,
        inventory: Inventory,
        signals: Sequence[Event] = (),
    ) -> None:
        self._settings = settings
        self._key = read_key(settings, state_dir)
        self._path = get("sightline.event_doors", "onvif_push_path")
        self.door = get("sightline.event_doors", "onvif_push")(
            clock, self._key, self._devices(inventory), inventory.channels_of, deliver, signals
        )

    @property
    def routes(self) -> Iterable[web.RouteDef]:
        """For the service's web server."""
        proxies = frozenset(self._settings.push_proxies)
        made = get("sightline.event_doors", "onvif_push_routes")(self.door, proxies)
        return list(made)

    def consumers(self, inventory: Inventory) -> Mapping[DeviceId, str]:
        """Where each of the devices that push is told to send to."""
        return {device: self.consumer(device) for device in self._devices(inventory)}

    def consumer(self, device: DeviceId) -> str:
        """Where a device would be told to send to."""
        return f"{self._settings.push_address}{self._path(device, self._key)}"

    def take_archive(self, inventory: Inventory) -> None:
        """Let in those that are to push now, and no others."""
        self.door.devices_changed(self._devices(inventory), inventory.channels_of)

    async def run(self) -> None:
        """Close stuck states, count who is heard, until cancelled."""
        await self.door.run()

    def _devices(self, inventory: Inventory) -> Mapping[DeviceId, Device]:
        ways = events_by(inventory, self._settings)
        return {d: inventory.devices[d] for d, way in ways.items() if way is EventsBy.PUSH}
