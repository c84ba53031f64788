"""The ONVIF check: step 1 asks the time unsigned, step 2 asks who it is, signed.

Each step says exactly which faults it tested. Step 1: `tls`, `not_onvif`, `bad_response` as far as
the reply shows them, and `clock` when the offset could be measured. Step 2 does step 1 first, then
`auth` and `locked_out` when the credential was judged, and `wrong_device` when there was a serial
number or MAC to compare. What was not tested keeps its state, open or not.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from adapters.dial import Trouble
from adapters.onvif import budget
from adapters.onvif.codec import GSDT_BODY, GSDT_HEADERS, Codec
from adapters.onvif.http1 import Http1Transport
from adapters.onvif.identity import FINDINGS, Walk, Walked
from adapters.onvif.known import KnownReplies
from adapters.onvif.logins import Logins
from adapters.onvif.signing import Kind
from adapters.onvif.transport import Keeping, NoReply, Transport
from adapters.onvif.verdict import Reached, chain, reach
from gateway.domain.camera import Device, DeviceId
from gateway.domain.observation import (
    Answer,
    DeviceMemory,
    FaultCause,
    Instant,
    Step,
    TraceStep,
    Verdict,
)
from gateway.errors import Unavailable
from gateway.ports import ProbeContext

MARGIN_S = 0.15
"""How long before the deadline we stop, to answer in time."""


class OnvifProbe:
    """`gateway.ports.Probe` for ONVIF devices.

    Args:
        context: clock, credentials, limits and what was learned before.
        transport: the HTTP client; default: our own.
        codec: where the request templates come from; default: made by a child when first needed.
    """

    def __init__(
        self,
        context: ProbeContext,
        *,
        transport: Transport | None = None,
        codec: Codec | None = None,
    ) -> None:
        self._clock = context.clock
        self._check_s = context.check_s
        self._clock_limit_s = context.clock_limit_s
        self._transport = transport or Http1Transport(
            context.connect_s, Keeping(context.kept_limit)
        )
        self._known = KnownReplies()
        self._codec = codec or Codec()
        self.logins = Logins(
            context.clock,
            context.credentials,
            context.memory,
            budget.Breaker(context.breaker_devices, context.breaker_window_s),
        )
        self._clock_refused: set[DeviceId] = set()
        self._pulled: set[DeviceId] = set()
        for device, memory in context.memory.items():
            if memory.keeps is not None:
                self._transport.keeping.start(device, memory.keeps)

    @property
    def open_breakers(self) -> frozenset[str]:
        """Names of the credential sets with which nothing is signed now."""
        return self.logins.open_breakers

    async def check(self, device: Device, step: Step, deadline: Instant) -> Answer:
        """See `Probe.check`.

        Raises:
            ValueError: for a step other than REACH and SIGNED.
        """
        if step is Step.REACH:
            return (await self._reach(device, deadline, traced=False))[0]
        if step is Step.SIGNED:
            return await self._signed(device, deadline, traced=False)
        raise ValueError(f"onvif has no step {step.name}")

    async def explain(self, device: Device, deadline: Instant) -> Sequence[Answer]:
        """TCP, TLS, the time, and if that works the signed walk; within the same budgets."""
        first, _ = await self._reach(device, deadline, traced=True)
        if first.verdict is not Verdict.ANSWERED or _hidden(first.found):
            return (first,)
        return (first, await self._signed(device, deadline, traced=True))

    def forget(self, device: DeviceId) -> None:
        """See `Probe.forget`."""
        self._transport.forget(device)
        self.logins.forget(device)
        self._clock_refused.discard(device)

    async def close(self) -> None:
        """See `Probe.close`."""
        await self._codec.close()
        await self._transport.close()

    async def _reach(
        self, device: Device, deadline: Instant, *, traced: bool
    ) -> tuple[Answer, Reached]:
        started = self._clock.now()
        limit = asyncio.get_running_loop().time() + (deadline - started - MARGIN_S)
        outcome = await self._transport.post(device, device.path, GSDT_BODY, GSDT_HEADERS, limit)
        if device.id in self._pulled:
            self._transport.let_go(device.id)
        ended = self._clock.now()
        if isinstance(outcome, NoReply) and outcome.trouble is Trouble.TIMEOUT:
            # It had until the deadline; that our loop woke up later is not known of the device.
            ended = min(ended, deadline)
        reached = reach(outcome, lambda: self._clock.utc(ended), self._clock_limit_s, self._known)
        if device.id in self._clock_refused and not reached.found:
            # The device refused our time although its clock looks right: only a signature can tell.
            reached.tested -= {FaultCause.CLOCK}
        all_good = reached.verdict is Verdict.ANSWERED and not reached.found
        steps: tuple[TraceStep, ...] = ()
        if traced or not all_good:
            steps = tuple(chain(outcome, reached, device))
        answer = Answer(
            Step.REACH,
            started,
            ended,
            reached.verdict,
            reached.cause,
            reached.tested,
            reached.found,
            steps,
            reached.rtt_s,
            reached.offset_s,
            self._news(device.id),
        )
        return answer, reached

    async def _signed(self, device: Device, deadline: Instant, *, traced: bool) -> Answer:
        # Silence is known after the limit of an unsigned check. The walk may take longer, but the liveness
        # check that waits for its end must not.
        patience = min(deadline, Instant(self._clock.now() + self._check_s))
        first, reached = await self._reach(device, patience, traced=True)
        answer = replace(first, step=Step.SIGNED)
        if first.verdict is not Verdict.ANSWERED or _hidden(first.found):
            return answer
        walked = await self._walk(device, deadline, reached.offset_s)
        if FINDINGS.get(walked.login) is FaultCause.CLOCK:
            self._clock_refused.add(device.id)
        elif walked.login is Kind.GOOD:
            self._clock_refused.discard(device.id)
        found = {finding.cause: finding for finding in (*walked.found, *first.found)}
        tested = first.tested | walked.tested
        if walked.login is Kind.GOOD and reached.offset_s is not None:
            tested |= {FaultCause.CLOCK}
        all_good = not found and walked.login is Kind.GOOD
        return replace(
            answer,
            ended=self._clock.now(),
            tested=tested,
            found=tuple(found.values()),
            chain=() if all_good and not traced else (*first.chain, *walked.chain),
            memory=self._news(device.id) or first.memory,
        )

    async def _walk(self, device: Device, deadline: Instant, offset_s: float | None) -> Walked:
        """The signed part, if it may be done at all; otherwise the reason in the chain."""
        credential = self.logins.credential(device)
        if credential is None:
            return _not_walked("no credential for this device")
        limit = asyncio.get_running_loop().time() + (deadline - self._clock.now() - MARGIN_S)
        try:
            async with asyncio.timeout_at(limit):
                tag = await self.logins.tag(credential)
                if paused := self.logins.paused(device.id, credential, tag):
                    return _not_walked(paused)
                templates = await self._codec.templates()
        except TimeoutError:
            return _not_walked("the request templates were not ready in time")
        except Unavailable as error:
            return _not_walked(str(error))

        async def measure() -> float | None:
            remaining = limit - asyncio.get_running_loop().time() + MARGIN_S
            again = Instant(self._clock.now() + remaining)
            answer, reached = await self._reach(device, again, traced=False)
            if answer.memory is not None:
                # This answer goes to nobody: what is new, the refusal above all, is still to be told.
                self.logins.untold(device.id)
            return reached.offset_s

        async with self.logins.turn(device.id):
            if paused := self.logins.paused(device.id, credential, tag):
                return _not_walked(paused)
            signer = self.logins.signer(
                self._transport, device, credential, tag, templates, offset_s, measure, limit
            )
            walked = await Walk(signer).run()
        if walked.login in (Kind.AUTH, Kind.LOCKED):
            self.logins.refused(device.id, credential, tag)
        return walked

    def _news(self, device: DeviceId) -> DeviceMemory | None:
        """What is known of the device, if it is not what was told last."""
        self.logins.keeps(device, self._transport.keeping.learned(device))
        return self.logins.news(device)

    def pulled(self, device: DeviceId, *, live: bool) -> None:
        """A pull of events holds the one connection that a device may have, or does no longer."""
        if live:
            self._transport.let_go(device)
            self._pulled.add(device)
        else:
            self._pulled.discard(device)


def _hidden(found: Sequence[object]) -> bool:
    """True if the service itself is broken, so that nothing behind it can be asked."""
    return any(getattr(finding, "cause", None) is not FaultCause.CLOCK for finding in found)


def _not_walked(reason: str) -> Walked:
    return Walked(Kind.PAUSED, chain=[TraceStep("auth", ok=None, detail=reason)])
