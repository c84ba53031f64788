"""One signed call at a time to one device, within the budget of refused logins.

WS-UsernameToken first; a 401 with a Digest challenge is answered once by HTTP Digest; what worked
is remembered. A request is never repeated with the same credential unless something changed: the
clock offset by more than 5 s, a stale nonce, or a device that looked busy.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from adapters.onvif import auth, budget
from adapters.onvif.codec import Template
from adapters.onvif.replies import FaultKind, Soap, fault_kind, read
from adapters.onvif.transport import Anew, NoReply, Reply, Transport
from gateway.domain.camera import Device
from gateway.domain.observation import AuthScheme, DeviceMemory, Finding
from gateway.ports import Credential

MOVED_S = 5.0
"""A signature is repeated only if the device's clock moved by more than this."""
STALE_S = 4.0
"""Devices refuse a token that is older than some 5 s. One that was refused so long after it was signed
may have waited in the network, and says nothing of the credential."""
BUSY_WAIT_S = 0.7
"""How long a device that looked busy is left alone before it is asked once more (quirk 7)."""
_TEXT_LIMIT = 4096


class Kind(StrEnum):
    """How a call ended."""

    GOOD = "good"
    AUTH = "auth"
    LOCKED = "locked"
    CLOCK = "clock"
    BUSY = "busy"
    """401 and a closed connection for a credential that was good before (quirk 7)."""
    PAUSED = "paused"
    """Not asked: one more refusal could lock the account."""
    UNSUPPORTED = "unsupported"
    UNUSABLE = "unusable"
    """A reply that is neither an answer nor a refusal."""
    LOST = "lost"
    """No reply in time."""


REFUSALS = frozenset({Kind.AUTH, Kind.LOCKED, Kind.CLOCK, Kind.BUSY})
_OF_FAULT: Mapping[FaultKind, Kind] = {
    FaultKind.LOCKED: Kind.LOCKED,
    FaultKind.CLOCK: Kind.CLOCK,
    FaultKind.AUTH: Kind.AUTH,
    FaultKind.UNSUPPORTED: Kind.UNSUPPORTED,
    FaultKind.OTHER: Kind.UNUSABLE,
}
_OF_STATUS: Mapping[int, Kind] = {
    401: Kind.AUTH,
    403: Kind.AUTH,
    423: Kind.LOCKED,
    429: Kind.LOCKED,
}


@dataclass(frozen=True, slots=True)
class Called:
    """The end of one call; `soap` only when it was good."""

    kind: Kind
    detail: str = ""
    soap: Soap | None = None


def ended(outcome: Reply | NoReply) -> Called:
    """How a call ended, by status first, then by the words of the fault or page."""
    if isinstance(outcome, NoReply):
        return Called(Kind.LOST, outcome.detail)
    soap = read(outcome)
    if isinstance(soap, Soap) and soap.fault is None and 200 <= outcome.status < 300:  # noqa: PLR2004
        return Called(Kind.GOOD, "", soap)
    if isinstance(soap, Soap) and soap.fault is not None:
        kind, text = _OF_FAULT[soap.fault.kind], soap.fault.text
        if kind not in REFUSALS and outcome.status in _OF_STATUS:
            kind = _OF_STATUS[outcome.status]
        return Called(kind, text)
    if outcome.status in _OF_STATUS:
        page = outcome.body[:_TEXT_LIMIT].decode("utf-8", "replace")
        locked = fault_kind(page) is FaultKind.LOCKED
        kind = Kind.LOCKED if locked else _OF_STATUS[outcome.status]
        return Called(kind, f"HTTP {outcome.status}")
    if outcome.status in (404, 405, 501):
        return Called(Kind.UNSUPPORTED, f"HTTP {outcome.status}")
    said = soap.detail if isinstance(soap, Finding) else soap.name[:60]
    return Called(Kind.UNUSABLE, f"HTTP {outcome.status}: {said}")


