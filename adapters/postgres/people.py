"""Notes, tokens, the audit log and sealed credentials in PostgreSQL."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from adapters.postgres.database import LONG_S, Database
from adapters.postgres.queries import SQL
from adapters.postgres.rows import AUDIT, NOTES, TOKENS, to_json
from gateway.ports import AuditEntry, IncidentNote, Token

AUDIT_DAYS_AT_LEAST = 183
"""The law asks for six months of network logs (Cybersecurity Law, Art. 21)."""

_DAYS_OF = timezone(timedelta(hours=8))
"""Asia/Shanghai; no summer time since 1991, so no time-zone database is needed."""


async def add_note(database: Database, note: IncidentNote) -> None:
    """Write an acknowledgement or note; its id makes a repeat harmless."""
    values = NOTES.encode(note)
    await database.execute(SQL["add_note"], *(values[name] for name in NOTES.fields))


async def notes(database: Database, incidents: Sequence[str]) -> Sequence[IncidentNote]:
    """The notes of some incidents, oldest first."""
    return [NOTES.decode(row) for row in await database.fetch(SQL["notes"], list(incidents))]


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


async def prune(database: Database, now: datetime, audit_days: int, rollup_days: int) -> None:
    """Remove audit lines (never under 183 days) and roll-ups past their retention."""
    lines_before = now - timedelta(days=max(audit_days, AUDIT_DAYS_AT_LEAST))
    first_day = now.astimezone(_DAYS_OF).date() - timedelta(days=rollup_days)
    async with database.connection(LONG_S) as connection:
        await connection.fetchval(SQL["prune_audit"], lines_before, timeout=LONG_S)
        await connection.execute(SQL["prune_rollups"], first_day, timeout=LONG_S)


async def load_credentials(database: Database) -> Mapping[str, bytes]:
    """Sealed credential sets by name."""
    return {row["name"]: row["sealed"] for row in await database.fetch(SQL["credentials"])}


async def save_credentials(database: Database, sealed: Mapping[str, bytes]) -> None:
    """Add or replace sealed credential sets in one statement."""
    await database.execute(SQL["put_credentials"], list(sealed), list(sealed.values()))
