"""`sightline virtual`: the virtual district as a process of its own."""

import asyncio
import json
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
import uvloop

from adapters.virtual.center_command import center_command
from adapters.virtual.control import Controller, flapping_rule, lines_of
from adapters.virtual.files import write_archive
from adapters.virtual.fleet import build_district, mix
from adapters.virtual.legacy import LEGACY_SHARE
from adapters.virtual.listeners import HeldPort
from adapters.virtual.model import VirtualDistrict
from adapters.virtual.narration import clock_text
from adapters.virtual.server import DistrictServer
from adapters.virtual.traits import KILLABLE_SINGLES
from gateway.errors import SightlineError, UsageError

_SPARE_FILES: Final = 1_000
"""Files beyond a connection a device and a listener a killable one: fillers, pipes, the log."""
_HELD: Final[list[HeldPort]] = []


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the command line asked for."""

    seed: int
    length_s: float
    scale: float
    play: bool
    control: bool
    as_json: bool
    truth: Path | None
    archive: Path | None


def choose_ports(port: int) -> dict[str, int]:
    """The four ports of a district: from `port` on, or free ones for 0.

    Free ones stay this process's until it ends: between choosing and listening nobody takes them.
    """
    names = ("port", "tls_port", "killable_port", "canary_port")
    if port:
        return {name: port + number for number, name in enumerate(names)}
    held = {name: HeldPort() for name in names}
    _HELD.extend(held.values())
    return {name: hold.number for name, hold in held.items()}


def raise_file_limit(district: VirtualDistrict) -> None:
    """Raise the open-file limit as far as the system lets us.

    Raises:
        UsageError: not far enough for the district.
    """
    killable = sum(device.killable for device in district.devices)
    needed = len(district.devices) + killable + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        msg = (
            f"the open-file limit is {hard}, {len(district.devices)} devices need {needed}: "
            "raise it (ulimit -n) or ask for fewer --cameras"
        )
        raise UsageError(msg)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _say_json(event: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(event, ensure_ascii=False))
    sys.stdout.flush()


def _say_plain(event: Mapping[str, Any]) -> None:
    kind = event["event"]
    if kind == "trouble":
        at = clock_text(datetime.fromisoformat(event["at"]))
        typer.echo(f"{at}  {event['en']}  {event['zh']}")
    elif kind == "ready":
        ports = ", ".join(f"{name} {number}" for name, number in event["ports"].items())
        typer.echo(f"{event['channels']} channels on {event['devices']} devices answer: {ports}")
        typer.echo("  ".join(f"{name}={number}" for name, number in event["mix"].items() if number))
        for name, path in event["archive"].items():
            typer.echo(f"{name}: {path}")
    else:
        typer.echo("  ".join(f"{name}={value}" for name, value in event.items()))
    sys.stdout.flush()


async def _serve(district: VirtualDistrict, ports: Mapping[str, int], wish: _Wish) -> None:
    say = _say_json if wish.control or wish.as_json else _say_plain
    written = write_archive(district, wish.archive) if wish.archive else {}
    server = DistrictServer(district)
    await server.start()
    controller = Controller(server, wish.truth, wish.scale, wish.seed, say)
    try:
        say(
            {
                "event": "ready",
                "ports": dict(ports),
                "canaries": [f"{host}:{port}" for host, port in district.canaries],
                "channels": len(district.channels),
                "devices": len(district.devices),
                "mix": mix(district),
                "archive": {name: str(path) for name, path in written.items()},
                "flapping": flapping_rule(wish.scale),
            }
        )
        if wish.play:
            controller.start(wish.length_s)
        await (_obey(controller) if wish.control else _until_signal())
    finally:
        await controller.close()
        await server.close()


async def _obey(controller: Controller) -> None:
    stop = asyncio.ensure_future(_until_signal())
    reading = asyncio.ensure_future(_read_orders(controller))
    try:
        await asyncio.wait({stop, reading}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (stop, reading):
            task.cancel()
        await asyncio.gather(stop, reading, return_exceptions=True)


async def _read_orders(controller: Controller) -> None:
    async for line in lines_of(sys.stdin):
        if not controller.obey(line):
            return


async def _until_signal() -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    await told.wait()


virtual = typer.Typer()
virtual.command("center")(center_command(_say_plain, _say_json))


@virtual.callback(invoke_without_command=True)
def district(
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="the same seed gives the same district and script")] = 1,
    cameras: Annotated[int, typer.Option(min=50, max=12_328, help="channels")] = 12_328,
    port: Annotated[int, typer.Option(min=0, max=65_000, help="first of four; 0 = free ones")] = 0,
    archive: Annotated[
        Path | None,
        typer.Option("--archive", "--state-dir", help="write the archive files to this folder"),
    ] = None,
    scenario: Annotated[
        Literal["none", "demo"], typer.Option(help="what goes wrong; `demo` starts at once")
    ] = "none",
    length: Annotated[float, typer.Option(min=1, help="of the scenario, seconds")] = 180.0,
    cadence: Annotated[float, typer.Option(min=0.1, help="of the gateway's checks, seconds")] = 30,
    scale: Annotated[
        float | None, typer.Option(help="of all durations of the scenario; default: cadence / 30")
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="write the truth log to this file")] = None,
    killable: Annotated[
        float, typer.Option(min=0, max=0.5, help="share of the devices that may die alone")
    ] = KILLABLE_SINGLES,
    legacy: Annotated[
        float, typer.Option(min=0, max=0.02, help="share of the devices never well, each kind")
    ] = LEGACY_SHARE,
    *,
    serve_only: Annotated[bool, typer.Option("--serve-only", help="no scenario at all")] = False,
    control: Annotated[
        bool, typer.Option("--control", help="obey JSON lines on stdin, tell events on stdout")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="tell events as JSON lines")] = False,
) -> None:
    """Serve the virtual district: ONVIF devices that really answer, on loopback only.

    Each device has an address of its own in 127.0.0.0/8. With --scenario demo things go wrong, and
    --truth FILE records what truly happened. Runs until Ctrl-C (or the end of stdin, --control).
    """
    if context.invoked_subcommand is not None:
        return
    play = scenario == "demo" and not serve_only
    if play and truth is None:
        typer.echo(
            "--scenario demo needs --truth FILE: without it nobody knows what happened", err=True
        )
        raise typer.Exit(2)
    wish = _Wish(
        seed=seed,
        length_s=length,
        scale=cadence / 30.0 if scale is None else scale,
        play=play,
        control=control,
        as_json=as_json,
        truth=None if serve_only else truth,
        archive=archive,
    )
    try:
        ports = choose_ports(port)
        built = build_district(seed, cameras, **ports, killable_singles=killable, legacy=legacy)
        raise_file_limit(built)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(built, ports, wish))
    except UsageError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except (SightlineError, OSError) as error:
        typer.echo(f"the district cannot be served: {error}", err=True)
        raise typer.Exit(3) from error
