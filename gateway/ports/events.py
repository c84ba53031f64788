"""What events, linking and alerting ask of the outside. `Store.events` implements `EventStore`."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from gateway.domain.alerting.retry import Delivery
from gateway.domain.alerting.rows import (
    Alert,
    Body,
    EventIncident,
    Mute,
    Posture,
    Receipt,
    WorkOrder,
)
from gateway.domain.camera import Camera, ChannelId, Device, DeviceId
from gateway.domain.event import Event, EventKind, Sensor
from gateway.domain.observation import Observation
from gateway.domain.sensor_intake import SensorIntake

if TYPE_CHECKING:
    from gateway.ports import Clock, Credential, Probe, Secret


GATHERED = "digest:"
"""How the recipients of rows begin that wait for a digest."""


@dataclass(frozen=True, slots=True)
class EventChanges:
    """One batch of the event desk: one transaction, harmless when written twice."""

    events: tuple[Event, ...] = ()
    incidents: tuple[EventIncident, ...] = ()
    alerts: tuple[Alert, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    work_orders: tuple[WorkOrder, ...] = ()

    def __bool__(self) -> bool:
        """True when there is anything to write."""
        return bool(
            self.events or self.incidents or self.alerts or self.receipts or self.work_orders
        )

    def __add__(self, other: "EventChanges") -> "EventChanges":
        """Both, in order."""
        return EventChanges(
            self.events + other.events,
            self.incidents + other.incidents,
            self.alerts + other.alerts,
            self.receipts + other.receipts,
            self.work_orders + other.work_orders,
        )


@dataclass(frozen=True, slots=True)
class EventLive:
    """What the store knows about the present of events, for a restart."""

    incidents: tuple[EventIncident, ...] = ()
    """Those still open."""
    recent: tuple[str, ...] = ()
    """Ids of events of the last hour: repeats are dropped by them."""
    revisions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """The newest revision by (recipient, key) of incidents that are not closed."""
    told: Mapping[tuple[str, str], tuple[datetime, datetime]] = field(default_factory=dict)
    """When the first and the newest message of each of these was planned."""
    said: Mapping[tuple[str, str], Body] = field(default_factory=dict)
    """The newest message of each of these: its `type`, and at least the members `SAID` of its `data`."""
    signals: tuple[Event, ...] = ()
    """Of the kinds that can stand in an open incident, since the oldest such incident began: the newest
    of each source (kind, subject, token), oldest first; and the first of each open incident."""
    postures: tuple[Posture, ...] = ()
    mutes: tuple[Mute, ...] = ()
    work_orders: tuple[WorkOrder, ...] = ()
    """Those not closed."""
    subscriptions: tuple[tuple[DeviceId, str], ...] = ()
    """Pull points of before the restart: device and subscription reference (JSON text)."""


Follows = Mapping[EventKind, Collection[EventKind]]
NOTHING_FOLLOWS: Follows = MappingProxyType({})


def may_stand(
    open_incidents: Iterable[EventIncident], follows: Follows
) -> dict[EventKind, datetime]:
    """The kinds of signals that can stand in open incidents, and since when each.

    Args:
        open_incidents: all of them.
        follows: by kind of incident, the later kinds that may be part of it.
    """
    since: dict[EventKind, datetime] = {}
    for row in open_incidents:
        for kind in (row.kind, *follows.get(row.kind, ())):
            since[kind] = min(since.get(kind, row.began_at), row.began_at)
    return since


@dataclass(frozen=True, slots=True)
class EventQuery:
    """A page of events or event incidents, newest first; as `LedgerQuery`."""

    since: datetime | None = None
    until: datetime | None = None
    open_only: bool = False
    channel: ChannelId | None = None
    sensor: str | None = None
    kind: EventKind | None = None
    grid: str | None = None
    limit: int = 100
    after: tuple[datetime, str] | None = None


class EventStore(Protocol):
    """Events, the outbox, the loop back. Raises `StoreUnavailable` like `Store`."""

    async def load_sensors(self) -> Sequence[Sensor]:
        """The sensor registry."""
        ...

    async def save_sensors(self, sensors: Sequence[Sensor]) -> None:
        """Make the registry so, in one transaction."""
        ...

    async def load(self, now: datetime, follows: Follows = NOTHING_FOLLOWS) -> EventLive:
        """What a restart needs.

        Args:
            now: what is over by then is left out.
            follows: by kind of incident, the later kinds that may be part of it.
        """
        ...

    async def commit(self, changes: EventChanges) -> None:
        """Write one batch in one transaction; twice changes nothing. New alerts get their cursor."""
        ...

    async def events(
        self, query: EventQuery
    ) -> tuple[Sequence[Event], tuple[datetime, str] | None]:
        """A page of events and the key to go on after."""
        ...

    async def incidents(
        self, query: EventQuery
    ) -> tuple[Sequence[EventIncident], tuple[datetime, str] | None]:
        """A page of event incidents and the key to go on after."""
        ...

    async def incident(self, incident_id: str) -> EventIncident | None:
        """One event incident."""
        ...

    # --- the outbox
    async def due_alerts(self, recipient: str, now: datetime, limit: int) -> Sequence[Alert]:
        """Pending alerts that are due: of each key the oldest unsettled ones in order of revision."""
        ...

    async def pending_alerts(self, recipient: str) -> tuple[int, datetime | None]:
        """How many are pending, and when the oldest of them was planned."""
        ...

    async def pending_recipients(self) -> Mapping[str, int]:
        """How many are pending of each recipient that has any; not what digests gather."""
        ...

    async def alert(self, alert_id: str) -> Alert | None:
        """One message."""
        ...

    async def settle_alerts(self, alerts: Sequence[Alert]) -> None:
        """Write state, attempts, next_at, reason of alerts (never body, key or revision)."""
        ...

    async def alerts(
        self,
        *,
        after_cursor: int = 0,
        limit: int = 100,
        key: str = "",
        state: str = "",
        recipient: str = "",
    ) -> Sequence[Alert]:
        """Alerts in order of cursor: the pull feed of centers that cannot receive. "" = all."""
        ...

    async def last_cursor(self) -> int:
        """Cursor of the newest alert that is still there; 0 = there is none."""
        ...

    async def gathered(self, keys: Sequence[str]) -> Sequence[Alert]:
        """What digests gather (recipient `digest:…`), oldest first: pending ones, and those of `keys`."""
        ...

    async def receipts(self, key: str) -> Sequence[Receipt]:
        """The loop back of one incident, oldest first."""
        ...

    async def receipts_of(self, keys: Collection[str]) -> Mapping[str, Sequence[Receipt]]:
        """The loop back of each of these incidents that has one, oldest first."""
        ...

    async def work_orders(
        self, *, open_only: bool = False, limit: int = 100
    ) -> Sequence[WorkOrder]:
        """Work orders, newest first."""
        ...

    async def postures(self, now: datetime) -> Sequence[Posture]:
        """Those that hold at `now` or will, in order of their beginning."""
        ...

    async def save_posture(self, posture: Posture) -> None:
        """Add or replace a posture."""
        ...

    async def mutes(self, now: datetime) -> Sequence[Mute]:
        """Those that hold at `now` or will, in order of their beginning."""
        ...

    async def save_mute(self, mute: Mute) -> None:
        """Add or replace a mute."""
        ...

    async def save_subscription(self, device: DeviceId, reference: str) -> None:
        """Remember a pull point ("" = forget it)."""
        ...


Deliver = Callable[[Sequence[Event]], Awaitable[None]]
"""Takes events; returns when they are stored, so the caller may acknowledge them. May wait
(backpressure). Raises `StoreUnavailable` when they could not be stored in time."""
Observe = Callable[[Observation], None]
"""Takes what an event channel shows of a device's life; never waits."""


