"""The store in this process's memory: the archive, the ledger and what people write.

It follows the same contract as the PostgreSQL store, rule by rule; a process that ends takes it
along. One loop, no locks: no method awaits while it changes something.
"""

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from adapters.memory.coverage import MemoryCoverage
from adapters.memory.events import MemoryEvents
from gateway.domain.archive import ImportRecord
from gateway.domain.camera import Camera, ChannelId, DeviceId
from gateway.domain.ledger import (
    Changes,
    ChannelRecord,
    ClockStep,
    DaySeconds,
    Fault,
    GatewayGap,
    Incident,
    Outage,
    RollUp,
)
from gateway.domain.observation import DeviceMemory
from gateway.errors import Conflict, StoreUnavailable
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

_AUDIT_DAYS_AT_LEAST = 183
_SLOTS = 24
_PORTION = 500
_SHANGHAI = timezone(timedelta(hours=8))


class MemoryStore:
    """The store in this process's memory.

    Args:
        dsn: `memory:`; what follows is ignored.
        command_timeout_s: as every store takes it; nothing here can be late.
    """

    def __init__(self, dsn: str = "memory:", *, command_timeout_s: float = 5.0) -> None:  # noqa: ARG002
        self.dsn = dsn
        self._is_open = False
        self._imports: dict[str, ImportRecord] = {}
        self._archives: list[tuple[datetime, Inventory]] = []
        self._credentials: dict[str, bytes] = {}
        self._outages: dict[str, Outage[datetime]] = {}
        self._faults: dict[str, Fault[datetime]] = {}
        self._incidents: dict[str, Incident[datetime]] = {}
        self._gaps: dict[str, GatewayGap[datetime]] = {}
        self._channels: dict[ChannelId, ChannelRecord[datetime]] = {}
        self._clock_steps: dict[str, ClockStep[datetime]] = {}
        self._rollups: dict[tuple[str, ChannelId], RollUp] = {}
        self._memories: dict[DeviceId, DeviceMemory] = {}
        self._watched_until_at: datetime | None = None
        self._sequence = 0
        self._notes: dict[str, IncidentNote] = {}
        self._accepted: dict[ChannelId, Accepted] = {}
        self._tokens: dict[str, Token] = {}
        self._audit: list[AuditEntry] = []
        self._audit_seen: set[AuditEntry] = set()
        self._audit_id = 0
        self._events = MemoryEvents(self)
        self._coverage = MemoryCoverage(self, self._events)

    @property
    def coverage(self) -> MemoryCoverage:
        """Places, blind spots and plans."""
        return self._coverage

    @property
    def events(self) -> MemoryEvents:
        """Events, the outbox and the loop back."""
        return self._events

    async def exists(self) -> bool:
        """Always: there is nothing that could be made."""
        return True

    async def open(self) -> None:
        """Ready at once; what an earlier `open` wrote is still there."""
        self._is_open = True

    async def close(self) -> None:
        """From now on every call raises `StoreUnavailable`."""
        self._is_open = False

    async def migrate(self) -> Sequence[str]:
        """There is no schema."""
        self._is_open = True
        return []

    async def check_schema(self) -> None:
        """There is no schema that could be older."""

    async def ping(self) -> None:
        """Return while it is open."""
        self.check_open()

    async def claim(self) -> None:
        """Nobody else can reach it."""
        self.check_open()

    # --- the archive
    async def load_inventory(self, at: datetime | None = None, *, shapes: bool = True) -> Inventory:
        """The archive as of now, or as it was valid at a time."""
        self.check_open()
        for valid_from, inventory in reversed(self._archives):
            if at is None or valid_from <= at:
                return inventory if shapes else _without_shapes(inventory)
        return Inventory()

    async def save_import(self, record: ImportRecord, inventory: Inventory) -> None:
        """Make `inventory` current; a camera that is missing stays as decommissioned."""
        self.check_open()
        now = self._archives[-1][1] if self._archives else Inventory()
        missing = {
            camera.id: dataclasses.replace(camera, in_use=False)
            for camera in now.cameras.values()
            if camera.id not in inventory.cameras
        }
        new = dataclasses.replace(inventory, cameras={**inventory.cameras, **missing})
        if new != now or not self._archives:
            latest = self._archives[-1][0] if self._archives else record.at
            after = latest + timedelta(microseconds=1) if self._archives else record.at
            self._archives.append((max(record.at, after), new))
        self.add_import(record)

    async def imports(self, limit: int = 20) -> Sequence[ImportRecord]:
        """The last imports, newest first."""
        self.check_open()
        newest = sorted(self._imports.values(), key=lambda r: (r.at, r.id), reverse=True)
        return newest[:limit]

    async def load_credentials(self) -> Mapping[str, bytes]:
        """Sealed credential sets by name."""
        self.check_open()
        return dict(sorted(self._credentials.items()))

    async def save_credentials(self, sealed: Mapping[str, bytes]) -> None:
        """Add or replace sealed credential sets."""
        self.check_open()
        self._credentials.update(sealed)

    # --- the ledger
    async def load_live(self) -> LiveState:
        """Open rows, states, memories."""
        self.check_open()
        return LiveState(
            outages=_open(self._outages.values(), lambda row: row.failed_at),
            faults=_open(self._faults.values(), lambda row: row.failed_at),
            incidents=_open(self._incidents.values(), lambda row: row.began_at),
            gaps=_open(self._gaps.values(), lambda row: row.started_at),
            channels=tuple(self._channels[key] for key in sorted(self._channels)),
            memories=tuple(sorted(self._memories.items(), key=lambda item: item[0])),
            accepted=tuple(await self.accepted()),
            watched_until_at=self._watched_until_at,
            sequence=self._sequence,
        )

    async def commit(self, changes: Changes[datetime]) -> None:
        """Write one batch, whole or not at all; written twice it changes nothing."""
        self.check_open()
        _check_values(changes)
        self._events.check_alerts(changes.alerts)
        outages = {**self._outages, **{row.id: row for row in changes.outages}}
        faults = {**self._faults, **{row.id: row for row in changes.faults}}
        _check_one_open("outages_one_open", ((o.channel,) for o in outages.values() if _is_open(o)))
        _check_one_open(
            "faults_one_open", ((f.channel, f.cause) for f in faults.values() if _is_open(f))
        )
        self._outages, self._faults = outages, faults
        self._incidents.update((row.id, row) for row in changes.incidents)
        self._gaps.update((row.id, row) for row in changes.gaps)
        self._channels.update((row.channel, row) for row in changes.channels)
        self._clock_steps.update((row.id, row) for row in changes.clock_steps)
        self._rollups.update(((row.day, row.channel), row) for row in changes.rollups)
        self._memories.update(changes.memories)
        self._sequence = max(self._sequence, changes.sequence)
        if changes.watched_until_at is not None:
            self._watched_until_at = changes.watched_until_at
        self._events.put_incidents(changes.event_incidents)
        self._events.put_alerts(changes.alerts)

    async def ledger(self, kind: LedgerKind, query: LedgerQuery) -> Page[Any]:
        """A page of outages, faults, incidents or gateway gaps, newest first."""
        self.check_open()
        tables: dict[LedgerKind, tuple[str, Iterable[Any]]] = {
            LedgerKind.OUTAGES: ("failed_at", self._outages.values()),
            LedgerKind.FAULTS: ("failed_at", self._faults.values()),
            LedgerKind.INCIDENTS: ("began_at", self._incidents.values()),
            LedgerKind.GAPS: ("started_at", self._gaps.values()),
        }
        begins, rows = tables[kind]
        found = [
            ((getattr(row, begins), row.id), row)
            for row in rows
            if _overlaps(getattr(row, begins), row.ended_at, query)
            and (not query.open_only or row.ended_at is None)
            and self._asked_for(kind, row, query)
        ]
        found = [item for item in found if query.after is None or item[0] < query.after]
        found.sort(key=lambda item: item[0], reverse=True)
        page = found[: query.limit]
        more = len(found) > len(page) and bool(page)
        return Page(tuple(row for _, row in page), page[-1][0] if more else None)

    async def outage(self, outage_id: str) -> Outage[datetime] | None:
        """One outage."""
        self.check_open()
        return self._outages.get(outage_id)

    async def incident(self, incident_id: str) -> Incident[datetime] | None:
        """One incident."""
        self.check_open()
        return self._incidents.get(incident_id)

    async def rollups(
        self, first_day: str, last_day: str, channel: ChannelId | None = None
    ) -> Sequence[RollUp]:
        """Roll-ups of the days, both included."""
        self.check_open()
        return [
            self._rollups[key]
            for key in sorted(self._rollups)
            if first_day <= key[0] <= last_day and channel in (None, key[1])
        ]

    async def rollup_portions(self, day: str) -> AsyncIterator[Sequence[RollUp]]:
        """All roll-ups of a day, some hundred at a time, by channel."""
        rows = await self.rollups(day, day)
        for start in range(0, len(rows), _PORTION):
            await asyncio.sleep(0)
            yield rows[start : start + _PORTION]

    async def day_seconds(self, day: str) -> AsyncIterator[Sequence[DaySeconds]]:
        """The roll-ups of a day added up, some hundred at a time, by channel."""
        async for rows in self.rollup_portions(day):
            yield [row.added_up() for row in rows]

    # --- people
    async def add_note(self, note: IncidentNote) -> None:
        """Write an acknowledgement or note."""
        self.check_open()
        self._notes.setdefault(note.id, note)

    async def notes(self, incidents: Sequence[str]) -> Sequence[IncidentNote]:
        """The notes of some incidents, oldest first."""
        self.check_open()
        found = [note for note in self._notes.values() if note.incident in incidents]
        return sorted(found, key=lambda note: (note.at, note.id))

    async def accepted(self) -> Sequence[Accepted]:
        """The cameras of the takeover list that were accepted, by channel."""
        self.check_open()
        return [self._accepted[key] for key in sorted(self._accepted)]

    async def save_accepted(self, rows: Sequence[Accepted]) -> None:
        """Accept cameras; the first acceptance of each stands."""
        self.check_open()
        for row in rows:
            self._accepted.setdefault(row.channel, row)

    async def tokens(self) -> Sequence[Token]:
        """All tokens, revoked ones included."""
        self.check_open()
        return sorted(self._tokens.values(), key=lambda token: (token.created_at, token.id))

    async def save_token(self, token: Token) -> None:
        """Add a token, or replace the one with its id."""
        self.check_open()
        for other in self._tokens.values():
            if other.digest == token.digest and other.id != token.id:
                raise Conflict(f"tokens: tokens_digest_key: token {other.id} has this digest")
        self._tokens[token.id] = token

    async def append_audit(self, entry: AuditEntry) -> None:
        """Add a line, once however often it is written."""
        self.check_open()
        line = dataclasses.replace(entry, id=0)
        if line in self._audit_seen:
            return
        self._audit_seen.add(line)
        self._audit_id += 1
        self._audit.append(dataclasses.replace(entry, id=self._audit_id))

    async def audit(self, limit: int = 100, before_id: int | None = None) -> Sequence[AuditEntry]:
        """Lines of the audit log, newest first."""
        self.check_open()
        newest = [e for e in reversed(self._audit) if before_id is None or e.id < before_id]
        return newest[:limit]

    async def prune(
        self, now: datetime, audit_days: int, rollup_days: int, event_days: int = 90
    ) -> None:
        """Remove what its retention no longer asks for (audit never under 183 days)."""
        self.check_open()
        lines_before = now - timedelta(days=max(audit_days, _AUDIT_DAYS_AT_LEAST))
        self._audit = [line for line in self._audit if line.at >= lines_before]
        self._audit_seen = {dataclasses.replace(line, id=0) for line in self._audit}
        first = (now.astimezone(_SHANGHAI).date() - timedelta(days=rollup_days)).isoformat()
        self._rollups = {key: row for key, row in self._rollups.items() if key[0] >= first}
        self._coverage.prune(now - timedelta(days=rollup_days))
        self._events.prune(now - timedelta(days=event_days), now - timedelta(days=rollup_days))

    def add_import(self, record: ImportRecord) -> None:
        """Remember an import, once."""
        self._imports.setdefault(record.id, record)

    def gaps(self) -> Iterable[GatewayGap[datetime]]:
        """When the gateway itself did not watch."""
        return self._gaps.values()

    def cameras(self) -> Mapping[ChannelId, Camera]:
        """The cameras of the current archive."""
        return self._archives[-1][1].cameras if self._archives else {}

    def check_open(self) -> None:
        """Raises `StoreUnavailable` where the store is closed."""
        if not self._is_open:
            raise StoreUnavailable("store: not open")

    def _asked_for(self, kind: LedgerKind, row: Any, query: LedgerQuery) -> bool:  # noqa: ANN401
        """The filters of a kind; those that do not apply to it are ignored."""
        if kind is LedgerKind.GAPS:
            return True
        if query.cause is not None and row.cause != query.cause:
            return False
        if kind is LedgerKind.INCIDENTS:
            return self._incident_asked_for(row, query)
        return (
            (query.channel is None or row.channel == query.channel)
            and (query.channels is None or row.channel in query.channels)
            and (query.township is None or self._township(row.channel) == query.township)
            and (
                kind is LedgerKind.FAULTS
                or query.incident is None
                or row.incident == query.incident
            )
        )

    def _incident_asked_for(self, row: Incident[datetime], query: LedgerQuery) -> bool:
        if row.merged_into is not None and not query.include_merged:
            return False
        if query.incident is not None and query.incident not in (
            row.id,
            row.merged_into,
            row.split_from,
        ):
            return False
        channels = {row.root, *(o.channel for o in self._outages.values() if o.incident == row.id)}
        return (query.channel is None or query.channel in channels) and (
            query.township is None or query.township in {self._township(c) for c in channels}
        )

    def _township(self, channel: str) -> str | None:
        camera = self.cameras().get(ChannelId(channel))
        return None if camera is None else camera.township


