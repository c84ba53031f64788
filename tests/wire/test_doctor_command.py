"""`sightline doctor` on machines and settings in every condition: how bad, which fix, which exit code."""

import asyncio
import json
import resource
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import typer
from fakes.clock import NOON
from fakes.outbox import message, put

from adapters.memory import MemoryStore
from gateway import opening
from gateway.commands import doctor
from gateway.domain.archive import ImportRecord
from gateway.domain.camera import Camera, ChannelId, Device, DeviceId, Node, NodeId, NodeKind
from gateway.errors import StoreUnavailable
from gateway.inventory import Inventory

MB = 2**20


class Usage(NamedTuple):
    """As `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


@dataclass
class World:
    """The machine, the settings and the archive that are looked at: all well, until changed.

    Attributes:
        open / closed: ports of loopback that accept, and that refuse.
        devices: (port, uplink) of the fleet.
        waiting: recipients of the messages that wait.
        settings: the lines of the settings file, by section.
    """

    patch: pytest.MonkeyPatch
    folder: Path
    open: int
    closed: int
    devices: list[tuple[int, str]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    store: MemoryStore = field(default_factory=lambda: MemoryStore("memory:"))

    def inventory(self) -> Inventory:
        """The archive."""
        nodes = [Node(NodeId("core"), NodeKind.CORE, "core", None)]
        nodes += [
            Node(NodeId(name), NodeKind.UPLINK, name, NodeId("core"))
            for name in sorted({uplink for _, uplink in self.devices})
        ]
        devices, cameras = [], []
        for n, (port, uplink) in enumerate(self.devices):
            device = Device(DeviceId(f"d{n}"), "127.0.0.1", port, NodeId(uplink))
            devices.append(device)
            cameras.append(Camera(ChannelId(f"c{n}"), device.id, f"camera {n}"))
        return Inventory.of(cameras, devices, nodes)

    def look(self, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, str]]]:
        """Exit code, and the lines by what they are about."""
        if self.devices:
            asyncio.run(self._fill())
        config = self.folder / "sightline.toml"
        lines = [
            line
            for section, values in self.settings.items()
            for line in (f"[{section}]", *(f"{k} = {json.dumps(v)}" for k, v in values.items()))
        ]
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        code = 0
        try:
            doctor.doctor(config, as_json=True)
        except typer.Exit as ended:
            code = ended.exit_code
        return code, {line["what"]: line for line in json.loads(capsys.readouterr().out)}

    async def _fill(self) -> None:
        await self.store.open()
        record = ImportRecord("first", NOON, "tester", (), ())
        await self.store.save_import(record, self.inventory())
        waiting = [message(f"k{n}", 1, NOON, recipient=to) for n, to in enumerate(self.waiting)]
        await put(self.store, *waiting)


@contextmanager
def listener() -> Iterator[socket.socket]:
    """A port that accepts."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(64)
        yield sock


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with listener() as accepts, closing(socket.socket()) as refuses:
        refuses.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        made = World(monkeypatch, tmp_path, accepts.getsockname()[1], refuses.getsockname()[1])
        made.devices = [(made.open, "a"), (made.open, "a"), (made.open, "b")]
        made.settings = {
            "store": {"state_dir": str(tmp_path)},
            "network": {"virtual": True, "canaries": [f"127.0.0.1:{made.open}"]},
            "web": {"port": 0},
        }
        for place in (doctor, opening):
            monkeypatch.setattr(place, "make_store", lambda _settings: made.store)
        kept, ports = tmp_path / "chrony", tmp_path / "ports"
        kept.touch()
        ports.write_text("32768\t60999\n")
        monkeypatch.setattr(doctor, "TIME_SIGNS", (tmp_path / "none", kept))
        monkeypatch.setattr(doctor, "PORT_RANGE", ports)
        free(made, 100_000)
        limit(made, 65_536)
        yield made


# --- what is changed in the world


def free(world: World, megabytes: int) -> None:
    usage = Usage(10**12, 0, megabytes * MB)
    world.patch.setattr(shutil, "disk_usage", lambda _path: usage)


def limit(world: World, files: int) -> None:
    world.patch.setattr(resource, "getrlimit", lambda _which: (1024, files))


def store_away(world: World) -> None:
    async def away() -> None:
        raise StoreUnavailable("store: gone")

    world.patch.setattr(world.store, "ping", away)


def no_store(world: World) -> None:
    async def none() -> bool:
        return False

    world.patch.setattr(world.store, "exists", none)


def jumping_clock(world: World) -> None:
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    seen: list[float] = []

    def stepped() -> float:
        seen.append(1.0)
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began + 3600 * (len(seen) - 1)

    fake = SimpleNamespace(
        time=stepped, clock_gettime=time.clock_gettime, CLOCK_BOOTTIME=time.CLOCK_BOOTTIME
    )
    world.patch.setattr(doctor, "time", fake)


