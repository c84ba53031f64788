"""What the service asks of the outside. Adapters implement these; nothing else is assumed.

All methods that talk to the outside have a deadline of their own or take one; `StoreUnavailable`
means "repeat later, nothing was lost", and every write may be repeated.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from gateway.domain.archive import ImportRecord
from gateway.domain.camera import ChannelId, Device, DeviceId
from gateway.domain.ledger import (
    Changes,
    ChannelRecord,
    DaySeconds,
    Fault,
    GatewayGap,
    Incident,
    Outage,
    RollUp,
)
from gateway.domain.observation import Answer, DeviceMemory, Instant, Step
from gateway.inventory import Inventory
from gateway.ports.coverage import CoverageStore
from gateway.ports.events import EventStore

Row = TypeVar("Row")


class Clock(Protocol):
    """Time, injected into every loop."""

    def now(self) -> Instant:
        """CLOCK_BOOTTIME seconds: never steps, counts suspend."""
        ...

    def utc(self, at: Instant) -> datetime:
        """The aware UTC time of an instant, from the one anchor."""
        ...

    def instant(self, at: datetime) -> Instant:
        """The instant of a UTC time, from the same anchor (may be before boot: negative)."""
        ...

    async def sleep_until(self, at: Instant) -> None:
        """Return at or soon after `at`."""
        ...


class Secret:
    """A string that cannot be printed by accident; `reveal()` at the last moment only."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and password for a set of devices."""

    name: str
    username: str
    password: Secret


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What a probe is built with.

    Attributes:
        clock: the service's clock.
        credentials: credential sets by name; looked up at each signed check, so a reload is seen.
        connect_s / check_s: limits for connecting and for the whole check, seconds.
        memory: what was learned about devices before the restart.
        kept_limit: how many idle connections may be kept in all.
        clock_limit_s: a device clock further off than this is a fault.
        breaker_devices / breaker_window_s: so many refusing devices of one credential set within so
            many seconds stop signing with it.
    """

    clock: Clock
    credentials: Mapping[str, Credential] = field(default_factory=dict)
    connect_s: float = 2.0
    check_s: float = 3.0
    memory: Mapping[DeviceId, DeviceMemory] = field(default_factory=dict)
    kept_limit: int = 14_000
    clock_limit_s: float = 10.0
    breaker_devices: int = 20
    breaker_window_s: float = 600.0


class Probe(Protocol):
    """Asks devices. Built as `Factory(context: ProbeContext)`; group `sightline.probes`.

    `check` never raises for what a device does wrong, and always returns soon after `deadline`.
    Cancelling it is safe. It must be called for one device at most once at a time (limits do that).
    """

    async def check(self, device: Device, step: Step, deadline: Instant) -> Answer:
        """Walk one step of the ladder for one device."""
        ...

    async def explain(self, device: Device, deadline: Instant) -> Sequence[Answer]:
        """Walk the whole ladder that this probe knows, each answer with its full chain."""
        ...

    def forget(self, device: DeviceId) -> None:
        """Drop what is kept for a device (connection, memory): removed or re-addressed."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """A camera of the takeover list (存量故障) that was accepted as work: who, when, why."""

    channel: ChannelId
    at: datetime
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class LiveState:
    """What the store knows about the present, for a restart (times are UTC)."""

    outages: tuple[Outage[datetime], ...] = ()
    faults: tuple[Fault[datetime], ...] = ()
    incidents: tuple[Incident[datetime], ...] = ()
    gaps: tuple[GatewayGap[datetime], ...] = ()
    channels: tuple[ChannelRecord[datetime], ...] = ()
    memories: tuple[tuple[DeviceId, DeviceMemory], ...] = ()
    accepted: tuple[Accepted, ...] = ()
    watched_until_at: datetime | None = None
    sequence: int = 0


class LedgerKind(StrEnum):
    """The tables of the ledger that can be listed."""

    OUTAGES = "outages"
    FAULTS = "faults"
    INCIDENTS = "incidents"
    GAPS = "gaps"


@dataclass(frozen=True, slots=True)
class LedgerQuery:
    """A page of the ledger, newest first (by `failed_at`/`began_at`/`started_at`, then id).

    `since`/`until` select rows that overlap the half-open window. Filters that do not apply to a
    kind are ignored (gaps have no channel). Merged incidents are left out unless asked for.
    """

    since: datetime | None = None
    until: datetime | None = None
    open_only: bool = False
    channel: ChannelId | None = None
    township: str | None = None
    cause: str | None = None
    incident: str | None = None
    include_merged: bool = False
    limit: int = 100
    after: tuple[datetime, str] | None = None
    """The sort key of the last row of the page before."""
    channels: tuple[ChannelId, ...] | None = None
    """Outages and faults of these only; None = of all."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the sort key to go on after, if there are more."""

    rows: tuple[Row, ...]
    next: tuple[datetime, str] | None = None


