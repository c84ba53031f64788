"""The event source against devices of a test: what it delivers, observes and remembers."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from fakes.leap_clock import LeapClock

from adapters.onvif.pull import OnvifPullSource
from gateway.domain.camera import Camera, Device, DeviceId
from gateway.domain.event import Event, EventKind
from gateway.domain.observation import Observation
from gateway.ports import Credential, Secret
from gateway.ports.events import PullContext, PullLimits

QUICK = PullLimits(
    pull_s=0.6, grace_s=1.0, life_s=60.0, creations_per_s=200.0, backoff_s=0.4, backoff_most_s=2.0,
    no_service_s=1.0, connect_s=1.0, call_s=2.0, close_s=3.0,
)  # fmt: skip


@dataclass
class Pulling:
    """`async with`: a source that runs."""

    devices: Sequence[Device]
    channels: Mapping[DeviceId, Sequence[Camera]] = field(default_factory=dict)
    limits: PullLimits = QUICK
    password: str = "A1b2-secret"
    subscriptions: dict[DeviceId, str] = field(default_factory=dict)
    deliver: Callable[[Sequence[Event]], Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    clock: LeapClock = field(default_factory=LeapClock)
    events: list[Event] = field(default_factory=list)
    observed: list[Observation] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        async def stored(events: Sequence[Event]) -> None:
            if self.deliver is not None:
                await self.deliver(events)
            self.events.extend(events)

        async def save(device: DeviceId, reference: str) -> None:
            self.subscriptions[device] = reference

        credential = Credential("district", "admin", Secret(self.password))
        context = PullContext(
            self.clock,
            {"district": credential},
            {device.id: device for device in self.devices},
            self.channels,
            stored,
            self.observed.append,
            save,
            dict(self.subscriptions),
            self.limits,
        )
        self.source = OnvifPullSource(replace(context, **self.options))
        self.task = asyncio.create_task(self.source.run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
        await self.source.close()

    async def stop(self) -> None:
        """End the loop, as a supervisor would."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def kinds(self) -> list[tuple[EventKind, bool | None]]:
        """Kind and state of what was delivered."""
        return [(event.kind, event.active) for event in self.events]


async def until(found: Callable[[], object], limit_s: float = 10.0) -> None:
    """Return when something holds; fail when it does not in time."""
    async with asyncio.timeout(limit_s):
        while not found():  # noqa: ASYNC110 - anything may make it so
            await asyncio.sleep(0.02)
