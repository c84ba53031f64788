"""What a message of a sensor means: (rule, sensor, message, last state) -> event, or why it is none.

The rules are data (`config/sensors.toml`, docs/guide/sensors.md): which messages a rule is for, where in
the payload the reading, the state, the id and the time stand, and when the sensor is in alarm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b

from gateway.domain.event import Event, EventKind, EventSource, Sensor
from gateway.domain.sensor_payload import (
    MISSING,
    Form,
    Scalar,
    bad_pattern,
    find,
    number_of,
    read,
    time_of,
    topic_matches,
    word_of,
    words_of,
)

PAYLOAD_MOST = 64 * 1024
"""Bytes of a message; larger ones are no readings."""
DIGITS = 9
"""Decimals of a threshold that is worked out: 2.0 less 0.2 is 1.8."""


class DropReason(StrEnum):
    """Why a message is no event."""

    UNKNOWN_TOPIC = "unknown_topic"
    """No sensor of the registry has this topic."""
    NOT_IN_USE = "not_in_use"
    NO_RULE = "no_rule"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    """Not the declared form of payload."""
    LIFE_SIGN = "life_sign"
    """Battery, heartbeat: declared to be ignored."""
    NO_VALUE = "no_value"
    """The reading or the state is not where the rule says."""
    UNKNOWN_STATE = "unknown_state"
    """A state that stands in neither list of the rule."""
    BETWEEN = "between"
    """Between threshold and clearing value, and nothing is known from before."""
    UNCHANGED = "unchanged"
    """As well as before: only alarms are told again."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Messages that are only signs of life: what stands at `pointer` is one of `values`."""

    pointer: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class SensorRule:
    """How the messages of some sensors are read. Pointers are JSON pointers (RFC 6901).

    Attributes:
        name: for people and logs.
        topic / kind: which sensors; a pattern with `+` and `#`; at least one of both is given.
        payload: its form; in plain forms the only pointer is "" (all of it).
        state: where the state stands, with the values that mean `active` and `inactive` (polarity);
            compared as text without case, so `1`, `"1"` and `true`, `"TRUE"` are the same.
        value: where the reading stands; `scale` times it is in `unit`.
        above / below: the reading is an alarm beyond it; `clear` is where the alarm is over (hysteresis).
        heightened_above / heightened_below: the threshold where the posture is heightened; the alarm is
            over as far from it as `clear` is from the routine one.
        moment: each message is an alarm without an end (a button).
        id / time: where the message's own id and time stand.
        ignore: messages that are no readings.
    """

    name: str
    topic: str = ""
    kind: EventKind | None = None
    payload: Form = Form.JSON
    state: str | None = None
    active: tuple[Scalar, ...] = ()
    inactive: tuple[Scalar, ...] = ()
    value: str | None = None
    unit: str = ""
    scale: float = 1.0
    above: float | None = None
    below: float | None = None
    clear: float | None = None
    heightened_above: float | None = None
    heightened_below: float | None = None
    moment: bool = False
    id: str | None = None
    time: str | None = None
    ignore: tuple[Ignored, ...] = ()

    @property
    def follows_posture(self) -> bool:
        """It has another threshold where the posture is heightened."""
        return self.heightened_above is not None or self.heightened_below is not None


