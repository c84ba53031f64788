"""`sightline backup`: the whole store in one file, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gateway.commands.audited import audit_line
from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    check_folder,
    err,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.errors import UsageError
from gateway.opening import open_store
from gateway.ports import BackedUp
from gateway.settings import Settings


def backup(
    file: Annotated[Path, typer.Argument(help="The backup, e.g. sightline.tar.gz.")],
    *,
    restore: Annotated[
        bool, typer.Option("--restore", help="Fill an empty store from FILE instead.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole store into FILE, or fill an empty one from it.

    The backup is taken as of one moment, beside the running service, and works between embedded
    and external servers of any version. It holds sealed credentials, never the keys: keep the
    key file apart, without it the credentials cannot be opened again.
    """
    if not restore and file.exists() and not force:
        raise UsageError(f"{file}: is there already; --force replaces it")
    if restore and not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    if not restore:
        check_folder(file, "FILE")
    settings = settings_from(config)
    with err.status(f"{'Restoring' if restore else 'Backing up'} ..."):
        rows = run_async(_restore(settings, file) if restore else _backup(settings, file))
    if as_json:
        print_json({"file": str(file), "restored": restore, "rows": dict(rows)})
        return
    table = Table("Table", "Rows")
    for name, count in rows.items():
        table.add_row(name, f"{count:,}")
    out.print(table)
    out.print(f"{'Restored from' if restore else 'Written:'} {file}", highlight=False)


async def _backup(settings: Settings, file: Path) -> Mapping[str, int]:
    async with open_store(settings, create=False) as store:
        rows = await _able(store).backup(file)
        await audit_line(store, "backup", str(file), detail=f"{sum(rows.values())} rows")
        return rows


async def _restore(settings: Settings, file: Path) -> Mapping[str, int]:
    async with open_store(settings) as store:
        rows = await _able(store).restore(file)
        await audit_line(store, "backup.restore", str(file), detail=f"{sum(rows.values())} rows")
        return rows


def _able(store: object) -> BackedUp:
    if not isinstance(store, BackedUp):
        raise UsageError("this store keeps nothing that could be backed up")
    return store
