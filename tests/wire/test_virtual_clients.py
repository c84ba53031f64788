"""A second opinion on the virtual devices: clients that nobody here wrote."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from wire.virtual_fleet import Fleet

from adapters.virtual.model import Personality, Quirk, Signing
from adapters.virtual.signals import SIGNALS

HERE = Path(__file__).parent
NODE = HERE / "node"
ZEEP = (sys.executable, str(HERE / "clients" / "onvif_zeep.py"))
AGSH = ("node", "client.js")


async def drive(fleet: Fleet, device: str, command: tuple[str, ...]) -> Mapping[str, Any]:
    """Run a client against a device whose digital input changes now and then."""
    async with fleet.served() as server:
        district = server.district
        host, _, port = device.partition(":")
        process = await asyncio.create_subprocess_exec(
            *command, host, port, district.username, district.password,
            cwd=NODE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        live = next(d for i, d in server.devices.items() if i == device)
        for name, signal in SIGNALS.items():
            if signal.stateful:
                live.signal(name, active=True)
        talking = asyncio.ensure_future(_press(live.emit))
        try:
            out, err = await asyncio.wait_for(process.communicate(), 60)
        finally:
            talking.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, err.decode()
        assert live.refused_logins == 0
        found: Mapping[str, Any] = json.loads(out)
        return found


async def _press(emit: Any) -> None:
    active = False
    while True:
        active = not active
        emit("DigitalInput_1", active=active)
        await asyncio.sleep(0.1)


@pytest.fixture
def node() -> None:
    """The npm package must be installed where it matters."""
    missing = "" if shutil.which("node") else "node is not installed"
    if not (NODE / "node_modules" / "onvif").is_dir():
        missing = missing or "run `npm ci` in tests/wire/node"
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


@pytest.mark.parametrize(
    "personality",
    [
        Personality(),
        Personality(closes=True),
        Personality(quirk=Quirk.CLOCK_SKEW),
        Personality(quirk=Quirk.CHUNKED),
        Personality(quirk=Quirk.CLOSE_DELIMITED),
    ],
    ids=["plain", "closes", "clock_skew", "chunked", "close_delimited"],
)
async def test_onvif_zeep_gets_everything_out_of_a_device(personality: Personality) -> None:
    fleet = Fleet()
    device = fleet.add(personality, killable=True, channels=2)
    found = await drive(fleet, device, ZEEP)
    assert found["year"] >= 2024
    assert found["serial"] == "SN000001"
    assert found["mac"] == "02:00:00:00:00:01"
    assert found["profiles"] == ["Profile_1", "Profile_2"]
    assert found["sources"] == found["video_sources"] == ["VideoSource_1", "VideoSource_2"]
    assert found["services"] == 4
    assert found["stream"].startswith(f"rtsp://{device}/")
    assert found["snapshot"] == f"http://{device}/onvif/snapshot/1"
    assert found["messages"] == 10, "as many as it asked for, of all that stand active"
    assert found["terminates"]


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    "personality",
    [
        Personality(),
        Personality(signing=Signing.DIGEST_MD5),
        Personality(quirk=Quirk.MEDIA2_ONLY),
        Personality(quirk=Quirk.NO_CAPABILITIES),
    ],
    ids=["plain", "digest", "media2_only", "no_capabilities"],
)
async def test_agsh_onvif_gets_everything_out_of_a_device(personality: Personality) -> None:
    fleet = Fleet()
    device = fleet.add(personality, channels=2)
    found = await drive(fleet, device, AGSH)
    assert found["year"] >= 2024
    assert found["serial"] == "SN000001"
    assert found["profiles"] == ["Profile_1", "Profile_2"]
    assert found["stream"].startswith(f"rtsp://{device}/")
    assert found["snapshot"] == f"http://{device}/onvif/snapshot/1"
    assert found["topics"]
    told = {topic.removeprefix("tns1:") for topic in found["topics"]}
    assert told == {signal.topic for signal in SIGNALS.values() if signal.stateful}
    assert set(found["states"]) <= {True, False}
    assert "Initialized" in found["operations"]
