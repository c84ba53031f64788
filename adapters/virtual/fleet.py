"""Builds the virtual district: the same seed, size and ports give the same one."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

from adapters.virtual.catalogue import Identity, draw_maker, make_identity
from adapters.virtual.fields import STRUCTURE_NAME, archive_fields, common_name
from adapters.virtual.geography import Geography, build_geography
from adapters.virtual.legacy import NEVER_ALIVE, draw_legacy
from adapters.virtual.model import Legacy, Quirk, Signing, VirtualDevice, VirtualDistrict
from adapters.virtual.names import division_rows, townships
from adapters.virtual.network import Network, Slot, build_network
from adapters.virtual.places import build_places
from adapters.virtual.siting import FULL_SIZE, LEAST, plan_units
from adapters.virtual.streets import build_streets
from adapters.virtual.townscape import build_buildings, build_poles, points_of
from adapters.virtual.traits import KILLABLE_SINGLES, Trait, draw_killable, draw_links, draw_traits
from gateway.domain.camera import (
    Camera,
    ChannelId,
    Device,
    DeviceId,
    Division,
    DivisionCode,
    Node,
    NodeId,
    NodeKind,
    StructureType,
    Window,
)

CREDENTIAL_SET = "district"
USERNAME = "sightline"
CANARY_HOSTS = ("127.0.0.11", "127.0.0.12")
_ANALOGUE_SHARE = 0.3
"""Of channels behind an NVR: older cameras, type 131 instead of 132 in the code."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where devices listen: steady ones, steady ones with TLS, killable ones, canaries."""

    plain: int
    tls: int
    killable: int
    canary: int


def build_district(
    seed: int,
    cameras: int = FULL_SIZE,
    *,
    port: int,
    tls_port: int,
    killable_port: int,
    canary_port: int,
    killable_singles: float = KILLABLE_SINGLES,
    legacy: float = 0.0,
) -> VirtualDistrict:
    """Make a district with exactly `cameras` channels (50..12328).

    Divisions, grid cells and places are always whole; a small district has fewer townships with
    cameras, but every mechanism: an NVR, a multi-lens camera, each quirk, TLS, killable singles, a
    killable access switch and a killable township uplink. `legacy` is the share of the devices that were
    never well, for each kind of it.

    Raises:
        ValueError: `cameras` is out of range.
    """
    if not LEAST <= cameras <= FULL_SIZE:
        raise ValueError(f"a virtual district has {LEAST} to {FULL_SIZE} cameras, not {cameras}")
    ports = Ports(port, tls_port, killable_port, canary_port)
    divisions = tuple(row.division for row in division_rows())
    by_code = {township.code: township for township in townships(divisions)}
    land = build_geography(seed, divisions)
    streets = build_streets(seed, land)
    plan = plan_units(seed, land, streets, cameras)
    network = build_network(seed, land, by_code, plan)
    traits = draw_traits(seed, network.slots, plan.cut)
    killable = draw_killable(seed, network.slots, traits, plan.cut, killable_singles)
    unwell = draw_legacy(seed, network.slots, traits, killable, legacy)
    maker = _Maker(seed, land, by_code, network, ports)
    devices = tuple(
        maker.device(
            slot,
            _with(trait, unwell.get(index)),
            # One that was never alive has a listener of its own too: it stays closed or deaf.
            killable=index in killable or unwell.get(index) in NEVER_ALIVE,
        )
        for index, (slot, trait) in enumerate(zip(network.slots, traits, strict=True))
    )
    places = build_places(seed, land, streets)
    clear = points_of(place.geometry for place in places)
    buildings, private_areas = build_buildings(seed, streets, clear)
    used = {
        (camera.longitude, camera.latitude)
        for virtual in devices
        for camera in virtual.channels
        if camera.longitude is not None and camera.latitude is not None
    }
    return VirtualDistrict(
        seed=seed,
        devices=devices,
        nodes=network.nodes + tuple(_device_nodes(devices, network)),
        divisions=divisions,
        grids=land.cells,
        places=places,
        links={str(code): link for code, link in draw_links(seed, plan).items()},
        canaries=tuple((host, canary_port) for host in CANARY_HOSTS),
        username=USERNAME,
        password=_password(seed),
        windows=tuple(_windows(seed, network.nodes, devices)),
        buildings=buildings,
        private_areas=private_areas,
        poles=build_poles(seed, streets, used, clear, buildings),
    )


