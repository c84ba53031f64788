"""What the web application is given: the one place where it touches the rest of the service."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from gateway.dead_letters import Letters, Replayed
from gateway.domain.alerting.loop import Answered
from gateway.domain.alerting.rows import (
    Alert,
    Mute,
    Posture,
    Receipt,
    WorkOrder,
    WorkOrderState,
)
from gateway.domain.alerting.rules import Rule
from gateway.domain.camera import ChannelId
from gateway.domain.coverage.figures import Headline
from gateway.domain.coverage.present import Present
from gateway.domain.coverage.recount import Difference
from gateway.domain.observation import Answer
from gateway.domain.sensor_intake import SensorIntake
from gateway.ports import Clock, Secret, Store
from gateway.ports.coverage import PlanRecord
from gateway.ports.events import Deliver
from gateway.projection import Projection
from gateway.sensor_config import SensorMapping
from gateway.settings import Settings

T = TypeVar("T")


class CoverageDesk(Protocol):
    """Who answers for coverage (runtime/coverage.py)."""

    @property
    def headline(self) -> tuple[Headline, datetime] | None:
        """The present in a few numbers, and when; None until the model is built."""
        ...

    @property
    def difference(self) -> tuple[Difference, datetime] | None:
        """What the last recount found, and when."""
        ...

    @property
    def recount_failure(self) -> tuple[str, datetime] | None:
        """Why the last attempt at a recount came to nothing, and when; None = it did not."""
        ...

    async def ask(self, question: Callable[[Present], T]) -> T:
        """Answer in the thread that owns the state; raises `Unavailable` until there is one."""
        ...

    async def recount(self) -> Difference:
        """Count again from scratch; raises `Unavailable` where that fails."""
        ...


class PlanningDesk(Protocol):
    """Takes planning jobs, and questions about changes by hand."""

    async def submit(self, record: PlanRecord) -> PlanRecord:
        """Take a job; raises `Refused` when too many wait."""
        ...

    def live(self, plan_id: str) -> PlanRecord | None:
        """A job that waits or runs, with its progress."""
        ...

    async def cancel(self, plan_id: str) -> PlanRecord | None:
        """Stop a job; None when none with this id waits or runs."""
        ...

    async def what_if(self, changes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """What changes would do; raises `UsageError` for one that makes no sense."""
        ...


class EventDesk(Protocol):
    """Holds posture, mutes and rules of alerts."""

    def rules(self) -> Sequence[Rule]:
        """The rules in order."""
        ...

    def postures(self) -> Sequence[Posture]:
        """Those that hold or will, planned ones of a week included."""
        ...

    def is_area(self, area: str) -> bool:
        """The beginning of a division code, or a grid cell of the archive."""
        ...

    def sensor_name(self, sensor: str) -> str | None:
        """The name of a sensor of the registry; None where it has none, or is not in it."""
        ...

    def mutes(self) -> Sequence[Mute]:
        """Those that hold or will."""
        ...

    async def set_posture(self, posture: Posture) -> None:
        """Add or replace a posture; stored before it holds."""
        ...

    async def end_posture(self, posture_id: str) -> Posture:
        """End a posture now; raises `Refused` where there is none, or a planned window brought it."""
        ...

    async def set_mute(self, mute: Mute) -> None:
        """Add or replace a mute; stored before it holds."""
        ...

    async def end_mute(self, mute_id: str) -> Mute:
        """End a mute now; raises `Refused` where there is none."""
        ...


class CenterDesk(Protocol):
    """Takes what the center and those who repair say (runtime/center.py)."""

    async def take_receipt(self, receipt: Receipt) -> Answered:
        """A step of the loop back; returns when it is stored."""
        ...

    async def add_order(self, order: WorkOrder) -> None:
        """A new work order."""
        ...

    async def find_order(self, order_id: str) -> WorkOrder | None:
        """A work order, finished ones included."""
        ...

    async def move_order(
        self, order: WorkOrder, state: WorkOrderState, assignee: str = ""
    ) -> tuple[WorkOrder, Answered]:
        """Take a work order to a state, if it may go there now."""
        ...

    async def replay(self, alert: Alert, who: str) -> Alert:
        """A dead letter goes out again; raises `Refused`."""
        ...

    async def replay_all(self, wanted: Letters, who: str) -> Replayed:
        """All dead letters that match go out again."""
        ...


class TakeoverDesk(Protocol):
    """Accepts cameras of the takeover list (runtime/takeover.py)."""

    async def accept(self, channels: Sequence[ChannelId], actor: str, reason: str) -> None:
        """They are work from now on; stored when it returns."""
        ...


class IntakeDesk(Protocol):
    """Takes messages of sensors (runtime/sensing.py)."""

    @property
    def sensors(self) -> SensorIntake:
        """Reads them."""
        ...

    @property
    def mapping(self) -> SensorMapping:
        """What each source may report."""
        ...

    @property
    def secrets(self) -> Mapping[str, tuple[str, ...]]:
        """The signing secrets by source; empty = switched off."""
        ...

    @property
    def deliver(self) -> Deliver:
        """Returns when the events are stored."""
        ...


@dataclass(frozen=True)
class WebContext:
    """Handles for the routes.

    Attributes:
        projection: the present; only read.
        check_now: asks the device of a channel soon, through the poller and its limits; the answer
            also goes to the judge. Raises `Refused` when the channel is not polled, and
            `Unavailable` when the poller is full.
        explain: walks the whole ladder for the device of a channel, for people.
        readiness: the reasons why the service is not ready; empty = ready.
        coverage: answers for coverage; None where it is switched off.
        planning: takes planning jobs and questions; None where coverage is switched off.
        desk: posture, mutes and rules of alerts.
        center: receipts, dead letters, work orders.
        center_secrets: those that may sign what the center posts.
        alerts_committed: what to call when this process committed alerts; the web side adds itself.
        intake: takes messages of sensors; None where no way for them is set.
        takeover: accepts what was dead from the first day.
        stats: what the service measures of itself (see runtime/stats.py).
        progress_age_s: seconds since poller and judge both got on (for /livez and the watchdog).
    """

    settings: Settings
    clock: Clock
    store: Store
    projection: Projection
    check_now: Callable[[ChannelId], Awaitable[Answer]]
    explain: Callable[[ChannelId], Awaitable[Sequence[Answer]]]
    readiness: Callable[[], Sequence[str]]
    progress_age_s: Callable[[], float]
    stats: Callable[[], Mapping[str, object]] = dict
    coverage: CoverageDesk | None = None
    planning: PlanningDesk | None = None
    intake: IntakeDesk | None = None
    desk: EventDesk | None = None
    takeover: TakeoverDesk | None = None
    center: CenterDesk | None = None
    center_secrets: Sequence[Secret] = ()
    alerts_committed: list[Callable[[], None]] = field(default_factory=list)