def _without_shapes(inventory: Inventory) -> Inventory:
    grids = {k: dataclasses.replace(cell, polygons=()) for k, cell in inventory.grids.items()}
    return dataclasses.replace(inventory, grids=grids)


def _is_open(row: Outage[datetime] | Fault[datetime]) -> bool:
    return row.ended_at is None


def _open(rows: Iterable[Any], began: Callable[[Any], datetime]) -> tuple[Any, ...]:
    return tuple(
        sorted((row for row in rows if row.ended_at is None), key=lambda row: (began(row), row.id))
    )


def _overlaps(begins: datetime, ends: datetime | None, query: LedgerQuery) -> bool:
    return (query.until is None or begins < query.until) and (
        query.since is None or ends is None or ends > query.since
    )


def _check_one_open(rule: str, keys: Iterable[tuple[str, ...]]) -> None:
    seen: set[tuple[str, ...]] = set()
    for key in keys:
        if key in seen:
            raise Conflict(f"{rule}: a second open row of {', '.join(key)}")
        seen.add(key)


def _check_values(changes: Changes[datetime]) -> None:
    """The schema's rules about numbers: seconds are finite and not negative, days have 24 slots."""
    seconds = [
        (outage.id, s) for outage in changes.outages for s in (outage.bad_s, outage.unobserved_s)
    ]
    seconds += [(fault.id, fault.unobserved_s) for fault in changes.faults]
    for row_id, s in seconds:
        if not (math.isfinite(s) and s >= 0):
            raise ValueError(f"{row_id}: seconds must be finite and not negative")
    for step in changes.clock_steps:
        if not math.isfinite(step.step_s):
            raise ValueError(f"{step.id}: a clock step must be finite")
    for day in changes.rollups:
        slots = (getattr(day, f.name) for f in dataclasses.fields(day))
        if any(len(values) != _SLOTS for values in slots if isinstance(values, tuple)):
            raise ValueError(f"{day.channel} {day.day}: a day has {_SLOTS} slots")
