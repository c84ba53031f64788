"""`sightline posture`: routine or heightened (平战联控), for an area and a time window."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.commands.audited import actor, audit_line
from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    local,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.commands.token import parse_span
from gateway.domain.alerting.posture import (
    PlannedPosture,
    ended_at,
    is_known_division,
    occurrences,
    to_end,
    unknown_areas,
)
from gateway.domain.alerting.rows import Posture, PostureLevel
from gateway.domain.camera import GridId
from gateway.errors import UsageError
from gateway.opening import open_store
from gateway.ports import Store
from gateway.rulebook import load
from gateway.web.params import parse_time

posture = typer.Typer(
    help="Routine or heightened (平战联控), for an area and a time window.", no_args_is_help=True
)
AHEAD = timedelta(days=7)
REASON_MOST = 300


def shown(row: Posture, now_at: datetime) -> dict[str, object]:
    """A posture for output."""
    return {
        "id": row.id,
        "level": row.level.value,
        "area": row.area or "all",
        "from_at": row.from_at.isoformat(),
        "until_at": row.until_at.isoformat() if row.until_at else None,
        "holds": row.from_at <= now_at and (row.until_at is None or row.until_at > now_at),
        "actor": row.actor,
        "reason": row.reason,
    }


def table_of(rows: Sequence[Posture], now_at: datetime) -> Table:
    """The postures for a terminal; times are Asia/Shanghai, with the offset."""
    table = Table()
    for name in ("ID", "Level", "Area", "Holds", "From", "Until", "Who", "Why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        until = local(row.until_at) if row.until_at else "-"
        holds = "yes" if shown(row, now_at)["holds"] else "not yet"
        who, why = Text(row.actor), Text(row.reason)
        area = row.area or "all"
        table.add_row(row.id, row.level.value, area, holds, local(row.from_at), until, who, why)
    return table


async def listed(
    store: Store, planned: Sequence[PlannedPosture], now_at: datetime
) -> list[Posture]:
    """Those that hold or will, those planned in the rules for a week included."""
    rows = [*await store.events.postures(now_at), *occurrences(planned, now_at, now_at + AHEAD)]
    return sorted(rows, key=lambda row: (row.from_at, row.id))


async def set_posture(store: Store, row: Posture) -> None:
    """Store one; the audit line comes first.

    Raises:
        UsageError: its area is neither the beginning of a division code nor a cell of the archive.
    """
    if row.area:
        inventory = await store.load_inventory(shapes=False)
        known = is_known_division(row.area, inventory.area_codes())
        if not known and GridId(row.area) not in inventory.grids:
            raise UsageError(
                f"--area: {row.area!r} is neither the beginning of a division code, nor a grid cell, "
                "of the archive, nor `all`"
            )
    until = row.until_at.isoformat() if row.until_at else "further notice"
    detail = f"{row.level} {row.id}, {row.from_at.isoformat()} to {until}: {row.reason}"
    await audit_line(store, "posture.set", row.area or "all", result="accepted", detail=detail)
    await store.events.save_posture(row)


async def end_posture(store: Store, posture_id: str, now_at: datetime) -> Posture:
    """End one now; the audit line comes first.

    Raises:
        Refused: none that holds or will has this id, or a planned window brought it.
    """
    row = to_end(await store.events.postures(now_at), posture_id)
    ended = ended_at(row, now_at)
    await audit_line(
        store, "posture.end", row.area or "all", result="accepted", detail=f"{row.level} {row.id}"
    )
    await store.events.save_posture(ended)
    return ended


def parse_window(begins: str, ends: str, span: str, now_at: datetime) -> tuple[datetime, datetime]:
    """Beginning and end of a window.

    Raises:
        UsageError: a time is none, not exactly one end is given, or it would hold at no time.
    """
    if bool(ends) == bool(span):
        raise UsageError("--for, --until: give one of them: what nobody ends is forgotten")
    from_at = _time("--from", begins) if begins else now_at
    until_at = from_at + parse_span(span, "--for") if span else _time("--until", ends)
    if until_at <= max(now_at, from_at):
        raise UsageError("--until: must lie ahead, and after --from")
    return from_at, until_at


def _time(option: str, text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


@posture.command("list")
def list_postures(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the postures that hold or will, and the windows that the rules plan for a week."""
    now_at = datetime.now(UTC)
    rows, problems = run_async(_list(config, now_at))
    if as_json:
        print_json({"items": [shown(row, now_at) for row in rows], "problems": problems})
        return
    out.print(table_of(rows, now_at))
    for problem in problems:
        typer.echo(problem, err=True)


async def _list(config: Path | None, now_at: datetime) -> tuple[list[Posture], list[str]]:
    settings = settings_from(config)
    planned = load(settings.events.rules).postures
    async with open_store(settings, create=False) as store:
        inventory = await store.load_inventory(shapes=False)
        problems = unknown_areas(planned, inventory.area_codes(), inventory.grids)
        return await listed(store, planned, now_at), problems


@posture.command("set")
def set_(
    level: Annotated[PostureLevel, typer.Argument(help="routine or heightened.")],
    area: Annotated[str, typer.Option(help="Beginning of a division code, a grid cell, or all.")],
    reason: Annotated[str, typer.Option(help="Why: it stands in every list and in the audit log.")],
    span: Annotated[str, typer.Option("--for", help="For so long, e.g. 12h, 3d, 2w.")] = "",
    until: Annotated[str, typer.Option(help="Until, e.g. 2027-02-21T08:00:00+08:00.")] = "",
    begins: Annotated[str, typer.Option("--from", help="From; now unless said otherwise.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the posture of an area. A running service takes it within 3 seconds."""
    now_at = datetime.now(UTC)
    if not reason.strip() or len(reason) > REASON_MOST or not reason.isprintable():
        raise UsageError(f"--reason: 1 to {REASON_MOST} printable characters")
    if not area.strip():
        raise UsageError("--area: name one, or all")
    from_at, until_at = parse_window(begins, until, span, now_at)
    code = "" if area == "all" else area
    row = Posture(secrets.token_hex(8), level, code, from_at, until_at, actor(), reason)
    run_async(_set(config, row))
    _tell(row, now_at, "Set", as_json=as_json)


async def _set(config: Path | None, row: Posture) -> None:
    async with open_store(settings_from(config), create=False) as store:
        await set_posture(store, row)


@posture.command("end")
def end(
    posture_id: Annotated[str, typer.Argument(metavar="ID", help="As `posture list` shows it.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a posture now, or one that is to come. A running service takes it within 3 seconds."""
    now_at = datetime.now(UTC)
    row = run_async(_end(config, posture_id, now_at))
    _tell(row, now_at, "Ended", as_json=as_json)


async def _end(config: Path | None, posture_id: str, now_at: datetime) -> Posture:
    async with open_store(settings_from(config), create=False) as store:
        return await end_posture(store, posture_id, now_at)


def _tell(row: Posture, now_at: datetime, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json(shown(row, now_at))
        return
    until = local(row.until_at) if row.until_at else "-"
    typer.echo(f"{done}: {row.level} in {row.area or 'all'}, {local(row.from_at)} to {until}")
    typer.echo(f"id {row.id}", err=True)
