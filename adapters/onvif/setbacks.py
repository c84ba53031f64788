"""What follows when a subscription or a device fails: when it is looked at again, and what of it still holds.

Long enough alone, never a storm: a transport error waits a minute, faults in a row wait longer each, and what
needs a new subscription stands in the queue (quirk 26).
"""

import asyncio
import random
from typing import Final

import structlog

from adapters.onvif.http1 import Http1Transport
from adapters.onvif.logins import Logins
from adapters.onvif.pull_news import PullNews
from adapters.onvif.pull_point import Phase, PullPoint
from adapters.onvif.signing import Called
from adapters.onvif.turns import Turns
from adapters.onvif.ways import Ways
from gateway.metrics import PULLS
from gateway.ports.events import PullLimits

log = structlog.get_logger("sightline.pull")
_REBOOT_JITTER_S: Final = 3.0
_PAUSED_S: Final = 60.0
_STILL_STARTING: Final = 5
"""So many refusals in a row, in half an hour, may come from a device whose services are not all up yet."""


class Setbacks:
    """Decides about pull points that got no answer, or not the one that was asked for.

    Args:
        limits: see there.
        turns: when each is looked at again.
        transport: with one connection a device.
        logins: budget of refused logins.
        news: what is told to others.
        ways: how the events of each come.
    """

    def __init__(
        self,
        limits: PullLimits,
        turns: Turns,
        transport: Http1Transport,
        logins: Logins,
        news: PullNews,
        ways: Ways,
    ) -> None:
        self._limits = limits
        self._turns = turns
        self._transport = transport
        self._logins = logins
        self._news = news
        self._ways = ways

    def wait(self, point: PullPoint, seconds: float) -> None:
        """Leave it alone for so long."""
        self._turns.at(point, Phase.WAITING, asyncio.get_running_loop().time() + seconds)

    def lost(self, point: PullPoint) -> None:
        """No reply, or no connection."""
        PULLS.labels("lost").inc()
        # A reply may have been on its way, and is told once only; so is what was pushed meanwhile.
        point.missed = True
        self._news.live(point, live=False)
        self._transport.let_go(point.device.id)
        spread = 1.0 + 0.5 * random.random()  # noqa: S311 - spread, not a secret
        self.wait(point, self._limits.backoff_s * spread)

    def faulted(self, point: PullPoint, called: Called) -> None:
        """The subscription is not known there any more, or never worked."""
        PULLS.labels("fault").inc()
        was_good = point.good
        point.lose()
        self._news.note(point)
        if was_good:
            # Rebooted, or ended by somebody else (quirk 19): a new one, in its turn.
            point.failures = 0
            self.wait(point, random.random() * _REBOOT_JITTER_S)  # noqa: S311 - spread
            return
        log.debug("a pull was answered by a fault", device=point.device.id, detail=called.detail)
        self._news.live(point, live=False)
        self.retry_later(point)

    def paused(self, point: PullPoint) -> None:
        """Nothing may be signed now; looked at again soon, which costs the device nothing."""
        self._news.live(point, live=False)
        seconds = min(_PAUSED_S, self._logins.resumes_in_s(point.device.id) + 1.0)
        self.wait(point, max(_PAUSED_S / 4, seconds) * (1 + 0.25 * random.random()))  # noqa: S311

    def unsupported(self, point: PullPoint) -> None:
        """It refused the way that it was asked for."""
        if point.worked and point.failures < _STILL_STARTING:
            self.retry_later(point)
        elif self._ways.turn(point):
            self._turns.enqueue(point)
        else:
            self.wait(point, self._limits.no_service_s * (1 + 0.1 * random.random()))  # noqa: S311

    def retry_later(self, point: PullPoint) -> None:
        """One more failure: later each time."""
        point.failures += 1
        self.wait(point, point.backoff_s(self._limits.backoff_s, self._limits.backoff_most_s))

    def renounce(self, point: PullPoint) -> None:
        """Its subscription ended, or must not be used, or there is none: stand in the queue for another."""
        if point.where is not None:
            point.lose()
            self._news.note(point)
        self._turns.enqueue(point)

    def came_back(self, point: PullPoint, out_s: float) -> None:
        """It answers again, and was last seen not to answer `out_s` seconds ago.

        A device that rebooted has forgotten its subscriptions and counts from the start: the address of
        ours may be somebody else's by now, who would lose what we pull and whose life we would prolong
        (quirk 19). So the old one is neither used nor ended, whatever it answers; where only the network
        was cut, it runs out by itself. What was made since then is ours.
        """
        since = asyncio.get_running_loop().time() - out_s
        if point.where is None or point.since > since:
            return
        point.anew = point.missed = True
        if point.phase in (Phase.PULLING, Phase.PUSHING, Phase.WAITING):
            self._transport.let_go(point.device.id)
            self.renounce(point)
