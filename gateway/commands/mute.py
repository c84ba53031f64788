"""`sightline mute`: silence for a kind, an area or one incident, with who, why and until."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
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
from gateway.commands.posture import REASON_MOST, parse_window
from gateway.domain.alerting.mute import mute_ended, mute_to_end, told
from gateway.domain.alerting.posture import is_division, is_known_division
from gateway.domain.alerting.rows import Mute
from gateway.domain.event import EventKind
from gateway.errors import UsageError
from gateway.opening import open_store
from gateway.ports import Store

mute = typer.Typer(
    help="Silence alerts of a kind, an area or one incident, for a time.", no_args_is_help=True
)
ALL = "all"


def shown(row: Mute, now_at: datetime) -> dict[str, object]:
    """A mute for output."""
    return {
        "id": row.id,
        "kind": row.kind or ALL,
        "area": row.area or ALL,
        "key": row.key or ALL,
        "from_at": row.from_at.isoformat(),
        "until_at": row.until_at.isoformat(),
        "holds": row.from_at <= now_at < row.until_at,
        "actor": row.actor,
        "reason": row.reason,
    }


def table_of(rows: Sequence[Mute], now_at: datetime) -> Table:
    """The mutes for a terminal; times are Asia/Shanghai, with the offset."""
    table = Table()
    for name in ("ID", "Kind", "Area", "Incident", "Holds", "From", "Until", "Who", "Why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            row.id,
            row.kind or ALL,
            row.area or ALL,
            Text(row.key or ALL),
            "yes" if shown(row, now_at)["holds"] else "not yet",
            local(row.from_at),
            local(row.until_at),
            Text(row.actor),
            Text(row.reason),
        )
    return table


async def set_mute(store: Store, row: Mute) -> None:
    """Store one; the audit line comes first.

    Raises:
        UsageError: no division of the archive begins like its area.
    """
    if row.area:
        inventory = await store.load_inventory(shapes=False)
        if not is_known_division(row.area, inventory.area_codes()):
            raise UsageError(f"--area: no division of the archive begins with {row.area}")
    await audit_line(store, "mute.set", row.id, result="accepted", detail=told(row))
    await store.events.save_mute(row)


async def end_mute(store: Store, mute_id: str, now_at: datetime, why: str = "") -> Mute:
    """End one now; the audit line comes first.

    Raises:
        Refused: none that holds or will has this id.
    """
    row = mute_to_end(await store.events.mutes(now_at), mute_id, now_at)
    detail = f"{why} ({told(row)})" if why else told(row)
    await audit_line(store, "mute.end", row.id, result="accepted", detail=detail)
    ended = mute_ended(row, now_at)
    await store.events.save_mute(ended)
    return ended


def check_reason(text: str) -> None:
    """Refuse what is no reason.

    Raises:
        UsageError: it is empty, too long, or cannot be printed.
    """
    if not text.strip() or len(text) > REASON_MOST or not text.isprintable():
        raise UsageError(f"--reason: 1 to {REASON_MOST} printable characters")


def matching(kind: str, area: str, key: str) -> tuple[str, str, str]:
    """What a mute matches, as it is stored: "" matches all.

    Raises:
        UsageError: nothing is named, or what is named is none.
    """
    if not (kind or area or key):
        raise UsageError(
            "--kind, --area, --key: name one at least; `--area all` to silence everything"
        )
    if kind not in {"", ALL, *EventKind}:
        raise UsageError(f"--kind: {kind!r} is none of {', '.join(EventKind)}, {ALL}")
    if area != ALL and not is_division(area):
        raise UsageError(f"--area: {area!r} is not the beginning of a division code, nor `{ALL}`")
    if key and not (key.strip() and key.isprintable()):
        raise UsageError("--key: is not the key of an incident")
    stored = ["" if one == ALL else one for one in (kind, area, key)]
    return stored[0], stored[1], stored[2]


@mute.command("list")
def list_mutes(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the mutes that hold or will: who set them, why, and until when."""
    now_at = datetime.now(UTC)
    rows = run_async(_list(config, now_at))
    if as_json:
        print_json({"items": [shown(row, now_at) for row in rows]})
        return
    out.print(table_of(rows, now_at))


async def _list(config: Path | None, now_at: datetime) -> Sequence[Mute]:
    async with open_store(settings_from(config), create=False) as store:
        return await store.events.mutes(now_at)


@mute.command("set")
def set_(
    reason: Annotated[str, typer.Option(help="Why: it stands in every list and in the audit log.")],
    kind: Annotated[str, typer.Option(help="Kind of incident, e.g. door; or all.")] = "",
    area: Annotated[str, typer.Option(help="Beginning of a division code, or all.")] = "",
    key: Annotated[str, typer.Option(help="Key of one incident, or all.")] = "",
    span: Annotated[str, typer.Option("--for", help="For so long, e.g. 12h, 3d, 2w.")] = "",
    until: Annotated[str, typer.Option(help="Until, e.g. 2027-02-21T08:00:00+08:00.")] = "",
    begins: Annotated[str, typer.Option("--from", help="From; now unless said otherwise.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Silence what matches all that is named. A running service takes it within 3 seconds."""
    now_at = datetime.now(UTC)
    check_reason(reason)
    names = matching(kind, area, key)
    from_at, until_at = parse_window(begins, until, span, now_at)
    row = Mute(secrets.token_hex(8), actor(), reason, from_at, until_at, *names)
    run_async(_set(config, row))
    _tell(row, now_at, "Set", as_json=as_json)


async def _set(config: Path | None, row: Mute) -> None:
    async with open_store(settings_from(config), create=False) as store:
        await set_mute(store, row)


@mute.command("end")
def end(
    mute_id: Annotated[str, typer.Argument(metavar="ID", help="As `mute list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why: it stands in the audit log.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a mute now, or take back one that is to come. What still stands is told then."""
    now_at = datetime.now(UTC)
    if reason:
        check_reason(reason)
    row = run_async(_end(config, mute_id, now_at, reason))
    _tell(row, now_at, "Ended", as_json=as_json)


async def _end(config: Path | None, mute_id: str, now_at: datetime, why: str) -> Mute:
    async with open_store(settings_from(config), create=False) as store:
        return await end_mute(store, mute_id, now_at, why)


def _tell(row: Mute, now_at: datetime, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json(shown(row, now_at))
        return
    what = " ".join(one or ALL for one in (row.kind, row.area, row.key))
    typer.echo(f"{done}: {what}, {local(row.from_at)} to {local(row.until_at)}")
    typer.echo(f"id {row.id}", err=True)
