"""What the web application is given: the one place where it touches the rest of the service."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.camera import ChannelId
from gateway.domain.observation import Answer
from gateway.ports import Clock, Store
from gateway.projection import Projection
from gateway.settings import Settings


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
        stats: what the service measures of itself (see runtime/stats.py).
        progress_age_s: seconds since the judge last finished a batch (for /livez and the watchdog).
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
