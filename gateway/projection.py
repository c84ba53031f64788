"""The one picture of the present that everybody else reads: API, stream, console, metrics.

Only the judge writes it; readers never infer anything of their own. Times are aware UTC.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.domain.camera import Camera, ChannelId, Device
from gateway.domain.ledger import (
    Changes,
    ChannelRecord,
    Fault,
    GatewayGap,
    Incident,
    Outage,
    State,
)
from gateway.domain.observation import Answer, FaultCause, Observation, Verdict
from gateway.feed import Feed
from gateway.inventory import Inventory

FAILURES_KEPT = 5
"""Failures are remembered longer than successes: they are what people ask about."""


class Dimension(StrEnum):
    """What the summary can be counted by."""

    TOWNSHIP = "township"
    VILLAGE = "village"
    GRID = "grid"
    VENDOR = "vendor"


_UP = frozenset({State.ONLINE, State.DEGRADED})


@dataclass(slots=True)
class ChannelView:
    """The present of one channel."""

    index: int
    """Dense number, stable while the inventory stands: what the wall and the stream use."""
    camera: Camera
    device: Device
    state: State
    since_at: datetime
    first_good_at: datetime | None = None
    """None = takeover list (存量故障)."""
    outage: Outage[datetime] | None = None
    faults: dict[FaultCause, Fault[datetime]] = field(default_factory=dict)
    last_answer: Answer | None = None
    last_good: Answer | None = None
    failures: tuple[Answer, ...] = ()

    @property
    def suspect(self) -> bool:
        """疑似离线: it counts as up, and its last check went unanswered (semantics §4)."""
        answer = self.last_answer
        return self.state in _UP and answer is not None and answer.verdict is Verdict.NO_ANSWER


class Projection:
    """The present of the whole fleet.

    Attributes:
        channels: every channel of the inventory, decommissioned ones included.
        order: the same by index.
        incidents: open, visible incidents (not merged) by id.
        gap: the open gateway gap, if the gateway does not see right now.
        as_of: when the last batch was judged; None before the first.
        feed: changes, for the stream.
        first_round_at: when every watched device had been asked once; None before.
    """

    def __init__(self, inventory: Inventory, now_at: datetime, feed: Feed) -> None:
        self.feed = feed
        self.as_of: datetime | None = None
        self.first_round_at: datetime | None = None
        self.gap: GatewayGap[datetime] | None = None
        self.incidents: dict[str, Incident[datetime]] = {}
        self.totals = {
            "outages": [0, 0],
            "faults": [0, 0],
            "incidents": [0, 0],
        }
        """[opened, closed] since start, by kind of row."""
        self.load(inventory, now_at)

    def load(self, inventory: Inventory, now_at: datetime) -> None:
        """Take a new inventory; channels that stay keep their present."""
        old: Mapping[ChannelId, ChannelView] = getattr(self, "channels", {})
        self.inventory = inventory
        self.channels: dict[ChannelId, ChannelView] = {}
        self.order: list[ChannelView] = []
        for index, camera in enumerate(inventory.cameras.values()):
            device = inventory.devices[camera.device]
            view = old.get(camera.id)
            if view is None or view.device.id != device.id:
                state = State.UNKNOWN if camera.in_use else State.DECOMMISSIONED
                view = ChannelView(index, camera, device, state, now_at)
            view.index, view.camera, view.device = index, camera, device
            self.channels[camera.id] = view
            self.order.append(view)
        if old:
            self.feed.break_off()
        self._counts: dict[Dimension, dict[str, Counter[State]]] = {d: {} for d in Dimension}
        for view in self.order:
            self._count(view, view.state, 1)

    def observe(self, observation: Observation) -> None:
        """Remember the last answer of a channel (the hot path: keep it short)."""
        view = self.channels.get(observation.channel)
        if view is None:
            return
        answer = observation.answer
        view.last_answer = answer
        if answer.verdict is Verdict.ANSWERED and not answer.found:
            view.last_good = answer
        else:
            view.failures = (*view.failures, answer)[-FAILURES_KEPT:]

    def apply(self, changes: Changes[datetime], now_at: datetime) -> None:
        """Take over what a batch changed, and tell the feed."""
        self.as_of = now_at
        for outage in changes.outages:
            self._apply_outage(outage)
        for fault in changes.faults:
            self._apply_fault(fault)
        for incident in changes.incidents:
            self._apply_incident(incident)
        for gap in changes.gaps:
            if gap.ended_at is None:
                self.gap = gap
            elif self.gap is not None and self.gap.id == gap.id:
                self.gap = None
            self.feed.publish("gap", gap)
        for record in changes.channels:
            self._apply_record(record)

    def _apply_outage(self, outage: Outage[datetime]) -> None:
        view = self.channels.get(outage.channel)
        if view is None:
            return
        opened = view.outage is None or view.outage.id != outage.id
        closed = outage.ended_at is not None
        self.totals["outages"][0] += opened
        self.totals["outages"][1] += closed
        view.outage = None if closed else outage
        self.feed.publish("outage", outage)

    def _apply_fault(self, fault: Fault[datetime]) -> None:
        view = self.channels.get(fault.channel)
        if view is None:
            return
        closed = fault.ended_at is not None
        self.totals["faults"][0] += fault.cause not in view.faults
        self.totals["faults"][1] += closed
        if closed:
            view.faults.pop(fault.cause, None)
        else:
            view.faults[fault.cause] = fault
        self.feed.publish("fault", fault)

    def _apply_incident(self, incident: Incident[datetime]) -> None:
        gone = incident.ended_at is not None or incident.merged_into is not None
        known = incident.id in self.incidents
        self.totals["incidents"][0] += not known
        self.totals["incidents"][1] += gone
        if gone:
            self.incidents.pop(incident.id, None)
        else:
            self.incidents[incident.id] = incident
        self.feed.publish("incident", incident)

    def _apply_record(self, record: ChannelRecord[datetime]) -> None:
        view = self.channels.get(record.channel)
        if view is None:
            return
        self._count(view, view.state, -1)
        self._count(view, record.state, 1)
        view.state = record.state
        view.since_at = record.since_at
        view.first_good_at = record.first_good_at
        self.feed.publish("state", (view.index, record))

    def counts(self, by: Dimension) -> Mapping[str, Mapping[State, int]]:
        """Channels by state, for each value of a dimension; in use + decommissioned = all."""
        return self._counts[by]

    def total(self) -> Counter[State]:
        """Channels of the whole fleet by state."""
        return sum(self._counts[Dimension.TOWNSHIP].values(), Counter())

    def _count(self, view: ChannelView, state: State, n: int) -> None:
        keys = {
            Dimension.TOWNSHIP: view.camera.township,
            Dimension.VILLAGE: view.camera.village,
            Dimension.GRID: view.camera.grid,
            Dimension.VENDOR: view.camera.manufacturer,
        }
        for dimension, key in keys.items():
            self._counts[dimension].setdefault(key, Counter())[state] += n
