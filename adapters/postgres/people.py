"""Notes, tokens, the audit log and sealed credentials in PostgreSQL."""

import hashlib
from collections.abc import Mapping, Sequence

from adapters.postgres.batch import put_rows
from adapters.postgres.database import Database
from adapters.postgres.queries import SQL
from adapters.postgres.rows import ACCEPTED, AUDIT, NOTES, TOKENS, to_json
from gateway.ports import Accepted, AuditEntry, IncidentNote, Token


async def add_note(database: Database, note: IncidentNote) -> None:
    """Write an acknowledgement or note; its id makes a repeat harmless."""
    values = NOTES.encode(note)
    await database.execute(SQL["add_note"], *(values[name] for name in NOTES.fields))


async def notes(database: Database, incidents: Sequence[str]) -> Sequence[IncidentNote]:
    """The notes of some incidents, oldest first."""
    return [NOTES.decode(row) for row in await database.fetch(SQL["notes"], list(incidents))]


async def accepted(database: Database) -> Sequence[Accepted]:
    """The cameras of the takeover list that were accepted, by channel."""
    return [ACCEPTED.decode(row) for row in await database.fetch(SQL["accepted"])]


async def save_accepted(database: Database, rows: Sequence[Accepted]) -> None:
    """Accept cameras in one transaction; the first acceptance of each stands."""
    first = {row.channel: row for row in reversed(rows)}
    async with database.connection() as connection, connection.transaction():
        await put_rows(connection, ACCEPTED, first.values())


async def tokens(database: Database) -> Sequence[Token]:
    """All tokens."""
    return [TOKENS.decode(row) for row in await database.fetch(SQL["tokens"])]


async def save_token(database: Database, token: Token) -> None:
    """Add or replace a token."""
    values = TOKENS.encode(token)
    await database.execute(SQL["put_token"], *(values[name] for name in TOKENS.fields))


async def append_audit(database: Database, entry: AuditEntry) -> None:
    """Add a line, once however often it is written."""
    values = AUDIT.encode(entry)
    names = [name for name in AUDIT.fields if name != "id"]
    line = [entry.at.timestamp(), *(values[name] for name in names if name != "at")]
    fingerprint = hashlib.sha256(to_json(line).encode()).digest()
    await database.execute(SQL["append_audit"], *(values[name] for name in names), fingerprint)


async def audit(database: Database, limit: int, before_id: int | None) -> Sequence[AuditEntry]:
    """Lines of the audit log, newest first."""
    return [AUDIT.decode(row) for row in await database.fetch(SQL["audit"], limit, before_id)]


async def load_credentials(database: Database) -> Mapping[str, bytes]:
    """Sealed credential sets by name."""
    return {row["name"]: row["sealed"] for row in await database.fetch(SQL["credentials"])}


async def save_credentials(database: Database, sealed: Mapping[str, bytes]) -> None:
    """Add or replace sealed credential sets in one statement."""
    await database.execute(SQL["put_credentials"], list(sealed), list(sealed.values()))