def with_dsn(world: World, megabytes: int) -> None:
    world.settings["store"]["dsn"] = "memory:"
    free(world, megabytes)


def few_ports(world: World) -> None:
    doctor.PORT_RANGE.write_text("40000 40010\n")


def devices(world: World, *ports: int) -> None:
    world.devices = [(port, "ab"[n % 2]) for n, port in enumerate(ports)]


def one_branch(world: World) -> None:
    world.devices = [(world.open, "a")] * 3
    world.settings["network"]["canaries"] = []


def foreign_names(world: World) -> None:
    owners = {"gateway": ["sightline", "api-gateway"], "adapters": ["sightline"]}
    world.patch.setattr(doctor, "packages_distributions", lambda: owners)


def ports_of_another_system(world: World) -> None:
    world.patch.setattr(doctor, "PORT_RANGE", world.folder / "none")


def center_waits(world: World) -> None:
    world.waiting = ["center"]
    world.settings["center"] = {"url": "http://127.0.0.1:9/"}


Change = Callable[[World], object]
CASES: list[tuple[str, Change, str, str, str]] = [
    ("store", no_store, "warn", "none in", "sightline import FILE"),
    ("store", store_away, "bad", "StoreUnavailable: store: gone", "store.dsn"),
    ("store", devices, "warn", "no archive yet", "sightline import FILE"),
    ("disk", lambda w: free(w, 255), "bad", "255 MB free", "state_dir"),
    ("disk", lambda w: free(w, 4095), "warn", "4,095 MB free", "make room"),
    ("disk", lambda w: with_dsn(w, 16), "ok", "16 MB free", ""),
    ("disk", lambda w: with_dsn(w, 15), "bad", "15 MB free", "make room"),
    ("clock", jumping_clock, "bad", "jumped by +3600.0", "chrony"),
    ("clock", lambda w: (w.folder / "chrony").unlink(), "warn", "no time service", "timesyncd"),
    ("open files", lambda w: limit(w, 1002), "bad", "limit 1002, wanted 1003", "LimitNOFILE=2006"),
    ("open files", lambda w: limit(w, 1003), "ok", "limit 1003", ""),
    ("local ports", few_ports, "warn", "10 local ports, at most 6", "ip_local_port_range"),
    ("local ports", ports_of_another_system, "ok", "not Linux", ""),
    ("web port", lambda w: w.settings.update(web={"port": w.open}), "warn", "in use", "web.port"),
    ("canaries", one_branch, "bad", "one branch only", "network.canaries"),
    (
        "canaries", lambda w: w.settings["network"].update(canaries=[]),
        "warn", "none; 2 branches", "network.canaries",
    ),
    (
        "canaries", lambda w: w.settings["network"]["canaries"].append(f"127.0.0.1:{w.closed}"),
        "bad", "no answer: 127.0.0.1:", "address",
    ),
    (
        "recipients", lambda w: w.waiting.extend(["duty", "duty", "center"]),
        "warn", "address: 1 for 'center', 2 for 'duty'", "name their url again",
    ),
    ("recipients", center_waits, "ok", "center", ""),
    (
        "reachability", lambda w: devices(w, w.closed, w.closed),
        "bad", "0 of 2 sampled", "route or firewall",
    ),
    (
        "reachability", lambda w: devices(w, w.open, w.closed, w.closed),
        "warn", "1 of 3 sampled", "sightline probe CAMERA",
    ),
    ("reachability", lambda w: devices(w, w.open, w.closed), "ok", "1 of 2 sampled", ""),
    ("package names", foreign_names, "bad", "api-gateway", "environment of its own"),
]  # fmt: skip


def test_a_machine_that_is_well_is_told_so_line_by_line(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = world.look(capsys)
    assert code == 0
    assert {line["level"] for line in lines.values()} == {"ok"}, lines
    assert list(lines) == [
        "store", "disk", "clock", "open files", "local ports", "web port", "canaries",
        "recipients", "reachability", "package names",
    ]  # fmt: skip
    assert "3 channels" in lines["store"]["found"]
    assert "1 answer; 2 branches" in lines["canaries"]["found"]


@pytest.mark.parametrize(("what", "change", "level", "found", "fix"), CASES)
def test_what_is_wrong_has_its_line_its_fix_and_its_exit_code(
    world: World,
    capsys: pytest.CaptureFixture[str],
    what: str,
    change: Change,
    level: str,
    found: str,
    fix: str,
) -> None:
    change(world)
    code, lines = world.look(capsys)
    told = lines[what]
    assert (told["level"], found in told["found"]) == (level, True), told
    assert fix in told["fix"]
    assert bool(told["fix"]) == (level != "ok"), "a fix for all that is wrong, and for nothing else"
    assert all(bool(line["fix"]) == (line["level"] != "ok") for line in lines.values())
    assert code == int(any(line["level"] == "bad" for line in lines.values()))
    assert len(lines) == 10, "what is wrong hides nothing else"
