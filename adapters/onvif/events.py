"""From what a device tells to events of the domain: which channel, which state, which of them are news.

Holds what stands active, so that the end of something is told even when the device forgets to (quirk 29),
and so that a synchronization point, which tells everything again, makes no event of what is known.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from math import isfinite
from types import MappingProxyType
from typing import Final

from adapters.onvif.notifications import Notification, device_time
from adapters.onvif.standing import Key, Standing, States
from adapters.onvif.topics import Fate, Meaning, Topics
from gateway.domain.camera import Camera, ChannelId, DeviceId
from gateway.domain.event import Event, EventSource
from gateway.metrics import EVENT_MESSAGES

_NO_CHANNELS: Final[tuple[Camera, ...]] = ()
_AGED: Final = MappingProxyType({"aged": "true"})
_INITIAL: Final = MappingProxyType({"initialized": "true"})
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Translator:
    """Notifications of all devices -> events.

    Args:
        topics: the table.
        channels: the channels of each device in use; looked up each time.
        source: pull or push.
        states: those of who else translates the same devices; None = there is nobody.
    """

    def __init__(
        self,
        topics: Topics,
        channels: Mapping[DeviceId, Sequence[Camera]],
        source: EventSource = EventSource.ONVIF_PULL,
        states: States | None = None,
    ) -> None:
        self.channels = channels
        self._topics = topics
        self._source = source
        self.states = States() if states is None else states

    def forget(self, device: DeviceId) -> None:
        """The device left the archive."""
        self.states.forget(device)

    def doubt(self, events: Iterable[Event]) -> None:
        """These were not stored: what is told next of the same states is news, whatever stands here.

        A device repeats `Initialized` and `Deleted` as they were; they would pass for known.
        """
        for event in events:
            if event.device is not None:
                self.states.doubt(event.device, (event.topic, event.token))

    def stand(self, events: Iterable[Event], now: float) -> None:
        """What the store holds of before a restart: what stands, so that its end is news.

        Without it a state that ended meanwhile would be told, by the first synchronization point, as
        one that never stood.

        Args:
            events: the newest of each source, oldest first; of devices that this one translates.
            now: time of the loop. Nobody could hear them again while we were away: they age from now.
        """
        for event in events:
            topic, meaning = self._topics.look_up(event.topic)
            if event.device is None or isinstance(meaning, Fate):
                continue
            key = (topic, event.token)
            if event.active:
                self.states.hold(event.device, key, Standing(meaning, event.channel, now))
            elif event.active is False:
                self.states.end(event.device, key)

    def translate(
        self,
        device: DeviceId,
        notes: Sequence[Notification],
        received_at: datetime,
        now: float,
    ) -> list[Event]:
        """The events in some messages of one reply, in their order.

        Args:
            device: who told.
            notes: what it told.
            received_at: our UTC time of the reply.
            now: time of the loop.
        """
        events: list[Event] = []
        seen: dict[tuple[str, ...], int] = {}
        for note in notes:
            topic, meaning = self._topics.look_up(note.topic)
            if isinstance(meaning, Fate):
                EVENT_MESSAGES.labels(self._source.value, meaning.value).inc()
                continue
            token = _token(meaning, note)
            active, operation, fate = _state(meaning, note), note.operation, "initial"
            if active is None and meaning.value:
                # A reading says its state again and again, as a synchronization point does.
                stands = (topic, token) in self.states.of(device)
                active = meaning.judge(_value(meaning, note), stands=stands)
                operation, fate = "Initialized", "reading"
            is_nothing = active is None and fate == "reading"
            if is_nothing or not self._is_news(
                device, topic, token, meaning, operation, active, now
            ):
                EVENT_MESSAGES.labels(self._source.value, fate).inc()
                continue
            EVENT_MESSAGES.labels(self._source.value, "event").inc()
            what = (device, topic, token, str(active), note.told_at)
            index = seen[what] = seen.get(what, -1) + 1
            events.append(
                self._event(device, topic, token, meaning, note, active, received_at, index)
            )
        return events

    def age(self, now: float, received_at: datetime) -> list[Event]:
        """Close what has stood active for longer than its kind may, without a word.

        To be called often: each call looks at some of the devices only.
        """
        return [
            self._aged(device, key, standing, received_at)
            for device, key, standing in self.states.end_aged(now)
        ]

    def _aged(self, device: DeviceId, key: Key, standing: Standing, received_at: datetime) -> Event:
        topic, token = key
        EVENT_MESSAGES.labels(self._source.value, "aged").inc()
        return Event(
            _id(device, topic, token, "aged", received_at.isoformat()),
            self._source,
            standing.meaning.kind,
            received_at,
            standing.channel,
            device,
            active=False,
            token=token,
            topic=topic,
            extra=_AGED,
        )

    # --- one message

    def _is_news(
        self,
        device: DeviceId,
        topic: str,
        token: str,
        meaning: Meaning,
        operation: str,
        active: bool | None,  # noqa: FBT001 - tri-state
        now: float,
    ) -> bool:
        """Note the state; False for what a synchronization point only tells again."""
        key = (topic, token)
        doubted = self.states.trust(device, key)
        standing = self.states.of(device).get(key)
        if active:
            if standing is not None:
                standing.told = now
                return doubted or operation != "Initialized"
            channel = self._channel(device, token, meaning)
            self.states.hold(device, key, Standing(meaning, channel, now))
            return True
        self.states.end(device, key)
        if operation in ("Initialized", "Deleted"):
            return doubted or standing is not None
        return True

    def _event(
        self,
        device: DeviceId,
        topic: str,
        token: str,
        meaning: Meaning,
        note: Notification,
        active: bool | None,  # noqa: FBT001 - tri-state
        received_at: datetime,
        index: int,
    ) -> Event:
        told = device_time(note.told_at)
        # Without a usable time of the device, a repeat cannot be told from a second time.
        stamp = note.told_at if told is not None else received_at.isoformat()
        return Event(
            _id(device, topic, token, str(active), f"{stamp}#{index}"),
            self._source,
            meaning.kind,
            received_at,
            self._channel(device, token, meaning),
            device,
            device_at=told,
            active=active,
            token=token,
            value=_value(meaning, note),
            unit=meaning.unit,
            topic=topic,
            extra=_INITIAL if note.operation == "Initialized" else _NONE,
        )

    def _channel(self, device: DeviceId, token: str, meaning: Meaning) -> ChannelId | None:
        """The channel that an event belongs to; None = the device as a whole, or not known which.

        Some devices name the configuration instead of the source (`vsconf`, `VideoSourceConfig_3`; quirk
        30): with one channel there is nothing to choose, with several the number at the end tells.
        """
        cameras = self.channels.get(device, _NO_CHANNELS)
        if len(cameras) == 1:
            return cameras[0].id
        if not meaning.video:
            return None
        name = token.partition(" ")[0]
        exact = [c for c in cameras if c.source_token and c.source_token == name]
        if not exact and (number := _number(name)):
            exact = [c for c in cameras if _number(c.source_token) == number]
        return exact[0].id if len(exact) == 1 else None


def _number(token: str) -> str:
    """The digits at the end of a token, without leading zeros."""
    head = token.rstrip("0123456789")
    return token[len(head) :].lstrip("0")


def _token(meaning: Meaning, note: Notification) -> str:
    """Which input or source; with the rule's name, or that of the reading, behind it where there is one.

    A reading's state is one of its own: that it is over says nothing about what the device judges itself.
    """
    source = note.source
    token = next((source[name] for name in meaning.token if source.get(name)), "")
    rule = source.get("Rule", "") or ("" if meaning.state else meaning.value)
    return f"{token} {rule}".strip() if rule else token


def _state(meaning: Meaning, note: Notification) -> bool | None:
    """True = began or stands, False = over, None = a moment without an end."""
    if note.operation == "Deleted":
        return False
    for name in meaning.state:
        value = note.data.get(name)
        if value is not None:
            return value.strip().lower() in meaning.active
    return None


def _value(meaning: Meaning, note: Notification) -> float | None:
    if not meaning.value:
        return None
    try:
        value = float(note.data.get(meaning.value, ""))
    except ValueError:
        return None
    return value if isfinite(value) else None


def _id(device: DeviceId, topic: str, token: str, state: str, stamp: str) -> str:
    text = f"{device}\0{topic}\0{token}\0{state}\0{stamp}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=15).hexdigest()
