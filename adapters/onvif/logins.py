"""What is known of each device's login, and the one budget of refusals that all who sign share.

The check and the event source both sign: a device counts refused logins whoever caused them, so what
was refused, what worked and which credential sets are stopped stands here once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from adapters.onvif import budget
from adapters.onvif.codec import Template
from adapters.onvif.signing import Signer
from adapters.onvif.transport import Transport
from gateway.domain.camera import Device, DeviceId
from gateway.domain.observation import DeviceMemory
from gateway.ports import Clock, Credential

_NOTHING = DeviceMemory()


class Logins:
    """Memory, budget and breaker of signing, by device and by credential set.

    Args:
        clock: the service's clock.
        credentials: credential sets by name, looked up each time.
        memory: what was learned before a restart.
        breaker: stops a set that many devices refuse.
    """

    def __init__(
        self,
        clock: Clock,
        credentials: Mapping[str, Credential],
        memory: Mapping[DeviceId, DeviceMemory],
        breaker: budget.Breaker,
    ) -> None:
        self._clock = clock
        self._credentials = credentials
        self.breaker = breaker
        self._memory: dict[DeviceId, DeviceMemory] = dict(memory)
        self._told: dict[DeviceId, DeviceMemory] = dict(memory)
        self._tags: dict[Credential, str] = {}
        self._turns: dict[DeviceId, tuple[asyncio.Lock, int]] = {}

    @property
    def open_breakers(self) -> frozenset[str]:
        """Names of the credential sets with which nothing is signed now."""
        return self.breaker.open_sets(self._clock.now())

    def credential(self, device: Device) -> Credential | None:
        """The credential that the archive names for a device."""
        return self._credentials.get(device.credential_set)

    def of(self, device: DeviceId) -> DeviceMemory:
        """What is known of a device."""
        return self._memory.get(device, _NOTHING)

    async def tag(self, credential: Credential) -> str:
        """Which credential it is; the slow hash runs once a credential, off the loop."""
        tag = self._tags.get(credential)
        if tag is None:
            tag = await asyncio.to_thread(budget.secret_tag, credential)
            self._tags[credential] = tag
        return tag

    def paused(self, device: DeviceId, credential: Credential, tag: str) -> str:
        """Why nothing may be signed now, or an empty string; brings the memory up to date."""
        now_s = self.utc().timestamp()
        memory = self._memory[device] = budget.current(self.of(device), tag, now_s)
        if self.breaker.is_open(credential.name, tag, self._clock.now()):
            return f"breaker open: many devices refuse the credential set {credential.name}"
        if not budget.may_sign(memory):
            wait_s = timedelta(seconds=int(budget.resumes_at(memory) - now_s))
            return f"signing is paused for {wait_s} after {budget.REFUSALS} refused logins"
        return ""

    def known_good(self, device: DeviceId, credential: Credential) -> bool:
        """This very credential worked here before, and nothing forbids to use it now."""
        memory, tag = self.of(device), self._tags.get(credential)
        return (
            tag is not None
            and memory.secret_tag == tag
            and memory.scheme is not None
            and budget.may_sign(memory)
            and not self.breaker.is_open(credential.name, tag, self._clock.now())
        )

    def resumes_in_s(self, device: DeviceId) -> float:
        """Seconds until one more refusal would be within the budget of the device."""
        memory = self.of(device)
        if budget.may_sign(memory):
            return 0.0
        return max(0.0, budget.resumes_at(memory) - self.utc().timestamp())

    def count_refusal(self, device: DeviceId) -> None:
        """A request with a credential was refused, outside a `Signer`."""
        self._memory[device] = budget.refused(self.of(device), self.utc().timestamp())

    def refused(self, device: DeviceId, credential: Credential, tag: str) -> None:
        """The device refused the set for good: the breaker counts it."""
        self.breaker.refused(credential.name, tag, device, self._clock.now())

    @asynccontextmanager
    async def turn(self, device: DeviceId) -> AsyncIterator[None]:
        """One at a time presents an unproven credential to a device: two refusals are the budget."""
        lock, waiting = self._turns.get(device) or (asyncio.Lock(), 0)
        self._turns[device] = lock, waiting + 1
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns[device]
            if waiting > 1:
                self._turns[device] = lock, waiting - 1
            else:
                del self._turns[device]

    def signer(
        self,
        transport: Transport,
        device: Device,
        credential: Credential,
        tag: str,
        templates: Mapping[str, Template],
        offset_s: float | None,
        measure: Callable[[], Awaitable[float | None]],
        deadline: float,
    ) -> Signer:
        """Signed calls to one device, counted here as they happen. See `Signer`."""
        memory = self.of(device.id)
        return Signer(
            transport,
            device,
            credential,
            templates,
            memory,
            offset_s,
            lambda: not self.breaker.is_open(credential.name, tag, self._clock.now()),
            self.utc,
            measure,
            self._learner(device.id, memory),
            deadline,
        )

    def _learner(self, device: DeviceId, before: DeviceMemory) -> Callable[[DeviceMemory], None]:
        """Takes what one signer learns, without losing what another counted meanwhile."""
        seen = before

        def learned(memory: DeviceMemory) -> None:
            nonlocal seen
            current = self.of(device)
            gone = [at for at in seen.refused_at if at not in memory.refused_at]
            new = [at for at in memory.refused_at if at not in seen.refused_at]
            counted = sorted([*(at for at in current.refused_at if at not in gone), *new])
            self._memory[device] = replace(
                memory, refused_at=tuple(counted)[-budget.REFUSALS :], keeps=current.keeps
            )
            seen = memory

        return learned

    def keeps(self, device: DeviceId, keeps: bool | None) -> None:  # noqa: FBT001 - tri-state
        """What is known of the device's kept connections."""
        memory = self.of(device)
        if memory.keeps is not keeps:
            self._memory[device] = replace(memory, keeps=keeps)

    def untold(self, device: DeviceId) -> None:
        """The news went into an answer that nobody gets: they are still to be told."""
        self._told.pop(device, None)

    def news(self, device: DeviceId) -> DeviceMemory | None:
        """What is known of the device, if it is not what was told last."""
        memory = self.of(device)
        if memory == self._told.get(device, _NOTHING):
            return None
        self._told[device] = memory
        return memory

    def forget(self, device: DeviceId) -> None:
        """The device left the archive, or got another address."""
        self._memory.pop(device, None)
        self._told.pop(device, None)

    def utc(self) -> datetime:
        """Our own UTC time."""
        return self._clock.utc(self._clock.now())

    def device_utc(self, offset_s: float | None) -> datetime:
        """The time by the clock of a device that is `offset_s` ahead of ours."""
        return self.utc() + timedelta(seconds=offset_s or 0.0)