class Role(StrEnum):
    """Roles of people and programs that use the service."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    PLANNER = "planner"
    CENTER = "center"
    ADMIN = "admin"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; only its hash is stored."""

    id: str
    name: str
    role: Role
    digest: bytes
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the append-only audit log. `id` is set by the store (0 = not yet written)."""

    at: datetime
    actor: str
    role: str
    action: str
    target: str
    result: str
    detail: str = ""
    address: str = ""
    id: int = 0


class NoteKind(StrEnum):
    """What somebody did with an incident."""

    ACKNOWLEDGE = "acknowledge"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class IncidentNote:
    """An acknowledgement (who, why, until) or a note on an incident."""

    id: str
    incident: str
    at: datetime
    actor: str
    kind: NoteKind
    text: str
    until: datetime | None = None


class Store(Protocol):
    """The system of record. Group `sightline.stores`.

    Built as `Factory(dsn: str)`. Every method raises `StoreUnavailable` when the store does not
    answer in time. `coverage` and `events` are parts of the same store.
    """

    @property
    def coverage(self) -> CoverageStore:
        """Places, blind spots and plans."""
        ...

    @property
    def events(self) -> EventStore:
        """Events, the outbox and the loop back."""
        ...

    async def exists(self) -> bool:
        """False where `open` would first have to make a store. Makes nothing, connects to nothing."""
        ...

    async def open(self) -> None:
        """Connect; the schema must be current (`migrate`)."""
        ...

    async def close(self) -> None:
        """Let go, within a few seconds whatever happens."""
        ...

    async def migrate(self) -> Sequence[str]:
        """Apply what is missing, under a lock; the names of what was applied."""
        ...

    async def check_schema(self) -> None:
        """Return when the schema is that of this release; changes nothing.

        Raises:
            NoSchema: there is none yet.
            NotMigrated: it is older.
        """
        ...

    async def ping(self) -> None:
        """Return when the store answers."""
        ...

    async def claim(self) -> None:
        """Become the one service on this store, until `close`; called again: still be it.

        A service calls it from time to time. Commands that only read or add lines do not: they run
        beside the service. A store that only this process can reach has nothing to claim.

        Raises:
            StoreTaken: another process is the service; batches of this one are refused from then on.
            StoreUnavailable: the store does not answer; ask again.
        """
        ...

    # --- the archive
    async def load_inventory(self, at: datetime | None = None, *, shapes: bool = True) -> Inventory:
        """The archive as of now, or as it was valid at a time.

        Without `shapes` the grid cells have no polygons: tens of megabytes that only an import and
        coverage look at. Such an archive must not be saved.
        """
        ...

    async def save_import(self, record: ImportRecord, inventory: Inventory) -> None:
        """Make `inventory` current, in one transaction; only rows that differ are written.

        Older versions of a camera stay, with the time they were valid.
        """
        ...

    async def imports(self, limit: int = 20) -> Sequence[ImportRecord]:
        """The last imports, newest first."""
        ...

    async def load_credentials(self) -> Mapping[str, bytes]:
        """Sealed credential sets by name (`gateway.vault` opens them)."""
        ...

    async def save_credentials(self, sealed: Mapping[str, bytes]) -> None:
        """Add or replace sealed credential sets, in one transaction."""
        ...

    # --- the ledger
    async def load_live(self) -> LiveState:
        """Open rows, states, memories. The roll-ups come in portions, see `rollup_portions`."""
        ...

    async def commit(self, changes: Changes[datetime]) -> None:
        """Write one batch in one transaction; written twice it changes nothing."""
        ...

    async def ledger(self, kind: LedgerKind, query: LedgerQuery) -> Page[Any]:
        """A page of outages, faults, incidents or gateway gaps."""
        ...

    async def outage(self, outage_id: str) -> Outage[datetime] | None:
        """One outage."""
        ...

    async def incident(self, incident_id: str) -> Incident[datetime] | None:
        """One incident."""
        ...

    async def rollups(
        self, first_day: str, last_day: str, channel: ChannelId | None = None
    ) -> Sequence[RollUp]:
        """Roll-ups of the days, both included: for one channel, or few of them."""
        ...

    def rollup_portions(self, day: str) -> AsyncIterator[Sequence[RollUp]]:
        """All roll-ups of a day (ISO date, Asia/Shanghai), some hundred at a time, by channel."""
        ...

    def day_seconds(self, day: str) -> AsyncIterator[Sequence[DaySeconds]]:
        """The roll-ups of a day added up by the store, some hundred at a time, by channel."""
        ...

    # --- people
    async def add_note(self, note: IncidentNote) -> None:
        """Write an acknowledgement or note."""
        ...

    async def notes(self, incidents: Sequence[str]) -> Sequence[IncidentNote]:
        """The notes of some incidents, oldest first."""
        ...

    async def accepted(self) -> Sequence[Accepted]:
        """The cameras of the takeover list (存量故障) that were accepted, by channel."""
        ...

    async def save_accepted(self, rows: Sequence[Accepted]) -> None:
        """Accept cameras, in one transaction; the first acceptance of each stands."""
        ...

    async def tokens(self) -> Sequence[Token]:
        """All tokens, revoked ones included."""
        ...

    async def save_token(self, token: Token) -> None:
        """Add a token, or replace the one with its id."""
        ...

    async def append_audit(self, entry: AuditEntry) -> None:
        """Add a line; lines are never changed or removed before their retention ends."""
        ...

    async def audit(self, limit: int = 100, before_id: int | None = None) -> Sequence[AuditEntry]:
        """Lines of the audit log, newest first."""
        ...

    async def prune(
        self, now: datetime, audit_days: int, rollup_days: int, event_days: int = 90
    ) -> None:
        """Remove what its retention no longer asks for (audit never under 183 days).

        Single events go after `event_days`. Closed blind spots, intervals, event incidents and work
        orders, and alerts of which the last was settled, with their receipts, stay `rollup_days`.
        What coverage counted then begins with that time: before it nothing was counted.
        """
        ...


@runtime_checkable
class BackedUp(Protocol):
    """A store that can be written into one file and filled from it."""

    async def backup(self, file: Path) -> Mapping[str, int]:
        """Write everything into one file, as of one moment; the number of rows by table."""
        ...

    async def restore(self, file: Path) -> Mapping[str, int]:
        """Fill an empty, migrated store from a backup; the number of rows by table."""
        ...


class ArchiveReader(Protocol):
    """Reads one archive file into raw rows. Group `sightline.archives`, named by file ending."""

    def __call__(self, content: bytes, file: str) -> "RawTable":
        """Read the bytes; raises `ArchiveError` when the file as a whole cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class RawTable:
    """An archive file as rows of text.

    Attributes:
        columns: header names as written in the file.
        rows: (row number as a person sees it, values by header); the geometry of a GeoJSON
            feature stands under the column `geometry` as JSON text. One that is too long to be
            used is `domain.archive_table.TOO_LONG_GEOMETRY`: its row is refused, not the file.
        encoding: for the report.
    """

    file: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]
    encoding: str = "utf-8"


ProbeFactory = Callable[[ProbeContext], Probe]
StoreFactory = Callable[[str], Store]
