"""The short calls in the life of a pull point: find the service, create, try, renew, end.

Each is one task for a second or so; the pulls themselves are no tasks (`pull_cycle.py`).
"""

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from adapters.onvif import auth
from adapters.onvif import event_calls as calls
from adapters.onvif.addressing import subscription
from adapters.onvif.codec import GSDT_BODY, GSDT_HEADERS, Template
from adapters.onvif.content import located, services
from adapters.onvif.http1 import Http1Transport
from adapters.onvif.logins import Logins
from adapters.onvif.notifications import times
from adapters.onvif.pull_point import PullPoint
from adapters.onvif.replies import Soap, read
from adapters.onvif.signing import Called, Kind, Signer
from adapters.onvif.transport import NoReply
from adapters.onvif.verdict import reach
from gateway.domain.observation import Verdict
from gateway.ports import Credential
from gateway.ports.events import PullLimits

WELL_KNOWN: Final = "/onvif/event_service"
"""Where the event service is when the device names none; only trying tells (quirks 11, 20)."""
_MANY_CALLS: Final = 3
"""Creating is several short calls."""


class Subscribing:
    """Creates, proves, renews and ends pull points.

    Args:
        transport: with one connection a device; the pulls use the same.
        logins: budget of refused logins, shared with the check.
        limits: see there.
    """

    def __init__(self, transport: Http1Transport, logins: Logins, limits: PullLimits) -> None:
        self._transport = transport
        self._logins = logins
        self._limits = limits
        self.message_id = calls.message_ids()

    async def create(self, point: PullPoint) -> Called:
        """A new subscription; on success `point.where` is set and the device tells its present state."""

        async def walk(signer: Signer, templates: dict[str, Template]) -> Called:
            if not point.event_path:
                point.event_path = await self._event_path(point, signer.deadline)
            called = await self._create(point, signer, templates)
            if called.kind is Kind.UNUSABLE and not point.absolute:
                # Some refuse durations: once more with a time of their own clock (quirk 22).
                point.absolute = True
                called = await self._create(point, signer, templates)
                point.absolute = called.kind is Kind.GOOD
            if called.kind is Kind.UNSUPPORTED and point.event_path != WELL_KNOWN:
                point.event_path = WELL_KNOWN
                called = await self._create(point, signer, templates)
            if called.kind is Kind.UNSUPPORTED:
                point.event_path = ""
            if called.kind is Kind.GOOD and point.where is not None:
                await self._synchronize(point, signer, templates)
            return called

        return await self._signed(point, walk, _MANY_CALLS * self._limits.call_s)

    async def prove(self, point: PullPoint) -> Called:
        """A pull that does not wait: shows that login and subscription are good."""

        async def walk(signer: Signer, templates: dict[str, Template]) -> Called:
            body = calls.pull(0, self._limits.messages)
            templates["PullMessages"] = self.template(point, "PullMessages", body)
            called = await signer.call_patiently(self.path(point), "PullMessages")
            self._keep_challenge(point, signer)
            return called

        return await self._signed(point, walk, _MANY_CALLS * self._limits.call_s)

    def written(
        self, point: PullPoint, credential: Credential, body: str, *, digest: bool
    ) -> tuple[str, bytes, Mapping[str, str]]:
        """A pull with its proof, to be sent without being awaited: path, body and headers.

        With `digest` it answers the challenge at hand; the caller sees to it that there is one.
        """
        path = self.path(point)
        template = self.template(point, "PullMessages", body)
        if digest and point.challenge is not None:
            proof = auth.authorization(point.challenge, credential, path, secrets.token_hex(8))
            headers = {**template.headers, "Authorization": proof}
            return path, template.fill({}, signed=False), headers
        created = self._logins.device_utc(point.offset_s)
        token = auth.token_values(credential, secrets.token_bytes(16), created)
        return path, template.fill(token, signed=True), template.headers

    async def challenge(self, point: PullPoint) -> auth.Challenge | None:
        """What Digest must answer: asked for without a login, so that the pull itself is sent once.

        A pull that a device drops must not be repeated with the same count: it would be refused.
        """
        template = self.template(point, "PullMessages", calls.pull(0, self._limits.messages))
        outcome = await self._transport.post(
            point.device,
            self.path(point),
            template.fill({}, signed=False),
            template.headers,
            asyncio.get_running_loop().time() + self._limits.call_s,
        )
        return None if isinstance(outcome, NoReply) else auth.challenge(outcome.challenges)

    async def pull_awaited(self, point: PullPoint) -> Called:
        """A pull as a task of its own: for a Digest device that gave no challenge when asked for one."""
        credential = self._logins.credential(point.device)
        if credential is None:
            return Called(Kind.PAUSED, "no credential for this device")
        tag = await self._logins.tag(credential)
        body = calls.pull(self._limits.pull_s, self._limits.messages)
        templates = {"PullMessages": self.template(point, "PullMessages", body)}
        limit_s = self._limits.pull_s + self._limits.grace_s
        signer = self._logins.signer(
            self._transport, point.device, credential, tag, templates, point.offset_s,
            self._measure(point), asyncio.get_running_loop().time() + limit_s,
        )  # fmt: skip
        called = await signer.call(self.path(point), "PullMessages")
        self._keep_challenge(point, signer)
        return called

    async def renew(self, point: PullPoint) -> Called:
        """Ask for another life; a device that cannot is remembered as such (quirk 21)."""

        async def walk(signer: Signer, templates: dict[str, Template]) -> Called:
            templates["Renew"] = self.template(point, "Renew", calls.renew(self._life(point)))
            called = await signer.call(self.path(point), "Renew")
            if called.kind is Kind.GOOD and called.soap is not None:
                self._lives(point, called.soap)
                if point.missed and point.synchronizes:
                    await self._synchronize(point, signer, templates)
            elif called.kind in (Kind.UNUSABLE, Kind.UNSUPPORTED):
                point.renews = False
            return called

        limit_s = self._limits.call_s * (2 if point.missed else 1)
        return await self._signed(point, walk, limit_s, measure=False)

    async def synchronize(self, point: PullPoint) -> Called:
        """Have one that cannot renew tell its present state again: what it told may have been lost."""

        async def walk(signer: Signer, templates: dict[str, Template]) -> Called:
            called = await self._synchronize(point, signer, templates)
            # What it refuses here says nothing of its login, as little as in `create` and `renew`.
            return called if called.kind is Kind.LOST else replace(called, kind=Kind.GOOD)

        point.asks_state = False
        return await self._signed(point, walk, self._limits.call_s, measure=False)

    async def unsubscribe(self, point: PullPoint) -> Called:
        """End the subscription: at shutdown only, for some devices drop all of them (quirk 23)."""

        async def walk(signer: Signer, templates: dict[str, Template]) -> Called:
            templates["Unsubscribe"] = self.template(point, "Unsubscribe", calls.UNSUBSCRIBE)
            return await signer.call(self.path(point), "Unsubscribe")

        return await self._signed(point, walk, self._limits.call_s, measure=False)

    # --- parts

    async def _synchronize(
        self, point: PullPoint, signer: Signer, templates: dict[str, Template]
    ) -> Called:
        """Best effort: some refuse it, even as not authorised (quirk 27), and that is no login."""
        if signer.memory.scheme is None or signer.refusals:
            return Called(Kind.PAUSED, "no login is known to be good")
        operation = "SetSynchronizationPoint"
        templates[operation] = self.template(point, operation, calls.SYNCHRONIZE)
        called = await signer.call(self.path(point), operation)
        # Who falls silent at this is not asked again at once; a connection that is lost says so itself.
        point.missed = False
        if called.kind is not Kind.LOST:
            point.synchronizes = called.kind is Kind.GOOD
        return called

    def template(self, point: PullPoint, operation: str, body: str) -> Template:
        """A request to the subscription, its reference parameters echoed."""
        where = point.where
        path = point.event_path if where is None else where.path
        parameters = () if where is None else where.parameters
        return calls.template(operation, body, point.base + path, self.message_id(), parameters)

    @staticmethod
    def path(point: PullPoint) -> str:
        """Where the subscription is asked."""
        return point.event_path or WELL_KNOWN if point.where is None else point.where.path

    def _life(self, point: PullPoint) -> str:
        if not point.absolute:
            return calls.duration(self._limits.life_s)
        seconds = self._limits.life_s + (point.offset_s or 0.0)
        return calls.moment(self._logins.utc() + timedelta(seconds=seconds))

    async def _signed(
        self,
        point: PullPoint,
        walk: Callable[[Signer, dict[str, Template]], Awaitable[Called]],
        limit_s: float,
        *,
        measure: bool = True,
    ) -> Called:
        """Measure the clock unsigned, then `walk` within the budget of refused logins."""
        device = point.device
        credential = self._logins.credential(device)
        if credential is None:
            return Called(Kind.PAUSED, "no credential for this device")
        tag = await self._logins.tag(credential)
        async with self._logins.turn(device.id):
            if paused := self._logins.paused(device.id, credential, tag):
                return Called(Kind.PAUSED, paused)
            ask = self._measure(point)
            if measure or point.offset_s is None:
                point.rtt_s = -1.0
                offset_s = await ask()
                if point.rtt_s < 0:
                    return Called(Kind.LOST, "does not answer")
                point.offset_s = offset_s
            templates: dict[str, Template] = {}
            deadline = asyncio.get_running_loop().time() + limit_s
            signer = self._logins.signer(
                self._transport, device, credential, tag, templates, point.offset_s, ask, deadline
            )
            called = await walk(signer, templates)
            if signer.offset_s is not None:
                point.offset_s = signer.offset_s
        if called.kind in (Kind.AUTH, Kind.LOCKED):
            self._logins.refused(device.id, credential, tag)
        return called

    def _measure(self, point: PullPoint) -> Callable[[], Awaitable[float | None]]:
        async def measure() -> float | None:
            limit = asyncio.get_running_loop().time() + self._limits.call_s
            device = point.device
            outcome = await self._transport.post(
                device, device.path, GSDT_BODY, GSDT_HEADERS, limit
            )
            reached = reach(outcome, self._logins.utc, self._limits.clock_limit_s)
            if reached.verdict is Verdict.ANSWERED and not isinstance(outcome, NoReply):
                point.rtt_s = outcome.rtt_s
            return reached.offset_s

        return measure

    async def _event_path(self, point: PullPoint, deadline: float) -> str:
        """From GetServices, which needs no login; the path only, host and port are ours."""
        request = calls.template(
            "GetServices", calls.GET_SERVICES, point.base + point.device.path, self.message_id()
        )
        device = point.device
        outcome = await self._transport.post(
            device, device.path, request.fill({}, signed=False), request.headers, deadline
        )
        soap = None if isinstance(outcome, NoReply) else read(outcome)
        found: Mapping[str, str] = {}
        if isinstance(soap, Soap) and soap.fault is None:
            found = services(soap)
        path = located(found.get(calls.TEV, ""), device.host, device.port).path
        return sys.intern(path) if path else WELL_KNOWN  # a fleet has a handful of them

    async def _create(
        self, point: PullPoint, signer: Signer, templates: dict[str, Template]
    ) -> Called:
        operation, body = "CreatePullPointSubscription", calls.create(self._life(point))
        if point.consumer:
            operation, body = "Subscribe", calls.subscribe(point.consumer, self._life(point))
        templates[operation] = self.template(point, operation, body)
        called = await signer.call_patiently(point.event_path, operation)
        if called.kind is Kind.GOOD and called.soap is not None:
            if called.soap.name != f"{operation}Response":
                return replace(called, kind=Kind.UNUSABLE, detail=called.soap.name[:60], soap=None)
            device = point.device
            point.where = subscription(called.soap, device.host, device.port, point.event_path)
            point.since = asyncio.get_running_loop().time()
            point.good = point.anew = False
            point.renews = True
            self._lives(point, called.soap)
        return called

    def _lives(self, point: PullPoint, soap: Soap) -> None:
        """Take the life that a reply tells, by the device's own clock."""
        told = times(soap.content)
        life_s = told.life_s
        if life_s is None and told.termination is not None:
            device_now = self._logins.utc() + timedelta(seconds=point.offset_s or 0.0)
            life_s = (told.termination - device_now).total_seconds()
        point.lives(life_s, self._limits.life_s, asyncio.get_running_loop().time())

    def _keep_challenge(self, point: PullPoint, signer: Signer) -> None:
        point.single_use |= signer.single_use
        point.challenge = None if point.single_use else signer.challenge_of(self.path(point))