def _with(trait: Trait, legacy: Legacy | None) -> Trait:
    return replace(trait, personality=replace(trait.personality, legacy=legacy))


def _password(seed: int) -> str:
    return hashlib.sha256(f"sightline virtual district {seed}".encode()).hexdigest()[:20]


class _Maker:
    """Turns slots into devices with their channels, numbering as it goes."""

    def __init__(
        self,
        seed: int,
        land: Geography,
        by_code: Mapping[DivisionCode, Division],
        network: Network,
        ports: Ports,
    ) -> None:
        self._rng = Random(f"{seed}:devices")
        self._land = land
        self._townships = by_code
        self._beats = {code: n for n, code in enumerate(sorted(by_code), start=1)}
        self._network = network
        self._ports = ports
        self._device_serial = count(1)
        self._channel_serial = count(1)
        self._village_serial: Counter[DivisionCode] = Counter()
        self._poles: dict[tuple[float, float], str] = {}
        self._pole_serial: Counter[DivisionCode] = Counter()

    def device(self, slot: Slot, trait: Trait, *, killable: bool) -> VirtualDevice:
        """One device at its address, on the port that its kind listens on."""
        identity = self._identity(slot)
        steady = self._ports.tls if trait.tls else self._ports.plain
        port = self._ports.killable if killable else steady
        device = Device(
            id=DeviceId(f"{slot.host}:{port}"),
            host=slot.host,
            port=port,
            node=slot.node,
            tls=trait.tls,
            credential_set=CREDENTIAL_SET,
            serial=identity.serial,
            mac=identity.mac,
            manufacturer=identity.manufacturer,
            model=identity.model,
        )
        channels = tuple(
            self._channel(slot, device, index) for index in range(len(slot.unit.views))
        )
        return VirtualDevice(
            device, channels, trait.personality, killable, identity.firmware, slot.township
        )

    def _identity(self, slot: Slot) -> Identity:
        maker = draw_maker(self._rng)
        structure = slot.unit.views[0].structure
        models = maker.recorders if slot.unit.recorder else maker.models[structure]
        number = next(self._device_serial)
        return make_identity(self._rng, maker, self._rng.choice(models), number)

    def _channel(self, slot: Slot, device: Device, index: int) -> Camera:
        view = slot.unit.views[index]
        village = self._land.villages[slot.unit.village]
        township = self._townships[slot.township]
        cell = self._land.cells[view.stand.cell]
        model = device.model
        if slot.unit.recorder:
            makes = draw_maker(self._rng)
            maker, model = makes.name, self._rng.choice(makes.models[view.structure])
        else:
            maker = device.manufacturer
        care = self._network.care[slot.township]
        self._village_serial[village.code] += 1
        setting = common_name(view.stand.pole.setting)
        number = self._village_serial[village.code]
        several = len(slot.unit.views) > 1
        return Camera(
            id=self._code(slot, recorded=view.recorded),
            device=device.id,
            name=f"{village.name}{setting}{number}号{STRUCTURE_NAME[view.structure]}",
            source_token=f"VideoSource_{index + 1}" if several else "",
            township=slot.township,
            village=village.code,
            grid=cell.id,
            manufacturer=maker,
            model=model,
            longitude=view.stand.longitude,
            latitude=view.stand.latitude,
            maintainer=care.maintainer,
            carrier=care.carrier,
            contact=care.contact,
            archive=archive_fields(
                self._rng,
                view,
                village.code,
                township,
                pole_number=self._pole(slot.township, view.stand.longitude, view.stand.latitude),
            ),
        )

    def _code(self, slot: Slot, *, recorded: bool) -> ChannelId:
        """20 digits: centre 8 (district + beat), industry 00, type, network 0, serial 6."""
        analogue = recorded and self._rng.random() < _ANALOGUE_SHARE
        kind = "131" if analogue else "132"
        beat = self._beats[slot.township]
        return ChannelId(f"610802{beat:02d}00{kind}0{next(self._channel_serial):06d}")

    def _pole(self, township: DivisionCode, longitude: float, latitude: float) -> str:
        """The number painted on the pole: the same for all cameras on it."""
        at = (longitude, latitude)
        if at not in self._poles:
            self._pole_serial[township] += 1
            self._poles[at] = f"{township[6:9]}-{self._pole_serial[township]:04d}"
        return self._poles[at]


