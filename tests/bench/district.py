"""A plain district in a process of its own, on the second core: what the sweeps ask.

`python -m bench.district --cameras N [--latency 0.03] [--dead 0.03]` prints one JSON line when it
answers and ends with its standard input. All devices keep their connection, none uses TLS: the
definition of the sweep figures. With --dead a share of the devices drops SYNs.
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
from adapters.virtual.model import LinkQuality, Personality, Trouble, VirtualDistrict
from adapters.virtual.server import DistrictServer


def plain(district: VirtualDistrict, port: int, latency_s: float) -> VirtualDistrict:
    """The same district without personalities: every device kept, plain HTTP, one latency."""
    devices = []
    for virtual in district.devices:
        listens = virtual.device.port if virtual.killable else port
        device = replace(
            virtual.device, id=f"{virtual.device.host}:{listens}", port=listens, tls=False
        )
        channels = tuple(replace(c, device=device.id) for c in virtual.channels)
        devices.append(
            replace(virtual, device=device, channels=channels, personality=Personality())
        )
    links = {code: LinkQuality(latency_s=latency_s) for code in district.links}
    return replace(district, devices=tuple(devices), links=links)


def build(cameras: int, ports: dict[str, int], latency_s: float) -> VirtualDistrict:
    """The district of a bench, the same in both processes."""
    return plain(build_district(1, cameras, **ports), ports["port"], latency_s)


async def _serve(district: VirtualDistrict, ports: dict[str, int], dead: float) -> None:
    server = DistrictServer(district)
    await server.start()
    killable = [v.device.id for v in district.devices if v.killable]
    for device in killable[: round(dead * len(district.devices))]:
        server.apply(device, Trouble.DROP_SYN)
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    async for _ in lines_of(sys.stdin):
        pass
    await server.close()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=12_328)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--dead", type=float, default=0.0)
    wish = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    ports = choose_ports(0)
    district = build(wish.cameras, ports, wish.latency)
    raise_file_limit(district)
    uvloop.run(_serve(district, ports, wish.dead))


if __name__ == "__main__":
    main()
