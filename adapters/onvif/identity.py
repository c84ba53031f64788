"""The signed walk: is it the device of the archive, and what does it offer.

GetDeviceInformation and GetNetworkInterfaces tell who answers; GetServices (or GetCapabilities),
GetProfiles and GetStreamUri go into the trace only. Everything goes to the registered host and port.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.onvif import content
from adapters.onvif.signing import Called, Kind, Signer
from gateway.domain.camera import Device
from gateway.domain.observation import FaultCause, Finding, TraceStep

FINDINGS: Mapping[Kind, FaultCause] = {
    Kind.AUTH: FaultCause.AUTH,
    Kind.LOCKED: FaultCause.LOCKED_OUT,
    Kind.CLOCK: FaultCause.CLOCK,
}
TESTED: Mapping[Kind, frozenset[FaultCause]] = {
    # A lock or a wrong clock hides whether the password is right: that stays as it was.
    Kind.GOOD: frozenset({FaultCause.AUTH, FaultCause.LOCKED_OUT}),
    Kind.AUTH: frozenset({FaultCause.AUTH, FaultCause.LOCKED_OUT}),
    Kind.LOCKED: frozenset({FaultCause.LOCKED_OUT}),
    Kind.CLOCK: frozenset({FaultCause.CLOCK, FaultCause.LOCKED_OUT}),
}
GO_ON = frozenset({Kind.GOOD, Kind.UNSUPPORTED, Kind.UNUSABLE})
"""After these the next call is worth making."""
MEDIA_PATHS = ("/onvif/media_service", "/onvif/Media")
"""Well-known paths, where the device names none that works (quirk 11)."""
MEDIA2_PATHS = ("/onvif/media2_service", "/onvif/Media2")


@dataclass(slots=True)
class Walked:
    """What the signed walk found; `login` is how the credential fared."""

    login: Kind = Kind.LOST
    tested: set[FaultCause] = field(default_factory=set)
    found: list[Finding] = field(default_factory=list)
    chain: list[TraceStep] = field(default_factory=list)


@dataclass(slots=True)
class Walk:
    """One signed walk over one device."""

    signer: Signer
    walked: Walked = field(default_factory=Walked)

    @property
    def device(self) -> Device:
        """The device asked."""
        return self.signer.device

    async def run(self) -> Walked:
        """Walk as far as the device and the deadline let us."""
        information = await self._timed("auth", "GetDeviceInformation", patiently=True)
        self.walked.login = information.kind
        self.walked.tested |= TESTED.get(information.kind, frozenset())
        if (cause := FINDINGS.get(information.kind)) is not None:
            self.walked.found.append(Finding(cause, information.detail))
        if information.soap is None:
            return self.walked
        self._compare_serial(content.identity(information.soap))
        if self.device.mac and not await self._compare_mac():
            return self.walked
        await self._offers()
        return self.walked

    def _compare_serial(self, known: content.Identity) -> None:
        shown = f"{known.manufacturer} {known.model} {known.firmware}".strip()
        expected = self.device.serial.strip().casefold()
        if not expected or not known.serial:
            self._note("identity", None, f"{shown}; no serial number to compare")
            return
        same = known.serial.casefold() == expected
        detail = shown if same else f"serial {known.serial}, archive {self.device.serial}"
        self._identity(detail, same=same)

    async def _compare_mac(self) -> bool:
        """Compare the hardware address; False if asking on is no use."""
        called = await self._timed("interfaces", "GetNetworkInterfaces")
        found = content.macs(called.soap) if called.soap is not None else ()
        if found:  # "not implemented" is no fault (quirk 36)
            same = content.plain_mac(self.device.mac) in found
            detail = "" if same else f"MAC {' '.join(found)}, archive {self.device.mac}"
            self._identity(detail, same=same)
        return called.kind in GO_ON

    def _identity(self, detail: str, *, same: bool) -> None:
        self.walked.tested.add(FaultCause.WRONG_DEVICE)
        self._note("identity", same, detail)
        if not same:
            self.walked.found.append(Finding(FaultCause.WRONG_DEVICE, detail))

    async def _offers(self) -> None:
        """Services, profiles, stream address: for people, in the trace."""
        called = await self._timed("services", "GetServices")
        offered = content.services(called.soap) if called.soap is not None else {}
        if not offered and called.kind in GO_ON:
            called = await self._timed("services", "GetCapabilities")
            offered = content.services(called.soap) if called.soap is not None else {}
        if called.kind not in GO_ON:
            return
        for prefix, namespace, known in (
            ("media2.", content.MEDIA2, MEDIA2_PATHS),
            ("", content.MEDIA, MEDIA_PATHS),
        ):
            if offered and namespace not in offered:
                continue
            paths = self._paths(offered.get(namespace, ""), known)
            if await self._stream(prefix, paths):
                return

    def _paths(self, address: str, known: tuple[str, ...]) -> tuple[str, ...]:
        place = content.located(address, self.device.host, self.device.port)
        if place.foreign:
            self._note(
                "foreign_url", None, f"names {place.foreign}; asked at the archive's address"
            )
        return tuple(dict.fromkeys((place.path, known[0]) if place.path else known))

    async def _stream(self, prefix: str, paths: tuple[str, ...]) -> bool:
        """Profiles and the stream address of the first path that has any; True when done."""
        for path in paths:
            called = await self._timed("profiles", f"{prefix}GetProfiles", path)
            if called.kind not in GO_ON:
                return True
            tokens = content.profile_tokens(called.soap) if called.soap is not None else ()
            if not tokens:
                continue
            self._note("profiles", ok=True, detail=f"{len(tokens)}: {' '.join(tokens[:4])}")
            values = {"token": tokens[0]}
            called = await self._timed("stream_uri", f"{prefix}GetStreamUri", path, values)
            if called.soap is not None:
                self._note_stream(content.stream_address(called.soap))
            return True
        return False

    def _note_stream(self, address: str) -> None:
        place = content.located(address, self.device.host, 0, any_port=True)
        if place.foreign:
            self._note("foreign_url", None, f"stream address names {place.foreign}")
        self._note("stream_uri", ok=bool(place.path), detail=place.path[:200])

    async def _timed(
        self,
        name: str,
        operation: str,
        path: str = "",
        values: Mapping[str, str] | None = None,
        *,
        patiently: bool = False,
    ) -> Called:
        loop = asyncio.get_running_loop()
        started = loop.time()
        where = path or self.device.path
        if patiently:
            called = await self.signer.call_patiently(where, operation)
        else:
            called = await self.signer.call(where, operation, values)
        ok = True if called.kind is Kind.GOOD else None
        if called.kind in FINDINGS:
            ok = False
        detail = f"{operation}: {called.kind}" + (f", {called.detail}" if called.detail else "")
        self._note(name, ok, detail, (loop.time() - started) * 1000)
        return called

    def _note(self, name: str, ok: bool | None, detail: str = "", ms: float = 0.0) -> None:  # noqa: FBT001
        self.walked.chain.append(TraceStep(name, ok, detail, ms))
