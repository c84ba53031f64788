"""`sightline doctor`: what is wrong with this machine and these settings, each with its fix."""

import asyncio
import contextlib
import resource
import shutil
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import packages_distributions
from pathlib import Path

import typer
from rich.table import Table

from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.errors import NoSchema, NotMigrated, SightlineError
from gateway.inventory import Inventory
from gateway.opening import make_store, open_store
from gateway.process import OpenFiles
from gateway.settings import Settings

SAMPLE = 50
CONNECT_S = 2.0
LEAST_MB, ROOM_MB, KEYS_MB = 256, 4096, 16
"""The embedded store: what it needs for its log, and what leaves time to act; else the keys."""
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
TIME_SIGNS = tuple(
    map(Path, ("/run/systemd/timesync/synchronized", "/run/chrony", "/run/ntpd.sock"))
)
"""There while somebody keeps the clock."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing looked at."""

    what: str
    level: Level
    found: str
    fix: str = ""


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look at settings, store, disk, clock, open files, ports, recipients, reachability and package names.

    Exit code 1 when something must be mended before the service can do its work.
    """
    settings = settings_from(config)
    found = run_async(examine(settings))
    if as_json:
        print_json([asdict(d) for d in found])
    else:
        table = Table("", "what", "found", "fix")
        marks = {Level.OK: "[green]✓", Level.WARN: "[yellow]![/]", Level.BAD: "[red]✗"}
        for diagnosis in found:
            table.add_row(marks[diagnosis.level], diagnosis.what, diagnosis.found, diagnosis.fix)
        out.print(table)
    if any(d.level is Level.BAD for d in found):
        raise typer.Exit(1)


async def examine(settings: Settings) -> list[Diagnosis]:
    """Look at everything; one failing check never hides the next."""
    store, inventory, waiting = await _store(settings)
    looks: list[Callable[[], Awaitable[Diagnosis]]] = [
        lambda: _disk(settings),
        _clock,
        lambda: _open_files(inventory, settings),
        lambda: _local_ports(inventory, settings),
        lambda: _web_port(settings),
        lambda: _canaries(settings, inventory),
        lambda: _recipients(settings, waiting),
        lambda: _reachability(inventory),
        _names,
    ]
    return [store, *[await look() for look in looks]]


async def _store(settings: Settings) -> tuple[Diagnosis, Inventory, Mapping[str, int]]:
    """A diagnosis makes nothing: a store that is not there yet is said to be missing."""
    try:
        if not await make_store(settings).exists():
            found = f"none in {settings.store.state_dir} yet"
            fix = "sightline import FILE makes one; else the right --config, and the right user"
            return Diagnosis("store", Level.WARN, found, fix), Inventory(), {}
        async with (
            asyncio.timeout(60),
            open_store(settings, create=False) as store,
        ):
            await store.ping()
            inventory = await store.load_inventory(shapes=False)
            waiting = await store.events.pending_recipients()
    except NoSchema:
        fix = "sightline import FILE makes it, or sightline migrate"
        return Diagnosis("store", Level.WARN, "answers; no schema yet", fix), Inventory(), {}
    except NotMigrated as error:
        fix = (
            "stop a service of the older release; then sightline migrate, or start the new service"
        )
        return Diagnosis("store", Level.WARN, f"answers; {error}", fix), Inventory(), {}
    except (SightlineError, OSError, TimeoutError) as error:
        fix = (
            "check store.dsn, and that the state directory can be written; then `sightline migrate`"
        )
        return (
            Diagnosis("store", Level.BAD, f"{type(error).__name__}: {error}", fix),
            Inventory(),
            {},
        )
    count = len(inventory.cameras)
    if not count:
        fix = "sightline import FILE"
        return Diagnosis("store", Level.WARN, "answers; no archive yet", fix), inventory, waiting
    return (
        Diagnosis("store", Level.OK, f"answers; {count} channels in the archive"),
        inventory,
        waiting,
    )


async def _disk(settings: Settings) -> Diagnosis:
    """A store that finds no room stops; with a server of somebody else's only keys lie here."""
    folder = settings.store.state_dir.absolute()
    data = folder / "postgres"  # for root perhaps a link to another disk
    there = next(p for p in (data, folder, *folder.parents) if p.exists())
    free_mb = shutil.disk_usage(there).free // 2**20
    found = f"{there.resolve()}: {free_mb:,} MB free"
    fix = "make room there, or point store.state_dir to a larger disk: a full one stops the store"
    embedded = not settings.store.dsn.get_secret_value()
    if free_mb < (LEAST_MB if embedded else KEYS_MB):
        return Diagnosis("disk", Level.BAD, found, fix)
    if embedded and free_mb < ROOM_MB:
        return Diagnosis("disk", Level.WARN, found, fix)
    return Diagnosis("disk", Level.OK, found)


async def _clock() -> Diagnosis:
    """The wall clock must be kept by somebody, and must not jump while we look."""
    wall, boot = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    await asyncio.sleep(0.2)
    moved = (time.time() - wall) - (time.clock_gettime(time.CLOCK_BOOTTIME) - boot)
    if abs(moved) > 0.1:  # noqa: PLR2004 - a tenth of a second in a fifth of one is a jump
        return Diagnosis(
            "clock", Level.BAD, f"jumped by {moved:+.2f} s while looking", "run chrony"
        )
    if not _kept_by_a_service():
        fix = "run chrony or systemd-timesyncd: every time in the ledger comes from this clock"
        return Diagnosis("clock", Level.WARN, "no time service was found", fix)
    return Diagnosis("clock", Level.OK, "steady, kept by a time service")


