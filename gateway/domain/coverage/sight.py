"""What the rows of the outage ledger mean for the views of cameras, and when it happened."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.view import ViewState, view_state
from gateway.domain.ledger import Changes, ChannelRecord, Fault, Outage, State
from gateway.domain.observation import FaultCause

Row = Outage[datetime] | Fault[datetime]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The true moment lies in (after_at, at]; `after_at` None = nothing is known before."""

    after_at: datetime | None
    at: datetime

    def not_before(self, other: "Bounds") -> "Bounds":
        """The same, no earlier than another moment."""
        if self.at >= other.at:
            return Bounds(latest(self.after_at, other.after_at, most=self.at), self.at)
        return other


def latest(*times: datetime | None, most: datetime) -> datetime | None:
    """The latest of the known times, `most` at most; None when none is known."""
    known = [time for time in times if time is not None]
    return min(max(known), most) if known else None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a view does not see.

    Attributes:
        row: id of the outage or fault; of the state itself where neither stands.
        name: cause of the outage, or `maintenance`, or `stream`.
        confirmed_at: orders losses after a restart.
    """

    row: str
    name: str
    incident: str | None
    planned: bool
    confirmed_at: datetime


@dataclass(frozen=True, slots=True)
class ViewChange:
    """A view changed, or what is known of its cause.

    Attributes:
        down: its area is lost: it does not see, or it did not when we stopped watching.
        when: of the change.
        cause: of the loss, where `down`.
    """

    channel: ChannelId
    view: ViewState
    down: bool
    when: Bounds
    cause: Cause | None = None


@dataclass(slots=True)
class Sight:
    """What is known of one channel."""

    state: State
    since_at: datetime
    outage: Outage[datetime] | None = None
    faults: dict[FaultCause, Fault[datetime]] = field(default_factory=dict)
    told: ViewChange | None = None

    @property
    def loss(self) -> Row | None:
        """The open row that takes the view away, if there is one."""
        return self.outage or self.faults.get(FaultCause.STREAM)

    @property
    def view(self) -> ViewState:
        """The state of the view; an open outage outweighs a state that came with another batch."""
        if self.outage is not None and self.state is not State.UNKNOWN:
            return ViewState.NOT_SEEING
        return view_state(self.state, self.faults.keys(), answers=self.outage is None)

    def cause(self, channel: ChannelId) -> Cause | None:
        """Why its area is lost; None = it is not."""
        row = self.loss
        if row is None:
            if self.state is not State.OFFLINE:
                return None
            at = self.since_at
            return Cause(
                f"{channel}/{at.isoformat()}", "unreachable", None, planned=False, confirmed_at=at
            )
        planned = self.state is State.MAINTENANCE or row.planned
        name = "maintenance" if planned else row.cause.value
        incident = row.incident if isinstance(row, Outage) else None
        return Cause(row.id, name, incident, row.planned, row.confirmed_at)


class SightBook:
    """The views of all channels, from the judge's changes. Nothing here knows geometry."""

    def __init__(self) -> None:
        self.sights: dict[ChannelId, Sight] = {}

    def apply(self, changes: Changes[datetime]) -> list[ViewChange]:
        """Take a batch; what it changed about views, in the order of confirmation."""
        records = {record.channel: record for record in changes.channels}
        rows: dict[ChannelId, list[Row]] = {channel: [] for channel in records}
        touched_rows: tuple[Row, ...] = (*changes.outages, *changes.faults)
        for row in touched_rows:
            rows.setdefault(row.channel, []).append(row)
        found: list[ViewChange] = []
        for channel, touched in rows.items():
            found += self._take(channel, touched, records.get(channel))
        return sorted(found, key=_order)

    def _take(
        self, channel: ChannelId, rows: list[Row], record: ChannelRecord[datetime] | None
    ) -> Iterable[ViewChange]:
        sight = self.sights.get(channel)
        if sight is None:
            since_at = record.since_at if record else min(row.failed_at for row in rows)
            sight = self.sights[channel] = Sight(State.UNKNOWN, since_at)
            sight.told = ViewChange(
                channel, ViewState.UNKNOWN, down=False, when=Bounds(since_at, since_at)
            )
            if record is None:
                sight.state = State.ONLINE
        rows = sorted(rows, key=lambda row: (row.ended_at is None, row.ended_at or row.failed_at))
        moved: list[Bounds] = []
        for row in rows:
            if row.ended_at is None or _known(sight, row):
                moved += _put(sight, row)
                continue
            # It came and went between two looks: both are told.
            state, sight.state = sight.state, _during(sight.state)
            for stage in (replace(row, ended_at=None), row):
                yield from _tell(sight, channel, next(iter(_put(sight, stage))))
            sight.state = state
        if record is not None:
            if record.state is not sight.state and not moved:
                moved = [Bounds(record.since_at, record.since_at)]
            sight.state, sight.since_at = record.state, record.since_at
        bounds = max(moved, key=lambda b: b.at, default=None)
        yield from _tell(sight, channel, bounds)

    def load(self, sights: Mapping[ChannelId, Sight]) -> list[ViewChange]:
        """Take the present as a whole; every view is told, with the bounds its rows give."""
        self.sights = dict(sights)
        found: list[ViewChange] = []
        for channel, sight in self.sights.items():
            loss = sight.loss
            since = Bounds(sight.since_at, sight.since_at)
            bounds = since if loss is None else Bounds(loss.last_seen_at, loss.failed_at)
            sight.told = None
            found += _tell(sight, channel, bounds)
        return sorted(found, key=_order)


def _order(change: ViewChange) -> tuple[datetime, bool, ChannelId]:
    at = change.cause.confirmed_at if change.cause is not None else change.when.at
    return at, change.down, change.channel


def _during(state: State) -> State:
    """The state to show while a row that came and went stood."""
    return State.ONLINE if state in {State.UNKNOWN, State.OFFLINE} else state


def _known(sight: Sight, row: Row) -> bool:
    held = sight.outage if isinstance(row, Outage) else sight.faults.get(row.cause)
    return held is not None and held.id == row.id


def _put(sight: Sight, row: Row) -> list[Bounds]:
    """Take a row over; the bounds of what it tells that is new, if anything."""
    if row.ended_at is not None:
        if isinstance(row, Outage):
            sight.outage = None
        else:
            del sight.faults[row.cause]
        return [Bounds(row.last_failed_at, row.ended_at)]
    known = _known(sight, row)
    if isinstance(row, Outage):
        sight.outage = row
    else:
        sight.faults[row.cause] = row
    return [] if known else [Bounds(row.last_seen_at, row.failed_at)]


def _tell(sight: Sight, channel: ChannelId, bounds: Bounds | None) -> Iterable[ViewChange]:
    """The change, if there is one, with the bounds of its row: those are never bent."""
    if sight.state is State.DECOMMISSIONED:
        return
    view, cause, told = sight.view, sight.cause(channel), sight.told
    when = bounds or Bounds(sight.since_at, sight.since_at)
    if told is not None:
        same = view is told.view and (cause is None) is (told.cause is None)
        if same and cause == told.cause:
            return
        when = told.when if same else when
    sight.told = ViewChange(channel, view, cause is not None, when, cause)
    yield sight.told
