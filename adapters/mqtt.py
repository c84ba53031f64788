"""Sensors over MQTT v5: stored before acknowledged, never twice, never faster than the store.

    broker --QoS 1--> arrivals --batch--> SensorIntake --events--> deliver --stored--> acknowledge, in order

The broker keeps our session: what we did not acknowledge comes again after a reconnect or a restart,
under the same packet id and with DUP set (`adapters/mqtt_marks.py`). At most `in_flight` messages are on
their way (receive maximum), so
a slow store makes the broker wait, not our memory grow.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, cast

import aiomqtt
import structlog
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import ConnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from adapters.mqtt_marks import FILE, Marks
from gateway.domain.event import Event, EventSource
from gateway.domain.sensor_mapping import PAYLOAD_MOST, Message
from gateway.errors import StoreUnavailable
from gateway.metrics import MQTT_CONNECTED, MQTT_UNACKNOWLEDGED, SENSOR_MESSAGES
from gateway.ports.events import MqttBroker, MqttContext

if TYPE_CHECKING:
    Queue = asyncio.Queue[aiomqtt.Message]
else:
    Queue = asyncio.Queue

log = structlog.get_logger("sightline.mqtt")
BATCH = 500
SLICE = 100
"""Messages read in one go: about two milliseconds."""
PACKET_MOST = 4 * PAYLOAD_MOST
"""The broker keeps back what is larger; from `PAYLOAD_MOST` up to here we drop, and count."""
UNSURE_MOST = 1000
"""Messages of QoS 0 that may wait; nobody will send those again, and nothing bounds their number."""
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 60.0
STEADY_S = 30.0
"""A connection that held so long was a good one: the next wait is short again."""
STORE_RETRY_S = 1.0
FAILURE = 0x80
"""Reason codes from here on are refusals."""
RETAINED_FOR_NEW_ONLY = 1
"""Retained messages come with a new subscription, not again at each reconnect."""


class Arrivals(Queue):
    """What came and was not yet read. Messages of QoS 1 are bounded by the receive maximum."""

    def put_nowait(self, item: aiomqtt.Message) -> None:
        """Take a message; one of QoS 0 is dropped, and counted, when too many wait."""
        if item.qos == 0 and self.qsize() >= UNSURE_MOST:
            SENSOR_MESSAGES.labels("mqtt", "overflow").inc()
            return
        super().put_nowait(item)


class Hearing:
    """What aiomqtt 2.5 does not tell, paho below it does: whether a session is new, what is sent again.

    Args:
        client: not yet connected.
        marks: told of a new session.

    Attributes:
        again: packet ids whose message was sent again; no other has them until we acknowledged it.
    """

    def __init__(self, client: aiomqtt.Client, marks: Marks) -> None:
        self.again: set[int] = set()
        self._marks = marks
        paho = client._client  # noqa: SLF001 - see above
        self._connected: Callable[..., Any] = cast("Callable[..., Any]", paho.on_connect)
        self._heard: Callable[..., Any] = cast("Callable[..., Any]", paho.on_message)
        paho.on_connect, paho.on_message = self._on_connect, self._on_message

    def _on_connect(
        self,
        client: PahoClient,
        data: Any,  # noqa: ANN401 - paho's
        flags: ConnectFlags,
        *more: Any,  # noqa: ANN401 - paho's
    ) -> None:
        if not flags.session_present:
            self._marks.forget()
        self._connected(client, data, flags, *more)

    def _on_message(self, client: PahoClient, data: Any, message: MQTTMessage) -> None:  # noqa: ANN401
        if message.qos:
            (self.again.add if message.dup else self.again.discard)(message.mid)
        self._heard(client, data, message)


def acknowledge_by_hand(client: aiomqtt.Client) -> Callable[[Sequence[aiomqtt.Message]], None]:
    """Stop a client from acknowledging what it receives; returns what acknowledges instead.

    aiomqtt 2.5 offers no such switch, paho below it does: this is the only place that reaches through. The
    protocol wants acknowledgements in the order of arrival [MQTT-4.6.0-2]; so must the calls be.
    """
    paho = client._client  # noqa: SLF001 - see above
    paho.manual_ack_set(on=True)

    def acknowledge(messages: Sequence[aiomqtt.Message]) -> None:
        for message in messages:
            if message.qos:
                paho.ack(message.mid, message.qos)

    return acknowledge


class MqttSource:
    """Messages of sensors from one broker. Entry point `mqtt` of `sightline.event_sources`.

    Args:
        context: broker, the registry's reader, and where events go.
    """

    def __init__(self, context: MqttContext) -> None:
        self._context = context
        self._broker = context.broker
        self.connected = asyncio.Event()
        """Set while the broker holds our subscriptions."""
        self.waiting = 0
        """Messages that came and are not acknowledged."""
        self.acknowledged = 0
        """Messages acknowledged since the start."""
        broker, folder = context.broker, context.state_dir
        session = f"{broker.host}:{broker.port} {broker.client_id}"
        file = None if folder is None else folder / FILE
        self._marks = Marks(file, session, broker.in_flight)

    async def run(self) -> None:
        """Bring events until cancelled; reconnects with back-off and jitter."""
        wait_s = RETRY_FIRST_S
        while True:
            began = time.monotonic()
            try:
                await self._serve()
            except (aiomqtt.MqttError, OSError) as error:
                log.warning("broker lost", host=self._broker.host, reason=str(error))
            finally:
                self.connected.clear()
                MQTT_CONNECTED.set(0)
                MQTT_UNACKNOWLEDGED.set(0)
            if time.monotonic() - began > STEADY_S:
                wait_s = RETRY_FIRST_S
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            wait_s = min(RETRY_MOST_S, 2 * wait_s)

    async def close(self) -> None:
        """Nothing to unsubscribe: the session is to keep what comes while we are away."""

    async def _serve(self) -> None:
        """One connection, until it is lost."""
        arrivals = Arrivals()
        client = make_client(self._broker, arrivals)
        acknowledge = acknowledge_by_hand(client)
        hearing = Hearing(client, self._marks)
        async with client:
            granted = await client.subscribe(subscriptions(self._broker))
            refused = [str(code) for code in granted if _code(code) >= FAILURE]
            if refused:
                raise aiomqtt.MqttError(f"subscription refused: {', '.join(refused)}")
            log.info("broker connected", host=self._broker.host, topics=list(self._broker.topics))
            self.connected.set()
            MQTT_CONNECTED.set(1)
            async for first in client.messages:
                batch = [first]
                while len(batch) < BATCH and not arrivals.empty():
                    batch.append(arrivals.get_nowait())
                self.waiting = len(batch) + arrivals.qsize()
                MQTT_UNACKNOWLEDGED.set(self.waiting)
                events = await self._read(batch, hearing.again)
                self._marks.write()
                await self._store(events)
                acknowledge(batch)
                self.acknowledged += len(batch)
                self.waiting = arrivals.qsize()
                MQTT_UNACKNOWLEDGED.set(self.waiting)

    async def _read(self, batch: Sequence[aiomqtt.Message], again: Collection[int]) -> list[Event]:
        """The events in a batch, in order."""
        clock, events = self._context.clock, []
        for n, raw in enumerate(batch):
            if n % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            now = clock.utc(clock.now())
            topic, payload = raw.topic.value, bytes(raw.payload)
            mark = now.isoformat()
            if raw.qos:
                mark = self._marks.of(raw.mid, topic, payload, again=raw.mid in again)
            message = Message(topic, payload, now, EventSource.MQTT, mark)
            found = self._context.sensors.read(message)
            if isinstance(found, Event):
                events.append(found)
                SENSOR_MESSAGES.labels("mqtt", "event").inc()
            else:
                SENSOR_MESSAGES.labels("mqtt", found.reason.value).inc()
                log.debug("message dropped", topic=message.topic, reason=found.reason.value)
        return events

    async def _store(self, events: Sequence[Event]) -> None:
        """Return when the events are stored.

        While the store is away they stay unacknowledged: the broker sends no more than `in_flight`,
        and all of them again should we die meanwhile.
        """
        while events:
            try:
                await self._context.deliver(events)
            except StoreUnavailable as error:
                log.warning("events wait for the store", events=len(events), reason=str(error))
                await asyncio.sleep(STORE_RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            else:
                return


def make_client(broker: MqttBroker, arrivals: Arrivals) -> aiomqtt.Client:
    """A client for one connection (acknowledgements of an old one must not reach a new one).

    Args:
        broker: where, and as whom.
        arrivals: where messages are put.
    """
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = broker.session_s
    properties.ReceiveMaximum = broker.in_flight
    properties.MaximumPacketSize = PACKET_MOST
    return aiomqtt.Client(
        broker.host,
        broker.port,
        identifier=broker.client_id,
        username=broker.username or None,
        password=broker.password or None,
        protocol=aiomqtt.ProtocolVersion.V5,
        # Never: not even the first connection of a process may throw away what waits for us.
        clean_start=False,
        keepalive=broker.keepalive_s,
        properties=properties,
        tls_context=ssl.create_default_context(cafile=broker.ca_file) if broker.tls else None,
        queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", lambda maxsize=0: arrivals),  # noqa: ARG005
    )


def subscriptions(broker: MqttBroker) -> list[tuple[str, SubscribeOptions]]:
    """Topic filters with their options."""
    prefix = f"$share/{broker.share}/" if broker.share else ""
    options = SubscribeOptions(qos=1, retainHandling=RETAINED_FOR_NEW_ONLY)
    return [(prefix + topic, options) for topic in broker.topics]


def _code(code: object) -> int:
    return code if isinstance(code, int) else int(getattr(code, "value", 0))