class EventSourcePort(Protocol):
    """Something that brings events. Group `sightline.event_sources`.

    Built as `Factory(context)`, where the context is the source's own (see the adapters).
    """

    async def run(self) -> None:
        """Bring events until cancelled."""
        ...

    async def close(self) -> None:
        """Unsubscribe where that is asked for, and let go."""
        ...


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What an alert sink is built with.

    Attributes:
        clock: signatures carry the time of the attempt.
        url: where to, and nowhere else.
        secrets: signing secrets `whsec_…`, newest first; two while one replaces the other.
        timeout_s: limit of one attempt, reply included.
        authorities: file of certificates that vouch for the center; None = those of the system.
        parallel: attempts at the same time, at most.
    """

    clock: "Clock"
    url: str
    secrets: "tuple[Secret, ...]"
    timeout_s: float = 10.0
    authorities: Path | None = None
    parallel: int = 8


class AlertSink(Protocol):
    """Delivers alerts to one recipient. Group `sightline.alert_sinks`, built from a `SinkContext`."""

    async def send(self, alert: Alert) -> Delivery:
        """One attempt, within the sink's own deadline; never raises for what the center does."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


DevicesToPull = Mapping[DeviceId, Device]
SaveSubscription = Callable[[DeviceId, str], Awaitable[None]]
"""Remembers where a device is pulled, as JSON text ("" = forget it); may raise `StoreUnavailable`."""


