"""What the pulls tell others: events, that devices live, what was learned of them, where they are pulled."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from adapters.onvif.events import Translator
from adapters.onvif.identity import FINDINGS, TESTED
from adapters.onvif.logins import Logins
from adapters.onvif.probe import OnvifProbe
from adapters.onvif.pull_point import PullPoint, remember
from adapters.onvif.signing import MOVED_S, Called
from adapters.onvif.transport import Reply
from adapters.onvif.verdict import HALF_SECOND_S, SERVICE, WITH_CLOCK
from gateway.domain.camera import DeviceId
from gateway.domain.event import Event
from gateway.domain.observation import (
    Answer,
    FaultCause,
    Finding,
    Instant,
    Observation,
    Step,
    Verdict,
)
from gateway.errors import StoreUnavailable
from gateway.ports.events import PullContext

OBSERVED_EVERY_S: Final = 2.0
"""A device that answers more often than this is not told of each time."""
STORE_WAIT_S: Final = (0.5, 10.0)
"""First and longest wait for a store that does not answer."""
_TESTED: Final = WITH_CLOCK[SERVICE]


class PullNews:
    """Observations, references to remember, and which devices the check must not keep a line to.

    Attributes:
        unsaved: references that the store does not have yet; empty text = forget it.
    """

    def __init__(
        self,
        context: PullContext,
        logins: Logins,
        translator: Translator,
        probe: OnvifProbe | None,
    ) -> None:
        self._context = context
        self._clock = context.clock
        self._limits = context.limits
        self._every_s = min(OBSERVED_EVERY_S, context.limits.pull_s / 4)
        self._logins = logins
        self._translator = translator
        self._probe = probe
        self.unsaved: dict[DeviceId, str] = {}

    def heard(self, point: PullPoint, current: datetime | None, reply: Reply | None) -> None:
        """A pull was answered: the device lives; said as often as a check would say it."""
        point.failures = 0
        point.good = True
        self.live(point, live=True)
        now = self._clock.now()
        if current is None:
            return
        # The device wrote its time when it sent the reply, not when it was asked.
        late_s = HALF_SECOND_S + point.rtt_s / 2 + (0.0 if reply is None else reply.read_s)
        offset_s = (current - self._clock.utc(now)).total_seconds() + late_s
        if abs(offset_s) > self._limits.clock_limit_s:
            return  # a check says it better, and confirms it
        if point.offset_s is None or abs(offset_s - point.offset_s) <= MOVED_S:
            # It drifts. A jump is measured, unsigned, when a signature is refused for it.
            point.offset_s = offset_s
        if now - point.told_at < self._every_s:
            return
        point.told_at = now
        answer = Answer(
            Step.EVENT,
            Instant(now - max(point.rtt_s, 0.0)),
            now,
            Verdict.ANSWERED,
            tested=_TESTED,
            clock_offset_s=offset_s,
            memory=self._logins.news(point.device.id),
        )
        self._observe(point, answer)

    def login(self, point: PullPoint, called: Called) -> None:
        """Who presented a login and was refused says so as the signed check would.

        It may have spent the refusals that the check would have needed to find the same.
        """
        cause = FINDINGS.get(called.kind)
        if cause is None or cause is FaultCause.CLOCK:
            self.refused(point)
            return
        now = self._clock.now()
        answer = Answer(
            Step.SIGNED,
            now,
            now,
            Verdict.ANSWERED,
            tested=TESTED[called.kind],
            found=(Finding(cause, called.detail),),
            memory=self._logins.news(point.device.id),
        )
        self._observe(point, answer)

    def refused(self, point: PullPoint) -> None:
        """A refusal is told at once, so that a restart does not forget it; it says nothing else."""
        news = self._logins.news(point.device.id)
        if news is not None:
            now = self._clock.now()
            self._observe(point, Answer(Step.EVENT, now, now, Verdict.COULD_NOT_TELL, memory=news))

    def _observe(self, point: PullPoint, answer: Answer) -> None:
        device = point.device.id
        for camera in self._translator.channels.get(device, ()):
            self._context.observe(Observation(camera.id, device, answer))

    def live(self, point: PullPoint, *, live: bool) -> None:
        """Tell the check whether it may keep a connection of its own."""
        if point.live is not live:
            point.live = live
            if self._probe is not None:
                self._probe.pulled(point.device.id, live=live)

    def note(self, point: PullPoint) -> None:
        """Remember where a device is pulled now."""
        self.unsaved[point.device.id] = remember(point)

    async def store(self, events: Sequence[Event]) -> None:
        """Deliver until it is stored."""
        wait_s, most_s = STORE_WAIT_S
        while True:
            try:
                await self._context.deliver(events)
            except StoreUnavailable:
                await asyncio.sleep(wait_s * (1 + random.random()))  # noqa: S311 - spread
                wait_s = min(most_s, wait_s * 2)
            else:
                return

    async def save(self) -> None:
        """Write references as they come, until cancelled."""
        while True:
            await asyncio.sleep(0.5)
            try:
                await self.save_all()
            except StoreUnavailable:
                await asyncio.sleep(STORE_WAIT_S[1])

    async def save_all(self) -> None:
        """Write what is not written; raises `StoreUnavailable`, and keeps the rest."""
        while self.unsaved:
            device = next(iter(self.unsaved))
            text = self.unsaved[device]
            await self._context.save_subscription(device, text)
            if self.unsaved.get(device) == text:
                del self.unsaved[device]
