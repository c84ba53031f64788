"""All sensors in one place: which sensor a topic is, which rule reads it, its last state, what is unknown.

One instance serves every transport, so that a sensor's state is one whatever way its messages come.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from gateway.domain.event import Event, Sensor, SensorId
from gateway.domain.sensor_mapping import (
    Dropped,
    DropReason,
    Message,
    SensorRule,
    applies,
    decide,
    in_heightened,
)

UNKNOWN_MOST = 100
"""Topics without a sensor that are counted by name; those beyond are counted together."""
TOPIC_CHARS = 200
OTHER_TOPICS = "(other topics)"


def _routine(sensor: Sensor, now: datetime) -> bool:  # noqa: ARG001 - everywhere and always
    return False


class SensorIntake:
    """Reads messages of sensors. Not for several threads.

    Args:
        rules: in order; the first that applies to a sensor reads it.

    Attributes:
        heightened: whether the posture is heightened where a sensor stands; asked for rules with a
            threshold of its own for that.
    """

    def __init__(self, rules: Sequence[SensorRule]) -> None:
        self.rules = tuple(rules)
        self.heightened: Callable[[Sensor, datetime], bool] = _routine
        self._by_topic: dict[str, tuple[Sensor, SensorRule | None]] = {}
        self._states: dict[SensorId, bool] = {}
        self._unknown: Counter[str] = Counter()

    def take_sensors(self, sensors: Iterable[Sensor]) -> None:
        """The registry as it is now."""
        self._by_topic = {
            sensor.topic: (sensor, next((r for r in self.rules if applies(r, sensor)), None))
            for sensor in sensors
        }
        known = {sensor.id for sensor, _ in self._by_topic.values()}
        self._states = {key: state for key, state in self._states.items() if key in known}

    def __len__(self) -> int:
        return len(self._by_topic)

    def unread(self) -> list[Sensor]:
        """Sensors in use that no rule reads."""
        return [s for s, rule in self._by_topic.values() if rule is None and s.in_use]

    def read(self, message: Message) -> Event | Dropped:
        """What a message means; the sensor's state moves on at once.

        Call `forget` with events that could not be stored and are given up.
        """
        sensor, rule = self._by_topic.get(message.topic, (None, None))
        if sensor is None:
            name = message.topic[:TOPIC_CHARS]
            counted = name in self._unknown or len(self._unknown) < UNKNOWN_MOST
            self._unknown[name if counted else OTHER_TOPICS] += 1
            return Dropped(DropReason.UNKNOWN_TOPIC, name)
        if not sensor.in_use:
            return Dropped(DropReason.NOT_IN_USE, sensor.id)
        if rule is None:
            return Dropped(DropReason.NO_RULE, sensor.id)
        if rule.follows_posture and self.heightened(sensor, message.received_at):
            rule = in_heightened(rule)
        found = decide(rule, sensor, message, before=self._states.get(sensor.id))
        if isinstance(found, Event) and found.active is not None:
            self._states[sensor.id] = found.active
        return found

    def forget(self, events: Iterable[Event]) -> None:
        """The states of these sensors are not known any more: their next reading is told."""
        for event in events:
            if event.sensor is not None:
                self._states.pop(event.sensor, None)

    def take_unknown(self) -> dict[str, int]:
        """Messages by topic without a sensor, since the last call."""
        found, self._unknown = dict(self._unknown), Counter()
        return found
