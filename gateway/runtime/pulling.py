"""Events pulled from the fleet: one long poll a device, whose answers spare its liveness checks."""

from collections.abc import Mapping, Sequence

from gateway.domain.camera import Camera, CheckBy, Device, DeviceId
from gateway.domain.observation import Observation, Verdict
from gateway.inventory import Inventory
from gateway.ports import Clock, Credential, Probe, Store
from gateway.ports.events import Deliver, PullContext, PullLimits
from gateway.registry import get
from gateway.runtime.mailbox import Mailbox
from gateway.runtime.poller import Poller


def pulled_devices(inventory: Inventory) -> Mapping[DeviceId, Device]:
    """The devices in use that speak ONVIF, in the order of the archive."""
    return {d.id: d for d in inventory.watched if d.check_by is CheckBy.ONVIF}


class Pulling:
    """The source of pulled events as the service runs it.

    Args:
        store / clock / credentials: the service's.
        probe: the ONVIF probe of the poller: one budget of refused logins, one connection a device.
        poller: told of each device that was heard.
        observations: the judge's mailbox.
        deliver: the desk's.
        inventory: who is pulled at first; `take_archive` tells of others.
        subscriptions: pull points of before the restart.
        cadence_s: of the liveness check.
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
    ) -> None:
        self._poller = poller
        self._observations = observations
        channels: Mapping[DeviceId, Sequence[Camera]] = inventory.channels_of
        context = PullContext(
            clock=clock,
            credentials=credentials,
            devices=pulled_devices(inventory),
            channels=channels,
            deliver=deliver,
            observe=self.observe,
            save_subscription=store.events.save_subscription,
            subscriptions=dict(subscriptions),
            limits=PullLimits.for_cadence(cadence_s),
            probe=probe,
        )
        self._source = get("sightline.event_sources", "onvif_pull")(context)

    def observe(self, observation: Observation) -> None:
        """What a reply shows of a device's life, as a check would have shown it."""
        self._observations.put([observation])
        if observation.answer.verdict is Verdict.ANSWERED:
            self._poller.heard(observation.device, observation.answer.ended)

    async def run(self) -> None:
        """Pull until cancelled."""
        await self._source.run()

    def take_archive(self, inventory: Inventory) -> None:
        """Pull those that are in use now, and no others."""
        self._source.devices_changed(pulled_devices(inventory), inventory.channels_of)

    async def close(self) -> None:
        """End the subscriptions, as far as a few seconds allow."""
        await self._source.close()
