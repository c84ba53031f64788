"""`sightline takeover`: what was dead from the first day (存量故障), and its acceptance as work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.commands.audited import actor, audit_line
from gateway.commands.mute import ALL, check_reason
from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    local,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.domain.alerting.posture import is_division
from gateway.domain.camera import Camera, ChannelId, Division, DivisionCode
from gateway.domain.ledger import Outage
from gateway.errors import Refused, UsageError
from gateway.opening import open_store
from gateway.ports import Accepted, Store

takeover = typer.Typer(
    help="Cameras that were never seen good since the import: list them, accept them as work.",
    no_args_is_help=True,
)

AreaOption = Annotated[
    str, typer.Option(help="Only below this: the beginning of a division code, or all.")
]


@dataclass(frozen=True, slots=True)
class Listed:
    """A camera of the list, and since when nobody saw it."""

    camera: Camera
    outage: Outage[datetime]
    township: str


async def on_list(store: Store, area: str = "") -> list[Listed]:
    """The cameras that were never seen good and not accepted, in the order of the archive.

    Args:
        store: open.
        area: beginning of a division code; "" = everywhere.
    """
    inventory = await store.load_inventory(shapes=False)
    live = await store.load_live()
    accepted = {row.channel for row in live.accepted}
    dead = {row.channel: row for row in live.outages if row.unaccepted}
    return [
        Listed(camera, dead[camera.id], _name(inventory.divisions, camera.township))
        for camera in inventory.cameras.values()
        if camera.in_use and camera.id in dead and camera.id not in accepted and _in(camera, area)
    ]


def _in(camera: Camera, area: str) -> bool:
    return camera.township.startswith(area) or camera.village.startswith(area)


def _name(divisions: Mapping[DivisionCode, Division], code: DivisionCode) -> str:
    division = divisions.get(code)
    return code if division is None else division.name


async def accept_cameras(store: Store, rows: Sequence[Listed], target: str, reason: str) -> None:
    """Accept them; the audit line comes first."""
    detail = f"{len(rows)} cameras: {reason}"
    await audit_line(store, "takeover.accept", target, result="accepted", detail=detail)
    at = datetime.now(UTC)
    await store.save_accepted([Accepted(one.camera.id, at, actor(), reason) for one in rows])


def shown(row: Listed) -> dict[str, object]:
    """A camera of the list for output."""
    camera = row.camera
    return {
        "camera": camera.id,
        "name": camera.name,
        "township": camera.township,
        "township_name": row.township,
        "device": camera.device,
        "maintainer": camera.maintainer,
        "cause": row.outage.cause,
        "failed_at": row.outage.failed_at.isoformat(),
    }


def _area(text: str) -> str:
    """What an area matches: "" = everywhere.

    Raises:
        UsageError: it is none.
    """
    if text != ALL and not is_division(text):
        raise UsageError(f"--area: {text!r} is not the beginning of a division code, nor `{ALL}`")
    return "" if text == ALL else text


@takeover.command("list")
def list_(area: AreaOption = ALL, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the cameras that were never seen good since the import and are nobody's work yet."""
    rows = run_async(_list(config, _area(area)))
    if as_json:
        print_json({"items": [shown(row) for row in rows]})
        return
    table = Table()
    table.add_column("Camera", no_wrap=True)
    for name in ("Name", "Township", "Maintainer", "Cause", "Dead since"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            row.camera.id,
            Text(row.camera.name),
            Text(row.township),
            Text(row.camera.maintainer),
            row.outage.cause,
            local(row.outage.failed_at),
        )
    out.print(table)
    typer.echo(f"{len(rows)} cameras", err=True)


async def _list(config: Path | None, area: str) -> list[Listed]:
    async with open_store(settings_from(config), create=False) as store:
        return await on_list(store, area)


@takeover.command("accept")
def accept(
    reason: Annotated[str, typer.Option(help="Why: it stands in the audit log.")],
    cameras: Annotated[
        list[str] | None, typer.Argument(metavar="[CAMERA]...", help="As `takeover list` shows it.")
    ] = None,
    area: Annotated[
        str, typer.Option(help="All below this: the beginning of a division code, or all.")
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept cameras as work: each gets an incident and is told, as if it had died today.

    A running service takes it within 2 seconds. There is no way back, except to see it good.
    """
    check_reason(reason)
    if bool(cameras) == bool(area):
        raise UsageError("name cameras, or an --area: one of the two")
    prefix = _area(area) if area else ""
    rows = run_async(
        _accept(config, [ChannelId(one) for one in cameras or ()], prefix, area, reason)
    )
    if as_json:
        print_json({"accepted": len(rows), "cameras": [row.camera.id for row in rows]})
        return
    typer.echo(f"Accepted: {len(rows)} cameras")


async def _accept(
    config: Path | None, cameras: Sequence[ChannelId], prefix: str, area: str, reason: str
) -> list[Listed]:
    async with open_store(settings_from(config), create=False) as store:
        rows = await on_list(store, prefix)
        if cameras:
            listed = {row.camera.id: row for row in rows}
            wrong = [one for one in cameras if one not in listed]
            if wrong:
                raise Refused(f"not on the takeover list: {', '.join(wrong[:5])}; nothing was done")
            rows = [listed[one] for one in dict.fromkeys(cameras)]
        if rows:
            target = area or (cameras[0] if len(cameras) == 1 else f"{len(cameras)} cameras")
            await accept_cameras(store, rows, target, reason)
        return rows
