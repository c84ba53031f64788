"""The rows of the ledger (台账), in two time bases.

`T` is `Instant` (CLOCK_BOOTTIME seconds) inside the judge, an aware UTC `datetime` once written.
`stamp` turns one into the other: every field whose name ends in `_at` is a time, no other is.
Rows are whole snapshots keyed by `id`: writing one twice is harmless.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from gateway.domain.alerting.rows import Alert, EventIncident
from gateway.domain.camera import ChannelId, DeviceId, NodeId
from gateway.domain.observation import DeviceMemory, FaultCause, Instant, OutageCause

T = TypeVar("T")


class State(StrEnum):
    """What the center can use, as seen from the gateway; one a channel, by precedence."""

    DECOMMISSIONED = "decommissioned"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"
    OFFLINE = "offline"
    DEGRADED = "degraded"
    ONLINE = "online"


class Ending(StrEnum):
    """Why a row was closed."""

    RECOVERED = "recovered"
    DECOMMISSIONED = "decommissioned"
    ADDRESS_CHANGED = "address_changed"
    MERGED = "merged"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class Outage(Generic[T]):
    """An outage (离线记录): the channel did not answer.

    The true start lies in (last_seen_at, failed_at], the true end in (last_failed_at, ended_at].

    Attributes:
        last_seen_at: start of the last good check; None = never seen good (takeover list).
        failed_at: end of the first failed check.
        last_failed_at: start of the last failed check.
        ended_at: end of the first good check, None while open.
        bad_s: seconds owned by this row as bad (a flapping row lasts longer than it is bad).
        unobserved_s: seconds inside the row that we could not watch.
        reason: what the confirming checks saw, in the order of the ladder.
        incident: the incident (故障单) it belongs to, once there is one.
        takeover: the channel was never seen good before it (存量故障).
        accepted_at: since when such a row is work like any other: accepted, or the channel was seen
            good once and failed again before it was up; None = on the list (or no such row).
    """

    id: str
    channel: ChannelId
    cause: OutageCause
    last_seen_at: T | None
    failed_at: T
    confirmed_at: T
    last_failed_at: T
    ended_at: T | None = None
    bad_s: float = 0.0
    unobserved_s: float = 0.0
    reason: tuple[str, ...] = ()
    incident: str | None = None
    flapping: bool = False
    planned: bool = False
    takeover: bool = False
    ending: Ending | None = None
    clock_suspect: bool = False
    accepted_at: T | None = None

    @property
    def unaccepted(self) -> bool:
        """On the takeover list: no incident, no alert, in no rate."""
        return self.takeover and self.accepted_at is None


@dataclass(frozen=True, slots=True)
class Fault(Generic[T]):
    """A fault (故障): the channel answers, one check fails. Bounds as in `Outage`."""

    id: str
    channel: ChannelId
    cause: FaultCause
    last_seen_at: T | None
    failed_at: T
    confirmed_at: T
    last_failed_at: T
    ended_at: T | None = None
    unobserved_s: float = 0.0
    reason: tuple[str, ...] = ()
    planned: bool = False
    ending: Ending | None = None
    clock_suspect: bool = False


@dataclass(frozen=True, slots=True)
class Incident(Generic[T]):
    """An incident (故障单): one root cause, many children.

    Attributes:
        root: the node blamed, or the channel itself for a single camera.
        began_after_at / began_at: max(last_seen_at) .. min(failed_at) of the children.
        children: how many channels it ever took; `open_children` of them are down now.
        merged_into: the incident that absorbed this one; such rows are neither counted nor alerted.
        split_from: the incident whose partial recovery left this one.
    """

    id: str
    root: NodeId | ChannelId
    cause: OutageCause
    began_after_at: T | None
    began_at: T
    confirmed_at: T
    ended_at: T | None = None
    children: int = 1
    open_children: int = 1
    planned: bool = False
    merged_into: str | None = None
    split_from: str | None = None
    ending: Ending | None = None


class GapReason(StrEnum):
    """Why the gateway itself did not watch."""

    NOT_RUNNING = "not_running"
    BLIND = "blind"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class GatewayGap(Generic[T]):
    """We could not watch: one row for the hole, not one a channel."""

    id: str
    reason: GapReason
    started_at: T
    ended_at: T | None = None


@dataclass(frozen=True, slots=True)
class ChannelRecord(Generic[T]):
    """The state of a channel, written when it changes (never each sample)."""

    channel: ChannelId
    state: State
    since_at: T
    first_good_at: T | None = None
    """None = never seen good since import: on the takeover list (存量故障)."""
    last_good_at: T | None = None


@dataclass(frozen=True, slots=True)
class RollUp:
    """One channel and day (Asia/Shanghai): 24 hourly slots each of seconds, probes, round trip.

    The second counts are totals for the slot so far, so writing a row again replaces it.
    """

    channel: ChannelId
    day: str
    """ISO date, Asia/Shanghai."""
    good_s: tuple[float, ...]
    bad_s: tuple[float, ...]
    bad_upstream_s: tuple[float, ...]
    maintenance_s: tuple[float, ...]
    unobserved_s: tuple[float, ...]
    degraded_s: tuple[float, ...]
    """Part of `good_s` during which a fault was open (完好率 counts it against the channel)."""
    probes: tuple[int, ...]
    rtt_p50_ms: tuple[float, ...]
    rtt_p95_ms: tuple[float, ...]

    def added_up(self) -> "DaySeconds":
        """The seconds of the whole day."""
        return DaySeconds(
            self.channel,
            self.day,
            sum(self.good_s),
            sum(self.bad_s),
            sum(self.bad_upstream_s),
            sum(self.maintenance_s),
            sum(self.unobserved_s),
            sum(self.degraded_s),
        )


@dataclass(frozen=True, slots=True)
class DaySeconds:
    """One channel and day added up: seconds by kind, named as in `RollUp`."""

    channel: ChannelId
    day: str
    good_s: float = 0.0
    bad_s: float = 0.0
    bad_upstream_s: float = 0.0
    maintenance_s: float = 0.0
    unobserved_s: float = 0.0
    degraded_s: float = 0.0

    @property
    def elapsed_s(self) -> float:
        """All seconds that somebody owns."""
        owned_s = self.good_s + self.bad_s + self.bad_upstream_s
        return owned_s + self.maintenance_s + self.unobserved_s


@dataclass(frozen=True, slots=True)
class ClockStep(Generic[T]):
    """The wall clock was moved by more than 5 s."""

    id: str
    noticed_at: T
    step_s: float


@dataclass(frozen=True, slots=True)
class Changes(Generic[T]):
    """What one judged batch changed: written in one transaction, harmless when written twice.

    Attributes:
        alerts / event_incidents: what the batch tells the center; in UTC, so added after stamping.
    """

    sequence: int
    outages: tuple[Outage[T], ...] = ()
    faults: tuple[Fault[T], ...] = ()
    incidents: tuple[Incident[T], ...] = ()
    gaps: tuple[GatewayGap[T], ...] = ()
    channels: tuple[ChannelRecord[T], ...] = ()
    clock_steps: tuple[ClockStep[T], ...] = ()
    rollups: tuple[RollUp, ...] = ()
    memories: tuple[tuple[DeviceId, DeviceMemory], ...] = ()
    watched_until_at: T | None = None
    alerts: tuple[Alert, ...] = ()
    event_incidents: tuple[EventIncident, ...] = ()

    def __bool__(self) -> bool:
        """True when there is anything to write."""
        return any(getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "sequence")


def stamp(row: Any, utc: Callable[[Instant], datetime]) -> Any:  # noqa: ANN401 - any row of this file
    """The same row (or `Changes`) with every `_at` field turned from an instant into UTC."""
    values: dict[str, Any] = {}
    for f in dataclasses.fields(row):
        value = getattr(row, f.name)
        if f.name.endswith("_at"):
            values[f.name] = None if value is None else utc(value)
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            values[f.name] = tuple(stamp(item, utc) for item in value)
        else:
            values[f.name] = value
    return type(row)(**values)
