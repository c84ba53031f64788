"""Observation: the one currency of the flow, a fact about one channel at one time."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NewType

from gateway.domain.camera import ChannelId, DeviceId

Instant = NewType("Instant", float)
"""Seconds of CLOCK_BOOTTIME: what live state holds. UTC is computed on writing, from one anchor."""


class Step(IntEnum):
    """Steps of the ladder of checks."""

    REACH = 1
    """Unsigned: reachable, service alive, clock offset."""
    SIGNED = 2
    """Signed: credentials, identity, drift of the archive."""
    STREAM = 3
    PICTURE = 4
    EVENT = 5


class Verdict(StrEnum):
    """Three answers that stay apart everywhere."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    COULD_NOT_TELL = "could_not_tell"
    """Our own trouble (EMFILE, a stalled loop...): neither counts nor resets a run."""


class OutageCause(StrEnum):
    """Why a channel does not answer."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UPLINK = "uplink"
    POWER = "power"


class FaultCause(StrEnum):
    """What can be wrong with a channel that answers."""

    AUTH = "auth"
    LOCKED_OUT = "locked_out"
    CLOCK = "clock"
    WRONG_DEVICE = "wrong_device"
    NOT_ONVIF = "not_onvif"
    BAD_RESPONSE = "bad_response"
    TLS = "tls"
    STREAM = "stream"
    PICTURE = "picture"
    STORAGE = "storage"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that failed on a device that answers. `detail` is for people, without secrets."""

    cause: FaultCause
    detail: str = ""


class AuthScheme(StrEnum):
    """How a device accepts our signature."""

    WSSE = "wsse"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """What was learned about a device and must survive a restart.

    Attributes:
        scheme: the authentication that worked last.
        refused_at: UTC epoch seconds of requests with refused credentials, the last 31 min only.
        keeps: the device kept its connection over two intervals (None: not learned yet).
        secret_tag: which credential the above belongs to (a keyed hash, never the secret).
    """

    scheme: AuthScheme | None = None
    refused_at: tuple[float, ...] = ()
    keeps: bool | None = None
    secret_tag: str = ""


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One line of what a check did: `tcp`, `tls`, `http`, `soap`, `clock`, `auth`, `identity`..."""

    name: str
    ok: bool | None
    detail: str = ""
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one check of one device found.

    Attributes:
        step: the step of the ladder.
        started / ended: CLOCK_BOOTTIME seconds; `ended - started` never exceeds the deadline much.
        verdict: answered, no answer, or could not tell.
        cause: why there was no answer (only with NO_ANSWER).
        tested: the faults this check could have found; one of them that is not in `found` is well.
        found: what failed on a device that answers.
        chain: what was tried, in order (TCP -> TLS -> HTTP -> SOAP -> auth); empty if all is well.
        rtt_s: round trip of the request, without connecting; None when there was no answer.
        clock_offset_s: device clock minus ours, seconds; None when not measured.
        memory: set when something was learned or forgotten about the device.
    """

    step: Step
    started: Instant
    ended: Instant
    verdict: Verdict
    cause: OutageCause | None = None
    tested: frozenset[FaultCause] = frozenset()
    found: tuple[Finding, ...] = ()
    chain: tuple[TraceStep, ...] = ()
    rtt_s: float | None = None
    clock_offset_s: float | None = None
    memory: DeviceMemory | None = None

    @property
    def heard(self) -> Instant:
        """When the device is known to have been heard, at the latest.

        The end of a whole good reply; of a check of several requests, or of one whose reply never
        ended, only the start is certain: the rest may have been waiting for nothing.
        """
        return self.ended if self.step is Step.REACH and not self.found else self.started


@dataclass(frozen=True, slots=True)
class Observation:
    """A fact about one channel at one time; channels behind one device share its answer."""

    channel: ChannelId
    device: DeviceId
    answer: Answer
