"""The same fleet asked once by Debian's `prometheus-blackbox-exporter` and once by Sightline, in one run.

`PYTHONPATH=tests python -m bench.blackbox [CAMERAS]`; the program is taken from PATH or from
BLACKBOX_EXPORTER. It is told to POST GetSystemDateAndTime, without a login (it cannot compute a
WS-UsernameToken), and to demand 200 and the end of the answer. Each check of it is a request to its `/probe`,
as Prometheus makes them; what these requests cost on our side is not counted. Not part of `make bench`.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import uvloop

from adapters.virtual.command import choose_ports
from bench.district import build
from bench.sweep import Rig, district, sweeps

PACKAGE = "prometheus-blackbox-exporter"
AT_ONCE = 100
TIME_REQUEST = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
    '<GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/></s:Body></s:Envelope>'
)
MODULE = {
    "modules": {
        "onvif": {
            "prober": "http",
            "timeout": "5s",
            "http": {
                "method": "POST",
                "body": TIME_REQUEST,
                "headers": {"Content-Type": "application/soap+xml; charset=utf-8"},
                "valid_status_codes": [200],
                "fail_if_body_not_matches_regexp": ["</[^>]*Envelope>"],
                "follow_redirects": False,
            },
        }
    }
}


def find() -> str | None:
    """The program, where there is one."""
    return os.environ.get("BLACKBOX_EXPORTER") or shutil.which(PACKAGE)


@contextmanager
def exporter(program: str, folder: Path) -> Iterator[tuple[int, str]]:
    """The exporter on a free port of loopback: its pid and address."""
    config = folder / "blackbox.json"  # JSON is YAML
    config.write_text(json.dumps(MODULE))
    address = f"127.0.0.1:{choose_ports(0)['port']}"
    command = [program, f"--config.file={config}", f"--web.listen-address={address}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process.pid, f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def cpu_s(pid: int) -> float:
    """User and system CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _answers(session: aiohttp.ClientSession, url: str) -> None:
    for _ in range(100):
        try:
            async with session.get(f"{url}/-/healthy"):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    raise TimeoutError("the exporter does not answer")


async def ask_all(url: str, pid: int, targets: list[str]) -> dict[str, float]:
    """One check of each target; CPU seconds of the exporter, wall seconds, and how many succeeded."""
    waiting = asyncio.Queue[str]()
    for target in targets:
        waiting.put_nowait(target)
    good = 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal good
        while not waiting.empty():
            target = quote(waiting.get_nowait(), safe="")
            async with session.get(f"{url}/probe?module=onvif&target={target}") as answer:
                good += b"\nprobe_success 1" in await answer.read()

    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:
        await _answers(session, url)
        spent, began = cpu_s(pid), time.perf_counter()
        await asyncio.gather(*(work(session) for _ in range(AT_ONCE)))
        return {
            "checks": len(targets),
            "good": good,
            "cpu_s": round(cpu_s(pid) - spent, 2),
            "wall_s": round(time.perf_counter() - began, 2),
        }


def run(program: str, cameras: int = 12_328) -> dict[str, object]:
    """Both on one district: cold checks, CPU seconds."""
    with district(cameras) as (ports, _), tempfile.TemporaryDirectory() as folder:
        devices = build(cameras, ports).devices
        path = "/onvif/device_service"
        targets = [f"http://{v.device.host}:{v.device.port}{path}" for v in devices]
        with exporter(program, Path(folder)) as (pid, url):
            theirs = asyncio.run(ask_all(url, pid, targets))
        # kept=0: every check of ours opens a connection too
        ours = uvloop.run(sweeps(Rig(cameras, ports, kept=0), 0))[0]
    return {
        "blackbox_exporter": theirs,
        "sightline": {
            "checks": ours.checks,
            "cpu_s": round(ours.cpu_s, 2),
            "wall_s": round(ours.wall_s, 2),
        },
        "ratio": round(theirs["cpu_s"] / ours.cpu_s, 1),
    }


def main() -> int:
    """Print one JSON object; 2 where the program is not installed."""
    program = find()
    if program is None:
        sys.stderr.write(f"{PACKAGE} is not installed: nothing to compare with\n")
        return 2
    cameras = int(sys.argv[1]) if len(sys.argv) > 1 else 12_328
    sys.stdout.write(json.dumps(run(program, cameras), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
