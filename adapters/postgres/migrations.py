"""Numbered SQL migrations, applied in order under a lock; applied ones are never edited."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from adapters.postgres.database import LONG_S, Connection, Database
from adapters.postgres.queries import SQL
from gateway.errors import NoSchema, NotMigrated, UsageError

UPGRADE_S = 3600.0
"""Limit of a migration: it may build an index on tens of millions of rows."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: the file's name without ending, and its SQL."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known() -> tuple[Migration, ...]:
    """The migrations of this release, in order."""
    folder = resources.files(__package__) / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return tuple(Migration(f.name[: -len(".sql")], f.read_text(encoding="utf-8")) for f in files)


def missing(applied: Sequence[tuple[str, str]], wanted: Sequence[Migration]) -> list[Migration]:
    """What is still to be applied.

    Args:
        applied: names and checksums, as the database has them.
        wanted: the migrations of this release.

    Raises:
        UsageError: an applied migration was edited, or the schema is newer than this release.
    """
    by_name = {migration.name: migration for migration in wanted}
    for name, checksum in applied:
        if name not in by_name:
            msg = f"the schema is newer than this release (it has {name}): install a newer one"
            raise UsageError(msg)
        if by_name[name].checksum != checksum:
            raise UsageError(f"migration {name} was edited after it was applied")
    done = {name for name, _ in applied}
    return [migration for migration in wanted if migration.name not in done]


async def apply(database: Database) -> list[str]:
    """Apply what is missing, all in one transaction; the names of what was applied."""
    async with database.connection(UPGRADE_S) as connection, connection.transaction():
        await connection.execute(f"SET LOCAL statement_timeout = {UPGRADE_S * 1000:.0f}")
        await connection.execute(SQL["migration_lock"], timeout=LONG_S)
        await connection.execute(SQL["migration_home"])
        todo = missing(await _applied(connection), known())
        for migration in todo:
            await connection.execute(migration.sql, timeout=UPGRADE_S)
            await connection.execute(SQL["migration_done"], migration.name, migration.checksum)
        return [migration.name for migration in todo]


async def check(database: Database) -> None:
    """Return when this release can work with the schema, at least after `apply`.

    Raises:
        UsageError: the schema is newer than this release, or a migration was edited.
    """
    async with database.connection() as connection:
        if await connection.fetchval(SQL["migration_home_exists"]):
            missing(await _applied(connection), known())


async def require(database: Database) -> None:
    """Return when the schema is that of this release.

    Raises:
        NoSchema: there is none yet.
        NotMigrated: it is older.
        UsageError: as `check`.
    """
    async with database.connection() as connection:
        there = await connection.fetchval(SQL["migration_home_exists"])
        applied = await _applied(connection) if there else []
    if not applied:
        raise NoSchema("the store has no schema yet: `sightline import FILE` makes it")
    todo = missing(applied, known())
    if todo:
        lacks = ", ".join(migration.name for migration in todo)
        raise NotMigrated(
            f"the schema is older than this release (it lacks {lacks}); run `sightline migrate`, "
            "once no service of the older release works on it"
        )


async def _applied(connection: Connection) -> list[tuple[str, str]]:
    rows = await connection.fetch(SQL["migrations_applied"])
    return [(row["name"], row["checksum"]) for row in rows]
