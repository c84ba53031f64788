"""Options and output that the verbs share."""

import json
import os
from collections.abc import Coroutine
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from gateway.errors import UsageError
from gateway.log import configure
from gateway.settings import Settings, load

T = TypeVar("T")
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file (TOML).", envvar="SIGHTLINE_CONFIG"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
ZONE = "Asia/Shanghai"
"""Stands wherever a command shows times without an offset."""

out = Console()
err = Console(stderr=True)


def counted(number: int, thing: str) -> str:
    """`1 device`, `2 devices`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def local(at: datetime) -> str:
    """A time for people, with its offset: `2026-03-01 08:00:00+08:00`."""
    return at.astimezone(SHANGHAI).isoformat(" ", "seconds")


def settings_from(config: Path | None, *, quiet: bool = True) -> Settings:
    """Settings of a verb; raises `SettingsError` with every problem. Logs go to standard error.

    Args:
        config: the settings file.
        quiet: only warnings and errors, whatever the settings say: a verb has its own output.
    """
    settings = load(config)
    configure("warning" if quiet else settings.log.level, settings.log.format)
    return settings


def check_folder(file: Path | None, option: str) -> None:
    """Refuse a file to be written into a folder that is not there, before any work is done.

    Raises:
        UsageError: with the option and the folder.
    """
    if file is not None and not file.absolute().parent.is_dir():
        raise UsageError(f"{option} {file}: there is no folder {file.parent}")


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def print_json(value: object) -> None:
    """One JSON document on standard output, nothing else."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop where there is one."""
    if os.name == "posix":
        import uvloop

        return uvloop.run(work)
    import asyncio

    return asyncio.run(work)
