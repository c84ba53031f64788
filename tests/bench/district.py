"""A plain district in a process of its own, on the second core: what the sweeps ask.

`python -m bench.district --cameras N [--latency 0.03] [--dead 0.03]` prints one JSON line when it
answers and ends with its standard input. All devices keep their connection, none uses TLS: the
definition of the sweep figures. With --dead a share of the devices drops SYNs, from the start or, with
--later, from the line `kill` on standard input on.
"""

import argparse
import json
import os
import sys
from dataclasses import replace

import uvloop

from adapters.virtual.command import choose_ports, raise_file_limit
from adapters.virtual.control import lines_of
from adapters.virtual.fleet import build_district
from adapters.virtual.model import (
    LinkQuality,
    Personality,
    Trouble,
    VirtualDevice,
    VirtualDistrict,
)
from adapters.virtual.server import DistrictServer
from gateway.domain.camera import ChannelId, DeviceId


def plain(
    district: VirtualDistrict, ports: dict[str, int], latency_s: float, dead: float
) -> VirtualDistrict:
    """The same district without personalities: every device kept, plain HTTP, one latency.

    A share of `dead` devices, spread over all townships, gets a listener of its own: they can die.
    """
    devices = []
    for number, virtual in enumerate(district.devices):
        mortal = int((number + 1) * dead) > int(number * dead)
        port = ports["killable_port"] if mortal else ports["port"]
        name = DeviceId(f"{virtual.device.host}:{port}")
        device = replace(virtual.device, id=name, port=port, tls=False)
        channels = tuple(replace(c, device=name) for c in virtual.channels)
        devices.append(
            replace(
                virtual,
                device=device,
                channels=channels,
                personality=Personality(),
                killable=mortal,
            )
        )
    links = {code: LinkQuality(latency_s=latency_s) for code in district.links}
    return replace(district, devices=tuple(devices), links=links)


def build(
    cameras: int,
    ports: dict[str, int],
    latency_s: float = 0.0,
    dead: float = 0.0,
    times: int = 1,
) -> VirtualDistrict:
    """The district of a bench, the same in both processes; `times` copies of its devices."""
    made = plain(build_district(1, cameras, **ports), ports, latency_s, dead)
    copies = [_copy(virtual, n) for n in range(1, times) for virtual in made.devices]
    return replace(made, devices=(*made.devices, *copies))


def _copy(virtual: VirtualDevice, number: int) -> VirtualDevice:
    """The same device at another address: the second byte is below 42 in the original."""
    first, second, rest = virtual.device.host.split(".", 2)
    # More than five copies fit no 127/8: these are never connected to (recorded replies).
    moved = int(second) + 42 * number
    host = f"{first}.{moved}.{rest}" if moved <= 255 else f"{number}.{second}.{rest}"
    device = replace(virtual.device, id=DeviceId(f"{host}:{virtual.device.port}"), host=host)
    channels = tuple(
        replace(c, id=ChannelId(f"{c.id}-{number}"), device=device.id) for c in virtual.channels
    )
    return replace(virtual, device=device, channels=channels)


async def _serve(district: VirtualDistrict, ports: dict[str, int], *, later: bool) -> None:
    server = DistrictServer(district)
    await server.start()

    def kill() -> None:
        for virtual in district.devices:
            if virtual.killable:
                server.apply(virtual.device.id, Trouble.DROP_SYN)

    if not later:
        kill()
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    async for line in lines_of(sys.stdin):
        if line.strip() == "kill":
            kill()
    await server.close()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=12_328)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--dead", type=float, default=0.0)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--later", action="store_true")
    wish = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    ports = choose_ports(0)
    district = build(wish.cameras, ports, wish.latency, wish.dead, wish.times)
    raise_file_limit(replace(district, devices=district.devices[: wish.cameras]))
    uvloop.run(_serve(district, ports, later=wish.later))


if __name__ == "__main__":
    main()