def is_recorder(virtual: VirtualDevice) -> bool:
    """Whether a device is an NVR: several channels that are not lenses of one camera."""
    multi_lens = str(int(StructureType.MULTI_LENS))
    lenses = (camera.archive["ptz_type"] == multi_lens for camera in virtual.channels)
    return len(virtual.channels) > 1 and not all(lenses)


def _device_nodes(devices: tuple[VirtualDevice, ...], network: Network) -> Iterator[Node]:
    """Devices with several channels are nodes themselves, with their device id."""
    for virtual in devices:
        if len(virtual.channels) > 1:
            care = network.care[DivisionCode(virtual.township)]
            first = virtual.channels[0]
            yield Node(
                NodeId(virtual.device.id),
                NodeKind.DEVICE,
                f"{first.name.rsplit('号', 1)[0]}号{'录像机' if is_recorder(virtual) else '多目摄像机'}",
                virtual.device.node,
                care.maintainer,
                care.carrier,
                care.contact,
            )


def _windows(
    seed: int, nodes: tuple[Node, ...], devices: tuple[VirtualDevice, ...]
) -> Iterator[Window]:
    """Windows that are over: a run at any hour of the day meets the same district.

    Two maintenance windows on access switches, and last winter's scheduled-off hours of three
    solar-powered cameras.
    """
    rng = Random(f"{seed}:windows")
    switches = [node.id for node in nodes if node.kind is NodeKind.ACCESS]
    start = datetime(2024, 11, 4, 1, 0, tzinfo=UTC)
    for serial in range(1, 3):
        begin = start + timedelta(days=7 * serial)
        yield Window(
            f"window-{serial:03d}",
            rng.choice(switches),
            begin,
            begin + timedelta(hours=4),
            "接入交换机更换",
        )
    season = datetime(2024, 11, 30, 16, 0, tzinfo=UTC), datetime(2025, 2, 28, 16, 0, tzinfo=UTC)
    single = [d.channels[0].id for d in devices if len(d.channels) == 1]
    for serial, channel in enumerate(rng.sample(single, 3), start=3):
        yield Window(
            f"window-{serial:03d}",
            channel,
            *season,
            "太阳能供电夜间停机",
            daily_from_s=1 * 3600,
            daily_to_s=5 * 3600,
        )


def mix(district: VirtualDistrict) -> dict[str, int]:
    """What was built, counted: sizes, the tree, personalities, quirks, links."""
    devices = district.devices
    several = sum(len(d.channels) > 1 for d in devices)
    recorders = [d for d in devices if is_recorder(d)]
    kinds = Counter(node.kind for node in district.nodes)
    quirks = Counter(d.personality.quirk for d in devices)
    legacy = Counter(d.personality.legacy for d in devices)
    return {
        "channels": len(district.channels),
        "devices": len(devices),
        "nvrs": len(recorders),
        "nvr_channels": sum(len(d.channels) for d in recorders),
        "multi_lens": several - len(recorders),
        "townships": sum(d.parent == district.divisions[0].code for d in district.divisions),
        "villages": sum(len(d.code) == len("610802001001") for d in district.divisions),
        "grid_cells": len(district.grids),
        "places": len(district.places),
        **{f"nodes_{kind}": kinds[kind] for kind in NodeKind},
        "killable": sum(d.killable for d in devices),
        "killable_tls": sum(d.killable and d.device.tls for d in devices),
        "closes": sum(d.personality.closes for d in devices),
        **{str(s): sum(d.personality.signing is s for d in devices) for s in Signing},
        "tls": sum(d.device.tls for d in devices),
        "slow": sum(d.personality.slow_s > 0 for d in devices),
        **{f"quirk_{quirk}": quirks[quirk] for quirk in Quirk},
        **{f"legacy_{kind}": legacy[kind] for kind in Legacy},
        "townships_stalling": sum(link.stall_rate > 0 for link in district.links.values()),
        "townships_resetting": sum(link.reset_rate > 0 for link in district.links.values()),
    }
