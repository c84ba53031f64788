"""`sightline audit`: who did what, when, from where."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.commands.options import (
    ZONE,
    ConfigOption,
    JsonOption,
    local,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.log import configure
from gateway.opening import open_store
from gateway.ports import AuditEntry, Store

PAGE = 500


async def read_audit(store: Store, limit: int) -> list[AuditEntry]:
    """The newest lines, newest first, page by page."""
    found: list[AuditEntry] = []
    while len(found) < limit:
        before = found[-1].id if found else None
        page: Sequence[AuditEntry] = await store.audit(min(PAGE, limit - len(found)), before)
        if not page:
            break
        found.extend(page)
    return found


def audit(
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Lines, newest first.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the audit log: every call and command that changed something, newest first.

    Lines are never changed and are kept for `store.audit_days` days.
    """
    entries = run_async(_read(config, limit))
    if as_json:
        print_json({"items": [{**asdict(e), "at": e.at.isoformat()} for e in entries]})
        return
    out.print(table_of(entries))


def table_of(entries: Sequence[AuditEntry]) -> Table:
    """The lines for a terminal: five columns that wrap where it is narrow; nothing is cut off."""
    table = Table()
    for name in ("id", f"at ({ZONE})", "who", "did what", "how it went"):
        table.add_column(name, overflow="fold")
    for entry in entries:
        cells = (
            str(entry.id),
            local(entry.at),
            _parts(entry.actor, entry.role, entry.address),
            _parts(entry.action, entry.target),
            _parts(entry.result, entry.detail),
        )
        # Text, not markup: an actor or a target may hold square brackets.
        table.add_row(*map(Text, cells))
    return table


def _parts(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


async def _read(config: Path | None, limit: int) -> list[AuditEntry]:
    settings = settings_from(config)
    configure("warning", settings.log.format)
    async with open_store(settings, create=False) as store:
        return await read_audit(store, limit)
