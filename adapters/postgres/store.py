"""The system of record in PostgreSQL: `PostgresStore` implements `gateway.ports.Store`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.postgres import dump, inventory, ledger, migrations, people, retention
from adapters.postgres.claim import Claim
from adapters.postgres.coverage import PostgresCoverage
from adapters.postgres.database import Database
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.events import PostgresEvents
from adapters.postgres.queries import SQL
from gateway.domain.archive import ImportRecord
from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Changes, DaySeconds, Incident, Outage, RollUp
from gateway.errors import StoreTaken, StoreUnavailable, UsageError
from gateway.inventory import Inventory
from gateway.ports import (
    Accepted,
    AuditEntry,
    IncidentNote,
    LedgerKind,
    LedgerQuery,
    LiveState,
    Page,
    Token,
)

EMBEDDED = "embedded:"


class PostgresStore:
    """The store on a PostgreSQL 15 or newer.

    `postgresql://...` connects to a server; `embedded:<state directory>` starts and supervises an
    own one with `open` or `migrate`, and stops it last with `close`. Both may be called in either
    order. `open` refuses a schema newer than this release; on an older one every other call says
    that `sightline migrate` is needed.

    Every method raises `StoreUnavailable` within `command_timeout_s` (an import, a migration or a
    restart within 60 s) when the server does not answer, `Conflict` when a unique rule of the
    ledger refuses a row, and `ValueError` for a row that breaks a rule of the schema.
    """

    def __init__(self, dsn: str, *, command_timeout_s: float = 5.0) -> None:
        self._dsn = dsn
        self._database = Database(command_timeout_s)
        self._claim = Claim(command_timeout_s)
        self._coverage = PostgresCoverage(self._database, self._check_claim)
        self._events = PostgresEvents(self._database, self._check_claim)
        self.embedded: EmbeddedPostgres | None = None
        if dsn.startswith(EMBEDDED):
            folder = dsn.removeprefix(EMBEDDED)
            if not folder:
                raise UsageError("store.dsn: `embedded:` needs a state directory behind it")
            self.embedded = EmbeddedPostgres(Path(folder).expanduser())
            self._database.more = self._claim.more = self.embedded.shortage

    @property
    def coverage(self) -> PostgresCoverage:
        """Places, blind spots and plans."""
        return self._coverage

    @property
    def events(self) -> PostgresEvents:
        """Events, the outbox and the loop back."""
        return self._events

    async def exists(self) -> bool:
        """Whether there is a server, or the data of an own one."""
        return self.embedded is None or await asyncio.to_thread(self.embedded.exists)

    async def open(self) -> None:
        """Connect, starting the embedded server where there is one.

        Raises:
            UsageError: the DSN is wrong, or the schema is newer than this release.
        """
        await self._connect()
        try:
            await migrations.check(self._database)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go; the embedded server stops last."""
        await self._claim.release()
        await self._database.close()
        if self.embedded is not None:
            await self.embedded.stop()

    async def migrate(self) -> Sequence[str]:
        """Apply what is missing, under a lock; the names of what was applied."""
        await self._connect()
        return await migrations.apply(self._database)

    async def check_schema(self) -> None:
        """Return when the schema is that of this release.

        Raises:
            NoSchema: there is none yet.
            NotMigrated: it is older.
        """
        await migrations.require(self._database)

    async def ping(self) -> None:
        """Return when the store answers."""
        if self.embedded is not None and self.embedded.trouble:
            raise StoreUnavailable(f"store: {self.embedded.trouble}")
        await self._database.value(SQL["ping"])

    async def claim(self) -> None:
        """Become the one service on this store, or see that it still is this one.

        Raises:
            StoreTaken: another process is.
        """
        await self._claim.take(self._where)

    async def load_inventory(self, at: datetime | None = None, *, shapes: bool = True) -> Inventory:
        """The archive as of now, or as it was valid at a time."""
        return await inventory.load(self._database, at, shapes=shapes)

    async def save_import(self, record: ImportRecord, inventory_: Inventory) -> None:
        """Make the inventory current, in one transaction; only rows that differ are written."""
        await inventory.save(self._database, record, inventory_)

    async def imports(self, limit: int = 20) -> Sequence[ImportRecord]:
        """The last imports, newest first."""
        return await inventory.last_imports(self._database, limit)

    async def load_credentials(self) -> Mapping[str, bytes]:
        """Sealed credential sets by name."""
        return await people.load_credentials(self._database)

    async def save_credentials(self, sealed: Mapping[str, bytes]) -> None:
        """Add or replace sealed credential sets."""
        await people.save_credentials(self._database, sealed)

    async def load_live(self) -> LiveState:
        """Open rows, states, memories."""
        return await ledger.load_live(self._database)

    async def commit(self, changes: Changes[datetime]) -> None:
        """Write one batch in one transaction; written twice it changes nothing.

        A service that has lost its claim to another one writes nothing any more.
        """
        await self._check_claim()
        await ledger.commit(self._database, changes)

    async def ledger(self, kind: LedgerKind, query: LedgerQuery) -> Page[Any]:
        """A page of outages, faults, incidents or gateway gaps."""
        return await ledger.page(self._database, kind, query)

    async def outage(self, outage_id: str) -> Outage[datetime] | None:
        """One outage."""
        return await ledger.outage(self._database, outage_id)

    async def incident(self, incident_id: str) -> Incident[datetime] | None:
        """One incident."""
        return await ledger.incident(self._database, incident_id)

    async def rollups(
        self, first_day: str, last_day: str, channel: ChannelId | None = None
    ) -> Sequence[RollUp]:
        """Roll-ups of the days, both included."""
        return await ledger.rollups(self._database, first_day, last_day, channel)

    def rollup_portions(self, day: str) -> AsyncIterator[Sequence[RollUp]]:
        """All roll-ups of a day, some hundred at a time, by channel."""
        return ledger.rollup_portions(self._database, day)

    def day_seconds(self, day: str) -> AsyncIterator[Sequence[DaySeconds]]:
        """The roll-ups of a day added up by the server, some hundred at a time, by channel."""
        return ledger.day_seconds(self._database, day)

    async def add_note(self, note: IncidentNote) -> None:
        """Write an acknowledgement or note."""
        await people.add_note(self._database, note)

    async def notes(self, incidents: Sequence[str]) -> Sequence[IncidentNote]:
        """The notes of some incidents, oldest first."""
        return await people.notes(self._database, incidents)

    async def accepted(self) -> Sequence[Accepted]:
        """The cameras of the takeover list that were accepted, by channel."""
        return await people.accepted(self._database)

    async def save_accepted(self, rows: Sequence[Accepted]) -> None:
        """Accept cameras in one transaction; the first acceptance of each stands."""
        await people.save_accepted(self._database, rows)

    async def tokens(self) -> Sequence[Token]:
        """All tokens, revoked ones included."""
        return await people.tokens(self._database)

    async def save_token(self, token: Token) -> None:
        """Add a token, or replace the one with its id."""
        await people.save_token(self._database, token)

    async def append_audit(self, entry: AuditEntry) -> None:
        """Add a line to the audit log, once however often it is written."""
        await people.append_audit(self._database, entry)

    async def audit(self, limit: int = 100, before_id: int | None = None) -> Sequence[AuditEntry]:
        """Lines of the audit log, newest first."""
        return await people.audit(self._database, limit, before_id)

    async def prune(
        self, now: datetime, audit_days: int, rollup_days: int, event_days: int = 90
    ) -> None:
        """Remove what its retention no longer asks for (audit never under 183 days)."""
        await retention.prune(self._database, now, audit_days, rollup_days, event_days)

    async def backup(self, file: Path) -> Mapping[str, int]:
        """Write all tables into one file; the number of rows by table."""
        return await dump.write(self._database, file)

    async def restore(self, file: Path) -> Mapping[str, int]:
        """Fill an empty schema from a backup; the number of rows by table."""
        return await dump.read(self._database, file)

    async def _check_claim(self) -> None:
        if self._claim.is_wanted:
            try:
                await self._claim.check(self._where)
            except StoreTaken as error:  # whoever writes waits; the next `claim` ends the service
                raise StoreUnavailable(f"store: {error}") from error

    @property
    def _where(self) -> str:
        return self._dsn if self.embedded is None else self.embedded.dsn

    async def _connect(self) -> None:
        if self._database.is_open:
            return
        dsn = self._dsn
        if self.embedded is not None:
            dsn = await self.embedded.start()
        try:
            await self._database.open(dsn)
        except BaseException:
            await self.close()
            raise
