"""`sightline token`: access tokens for people and programs."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.commands.audited import actor
from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    local,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.errors import Refused, UsageError
from gateway.log import configure
from gateway.opening import open_store
from gateway.ports import AuditEntry, Role, Store, Token
from gateway.web.tokens import is_valid, mint

token = typer.Typer(help="Access tokens for people and programs.", no_args_is_help=True)

_SPAN = re.compile(r"([1-9]\d{0,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def parse_span(text: str, option: str = "--expires") -> timedelta:
    """A span such as `12h`, `30d` or `4w`.

    Raises:
        UsageError: it is none.
    """
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise UsageError(f"{option}: {text!r} is no span; write 12h, 30d or 4w")
    return int(found[1]) * _UNITS[found[2]]


def shown(row: Token, now_at: datetime) -> dict[str, object]:
    """A token without its hash, for output."""
    return {
        "id": row.id,
        "name": row.name,
        "role": row.role.value,
        "valid": is_valid(row, now_at),
        "created_at": row.created_at.isoformat(),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
    }


async def create_token(
    store: Store, name: str, role: Role, now_at: datetime, span: timedelta | None
) -> tuple[str, Token]:
    """Make a token; the audit line comes first. Returns the secret and the row."""
    if not name.strip() or len(name) > 64 or not name.isprintable():  # noqa: PLR2004
        raise UsageError("NAME: 1 to 64 printable characters: whose token is it?")
    secret, row = mint(name.strip(), role, now_at, now_at + span if span else None)
    await store.append_audit(_line(now_at, "token.create", f"{row.name} ({row.id}), {role}"))
    await store.save_token(row)
    return secret, row


async def revoke_token(store: Store, token_id: str, now_at: datetime) -> Token:
    """Revoke a token by its id.

    Raises:
        Refused: there is none, or it is revoked already.
    """
    found = next((row for row in await store.tokens() if row.id == token_id), None)
    if found is None:
        raise Refused(f"no token has the id {token_id}; `sightline token list` shows them")
    if found.revoked_at is not None:
        raise Refused(f"token {token_id} was revoked at {local(found.revoked_at)}")
    row = replace(found, revoked_at=now_at)
    await store.append_audit(_line(now_at, "token.revoke", f"{row.name} ({row.id})"))
    await store.save_token(row)
    return row


def _line(at: datetime, action: str, target: str) -> AuditEntry:
    return AuditEntry(at, actor(), Role.ADMIN, action, target, "accepted")


@token.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, e.g. 值班台 or prometheus.")],
    role: Annotated[Role, typer.Option(help="What it may do.")],
    expires: Annotated[str, typer.Option(help="Ends after, e.g. 12h, 30d, 4w.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it. It is shown this once: only its hash is stored."""
    span = parse_span(expires) if expires else None
    secret, row = run_async(_create(config, name, role, span))
    if as_json:
        print_json({**shown(row, row.created_at), "token": secret})
        return
    typer.echo(secret)
    typer.echo(f"id {row.id}, role {row.role}. Keep it: it cannot be shown again.", err=True)


async def _create(
    config: Path | None, name: str, role: Role, span: timedelta | None
) -> tuple[str, Token]:
    settings = settings_from(config)
    configure("warning", settings.log.format)
    async with open_store(settings) as store:
        return await create_token(store, name, role, datetime.now(UTC), span)


@token.command("list")
def list_tokens(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List all tokens, revoked and expired ones too; never the tokens themselves."""
    now_at = datetime.now(UTC)
    rows = run_async(_list(config))
    if as_json:
        print_json({"items": [shown(row, now_at) for row in rows]})
        return
    out.print(table_of(rows, now_at))


def table_of(rows: Sequence[Token], now_at: datetime) -> Table:
    """The tokens for a terminal; times are Asia/Shanghai, with the offset."""
    table = Table()
    for name in ("ID", "Name", "Role", "Valid", "Created", "Expires", "Revoked"):
        table.add_column(name, overflow="fold")
    for row in rows:
        times = (
            local(at) if at else "-" for at in (row.created_at, row.expires_at, row.revoked_at)
        )
        valid = "yes" if is_valid(row, now_at) else "no"
        table.add_row(row.id, Text(row.name), row.role.value, valid, *times)
    return table


async def _list(config: Path | None) -> Sequence[Token]:
    settings = settings_from(config)
    configure("warning", settings.log.format)
    async with open_store(settings, create=False) as store:
        return await store.tokens()


@token.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a token. A running service refuses it within 5 seconds."""
    row = run_async(_revoke(config, token_id))
    if as_json:
        print_json(shown(row, datetime.now(UTC)))
    else:
        typer.echo(f"Revoked: {row.name} ({row.id})")


async def _revoke(config: Path | None, token_id: str) -> Token:
    settings = settings_from(config)
    configure("warning", settings.log.format)
    async with open_store(settings, create=False) as store:
        return await revoke_token(store, token_id, datetime.now(UTC))
