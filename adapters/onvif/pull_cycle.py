"""What happens to one pull point, from its turn in the queue to its next pull.

    queue -> create -> pull -> reply -> events -> deliver -> pull ...
                        ^  |                        |
                        |  +-> nothing new ---------+-> observe (the device lives)
                        +- renew (80 % of its life), prove (after a refusal), wait (after trouble)

Short calls (`subscribing.py`) are tasks of a second; a pull that waits is none.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from adapters.dial import Trouble
from adapters.onvif import auth
from adapters.onvif import event_calls as calls
from adapters.onvif.events import Translator
from adapters.onvif.http1 import Http1Transport
from adapters.onvif.logins import Logins
from adapters.onvif.notifications import EmptyPulls, read_notifications, times
from adapters.onvif.pull_news import PullNews
from adapters.onvif.pull_point import NEVER, QUICK_S, Phase, PullPoint
from adapters.onvif.pull_tasks import PullTasks
from adapters.onvif.setbacks import Setbacks
from adapters.onvif.signing import REFUSALS, Called, Kind, ended
from adapters.onvif.subscribing import Subscribing
from adapters.onvif.transport import NoReply, Reply
from adapters.onvif.turns import Turns
from adapters.onvif.ways import Ways
from gateway.domain.camera import Device, DeviceId
from gateway.domain.event import Event
from gateway.domain.observation import AuthScheme
from gateway.metrics import PULLS, SUBSCRIBES
from gateway.ports.events import PullContext

AFTER_MESSAGES_S: Final = 0.25
"""Messages that come one by one are fetched together."""
_OK: Final = 200
_OUTCOMES: Final = {
    Kind.GOOD: "good",
    Kind.UNSUPPORTED: "unsupported",
    Kind.LOST: "lost",
    Kind.PAUSED: "refused",
} | dict.fromkeys(REFUSALS, "refused")


class PullCycle:
    """Moves pull points on. One owner: the source, whose parts it works on.

    Args:
        context: clock, limits and where events go.
        points: all of them; who is not there any more is let go.
        turns: when each is looked at again.
        transport: with one connection a device.
        logins: budget of refused logins.
        translator: messages to events.
        news: what is told to others.
        ways: how the events of each come.

    Attributes:
        short: the short calls.
        tasks: those under way.
        setbacks: what follows when something fails.
        closing: no more pulls.
    """

    def __init__(
        self,
        context: PullContext,
        points: Mapping[DeviceId, PullPoint],
        turns: Turns,
        transport: Http1Transport,
        logins: Logins,
        translator: Translator,
        news: PullNews,
        ways: Ways,
    ) -> None:
        self._clock = context.clock
        self._limits = context.limits
        self._points = points
        self._turns = turns
        self._transport = transport
        self._logins = logins
        self._translator = translator
        self._news = news
        self._empty = EmptyPulls()
        self._body = calls.pull(self._limits.pull_s, self._limits.messages)
        self.short = Subscribing(transport, logins, self._limits)
        self.tasks = PullTasks()
        self.setbacks = Setbacks(self._limits, turns, transport, logins, news, ways)
        self.closing = False

    def act(self, point: PullPoint, now: float) -> None:
        """Its time has come."""
        if point.phase is Phase.PULLING:
            self._transport.give_up(point.device.id)
        elif point.where is None or point.anew or now > point.ends_at > 0:
            self.setbacks.renounce(point)
        else:
            self._pull(point)

    def begin(self, point: PullPoint) -> None:
        """Its turn in the queue came: with a remembered subscription try that one first."""
        if point.anew:
            point.lose()
        if point.where is None:
            self._busy(point, self._create(point))
        elif point.consumer:
            self._busy(point, self._renew(point))
        else:
            self._busy(point, self._prove(point))

    def _busy(self, point: PullPoint, work: Coroutine[Any, Any, None]) -> None:
        point.phase = Phase.BUSY
        point.due = NEVER
        self.tasks.spawn(work)

    def utc(self) -> datetime:
        """Now."""
        return self._clock.utc(self._clock.now())

    # --- one pull

    def _pull(self, point: PullPoint) -> None:
        """Send the next pull, without a task where that can be."""
        loop = asyncio.get_running_loop()
        device = point.device
        if self.closing or self._points.get(device.id) is not point:
            return
        if point.anew:
            self.setbacks.renounce(point)
            return
        if point.consumer:
            self._await_pushes(point)
            return
        credential = self._logins.credential(device)
        if credential is None or not self._logins.known_good(device.id, credential):
            self._busy(point, self._prove(point))
            return
        now = loop.time()
        if point.good and point.renews and now >= point.renew_at:
            self._busy(point, self._renew(point))
            return
        if point.asks_state:
            self._busy(point, self._synchronize(point))
            return
        digest = self._logins.of(device.id).scheme is AuthScheme.DIGEST
        if digest and point.challenge is None:
            self._busy(point, self._pull_awaited(point))
            return
        path, body, headers = self.short.written(point, credential, self._body, digest=digest)
        if not self._transport.ask(device, path, body, headers, self._replied):
            self._busy(point, self._connect(point))
            return
        if point.challenge is not None:
            # Used by being sent: a device that hangs up without a reply has counted it, and refuses the
            # same count again.
            point.challenge = None if point.single_use else point.challenge.used
        point.sent_at = now
        self._turns.at(point, Phase.PULLING, now + self._limits.pull_s + self._limits.grace_s)

    def _await_pushes(self, point: PullPoint) -> None:
        """It pushes: nothing to do, and no connection to hold, until its subscription is renewed."""
        self._transport.let_go(point.device.id)
        point.good = True
        point.failures = 0
        if point.renew_at > asyncio.get_running_loop().time():
            self._turns.at(point, Phase.PUSHING, point.renew_at)
        else:
            self._busy(point, self._renew(point))

    async def _connect(self, point: PullPoint) -> None:
        limit = asyncio.get_running_loop().time() + self._limits.connect_s
        failed = await self._transport.connect(point.device, limit)
        if self._points.get(point.device.id) is not point:
            self._transport.let_go(point.device.id)
        elif failed is None:
            self._pull(point)
        else:
            self.setbacks.lost(point)

    def _replied(self, device: Device, outcome: Reply | NoReply) -> None:
        """A pull ended."""
        point = self._points.get(device.id)
        if point is None or point.phase is not Phase.PULLING:
            return
        now = asyncio.get_running_loop().time()
        if isinstance(outcome, NoReply):
            self._unanswered(point, outcome, now)
        elif outcome.status == _OK and outcome.flaw is None and self._empty.is_known(outcome.body):
            self._news.heard(point, self._empty.current(outcome.body), outcome)
            self._tell_again(point)
            self._emptied(point, now)
        else:
            self._take(point, ended(outcome), outcome, now)

    async def _pull_awaited(self, point: PullPoint) -> None:
        """For Digest without a challenge at hand."""
        asked = await self.short.challenge(point)
        if self._points.get(point.device.id) is not point:
            return
        if asked is not None:
            point.challenge = asked
            self._pull(point)
            return
        loop = asyncio.get_running_loop()
        point.sent_at = loop.time()
        called = await self.short.pull_awaited(point)
        if self._points.get(point.device.id) is point:
            self._take(point, called, None, loop.time())

    def _unanswered(self, point: PullPoint, outcome: NoReply, now: float) -> None:
        """The connection ended, or the time did, without a reply."""
        if outcome.trouble is not Trouble.CLOSED:
            self.setbacks.lost(point)
            return
        # Some close a pull after ten seconds, whatever was asked: as good as empty (quirk 24).
        PULLS.labels("closed").inc()
        if now - point.sent_at >= QUICK_S:
            point.quick = 0
            self._pull(point)
            return
        pause_s = point.pause_after_quick()
        if point.keeps_hanging_up:
            self.setbacks.lost(point)
        else:
            self.setbacks.wait(point, 0.0 if point.quick == 1 else pause_s)

    def _take(self, point: PullPoint, called: Called, reply: Reply | None, now: float) -> None:
        """A reply that is not one of the known empty ones."""
        if called.kind is Kind.LOST:
            self.setbacks.lost(point)
        elif called.kind is Kind.PAUSED:
            self.setbacks.paused(point)
        elif called.kind in REFUSALS:
            self._refused(point, called, reply)
        elif called.kind is not Kind.GOOD or called.soap is None:
            self.setbacks.faulted(point, called)
        elif called.soap.name != "PullMessagesResponse":
            self.setbacks.faulted(point, Called(Kind.UNUSABLE, called.soap.name[:60]))
        else:
            told = times(called.soap.content)
            if not point.renews and told.life_s is not None:
                point.ends_at = now + told.life_s  # pulling may prolong it (quirk 21)
            notes = read_notifications(called.soap.content)
            self._news.heard(point, told.current, reply)
            self._tell_again(point)
            if not notes:
                if reply is not None and not called.soap.mended and reply.flaw is None:
                    self._empty.learn(reply.body)
                self._emptied(point, now)
                return
            PULLS.labels("messages").inc()
            point.quick = 0
            events = self._translator.translate(point.device.id, notes, self.utc(), now)
            full = len(notes) >= self._limits.messages
            self._busy(point, self._deliver(point, events, 0.0 if full else AFTER_MESSAGES_S))

    def _tell_again(self, point: PullPoint) -> None:
        """After a good pull only: who returned with another password must be found by what asks for it."""
        if point.missed and point.synchronizes:
            point.asks_state = not point.renews
            if point.renews:
                point.renew_at = 0.0  # the renewal asks for the present state too

    def _emptied(self, point: PullPoint, now: float) -> None:
        PULLS.labels("empty").inc()
        if now - point.sent_at >= min(QUICK_S, self._limits.pull_s / 2):
            point.quick = 0
            self._pull(point)
        else:
            self.setbacks.wait(point, point.pause_after_quick())

    async def _deliver(self, point: PullPoint, events: Sequence[Event], pause_s: float) -> None:
        """Store what was told, then pull on: a device is not asked for more than can be kept."""
        try:
            if events:
                await self._news.store(events)
        except asyncio.CancelledError:  # the loop is begun anew, and the device has told it
            self._translator.doubt(events)
            point.missed = True
            raise
        if self._points.get(point.device.id) is point:
            self.setbacks.wait(point, pause_s)

    # --- what went wrong

    def _refused(self, point: PullPoint, called: Called, reply: Reply | None) -> None:
        """A login that was good is refused: find out why, within the budget."""
        PULLS.labels("refused").inc()
        if reply is not None:
            asked = auth.challenge(reply.challenges)
            if point.challenge is None or asked is None or not asked.stale:
                self._logins.count_refusal(point.device.id)
            if point.challenge is not None and asked is not None and not asked.stale:
                # A used nonce refused without `stale`: one a request (quirk 7).
                point.single_use = True
            point.challenge = None
            self._news.refused(point)
            self._busy(point, self._prove(point))
        else:
            self._news.login(point, called)
            self.setbacks.paused(point)

    # --- short calls

    async def _create(self, point: PullPoint) -> None:
        called = await self.short.create(point)
        if self._points.get(point.device.id) is not point:
            return
        SUBSCRIBES.labels(_OUTCOMES.get(called.kind, "fault")).inc()
        if called.kind is Kind.GOOD:
            self._news.note(point)
            self._pull(point)
        elif called.kind in (Kind.PAUSED, *REFUSALS):
            self._news.login(point, called)
            self.setbacks.paused(point)
        elif called.kind is Kind.LOST:
            self.setbacks.lost(point)
        elif called.kind is Kind.UNSUPPORTED:
            self.setbacks.unsupported(point)
        else:
            self.setbacks.retry_later(point)

    async def _prove(self, point: PullPoint) -> None:
        point.sent_at = NEVER
        called = await self.short.prove(point)
        if self._points.get(point.device.id) is point:
            self._take(point, called, None, asyncio.get_running_loop().time())

    async def _renew(self, point: PullPoint) -> None:
        called = await self.short.renew(point)
        if self._points.get(point.device.id) is not point:
            return
        if called.kind is Kind.LOST:
            self.setbacks.lost(point)
        elif called.kind in (Kind.PAUSED, *REFUSALS):
            self._news.refused(point)
            self.setbacks.paused(point)
        elif point.consumer and called.kind is not Kind.GOOD:
            self.setbacks.faulted(point, called)
        else:
            self._pull(point)

    async def _synchronize(self, point: PullPoint) -> None:
        """Have it tell its present state; whatever else comes of it, the next pull finds out."""
        called = await self.short.synchronize(point)
        if self._points.get(point.device.id) is not point:
            return
        if called.kind is Kind.LOST:
            self.setbacks.lost(point)
        else:
            self._pull(point)
