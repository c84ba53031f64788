"""One device's pull point: where it is, what it does now, and what was learned of it. No I/O.

Twelve thousand of them live at once: plain slots, no task and no timer each.
"""

import json
import random
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from adapters.onvif.addressing import Subscription
from adapters.onvif.auth import Challenge
from gateway.domain.camera import Device

NEVER: Final = float("-inf")
LIFE_LEAST_S: Final = 60.0
"""A device that tells a shorter life is not believed (unless it was asked for one)."""
RENEW_SHARE: Final = 0.8
RENEW_JITTER: Final = 0.1
QUICK_S: Final = 1.0
"""A pull that ends so soon with nothing did not wait."""
_QUICK_PAUSE_S: Final = 0.75
_QUICK_MOST_S: Final = 5.0
_QUICK_LOST: Final = 4
"""So many connections in a row that are closed at once: not a short pull any more."""
_LONGEST_REFERENCE: Final = 8192


class Phase(StrEnum):
    """What a pull point does now."""

    QUEUED = "queued"
    """Waits for its turn to be created or tried anew."""
    BUSY = "busy"
    """A short call is under way, or its events are being stored."""
    PULLING = "pulling"
    PUSHING = "pushing"
    """Subscribed, and tells by itself: looked at when it is to be renewed."""
    WAITING = "waiting"


@dataclass(slots=True)
class PullPoint:
    """State of one device's subscription; times are seconds of the loop.

    Attributes:
        due: when to look at it next (`PULLING`: when the reply is overdue).
        where: the subscription; None = there is none.
        event_path: path of the event service, empty = not asked yet.
        offset_s: device clock minus ours.
        rtt_s: round trip of the last short call.
        failures: faults and refusals in a row, for the back-off.
        quick: ends without waiting in a row.
        since: when the subscription was created; that of before a restart is older than anything.
        anew: it must not be used any more, whatever it answers (quirk 19).
        good: a pull was answered since the subscription was created.
        absolute: the device needs times of its own clock instead of durations (quirk 22).
        renews: it has not refused to renew (quirk 21).
        challenge: for Digest: what the next request answers to, without being asked first.
        consumer: where the device pushes its events; empty = it is pulled.
        missed: it may have told what nobody heard: it is to tell its present state again.
        asks_state: it answered a pull after that, and cannot renew: it is asked with the next call.
        synchronizes: it has not refused to do so (quirk 27).
        wanted: the consumer that it was to have; another one = it could not push and is pulled, or the
            other way round.
        worked: its way was good once: a refusal may be that of a device that is still starting.
        single_use: it issues a nonce a request (quirk 7): each pull is asked for one.
    """

    device: Device
    phase: Phase = Phase.QUEUED
    due: float = NEVER
    where: Subscription | None = None
    event_path: str = ""
    offset_s: float | None = None
    rtt_s: float = 0.0
    renew_at: float = 0.0
    ends_at: float = 0.0
    sent_at: float = 0.0
    told_at: float = NEVER
    since: float = NEVER
    anew: bool = False
    failures: int = 0
    quick: int = 0
    good: bool = False
    live: bool = False
    absolute: bool = False
    renews: bool = True
    challenge: Challenge | None = None
    single_use: bool = False
    missed: bool = False
    asks_state: bool = False
    synchronizes: bool = True
    consumer: str = ""
    wanted: str = ""
    worked: bool = False

    @property
    def base(self) -> str:
        """Scheme, host and port: the registered ones, whatever the device says."""
        device = self.device
        host = f"[{device.host}]" if ":" in device.host else device.host
        return f"{'https' if device.tls else 'http'}://{host}:{device.port}"

    def lives(self, told_s: float | None, asked_s: float, now: float) -> None:
        """The device said how long the subscription lives (None: it did not)."""
        # Short for a duration that was misread: renewed soon, with a time. Short again: not believed.
        misread = told_s is not None and told_s < asked_s / 2 and not self.absolute
        least = 0.0 if misread else min(LIFE_LEAST_S, asked_s)
        life_s = asked_s if told_s is None else max(told_s, least)
        self.absolute |= misread
        self.ends_at = now + life_s
        share = RENEW_SHARE - random.random() * RENEW_JITTER  # noqa: S311 - spread, not a secret
        self.renew_at = now + life_s * share

    def pause_after_quick(self) -> float:
        """Seconds to wait after an empty pull that came at once; grows with each."""
        self.quick += 1
        return min(_QUICK_MOST_S, _QUICK_PAUSE_S * 2.0 ** (self.quick - 1))

    @property
    def keeps_hanging_up(self) -> bool:
        """Its connections are closed at once, again and again."""
        return self.quick >= _QUICK_LOST

    def lose(self) -> None:
        """The subscription is gone: nothing of it holds."""
        self.worked |= self.good
        self.where = None
        self.since = NEVER
        self.anew = False
        self.good = False
        self.asks_state = False
        self.challenge = None

    def backoff_s(self, first_s: float, most_s: float) -> float:
        """Seconds until the next try after `failures` in a row, with jitter (quirk 26)."""
        step = min(most_s, first_s * 2.0 ** max(0, min(self.failures, 12) - 1))
        return step * (1.0 + 0.25 * random.random())  # noqa: S311 - spread, not a secret


def remember(point: PullPoint) -> str:
    """The reference as JSON text, to be reused after a restart; empty = none."""
    if point.where is None:
        return ""
    text = json.dumps(
        {
            "path": point.where.path,
            "parameters": [p.decode("utf-8", "replace") for p in point.where.parameters],
            "events": point.event_path,
            "consumer": point.consumer,
            "synchronizes": point.synchronizes,
        }
    )
    return text if len(text) <= _LONGEST_REFERENCE else ""


def recall(device: Device, text: str, consumer: str = "", instead: str = "") -> PullPoint:
    """A pull point as it was before the restart; a text that is none gives one without.

    Args:
        device: whose it is.
        text: what `remember` gave.
        consumer: where the device is to push; empty = it is to be pulled.
        instead: where it may push if it cannot be pulled.
    """
    point = PullPoint(device, consumer=consumer, wanted=consumer)
    try:
        held = json.loads(text) if text else {}
        path, parameters = held["path"], held["parameters"]
        had = held.get("consumer", "")
        if had != consumer and (consumer or had != instead):
            return point
        point.consumer = had
        events = held.get("events", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return point
    if isinstance(path, str) and path.startswith("/") and isinstance(parameters, list):
        point.where = Subscription(path, tuple(str(p).encode() for p in parameters))
        point.event_path = sys.intern(str(events))
        point.good = True
        point.missed = True
        point.synchronizes = held.get("synchronizes") is not False
    return point