@dataclass(frozen=True, slots=True)
class Message:
    """What came in.

    Attributes:
        mark: names this message among others with the same content, the same at each redelivery
            (packet id, `webhook-id`); it tells two presses of a button apart that send the same text.
    """

    topic: str
    payload: bytes
    received_at: datetime
    source: EventSource
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message that is no event."""

    reason: DropReason
    detail: str = ""


# --- the decision


def applies(rule: SensorRule, sensor: Sensor) -> bool:
    """Whether a rule is for a sensor."""
    if rule.kind is not None and rule.kind is not sensor.kind:
        return False
    return not rule.topic or topic_matches(rule.topic, sensor.topic)


def in_heightened(rule: SensorRule) -> SensorRule:
    """The rule as it reads where the posture is heightened: its threshold moves, and `clear` with it."""
    routine = rule.above if rule.above is not None else rule.below
    heightened = rule.heightened_above if rule.above is not None else rule.heightened_below
    if routine is None or heightened is None:
        return rule
    moved = None if rule.clear is None else round(heightened + rule.clear - routine, DIGITS)
    if rule.above is not None:
        return replace(rule, above=heightened, clear=moved)
    return replace(rule, below=heightened, clear=moved)


def decide(
    rule: SensorRule, sensor: Sensor, message: Message, *, before: bool | None = None
) -> Event | Dropped:
    """What a message means.

    Args:
        rule: one that applies to the sensor.
        sensor: who sent it.
        message: as received.
        before: the sensor's last state; None = not known.
    """
    if len(message.payload) > PAYLOAD_MOST:
        return Dropped(DropReason.TOO_LARGE, f"{len(message.payload)} bytes")
    content = read(rule.payload, message.payload)
    # A button whose message we cannot read was still pressed.
    if content is MISSING and not (rule.moment and message.payload.strip()):
        return Dropped(DropReason.UNREADABLE, f"not {rule.payload}")
    for ignored in rule.ignore:
        if word_of(find(content, ignored.pointer)) in words_of(ignored.values):
            return Dropped(DropReason.LIFE_SIGN, ignored.pointer)
    value = None if rule.value is None else number_of(find(content, rule.value))
    if value is not None:
        value *= rule.scale
    active = _judge(rule, content, value, before=before)
    if isinstance(active, Dropped):
        return active
    device_at = None if rule.time is None else time_of(find(content, rule.time))
    return Event(
        id=_identity(rule, sensor, message, content, active=active, timed=device_at is not None),
        source=message.source,
        kind=sensor.kind,
        received_at=message.received_at,
        sensor=sensor.id,
        device_at=device_at,
        active=active,
        value=value,
        unit=rule.unit if value is not None else "",
        topic=message.topic,
    )


def _judge(
    rule: SensorRule, content: object, value: float | None, *, before: bool | None
) -> bool | Dropped | None:
    """In alarm, well, or a moment (None)."""
    if rule.moment:
        return None
    if rule.state is not None:
        active = _state(rule, find(content, rule.state))
    elif value is None:
        active = Dropped(DropReason.NO_VALUE, f"no number at {rule.value!r}")
    else:
        active = _beyond(rule, value, before=before)
    if active is False and before is False:
        return Dropped(DropReason.UNCHANGED)
    return active


def _state(rule: SensorRule, found: object) -> bool | Dropped:
    if found is MISSING:
        return Dropped(DropReason.NO_VALUE, f"nothing at {rule.state!r}")
    word = word_of(found)
    if word in words_of(rule.active):
        return True
    if word in words_of(rule.inactive):
        return False
    return Dropped(DropReason.UNKNOWN_STATE, str(word)[:40])


def _beyond(rule: SensorRule, value: float, *, before: bool | None) -> bool | Dropped:
    """A threshold with hysteresis, in the direction that the rule gives."""
    sign = 1.0 if rule.above is not None else -1.0
    limit = rule.above if rule.above is not None else rule.below
    assert limit is not None  # noqa: S101 - `problems` refuses a rule without any
    clear = limit if rule.clear is None else rule.clear
    if sign * (value - limit) > 0:
        return True
    if sign * (value - clear) <= 0:
        return False
    return Dropped(DropReason.BETWEEN, f"{value:g}") if before is None else before


def _identity(
    rule: SensorRule,
    sensor: Sensor,
    message: Message,
    content: object,
    *,
    active: bool | None,
    timed: bool,
) -> str:
    """The same for a message that comes again, another one for a new message.

    An id of the sensor's own counts once for each state: some give begin and end of an alarm one id.
    Otherwise it is the content with its time; content without any time needs the mark of the transport.
    """
    own = MISSING if rule.id is None else find(content, rule.id)
    parts: tuple[object, ...]
    if own is MISSING or own in (None, "") or isinstance(own, dict | list):
        parts = ("content", message.topic, "" if timed else message.mark)
    else:
        parts = ("id", own, active)
    digest = blake2b(digest_size=12)
    for part in (sensor.id, *parts):
        digest.update(str(part).encode() + b"\n")
    if parts[0] == "content":
        digest.update(message.payload)
    return f"sensor-{digest.hexdigest()}"


# --- the check at start


def problems(rules: Sequence[SensorRule]) -> list[str]:
    """Everything that is wrong with the rules, each starting with where it is."""
    found: list[str] = []
    names: set[str] = set()
    for n, rule in enumerate(rules):
        where = f"rules.{n} ({rule.name})"
        if not rule.name or rule.name in names:
            found.append(f"{where}: needs a name of its own")
        names.add(rule.name)
        found += [f"{where}: {problem}" for problem in (*_scope(rule), *_alarm(rule))]
        found += [f"{where}: {problem}" for problem in _pointers(rule)]
    return found


def _scope(rule: SensorRule) -> list[str]:
    if not rule.topic:
        return [] if rule.kind is not None else ["needs topic, kind or both"]
    wrong = bad_pattern(rule.topic)
    return [f"topic: {wrong}"] if wrong else []


def _alarm(rule: SensorRule) -> list[str]:
    """What is wrong with how the alarm is told."""
    ways = [rule.state is not None, rule.above is not None, rule.below is not None, rule.moment]
    found = [] if sum(ways) == 1 else ["needs exactly one of state, above, below, moment"]
    if rule.state is not None:
        both = words_of(rule.active) & words_of(rule.inactive)
        if not rule.active or not rule.inactive:
            found.append("state: needs the values that mean active and those that mean inactive")
        if both:
            found.append(f"state: both active and inactive: {', '.join(sorted(map(str, both)))}")
    numbers = (rule.above, rule.below, rule.clear, rule.scale)
    if (
        any(number is not None and not math.isfinite(number) for number in numbers)
        or not rule.scale
    ):
        found.append("above, below, clear, scale: must be finite, and scale not 0")
    limited = rule.above is not None or rule.below is not None
    if limited and rule.value is None:
        found.append("value: a threshold needs a reading")
    found += _heightened(rule)
    if rule.clear is None:
        return found
    if not limited:
        found.append("clear: belongs to above or below")
    elif rule.clear > (rule.above if rule.above is not None else math.inf):
        found.append("clear: must not be above `above`")
    elif rule.clear < (rule.below if rule.below is not None else -math.inf):
        found.append("clear: must not be below `below`")
    return found


def _heightened(rule: SensorRule) -> list[str]:
    """What is wrong with the thresholds of a heightened posture: they tell sooner, never later."""
    found = []
    for name, routine, heightened, sign in (
        ("above", rule.above, rule.heightened_above, 1.0),
        ("below", rule.below, rule.heightened_below, -1.0),
    ):
        if heightened is None:
            continue
        if routine is None:
            found.append(f"heightened_{name}: belongs to {name}")
        elif not math.isfinite(heightened):
            found.append(f"heightened_{name}: must be finite")
        elif sign * (heightened - routine) > 0:
            found.append(f"heightened_{name}: must not be {name} `{name}`: it tells sooner")
    return found


def _pointers(rule: SensorRule) -> list[str]:
    named = [("state", rule.state), ("value", rule.value), ("id", rule.id), ("time", rule.time)]
    named += [(f"ignore.{n}.pointer", one.pointer) for n, one in enumerate(rule.ignore)]
    found = []
    for name, pointer in named:
        if pointer is None:
            continue
        if rule.payload is not Form.JSON and pointer:
            found.append(f"{name}: a plain payload has no parts; write an empty pointer")
        elif pointer and not pointer.startswith("/"):
            found.append(f"{name}: {pointer!r} is no JSON pointer: it begins with /")
        elif "~" in pointer.replace("~0", "").replace("~1", ""):
            found.append(f"{name}: {pointer!r} is no JSON pointer: ~ is written ~0")
    return found