@dataclass(slots=True)
class Signer:
    """Signed calls of one check to one device.

    Attributes:
        memory: what is known of the device; replaced as it is learned, kept when cancelled.
        offset_s: device clock minus ours; None = unknown.
        allowed: asked before each request that carries a credential (the breaker).
        utc: our UTC time.
        measure: asks the device's clock anew, unsigned.
        learned: told whenever `memory` changed, at once, so that cancelling forgets nothing.
        deadline: time of the event loop.
    """

    transport: Transport
    device: Device
    credential: Credential
    templates: Mapping[str, Template]
    memory: DeviceMemory
    offset_s: float | None
    allowed: Callable[[], bool]
    utc: Callable[[], datetime]
    measure: Callable[[], Awaitable[float | None]]
    learned: Callable[[DeviceMemory], None]
    deadline: float
    refusals: int = 0
    _challenges: dict[str, auth.Challenge] = field(default_factory=dict)
    _single_use: bool = False

    @property
    def single_use(self) -> bool:
        """The device issues a Digest nonce a request."""
        return self._single_use

    def challenge_of(self, path: str) -> auth.Challenge | None:
        """What the next request to `path` may answer to without being asked; None = nothing."""
        return self._challenges.get(path)

    async def call(
        self, path: str, operation: str, values: Mapping[str, str] | None = None
    ) -> Called:
        """Perform one operation at `path`."""
        asked_first = self.memory.scheme is None and budget.is_last(self.memory)
        if self.memory.scheme is AuthScheme.DIGEST or asked_first:
            # With one refusal left, an unsigned request tells whether the token would be wasted.
            return await self._digest(path, operation, values or {}, may_fall_back=True)
        return await self._token(path, operation, values or {})

    async def call_patiently(self, path: str, operation: str) -> Called:
        """`call`, and once more after a moment if the device looked busy (quirk 7).

        Refused twice it was not busy.
        """
        known_good = self.memory.scheme is not None
        called = await self.call(path, operation)
        if called.kind is Kind.BUSY and self.refusals < budget.REFUSALS and known_good:
            loop = asyncio.get_running_loop()
            wait_s = min(BUSY_WAIT_S, (self.deadline - loop.time()) / 3)
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                again = await self.call(path, operation)
                called = called if again.kind in (Kind.PAUSED, Kind.LOST) else again
        if called.kind is Kind.BUSY and self.refusals >= budget.REFUSALS:
            return replace(called, kind=Kind.AUTH)
        return called

    async def _token(self, path: str, operation: str, values: Mapping[str, str]) -> Called:
        template = self.templates[operation]
        called, reply = await self._present(path, template, values, None)
        if reply is None or called.kind in (Kind.GOOD, Kind.LOCKED):
            if called.kind is Kind.GOOD:
                self._accepted(AuthScheme.WSSE)
            return called
        if called.kind in REFUSALS and (asked := auth.challenge(reply.challenges)) is not None:
            self._challenges[path] = asked
            digest = await self._digest(path, operation, values, may_fall_back=False)
            if digest.kind is Kind.GOOD:
                # The credential is good: the 401 was a challenge, not a refused login.
                self.refusals -= 1
                self._learn(budget.was_challenge(self.memory))
            # A challenge that the budget forbids to answer says nothing of the credential.
            return digest
        if called.kind is Kind.UNUSABLE and reply.status == 400:  # noqa: PLR2004
            # Digest-only devices answer 400 and a page to a token (quirk 4).
            # A refusal of the question alone, without a credential, is no judgement of it.
            before = self.refusals
            digest = await self._digest(path, operation, values, may_fall_back=False)
            return digest if digest.kind is Kind.GOOD or self.refusals > before else called
        if called.kind in (Kind.AUTH, Kind.CLOCK) and await self._clock_moved():
            called, _ = await self._present(path, template, values, None)
            if called.kind is Kind.GOOD:
                self._accepted(AuthScheme.WSSE)
        return called

    async def _digest(
        self, path: str, operation: str, values: Mapping[str, str], *, may_fall_back: bool
    ) -> Called:
        template = self.templates[operation]
        asked = self._challenges.pop(path, None)
        if asked is None:
            body = template.fill(values, signed=False)
            outcome = await self.transport.post(
                self.device, path, body, template.headers, self.deadline
            )
            called = ended(outcome)
            asked = None if isinstance(outcome, NoReply) else auth.challenge(outcome.challenges)
            if asked is None or called.kind is Kind.GOOD:
                if called.kind in REFUSALS and may_fall_back:
                    return await self._token(path, operation, values)
                return called
        called = Called(Kind.PAUSED)
        for attempt in (1, 2):
            called, reply = await self._present(path, template, values, asked)
            if called.kind is Kind.GOOD:
                self._accepted(AuthScheme.DIGEST)
            if called.kind is not Kind.GOOD or self._single_use:
                self._challenges.pop(path, None)
            if reply is None or called.kind not in REFUSALS or attempt > 1:
                return called
            again = auth.challenge(reply.challenges)
            if again is None or not (again.stale or asked.count):
                return called
            # A used nonce was refused without `stale`: this device issues one per request (quirk 7).
            self._single_use |= not again.stale
            asked = again
        return called

    async def _present(
        self,
        path: str,
        template: Template,
        values: Mapping[str, str],
        asked: auth.Challenge | None,
    ) -> tuple[Called, Reply | None]:
        """Send a request with the credential: as token, or as the answer to a challenge."""
        if not self.allowed() or not budget.may_sign(self.memory):
            return Called(Kind.PAUSED, "signing is paused"), None
        outcome: Reply | NoReply | None = None
        called = Called(Kind.LOST)
        begun = asyncio.get_running_loop().time()
        sign: Anew
        if asked is None:
            sign = partial(self._with_token, template, values)
        else:
            self._challenges[path] = asked
            sign = partial(self._with_answer, path, template, values)
        try:
            outcome = await self.transport.post(
                self.device, path, *sign(), self.deadline, anew=sign
            )
            called = self._weighed(outcome)
        finally:
            self._count(outcome, called, asked)
        took = asyncio.get_running_loop().time() - begun
        if called.kind in REFUSALS and asked is None and took > STALE_S:
            detail = f"refused {took:.1f} s after it was signed: too late to tell"
            return Called(Kind.LOST, detail), None
        return called, outcome if isinstance(outcome, Reply) else None

    def _with_token(
        self, template: Template, values: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        """A request with a token of its own."""
        created = self.utc() + timedelta(seconds=self.offset_s or 0.0)
        token = auth.token_values(self.credential, secrets.token_bytes(16), created)
        return template.fill({**values, **token}, signed=True), template.headers

    def _with_answer(
        self, path: str, template: Template, values: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        """A request that answers the challenge for `path`; its count is used by being sent."""
        asked = self._challenges[path]
        self._challenges[path] = asked.used
        proof = auth.authorization(asked, self.credential, path, secrets.token_hex(8))
        return template.fill(values, signed=False), {**template.headers, "Authorization": proof}

    def _weighed(self, outcome: Reply | NoReply) -> Called:
        called = ended(outcome)
        if (
            called.kind is Kind.AUTH
            and isinstance(outcome, Reply)
            and outcome.status == 401  # noqa: PLR2004
            and outcome.closes
            and self.memory.scheme is not None
        ):
            return replace(called, kind=Kind.BUSY)
        return called

    def _count(
        self, outcome: Reply | NoReply | None, called: Called, asked: auth.Challenge | None
    ) -> None:
        """Enter a refusal in the budget; what went unanswered counts unless known to be good."""
        if isinstance(outcome, Reply):
            again = auth.challenge(outcome.challenges)
            stale = asked is not None and again is not None and again.stale
            counts = called.kind in REFUSALS and not stale
        else:
            sent = outcome is None or outcome.sent
            counts = sent and self.memory.scheme is None
        if counts:
            self.refusals += 1
            self._learn(budget.refused(self.memory, self.utc().timestamp()))

    async def _clock_moved(self) -> bool:
        """Measure the device's clock again; True if a new signature would differ (quirk 1)."""
        offset_s = await self.measure()
        if offset_s is None:
            return False
        moved = abs(offset_s - (self.offset_s or 0.0)) > MOVED_S
        self.offset_s = offset_s
        return moved

    def _accepted(self, scheme: AuthScheme) -> None:
        self._learn(budget.accepted(self.memory, scheme))

    def _learn(self, memory: DeviceMemory) -> None:
        if memory != self.memory:
            self.memory = memory
            self.learned(memory)