@dataclass(frozen=True, slots=True)
class PullLimits:
    """How devices are pulled.

    Attributes:
        pull_s: how long a pull waits at the device. Below the cadence of the liveness checks by more
            than `grace_s`, replies come often enough to spare those checks (`for_cadence`).
        grace_s: how much later than that a reply may come.
        life_s: life of a subscription; renewed at 80 % of it.
        messages: of one reply, at most.
        creations_per_s: subscriptions begun a second, in the whole process.
        backoff_s: after a transport error, and the first step after a fault.
        backoff_most_s: the last step after repeated faults.
        no_service_s: a device without an event service is asked again after so long.
        connect_s / call_s: limits for connecting and for each short call.
        clock_limit_s: a pull reply with a device clock further off spares no check.
        close_s: how long the shutdown may unsubscribe.
    """

    pull_s: float = 24.0
    grace_s: float = 5.0
    life_s: float = 600.0
    messages: int = 100
    creations_per_s: float = 50.0
    backoff_s: float = 60.0
    backoff_most_s: float = 1800.0
    no_service_s: float = 86_400.0
    connect_s: float = 2.0
    call_s: float = 5.0
    clock_limit_s: float = 10.0
    close_s: float = 8.0

    @classmethod
    def for_cadence(cls, cadence_s: float) -> "PullLimits":
        """Pulls that spare the liveness checks of this cadence."""
        pull_s = 0.8 * cadence_s
        # Whole seconds: some devices read no others.
        pull_s = float(int(pull_s)) if pull_s >= 1 else pull_s
        return cls(pull_s=pull_s, grace_s=min(5.0, 0.16 * cadence_s))


def nowhere(device: DeviceId) -> str:  # noqa: ARG001 - nobody is reached
    """Of a gateway that devices cannot reach."""
    return ""


@dataclass(frozen=True, slots=True)
class PullContext:
    """What a source of pulled events is built with.

    Attributes:
        clock / credentials: as of the probes.
        devices: those to pull; `devices_changed` tells of others.
        channels: the channels in use of each device; one Observation a channel and reply.
        deliver: gets the events; a device is pulled on only when its last ones are stored.
        observe: gets what a reply shows of the device's life.
        save_subscription: remembers pull points over a restart.
        subscriptions: those remembered from before.
        push: consumer addresses of the devices that are to push instead of being pulled.
        may_push: consumer address for a device that cannot be pulled; "" = there is none.
        probe: the ONVIF probe of the service: its budget of refused logins is shared, and it is told
            which devices it must keep no connection to.
        signals: those of before the restart, as in `EventLive`: what of them stands can end.
        door: takes what is pushed; what stands at a device is kept when it changes from one to the other.
    """

    clock: "Clock"
    credentials: Mapping[str, "Credential"]
    devices: DevicesToPull
    channels: Mapping[DeviceId, Sequence[Camera]]
    deliver: Deliver
    observe: Observe
    save_subscription: SaveSubscription
    subscriptions: Mapping[DeviceId, str] = field(default_factory=dict)
    limits: PullLimits = PullLimits()
    push: Mapping[DeviceId, str] = field(default_factory=dict)
    may_push: Callable[[DeviceId], str] = nowhere
    probe: "Probe | None" = None
    signals: tuple[Event, ...] = ()
    door: object | None = None


@dataclass(frozen=True, slots=True)
class MqttBroker:
    """Where sensors publish, and how we listen there.

    Attributes:
        client_id: names our session at the broker; the same after a restart, and nobody else's.
        topics: patterns to subscribe to.
        share: name of a shared subscription; "" = none.
        ca_file: certificates to trust; None = those of the system.
        session_s: how long the broker keeps our session and its messages while we are away.
        in_flight: messages that may wait for us to acknowledge them.
    """

    host: str
    topics: tuple[str, ...]
    port: int = 1883
    client_id: str = "sightline"
    share: str = ""
    tls: bool = False
    ca_file: str | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    keepalive_s: int = 30
    session_s: int = 604_800
    in_flight: int = 1000


@dataclass(frozen=True, slots=True)
class MqttContext:
    """What the MQTT source is built with.

    Attributes:
        sensors: reads the messages; shared with the HTTP intake.
        deliver: gets the events; their messages are acknowledged when it returned.
        state_dir: where the source keeps what must outlive a crash; None = nowhere.
    """

    broker: MqttBroker
    sensors: SensorIntake
    deliver: Deliver
    clock: "Clock"
    state_dir: Path | None = None
