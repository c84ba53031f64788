"""The event source of the whole fleet: one pull point a device, one long poll on each, one loop for all.

A pull that waits costs a connection and a `PullPoint`: no task, no timer, no parser. What is due stands in
one heap, looked at every `TICK_S`. What happens to one point is `pull_cycle.py`.
docs/adr/0010 tells what was measured.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog

from adapters.onvif import budget
from adapters.onvif.events import Translator
from adapters.onvif.http1 import Http1Transport
from adapters.onvif.logins import Logins
from adapters.onvif.probe import OnvifProbe
from adapters.onvif.pull_cycle import PullCycle
from adapters.onvif.pull_news import PullNews
from adapters.onvif.pull_point import Phase, PullPoint
from adapters.onvif.push import PushDoor
from adapters.onvif.signing import Kind
from adapters.onvif.topics import read_topics
from adapters.onvif.transport import Keeping
from adapters.onvif.turns import Turns
from adapters.onvif.ways import Ways
from gateway.domain.camera import Camera, DeviceId
from gateway.errors import StoreUnavailable
from gateway.metrics import PULL_POINTS
from gateway.ports.events import DevicesToPull, PullContext

log = structlog.get_logger("sightline.pull")
TICK_S: Final = 0.05
KEPT: Final = 20_000
"""Connections of pulls, at most: as many as there may be devices."""
_METRICS_EVERY: Final = 40
_CLOSING: Final = 100


class OnvifPullSource:
    """`EventSourcePort` for ONVIF pull points. Group `sightline.event_sources`, name `onvif_pull`.

    Args:
        context: clock, credentials, devices and where events go.
    """

    def __init__(self, context: PullContext) -> None:
        self._context = context
        self._push = context.push
        self._clock = context.clock
        self._limits = context.limits
        self._probe = context.probe if isinstance(context.probe, OnvifProbe) else None
        self._logins = (
            self._probe.logins
            if self._probe is not None
            else Logins(context.clock, context.credentials, {}, budget.Breaker())
        )
        self._transport = Http1Transport(self._limits.connect_s, Keeping(KEPT))
        door = context.door if isinstance(context.door, PushDoor) else None
        states = None if door is None else door.states
        self._translator = Translator(read_topics(), context.channels, states=states)
        self._ways = Ways(door, context.may_push)
        self._points: dict[DeviceId, PullPoint] = {}
        self._turns = Turns(self._points, self._limits.creations_per_s)
        self._news = PullNews(context, self._logins, self._translator, self._probe)
        self._cycle = PullCycle(
            context, self._points, self._turns, self._transport, self._logins, self._translator,
            self._news, self._ways,
        )  # fmt: skip
        if context.signals:
            known = (event for event in context.signals if event.device in context.devices)
            self._translator.stand(known, asyncio.get_running_loop().time())
        for device in context.devices.values():
            text = context.subscriptions.get(device.id, "")
            self._add(self._ways.begin(device, self._push.get(device.id, ""), text))

    # --- what others see

    @property
    def pulling(self) -> int:
        """Pulls that wait at a device now."""
        return self._transport.asked

    def states(self) -> dict[str, int]:
        """Pull points by what they do."""
        counted = Counter(point.phase for point in self._points.values())
        return {phase.value: counted[phase] for phase in Phase}

    def devices_changed(
        self,
        devices: DevicesToPull,
        channels: Mapping[DeviceId, Sequence[Camera]],
        push: Mapping[DeviceId, str] | None = None,
    ) -> None:
        """Another archive: subscribe at these devices from now on. Those that stay keep theirs.

        Args:
            devices: to pull, or to be pushed by.
            channels: of each device in use.
            push: consumer addresses of those that are to push; None = as before.
        """
        self._translator.channels = channels
        self._push = self._push if push is None else push
        for gone in self._points.keys() - devices.keys():
            self._drop(gone)
            self._translator.forget(gone)
        for device in devices.values():
            point = self._points.get(device.id)
            consumer = self._push.get(device.id, "")
            if point is not None and point.device == device and point.wanted == consumer:
                continue
            if point is not None:  # what stands there is told again on its new way
                self._drop(device.id)
            self._add(self._ways.begin(device, consumer))

    def came_back(self, device: DeviceId, last_failed_at: datetime) -> None:
        """It answers again after an outage, whose last failed check began then (UTC)."""
        point = self._points.get(device)
        if point is not None:
            self._cycle.setbacks.came_back(
                point, (self._cycle.utc() - last_failed_at).total_seconds()
            )

    # --- EventSourcePort

    async def run(self) -> None:
        """Pull until cancelled."""
        self._cycle.tasks.spawn(self._news.save())
        self._resume()
        turns = 0
        try:
            while True:
                await asyncio.sleep(TICK_S)
                self.step(asyncio.get_running_loop().time())
                turns += 1
                if turns % _METRICS_EVERY == 0:
                    for state, count in self.states().items():
                        PULL_POINTS.labels(state).set(count)
        finally:
            await self._cycle.tasks.cancel()

    async def close(self) -> None:
        """Unsubscribe what there is time for; the rest stays remembered, and is reused."""
        self._cycle.closing = True
        for device in self._points:
            self._transport.let_go(device)
        slots = asyncio.Semaphore(_CLOSING)

        async def end(point: PullPoint) -> None:
            async with slots:
                called = await self._cycle.short.unsubscribe(point)
                if called.kind is not Kind.LOST:
                    point.lose()
                    self._news.unsaved[point.device.id] = ""

        standing = [p for p in self._points.values() if p.where is not None and not p.anew]
        standing.sort(key=lambda point: not point.live)
        try:
            async with asyncio.timeout(self._limits.close_s):
                await asyncio.gather(*(end(point) for point in standing))
        except TimeoutError:
            log.info("not all pull points were ended in time", left=len(standing))
        try:
            async with asyncio.timeout(2.0):
                await self._news.save_all()
        except (TimeoutError, StoreUnavailable):
            log.info("what was unsubscribed could not be noted", left=len(self._news.unsaved))
        await self._transport.close()

    # --- the loop

    def step(self, now: float) -> None:
        """Do what is due."""
        for point in self._turns.due(now):
            self._cycle.act(point, now)
        for point in self._turns.begun(now):
            self._cycle.begin(point)
        aged = self._translator.age(now, self._cycle.utc())
        if aged:
            self._cycle.tasks.spawn(self._news.store(aged))

    def _add(self, point: PullPoint) -> None:
        self._points[point.device.id] = point
        self._turns.enqueue(point)

    def _drop(self, device: DeviceId) -> None:
        point = self._points.pop(device)
        self._ways.end(point)
        self._news.live(point, live=False)
        self._transport.forget(device)
        if point.where is not None:
            self._news.unsaved[device] = ""

    def _resume(self) -> None:
        """After a restart of the loop: what was under way begins anew."""
        self._cycle.closing = False
        for point in self._points.values():
            if point.phase is Phase.BUSY:
                self._turns.enqueue(point)
