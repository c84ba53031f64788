"""The deliverer: outbox => center, one loop a recipient, at least once, in order within an incident.

    commit -> wake -> due alerts => [compact] => sink => settled
                                        ^ rate, parallelism, `Reach` (is the center away?)

Nothing here makes a message or an id: what is sent is what was stored. A crash between sending and settling
sends the same id again, which receivers drop; a second id for one revision cannot come about.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog

from gateway.domain.alerting.heartbeat import heartbeat
from gateway.domain.alerting.retry import (
    Delivery,
    Reach,
    RetryRules,
    after_attempt,
    compact,
    may_send,
    reached,
)
from gateway.domain.alerting.rows import Alert, AlertState
from gateway.domain.observation import Instant
from gateway.errors import StoreUnavailable
from gateway.metrics import (
    DELIVERIES,
    DELIVERY_LATENCY_SECONDS,
    DELIVERY_OLDEST_SECONDS,
    DELIVERY_PENDING,
    HEARTBEATS,
    RECIPIENT_UP,
)
from gateway.ports import Clock, Store
from gateway.ports.events import AlertSink

log = structlog.get_logger("sightline.deliverer")
FETCH_PAUSE_S = 0.02
STORE_PAUSE_S = 1.0
FETCHED_MOST = 200
REVISIONS_MOST = 500
COUNTED_EVERY_S = 5.0
GRACE_S = 2.0
"""At the end: what is on its way may arrive, so that it need not be sent again."""


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """How fast and how patiently.

    Attributes:
        rate_per_s: messages a second, also when thousands have gathered.
        parallel: attempts at the same time, each of another incident.
        look_s: the outbox is looked at so often without being woken.
        heartbeat_s: a sign of life to the recipient so often.
        retry: when to try again.
    """

    rate_per_s: float = 50.0
    parallel: int = 8
    look_s: float = 2.0
    heartbeat_s: float = 60.0
    retry: RetryRules = field(default_factory=RetryRules)


DEFAULT_LIMITS = DeliveryLimits()


@dataclass(slots=True)
class Tally:
    """What a deliverer did since it started."""

    attempts: int = 0
    delivered: int = 0
    superseded: int = 0
    dead: int = 0
    heartbeats: int = 0
    last_delivered_at: datetime | None = None


class Deliverer:
    """Delivers the alerts of one recipient.

    Args:
        store: open.
        clock: the service's.
        recipient: by name, as in the outbox.
        sink: sends one message.
        limits: numbers.
        source: names the gateway in heartbeats.
        draw: numbers from [0, 1) for jitter.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        recipient: str,
        sink: AlertSink,
        limits: DeliveryLimits = DEFAULT_LIMITS,
        *,
        source: str,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.store = store
        self.clock = clock
        self.recipient = recipient
        self.sink = sink
        self.limits = limits
        self.source = source
        self.draw = draw
        self.tally = Tally()
        self.reach = Reach()
        self.pending = 0
        self.oldest_at: datetime | None = None
        self._woken = asyncio.Event()
        self._look = True
        self._ready: deque[Alert] = deque()
        self._on_way: dict[str, asyncio.Task[None]] = {}
        """By incident key: one message of each at a time keeps their order."""
        self._touched: set[str] = set()
        """Keys that ended while the outbox was being read: what was read of them is old."""
        self._unsettled: dict[str, Alert] = {}
        self._tokens = self._burst
        self._filled_at = clock.now()
        self._store_at = Instant(0.0)
        self._looks_at = Instant(0.0)
        self._counted_at: Instant | None = None

    def wake(self) -> None:
        """Alerts were committed: look at the outbox now."""
        self._look = True
        self._woken.set()

    def _now(self) -> datetime:
        return self.clock.utc(self.clock.now())

    @property
    def _burst(self) -> float:
        """Messages that may go out at once: a fifth of a second's worth."""
        return max(1.0, self.limits.rate_per_s / 5)

    @property
    def oldest_s(self) -> float:
        """Age of the oldest pending message, seconds; 0 = none."""
        return 0.0 if self.oldest_at is None else (self._now() - self.oldest_at).total_seconds()

    def report(self) -> dict[str, object]:
        """What it did and what waits."""
        return {
            "pending": self.pending,
            "oldest_pending_s": round(self.oldest_s, 1),
            "away": self.reach.away,
            "attempts": self.tally.attempts,
            "delivered": self.tally.delivered,
            "superseded": self.tally.superseded,
            "dead": self.tally.dead,
            "heartbeats": self.tally.heartbeats,
        }

    async def run(self) -> None:
        """Deliver until cancelled; what is on its way then gets a moment to arrive."""
        beat = asyncio.create_task(self._beat())
        try:
            while True:
                self._woken.clear()
                await self._rest(await self._round())
                if beat.done():
                    await beat
        finally:
            beat.cancel()
            await self._end()

    async def _end(self) -> None:
        tasks = list(self._on_way.values())
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self._settle_again()

    async def _rest(self, until: Instant) -> None:
        """Until woken, or until an instant."""
        if self._woken.is_set() or until <= self.clock.now():
            await asyncio.sleep(0)
            return
        woken = asyncio.create_task(self._woken.wait())
        slept = asyncio.create_task(_sleep(self.clock, until))
        try:
            await asyncio.wait({woken, slept}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            slept.cancel()

    # --- one round

    async def _round(self) -> Instant:
        """Send what may be sent now; returns when to look again at the latest."""
        now = self.clock.now()
        if now < self._store_at:
            return self._store_at
        try:
            await self._settle_again()
            await self._count(now)
            if self._look or now >= self._looks_at:
                await self._fetch()
            soonest = await self._send_ready()
        except StoreUnavailable as error:
            log.warning("the outbox waits for the store", reason=str(error))
            self._ready.clear()
            self._look = True
            self._store_at = Instant(self.clock.now() + STORE_PAUSE_S)
            return self._store_at
        return min(soonest, self._looks_at)

    async def _fetch(self) -> None:
        self._look = False
        self._touched = set(self._on_way)
        now = self._now()
        due = await self.store.events.due_alerts(self.recipient, now, FETCHED_MOST)
        held = self._touched | {alert.key for alert in self._unsettled.values()}
        self._ready = deque(alert for alert in due if alert.key not in held)
        full = len(due) >= FETCHED_MOST
        pause_s = FETCH_PAUSE_S if full and not self._ready else self.limits.look_s
        self._looks_at = Instant(self.clock.now() + pause_s)

    async def _send_ready(self) -> Instant:
        """Start attempts as far as rate, parallelism and the center's reach allow."""
        while True:
            now = self.clock.now()
            if not may_send(self.reach, len(self._on_way), now):
                return max(Instant(self.reach.wait_until_s), Instant(now + FETCH_PAUSE_S))
            if len(self._on_way) >= self.limits.parallel:
                return self._looks_at  # the end of any of them wakes us
            if not self._ready:
                return Instant(now + FETCH_PAUSE_S) if self._look else self._looks_at
            wait_s = self._take_token(now)
            if wait_s > 0:
                return Instant(now + wait_s)
            alert = await self._newest(self._ready.popleft())
            task = asyncio.create_task(self._attempt(alert), name=f"deliver {alert.id}")
            self._on_way[alert.key] = task
            task.add_done_callback(partial(self._ended, alert.key))

    def _take_token(self, now: Instant) -> float:
        """0 = go; else seconds until one may."""
        rate = self.limits.rate_per_s
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / rate
        self._tokens -= 1.0
        return 0.0

    async def _newest(self, alert: Alert) -> Alert:
        """What is to be sent for an incident; older revisions that wait with it are superseded.

        One that was planned just now has nothing behind it: updates come a minute apart.
        """
        age_s = (self._now() - alert.created_at).total_seconds()
        if alert.attempts == 0 and 0 <= age_s < self.limits.look_s:
            return alert
        pending = await self.store.events.alerts(
            key=alert.key,
            state=AlertState.PENDING,
            recipient=self.recipient,
            limit=REVISIONS_MOST,
        )
        if not pending:
            return alert
        newest, older = compact(pending)
        if older:
            await self.store.events.settle_alerts(older)
            self.tally.superseded += len(older)
            DELIVERIES.labels(self.recipient, "superseded").inc(len(older))
        return newest

    # --- one attempt

    async def _attempt(self, alert: Alert) -> None:
        began = self.clock.now()
        delivery = await self._send(alert)
        now = self.clock.now()
        rules = self.limits.retry
        was_away = self.reach.away
        self.reach = reached(self.reach, delivery, now, rules, self.draw())
        after = after_attempt(alert, delivery, self.reach, self._now(), rules, self.draw())
        self._tell(after, delivery, was_away=was_away)
        if alert.attempts == 0:
            late_s = (self.clock.utc(began) - alert.created_at).total_seconds()
            DELIVERY_LATENCY_SECONDS.labels(self.recipient).observe(max(0.0, late_s))
        self._unsettled[after.id] = after
        try:
            await self.store.events.settle_alerts([after])
        except StoreUnavailable as error:
            log.warning("a delivery waits to be settled", alert=after.id, reason=str(error))
        else:
            self._unsettled.pop(after.id, None)

    async def _send(self, alert: Alert) -> Delivery:
        try:
            return await self.sink.send(alert)
        except Exception as error:  # a defect of a sink must not stop the others' messages
            log.exception("sink failed", recipient=self.recipient, alert=alert.id)
            return Delivery(delivered=False, reason=f"sink failed: {type(error).__name__}")

    def _tell(self, after: Alert, delivery: Delivery, *, was_away: bool) -> None:
        outcome = "delivered" if delivery.delivered else "failed"
        self.tally.attempts += 1
        if delivery.delivered:
            self.tally.delivered += 1
            self.tally.last_delivered_at = after.delivered_at
        elif after.state is AlertState.DEAD:
            outcome = "dead"
            self.tally.dead += 1
            log.error("dead letter", alert=after.id, key=after.key, reason=after.reason)
        DELIVERIES.labels(self.recipient, outcome).inc()
        RECIPIENT_UP.labels(self.recipient).set(not self.reach.away)
        if was_away and not self.reach.away:
            log.info("the recipient answers again", recipient=self.recipient)
        elif self.reach.away and not was_away:
            log.warning("the recipient is away", recipient=self.recipient, reason=delivery.reason)

    def _ended(self, key: str, task: asyncio.Task[None]) -> None:
        del self._on_way[key]
        self._touched.add(key)
        if not task.cancelled() and task.exception() is not None:
            log.error("delivery failed", exc_info=task.exception())
        self.wake()

    async def _settle_again(self) -> None:
        """Write what could not be written; a delivered message must not go out again."""
        if self._unsettled:
            waiting = tuple(self._unsettled.values())
            await self.store.events.settle_alerts(waiting)
            for alert in waiting:
                if self._unsettled.get(alert.id) is alert:
                    del self._unsettled[alert.id]
            self._look = True

    async def _count(self, now: Instant) -> None:
        if self._counted_at is None or now >= self._counted_at + COUNTED_EVERY_S:
            self._counted_at = now
            self.pending, self.oldest_at = await self.store.events.pending_alerts(self.recipient)
            DELIVERY_PENDING.labels(self.recipient).set(self.pending)
            DELIVERY_OLDEST_SECONDS.labels(self.recipient).set(self.oldest_s)

    # --- the sign of life

    async def _beat(self) -> None:
        """Heartbeats: their absence alarms at the center. Not in the outbox: an old one says nothing."""
        while True:
            message = heartbeat(
                self.recipient,
                self.source,
                self._now(),
                number=self.tally.heartbeats + 1,
                every_s=self.limits.heartbeat_s,
                pending=self.pending,
                oldest_s=self.oldest_s,
                last_delivered_at=self.tally.last_delivered_at,
            )
            delivery = await self._send(message)
            self.tally.heartbeats += 1
            outcome = "delivered" if delivery.delivered else "failed"
            HEARTBEATS.labels(self.recipient, outcome).inc()
            if delivery.delivered and self.reach.away:  # it is back: feel for it with a message
                self.reach = Reach(self.reach.failures, self.clock.now(), away=True)
                self.wake()
            await self.clock.sleep_until(Instant(self.clock.now() + self.limits.heartbeat_s))

    async def close(self) -> None:
        """Let go of the sink."""
        await self.sink.close()


async def _sleep(clock: Clock, until: Instant) -> None:
    await clock.sleep_until(until)
