"""Growth: 1x and 3x on sockets, cold; 10x without sockets, recorded replies through the same pipeline."""

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import uvloop

from adapters.onvif.transport import Anew, Keeping, NoReply, Reply
from adapters.virtual.command import choose_ports
from bench.sweep import Rig, Sweep, district, sweeps
from gateway.domain.camera import Device, DeviceId

RECORDED = """<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:tds="http://www.onvif.org/ver10/device/wsdl">
<s:Body><tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>
<tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>CST-8</tt:TZ></tt:TimeZone>
<tt:UTCDateTime><tt:Time><tt:Hour>{0.hour}</tt:Hour><tt:Minute>{0.minute}</tt:Minute>
<tt:Second>{0.second}</tt:Second></tt:Time><tt:Date><tt:Year>{0.year}</tt:Year>
<tt:Month>{0.month}</tt:Month><tt:Day>{0.day}</tt:Day></tt:Date></tt:UTCDateTime>
</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse></s:Body></s:Envelope>"""
HEADERS = {"content-type": "application/soap+xml"}


class Recorded:
    """A `Transport` that answers at once with a recorded reply, at the time of now."""

    def __init__(self) -> None:
        self.keeping = Keeping(0)

    async def post(
        self,
        device: Device,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
        *,
        anew: Anew | None = None,
    ) -> Reply | NoReply:
        """The recorded reply."""
        text = RECORDED.format(datetime.now(UTC))
        return Reply(200, HEADERS, text.encode(), rtt_s=0.001)

    def let_go(self, device: DeviceId) -> None:
        """Nothing is kept."""

    def forget(self, device: DeviceId) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is open."""


async def _cold(cameras: int, ports: dict[str, int], times: int) -> Sweep:
    return (await sweeps(Rig(cameras, ports, times=times, kept=0), 0))[0]


async def _recorded(cameras: int, times: int) -> Sweep:
    rig = Rig(cameras, choose_ports(0), times=times, transport=Recorded())
    return (await sweeps(rig, 1))[1][0]


def _figures(sweep: Sweep) -> dict[str, float]:
    return {
        "devices": sweep.checks,
        "cpu_s": round(sweep.cpu_s, 3),
        "ms_per_check": round(sweep.ms_per_check, 4),
        "wall_s": round(sweep.wall_s, 2),
    }


def run(cameras: int = 12_328) -> dict[str, dict[str, float]]:
    """CPU a check at growing size, and `ratios` to that of one fleet: 1 = flat."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found: dict[str, dict[str, float]] = {}
    for times in (1, 3):
        with district(cameras, times=times) as (ports, _):
            sweep = uvloop.run(_cold(cameras, ports, times))
            found[f"cold_{times}x"] = _figures(sweep)
    for times in (1, 10):
        found[f"recorded_{times}x"] = _figures(uvloop.run(_recorded(cameras, times)))

    def each(name: str) -> float:
        return found[name]["ms_per_check"]

    found["ratios"] = {
        "cold_3x": round(each("cold_3x") / each("cold_1x"), 2),
        "recorded_10x": round(each("recorded_10x") / each("recorded_1x"), 2),
    }
    return found


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 12_328
    sys.stdout.write(json.dumps(run(count), indent=1) + "\n")
