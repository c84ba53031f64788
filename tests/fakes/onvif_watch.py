"""The ONVIF check with a clock that a test can move."""

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pytest
from fakes.aiohttp_transport import AiohttpTransport
from fakes.leap_clock import LeapClock
from fakes.onvif_device import PASSWORD, USERNAME

from adapters.onvif import templates
from adapters.onvif.codec import Codec, Template, parse_templates
from adapters.onvif.http1 import Http1Transport
from adapters.onvif.probe import OnvifProbe
from adapters.onvif.transport import Keeping, Transport
from gateway.domain.camera import Device, DeviceId
from gateway.domain.observation import Answer, DeviceMemory, FaultCause, Instant, Step
from gateway.ports import Credential, ProbeContext, Secret


def credential(password: str = PASSWORD, username: str = USERNAME) -> Credential:
    """The district's credential, or a wrong one."""
    return Credential("district", username, Secret(password))


TRANSPORTS: dict[str, Callable[[float, Keeping], Transport]] = {
    "http1": Http1Transport,
    "aiohttp": AiohttpTransport,
}
chosen = ["http1"]
"""The HTTP client of every Watch; always named, so that a changed default cannot go unnoticed."""


@pytest.fixture(params=sorted(TRANSPORTS), autouse=True)
def each_transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """Imported by a test module, it runs each of its tests on every HTTP client."""
    before, chosen[0] = chosen[0], request.param
    yield request.param
    chosen[0] = before


@functools.cache
def made_once() -> dict[str, Template]:
    """The templates, made by zeep in this process: each test would start a child otherwise."""
    return parse_templates(json.dumps(templates.build()).encode())


@dataclass
class Watch:
    """`async with`: an OnvifProbe and its clock."""

    credentials: dict[str, Credential] = field(default_factory=lambda: {"district": credential()})
    memory: dict[DeviceId, DeviceMemory] = field(default_factory=dict)
    connect_s: float = 2.0
    check_s: float = 3.0
    options: dict[str, Any] = field(default_factory=dict)
    codec: Codec | None = None
    clock: LeapClock = field(default_factory=LeapClock)

    async def __aenter__(self) -> Self:
        context = ProbeContext(
            self.clock,
            self.credentials,
            connect_s=self.connect_s,
            check_s=self.check_s,
            memory=self.memory,
            **self.options,
        )
        transport = TRANSPORTS[chosen[0]](self.connect_s, Keeping(context.kept_limit))
        codec = self.codec or Codec(made_once())
        self.probe = OnvifProbe(context, transport=transport, codec=codec)
        assert self.probe._transport is transport
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.probe.close()

    async def reach(self, device: Device, limit_s: float = 3.0) -> Answer:
        """Step 1."""
        deadline = Instant(self.clock.now() + limit_s)
        return self._noted(device, await self.probe.check(device, Step.REACH, deadline))

    async def signed(self, device: Device, limit_s: float = 10.0) -> Answer:
        """Step 2; time enough for the templates on a busy machine."""
        deadline = Instant(self.clock.now() + limit_s)
        return self._noted(device, await self.probe.check(device, Step.SIGNED, deadline))

    def _noted(self, device: Device, answer: Answer) -> Answer:
        if answer.memory is not None:
            self.memory = {**self.memory, device.id: answer.memory}
        return answer


def causes(answer: Answer) -> set[FaultCause]:
    """What was found."""
    return {finding.cause for finding in answer.found}


def trace(answer: Answer) -> str:
    """The chain as text."""
    return "\n".join(f"{step.name} {step.ok} {step.detail}" for step in answer.chain)
