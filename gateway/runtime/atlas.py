"""Where things are: from a channel, sensor or network node to its place, cells, cameras and names."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from os.path import commonprefix
from typing import Any

from gateway.domain.alerting.cloudevent import cameras_of, links_of, place_of
from gateway.domain.alerting.correlate import Where
from gateway.domain.alerting.rows import CameraInView, EventIncident, GridLink, LinkReason
from gateway.domain.camera import Camera, ChannelId, DeviceId, DivisionCode, GridId, NodeId
from gateway.domain.coverage.model import CoverageModel
from gateway.domain.coverage.place import Place, PlaceId
from gateway.domain.coverage.view import ViewState
from gateway.domain.event import Event, Sensor, SensorId
from gateway.domain.linking import NEAREST, RADIUS_M, CellIndex, ViewIndex, township_of
from gateway.domain.windows import open_targets
from gateway.inventory import Inventory
from gateway.ports import Store

TOWNSHIP_DIGITS, DISTRICT_DIGITS = 9, 6


def _unknown(channel: ChannelId) -> ViewState:  # noqa: ARG001 - nobody says
    return ViewState.UNKNOWN


class Atlas:
    """The archive as alerts need it. Replaced part by part by imports and by coverage.

    Args:
        nearest: cells linked beside the one that holds a place.
        radius_m: and not farther away.

    Attributes:
        view_state: what a camera's view is worth now (coverage says it).
    """

    def __init__(self, nearest: int = NEAREST, radius_m: float = RADIUS_M) -> None:
        self.nearest = nearest
        self.radius_m = radius_m
        self.inventory = Inventory()
        self.sensors: Mapping[SensorId, Sensor] = {}
        self.cells = CellIndex(())
        self.views: ViewIndex | None = None
        self.places: Mapping[PlaceId, Place] = {}
        self.view_state: Callable[[ChannelId], ViewState] = _unknown
        self.names: Mapping[str, str] = {}
        self._in_windows: tuple[datetime, frozenset[str]] | None = None

    def take_inventory(self, inventory: Inventory) -> None:
        """A new archive (its grid cells may be without shapes: see `load_cells`)."""
        self.inventory = inventory
        self._in_windows = None
        self._name()

    async def load_cells(self, store: Store) -> None:
        """Read the shapes of the grid cells and build the index, in a thread."""
        inventory = await store.load_inventory()
        cells = tuple(inventory.grids.values())
        self.cells = await asyncio.to_thread(CellIndex, cells)
        self._name()

    def take_sensors(self, sensors: Iterable[Sensor]) -> None:
        """The sensor registry."""
        self.sensors = {sensor.id: sensor for sensor in sensors}

    def take_views(self, model: CoverageModel, places: Mapping[PlaceId, Place]) -> None:
        """What coverage built: who looks where, and the listed places."""
        self.views = ViewIndex(model)
        self.places = places

    def _name(self) -> None:
        names: dict[str, str] = {}
        names.update((code, one.name) for code, one in self.inventory.grids.items())
        names.update((code, name) for code, name in self.cells.names.items())
        names.update((code, one.name) for code, one in self.inventory.divisions.items())
        self.names = names

    # --- places

    def where(self, event: Event) -> Where:
        """Where a signal comes from."""
        if event.sensor is not None:
            sensor = self.sensors.get(event.sensor)
            return Where() if sensor is None else Where(sensor.longitude, sensor.latitude)
        return self.where_channel(event.channel, event.device)

    def planned(self, row: EventIncident, device: DeviceId | None, now: datetime) -> bool:
        """A maintenance window is open for the source of an incident.

        That of a camera or device, of a node above it, or of all channels of a device that tells of
        itself; for a sensor, which hangs on no node, that of its grid cell.
        """
        targets = self._targets(now)
        if not targets:
            return False
        if row.sensor is not None:
            sensor = self.sensors.get(SensorId(row.sensor))
            return sensor is not None and sensor.grid in targets
        camera = self._camera(row.channel, None)
        device = camera.device if camera is not None else device
        channels = (camera,) if camera is not None else self._channels_of(device)
        if any(node in targets for node in (device, *self.above(device))):
            return True
        return bool(channels) and all(one.id in targets for one in channels)

    def _channels_of(self, device: DeviceId | None) -> tuple[Camera, ...]:
        return () if device is None else self.inventory.channels_of.get(device, ())

    def _targets(self, now: datetime) -> frozenset[str]:
        """What is in maintenance; looked up once a second for all incidents that ask."""
        second = now.replace(microsecond=0)
        if self._in_windows is None or self._in_windows[0] != second:
            self._in_windows = second, open_targets(self.inventory.windows, now)
        return self._in_windows[1]

    def is_gone(self, channel: ChannelId | None, device: DeviceId | None) -> bool:
        """A camera, or all of a device, was taken out of use: nobody asks it any more."""
        camera = None if channel is None else self.inventory.cameras.get(channel)
        if camera is not None:
            return not camera.in_use
        return device in self.inventory.devices and device not in self.inventory.channels_of

    def where_channel(self, channel: ChannelId | None, device: DeviceId | None = None) -> Where:
        """Where a camera stands; of a device alone, where its first channel does."""
        camera = None if channel is None else self.inventory.cameras.get(channel)
        if camera is None and device is not None:
            camera = next(iter(self.inventory.channels_of.get(device, ())), None)
        if camera is None:
            return Where(device=device)
        return Where(camera.longitude, camera.latitude, camera.device)

    def area(self, event: Event) -> str:
        """The division code of a signal's place, as many digits as are known."""
        if event.sensor is not None and (sensor := self.sensors.get(event.sensor)) is not None:
            return sensor.village or sensor.township
        camera = self._camera(event.channel, event.device)
        return "" if camera is None else camera.village or camera.township

    def grid(self, event: Event) -> str:
        """The grid cell that the archive gives a signal's source; "" = none."""
        if event.sensor is not None and (sensor := self.sensors.get(event.sensor)) is not None:
            return sensor.grid
        camera = self._camera(event.channel, event.device)
        return "" if camera is None else camera.grid

    def grid_of_row(self, row: EventIncident) -> str:
        """The grid cell that an incident lies in; "" = not known."""
        home = next((link for link in row.links if link.reason is LinkReason.CONTAINS), None)
        return "" if home is None else home.grid

    def area_of_row(self, row: EventIncident) -> str:
        """The division code of an incident's place: of the cell it lies in, else of its source."""
        for link in row.links:
            if link.reason is LinkReason.CONTAINS and link.village:
                return link.village
        if row.sensor is not None:
            sensor = self.sensors.get(SensorId(row.sensor))
            return "" if sensor is None else sensor.village or sensor.township
        return self.area_of_channels([row.channel] if row.channel else [])

    def area_of_channels(self, channels: Collection[ChannelId]) -> str:
        """The smallest division that holds all of some channels."""
        cameras = [self.inventory.cameras[c] for c in channels if c in self.inventory.cameras]
        codes = [camera.village or camera.township for camera in cameras]
        shared = commonprefix(codes)  # noqa: RUF071 - digits, not paths
        if len(set(codes)) == 1:
            return shared
        for digits in (TOWNSHIP_DIGITS, DISTRICT_DIGITS):
            if len(shared) >= digits:
                return shared[:digits]
        return ""

    def _camera(self, channel: ChannelId | None, device: DeviceId | None) -> Camera | None:
        if channel is not None:
            return self.inventory.cameras.get(channel)
        found = self.inventory.channels_of.get(device, ()) if device is not None else ()
        return next(iter(found), None)

    def above(self, device: DeviceId | None) -> tuple[NodeId, ...]:
        """The network nodes above a device, nearest first."""
        found = self.inventory.devices.get(device) if device is not None else None
        return () if found is None else tuple(node.id for node in self.inventory.path(found))

    # --- links

    def link(self, row: EventIncident) -> EventIncident:
        """The incident with its cells and the cameras that can see its place."""
        if row.longitude is None or row.latitude is None:
            return replace(row, links=self._without_position(row))
        links = self._around(row.longitude, row.latitude)
        if row.channel is not None:
            links += self.looks_into(row.channel, links)
        return replace(row, links=links, cameras=self.cameras(row.longitude, row.latitude))

    def complete(self, row: EventIncident) -> EventIncident:
        """What was linked before anybody knew who looks where, with that; its cells stay as they were."""
        if row.longitude is None or row.latitude is None:
            return row
        links = row.links
        if row.channel is not None and all(one.reason is not LinkReason.IN_VIEW for one in links):
            links += self.looks_into(row.channel, links)
        cameras = row.cameras or self.cameras(row.longitude, row.latitude)
        if (links, cameras) == (row.links, row.cameras):
            return row
        return replace(row, links=links, cameras=cameras)

    def _around(self, longitude: float, latitude: float) -> tuple[GridLink, ...]:
        return self.cells.link(longitude, latitude, self.nearest, self.radius_m)

    def _without_position(self, row: EventIncident) -> tuple[GridLink, ...]:
        if row.sensor is not None:
            sensor = self.sensors.get(SensorId(row.sensor))
            grids = [] if sensor is None else [sensor.grid]
        else:
            camera = self._camera(row.channel, None)
            grids = [] if camera is None else [camera.grid]
        return self._cells(grids)

    def looks_into(
        self, channel: ChannelId, known: Sequence[GridLink] = ()
    ) -> tuple[GridLink, ...]:
        """The cells that a camera looks into, without those that are linked already."""
        if self.views is None:
            return ()
        linked = {link.grid for link in known}
        return self.cells.seen([g for g in self.views.cells_of(channel) if g not in linked])

    def cells_of_channels(self, channels: Collection[ChannelId]) -> tuple[GridLink, ...]:
        """The cells that some cameras stand in; of one alone with the nearest and those it looks into."""
        cameras = [self.inventory.cameras[c] for c in channels if c in self.inventory.cameras]
        if len(cameras) == 1 and cameras[0].longitude is not None and len(self.cells):
            one = cameras[0]
            links = self._around(one.longitude or 0.0, one.latitude or 0.0)
            return links + self.looks_into(one.id, links)
        return self._cells(camera.grid for camera in cameras)

    def _cells(self, grids: Iterable[GridId]) -> tuple[GridLink, ...]:
        found = []
        for grid in sorted({grid for grid in grids if grid}):
            cell = self.inventory.grids.get(grid)
            village = cell.village if cell is not None else DivisionCode("")
            found.append(
                GridLink(grid, LinkReason.CONTAINS, 0.0, None, village, township_of(village))
            )
        return tuple(found)

    def cameras(self, longitude: float, latitude: float) -> tuple[CameraInView, ...]:
        """The cameras that can see a place, and whether each sees now."""
        if self.views is None:
            return ()
        return self.views.cameras_in_view(longitude, latitude, self.view_state)

    # --- for messages

    def place(self, row: EventIncident) -> dict[str, Any]:
        """The place of an incident as a message tells it."""
        area = self.area_of_row(row)
        return place_of(
            row.longitude,
            row.latitude,
            township=DivisionCode(area[:TOWNSHIP_DIGITS]),
            village=DivisionCode(area if len(area) > TOWNSHIP_DIGITS else ""),
            grid=GridId(self.grid_of_row(row)),
            names=self.names,
        )

    def place_of_area(self, area: str, where: Where, grid: GridId = GridId("")) -> dict[str, Any]:
        """A place by its division."""
        return place_of(
            where.longitude,
            where.latitude,
            township=DivisionCode(area[:TOWNSHIP_DIGITS]),
            village=DivisionCode(area if len(area) > TOWNSHIP_DIGITS else ""),
            grid=grid,
            names=self.names,
        )

    def tell_links(self, links: Sequence[GridLink]) -> list[dict[str, Any]]:
        """Links as a message tells them."""
        return links_of(links, self.names, self.inventory.grids)

    def tell_cameras(self, row: EventIncident) -> list[dict[str, Any]]:
        """Cameras that can see the place, as they see now (not when it began)."""
        now = [replace(one, view=str(self.view_state(one.channel))) for one in row.cameras]
        return cameras_of(now)

    def tell_places(self, places: Iterable[PlaceId]) -> list[dict[str, Any]]:
        """Listed places by their names."""
        found = []
        for place_id in dict.fromkeys(places):
            place = self.places.get(place_id)
            name, kind = ("", "") if place is None else (place.name, place.kind)
            found.append({"place": place_id, "name": name, "kind": kind})
        return found