def _kept_by_a_service() -> bool:
    return any(sign.exists() for sign in TIME_SIGNS)


async def _open_files(inventory: Inventory, settings: Settings) -> Diagnosis:
    """Too few cost CPU, until hardly a check can be under way."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OpenFiles.of(hard, len(inventory.watched), settings.poll)
    found = f"limit {hard}, wanted {files.wanted} for {len(inventory.watched)} devices"
    if files.is_small:
        level = Level.WARN if files.kept else Level.BAD
        fix = f"LimitNOFILE={2 * files.wanted} in the unit"
        return Diagnosis("open files", level, f"{found}: {files.cost}", fix)
    return Diagnosis("open files", Level.OK, found)


async def _local_ports(inventory: Inventory, settings: Settings) -> Diagnosis:
    """Connections that we close first wait 60 s in TIME_WAIT and hold a local port."""
    ports = _port_range()
    if ports is None:
        return Diagnosis("local ports", Level.OK, "not Linux: not looked at")
    low, high = ports
    a_minute = len(inventory.watched) * 60 / settings.poll.cadence_s
    found = f"{high - low} local ports, at most {a_minute:.0f} connections a minute"
    if a_minute > 0.5 * (high - low):
        fix = "sysctl net.ipv4.ip_local_port_range='1024 65535'"
        return Diagnosis("local ports", Level.WARN, found, fix)
    return Diagnosis("local ports", Level.OK, found)


def _port_range() -> tuple[int, int] | None:
    if not PORT_RANGE.exists():
        return None
    low, high = map(int, PORT_RANGE.read_text(encoding="ascii").split())
    return low, high


async def _web_port(settings: Settings) -> Diagnosis:
    host, port = settings.web.host, settings.web.port
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            fix = "stop the other program, or set web.port (fine when the service is running)"
            return Diagnosis("web port", Level.WARN, f"{host}:{port}: {error.strerror}", fix)
    return Diagnosis("web port", Level.OK, f"{host}:{port} is free")


async def _canaries(settings: Settings, inventory: Inventory) -> Diagnosis:
    """Without a witness no outage is ever confirmed (semantics §4)."""
    branches = {inventory.branch(d) for d in inventory.watched}
    count = len(settings.network.canaries)
    if not count and len(branches) < 2:  # noqa: PLR2004 - a second branch can bear witness
        fix = (
            "network.canaries = ['<first hop>:<port>']: without a witness nothing is called offline"
        )
        return Diagnosis("canaries", Level.BAD, "none, and one branch only", fix)
    if not count:
        fix = "network.canaries = ['<first hop>:<port>', '<core switch>:<port>']"
        return Diagnosis("canaries", Level.WARN, f"none; {len(branches)} branches", fix)
    dead = [c for c in settings.network.canaries if not await _connects(*_split(c))]
    if dead:
        return Diagnosis(
            "canaries", Level.BAD, f"no answer: {', '.join(dead)}", "check the address"
        )
    return Diagnosis("canaries", Level.OK, f"{count} answer; {len(branches)} branches")


async def _recipients(settings: Settings, waiting: Mapping[str, int]) -> Diagnosis:
    """Messages wait for somebody whom the settings do not name: a service would give them up."""
    reached = settings.reached_recipients
    lost = {name: number for name, number in waiting.items() if name not in reached}
    if lost:
        told = ", ".join(f"{number} for {name!r}" for name, number in sorted(lost.items()))
        fix = "name their url again; else a service makes dead letters of them at its start"
        return Diagnosis("recipients", Level.WARN, f"messages wait without an address: {told}", fix)
    names = ", ".join(reached) or "none: messages stand in the feed only"
    return Diagnosis("recipients", Level.OK, names)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


async def _connects(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _reachability(inventory: Inventory) -> Diagnosis:
    """A spread sample of the fleet: is the camera network reachable from here at all."""
    devices = inventory.watched[:: max(1, len(inventory.watched) // SAMPLE)][:SAMPLE]
    if not devices:
        return Diagnosis("reachability", Level.WARN, "nothing to ask yet", "sightline import FILE")
    answers = await asyncio.gather(*(_connects(d.host, d.port) for d in devices))
    found = f"{sum(answers)} of {len(devices)} sampled devices accept a connection"
    if not any(answers):
        return Diagnosis(
            "reachability", Level.BAD, found, "route or firewall to the camera network"
        )
    if sum(answers) < 0.5 * len(answers):
        return Diagnosis("reachability", Level.WARN, found, "look at `sightline probe CAMERA`")
    return Diagnosis("reachability", Level.OK, found)


async def _names() -> Diagnosis:
    """`gateway` and `adapters` are common names: another distribution may have overwritten ours."""
    owners = packages_distributions()
    foreign = {
        name: sorted(set(owners.get(name, [])) - {"sightline"}) for name in ("gateway", "adapters")
    }
    clash = {name: others for name, others in foreign.items() if others}
    if clash:
        fix = "install sightline in an environment of its own"
        return Diagnosis("package names", Level.BAD, f"also installed by {clash}", fix)
    return Diagnosis("package names", Level.OK, "gateway and adapters are ours")
