"""Events of the fleet: one long poll a device, whose answers spare its liveness checks; or pushes."""

from collections.abc import Mapping, Sequence

from gateway.domain.camera import Camera, Device, DeviceId
from gateway.domain.event import Event
from gateway.domain.observation import Observation, Verdict
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.ports import Clock, Credential, Probe, Store
from gateway.ports.events import Deliver, PullContext, PullLimits, nowhere
from gateway.registry import get
from gateway.runtime.mailbox import Mailbox
from gateway.runtime.poller import Poller
from gateway.runtime.pushing import EventsBy, Pushing, events_by
from gateway.settings import EventSettings

LOOK_S = 60.0


class Pulling:
    """The subscriptions of the fleet as the service runs them: those pulled, and those that push.

    Args:
        store / clock / credentials: the service's.
        probe: the ONVIF probe of the poller: one budget of refused logins, one connection a device.
        poller: told of each device that was heard.
        observations: the judge's mailbox.
        deliver: the desk's.
        inventory: who is subscribed to at first; `take_archive` tells of others.
        subscriptions: those of before the restart.
        cadence_s: of the liveness check.
        settings: of events.
        pushing: the door, where some devices push.
        signals: the newest of each source of before the restart.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        credentials: Mapping[str, Credential],
        probe: Probe,
        poller: Poller,
        observations: Mailbox[Observation],
        deliver: Deliver,
        inventory: Inventory,
        subscriptions: Sequence[tuple[DeviceId, str]],
        cadence_s: float,
        settings: EventSettings,
        pushing: Pushing | None = None,
        signals: tuple[Event, ...] = (),
    ) -> None:
        self._poller = poller
        self._observations = observations
        self._settings = settings
        self._pushing = pushing
        self._inventory = inventory
        channels: Mapping[DeviceId, Sequence[Camera]] = inventory.channels_of
        context = PullContext(
            clock=clock,
            credentials=credentials,
            devices=self._devices(inventory),
            channels=channels,
            deliver=deliver,
            observe=self.observe,
            save_subscription=store.events.save_subscription,
            subscriptions=dict(subscriptions),
            limits=PullLimits.for_cadence(cadence_s),
            push=self._consumers(inventory),
            may_push=nowhere if pushing is None else pushing.consumer,
            probe=probe,
            signals=signals,
            door=None if pushing is None else pushing.door,
        )
        self._source = get("sightline.event_sources", "onvif_pull")(context)

    def _devices(self, inventory: Inventory) -> Mapping[DeviceId, Device]:
        """The devices to subscribe at, in the order of the archive."""
        ways = events_by(inventory, self._settings)
        return {d: inventory.devices[d] for d, way in ways.items() if way is not EventsBy.NONE}

    def _consumers(self, inventory: Inventory) -> Mapping[DeviceId, str]:
        return {} if self._pushing is None else self._pushing.consumers(inventory)

    def observe(self, observation: Observation) -> None:
        """What a reply shows of a device's life, as a check would have shown it."""
        self._observations.put([observation])
        if observation.answer.verdict is Verdict.ANSWERED:
            self._poller.heard(observation.device, observation.answer.ended)

    async def run(self) -> None:
        """Pull until cancelled."""
        await self._source.run()

    def take_archive(self, inventory: Inventory) -> None:
        """Subscribe at those that are in use now, and no others."""
        self._inventory = inventory
        if self._pushing is not None:
            self._pushing.take_archive(inventory)
        self._source.devices_changed(
            self._devices(inventory), inventory.channels_of, self._consumers(inventory)
        )

    async def watch_returns(self, feed: Feed) -> None:
        """Tell the source which devices came back from an outage, until cancelled."""
        known = feed.last_id
        while True:
            await feed.wait(known, LOOK_S)
            for item in feed.after(known) or ():
                row = item.data
                if item.event == "outage" and row.ended_at is not None:
                    camera = self._inventory.cameras.get(row.channel)
                    if camera is not None:
                        self._source.came_back(camera.device, row.last_failed_at)
            known = feed.last_id

    async def close(self) -> None:
        """End the subscriptions, as far as a few seconds allow."""
        await self._source.close()
