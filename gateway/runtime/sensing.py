"""Sensors in the service: the registry kept current, the broker's source, unknown topics told of."""

import asyncio
from collections.abc import Mapping

import structlog

from gateway import sensor_config
from gateway.domain.sensor_intake import SensorIntake
from gateway.errors import StoreUnavailable
from gateway.ports import Clock, Store
from gateway.ports.events import Deliver, EventSourcePort, MqttBroker, MqttContext
from gateway.registry import get
from gateway.runtime.atlas import Atlas
from gateway.runtime.postures import Postures
from gateway.runtime.supervisor import Stage
from gateway.settings import MqttSettings, Settings

log = structlog.get_logger("sightline.sensing")
REGISTRY_EVERY_S = 30.0
REPORT_EVERY_S = 60.0
NAMES_SHOWN = 20


def broker_of(settings: MqttSettings) -> MqttBroker:
    """What the adapter is told of the settings."""
    return MqttBroker(
        host=settings.host,
        topics=settings.topics,
        port=settings.port,
        client_id=settings.client_id,
        share=settings.share,
        tls=settings.tls,
        ca_file=None if settings.ca_file is None else str(settings.ca_file),
        username=settings.username,
        password=settings.password.get_secret_value(),
        keepalive_s=settings.keepalive_s,
        session_s=settings.session_s,
        in_flight=settings.in_flight,
    )


class Sensing:
    """Everything about sensors that the service starts.

    Args:
        settings: `mqtt` and `intake`.
        store: where the registry is; open.
        clock: the service's.
        deliver: the desk's.
        atlas: the desk's: it follows the registry too.
        postures: the desk's: they move thresholds.

    Attributes:
        sensors: reads messages, whatever way they come.
        mapping / secrets: the rules, and the signing secrets by source of the HTTP intake.

    Raises:
        SettingsError: the rules or the secrets are wrong; names every problem.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        deliver: Deliver,
        atlas: Atlas | None = None,
        postures: Postures | None = None,
    ) -> None:
        self.mapping = sensor_config.load(settings.intake.mapping)
        self.secrets = sensor_config.load_secrets(settings.intake.secrets_dir)
        self.sensors = SensorIntake(self.mapping.rules)
        if postures is not None:
            self.sensors.heightened = postures.heightened_at
        self.deliver = deliver
        self._store = store
        self._atlas = atlas
        self._source: EventSourcePort | None = None
        if settings.mqtt.host:
            context = MqttContext(
                broker_of(settings.mqtt), self.sensors, deliver, clock, settings.store.state_dir
            )
            self._source = get("sightline.event_sources", "mqtt")(context)

    @property
    def is_used(self) -> bool:
        """Whether any way for sensors is configured."""
        return self._source is not None or bool(self.secrets)

    @property
    def stages(self) -> Mapping[str, Stage]:
        """The loops to supervise; none where nothing is configured."""
        if not self.is_used:
            return {}
        found: dict[str, Stage] = {
            "sensors": self.keep_current,
            "unknown_topics": self.tell_unknown,
        }
        if self._source is not None:
            found["mqtt"] = self.listen
        return found

    async def load(self) -> None:
        """Read the registry.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        before = len(self.sensors)
        registered = await self._store.events.load_sensors()
        self.sensors.take_sensors(registered)
        if self._atlas is not None:
            self._atlas.take_sensors(registered)
        if len(self.sensors) != before:
            unread = [sensor.id for sensor in self.sensors.unread()]
            log.info("sensors", registered=len(self.sensors))
            if unread:
                log.warning(
                    "no rule reads these sensors", count=len(unread), ids=unread[:NAMES_SHOWN]
                )

    async def keep_current(self) -> None:
        """Follow the registry: an import counts without a restart."""
        while True:
            await asyncio.sleep(REGISTRY_EVERY_S)
            try:
                await self.load()
            except StoreUnavailable:
                log.debug("registry of sensors not read: the store is away")

    async def listen(self) -> None:
        """Bring messages from the broker; the registry must be known before the first is judged."""
        assert self._source is not None  # noqa: S101 - a stage only then
        while not len(self.sensors):
            try:
                await self.load()
                break
            except StoreUnavailable:
                await asyncio.sleep(1.0)
        await self._source.run()

    async def tell_unknown(self) -> None:
        """Once a minute: messages on topics that no sensor of the registry has."""
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            unknown = self.sensors.take_unknown()
            if unknown:
                busiest = sorted(unknown.items(), key=lambda one: (-one[1], one[0]))[:NAMES_SHOWN]
                log.warning(
                    "messages on topics without a sensor",
                    messages=sum(unknown.values()),
                    topics=len(unknown),
                    busiest=dict(busiest),
                    fix="register them with `sightline import sensors`, or narrow mqtt.topics",
                )
