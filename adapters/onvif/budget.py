"""How often a device may be asked with credentials that it may refuse.

Cameras lock out for 30 minutes after a few refused logins (quirk 8), so at most two requests with
refused credentials reach a device per 31 minutes, over restarts too; and when many devices refuse
one credential set, the set is wrong, and signing with it stops for all (`semantics.md` §7).
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from gateway.domain.camera import DeviceId
from gateway.domain.observation import AuthScheme, DeviceMemory
from gateway.ports import Credential

WINDOW_S = 31 * 60.0
REFUSALS = 2
_TAG_ROUNDS = 60_000
_TAG_BYTES = 5


def secret_tag(credential: Credential) -> str:
    """Which credential this is, to notice a change: slow and short on purpose (takes ~20 ms).

    The tag is stored with what was learned about a device. 40 bits of a slow hash cannot be turned
    back into a password.
    """
    salt = f"sightline credential tag\0{credential.name}\0{credential.username}".encode()
    secret = credential.password.reveal().encode()
    return hashlib.pbkdf2_hmac("sha256", secret, salt, _TAG_ROUNDS, _TAG_BYTES).hex()


def current(memory: DeviceMemory, tag: str, now_s: float) -> DeviceMemory:
    """What still holds: refusals of the last 31 minutes, of this very credential.

    `now_s` is UTC in epoch seconds. A time in the future (the clock was set back) counts as now, so
    that the pause cannot last longer than its window.
    """
    if memory.secret_tag != tag:
        return DeviceMemory(keeps=memory.keeps, secret_tag=tag)
    kept = tuple(min(at, now_s) for at in memory.refused_at if now_s - at < WINDOW_S)
    return memory if kept == memory.refused_at else replace(memory, refused_at=kept)


def refused(memory: DeviceMemory, now_s: float) -> DeviceMemory:
    """One more request with refused credentials."""
    return replace(memory, refused_at=(*memory.refused_at, now_s)[-REFUSALS:])


def accepted(memory: DeviceMemory, scheme: AuthScheme) -> DeviceMemory:
    """The credential works, in this way. Refusals stay: the device may have counted them."""
    return memory if memory.scheme is scheme else replace(memory, scheme=scheme)


def was_challenge(memory: DeviceMemory) -> DeviceMemory:
    """The last request counted was answered by a challenge that the credential then met."""
    return replace(memory, refused_at=memory.refused_at[:-1])


def may_sign(memory: DeviceMemory) -> bool:
    """True if one more refused request would still be within the budget."""
    return len(memory.refused_at) < REFUSALS


def is_last(memory: DeviceMemory) -> bool:
    """True if the next refused request would be the last for half an hour."""
    return len(memory.refused_at) == REFUSALS - 1


def resumes_at(memory: DeviceMemory) -> float:
    """UTC epoch seconds from which `may_sign` holds again."""
    return memory.refused_at[0] + WINDOW_S


@dataclass(slots=True)
class _Set:
    tag: str
    refusing: "OrderedDict[DeviceId, float]" = field(default_factory=OrderedDict)
    opened_s: float | None = None


@dataclass(slots=True)
class Breaker:
    """Stops signing with a credential set that many devices refuse.

    Times are seconds of one clock that never steps. It closes when the credential changes, or after
    31 minutes.
    """

    devices: int = 20
    window_s: float = 600.0
    pause_s: float = WINDOW_S
    _sets: dict[str, _Set] = field(default_factory=dict)

    def refused(self, name: str, tag: str, device: DeviceId, now_s: float) -> None:
        """A device refused the set."""
        entry = self._entry(name, tag)
        entry.refusing[device] = now_s
        entry.refusing.move_to_end(device)
        while entry.refusing and now_s - next(iter(entry.refusing.values())) > self.window_s:
            entry.refusing.popitem(last=False)
        if entry.opened_s is None and len(entry.refusing) >= self.devices:
            entry.opened_s = now_s

    def is_open(self, name: str, tag: str, now_s: float) -> bool:
        """True while nothing may be signed with the set."""
        entry = self._entry(name, tag)
        if entry.opened_s is not None and now_s - entry.opened_s >= self.pause_s:
            entry.opened_s = None
            entry.refusing.clear()
        return entry.opened_s is not None

    def open_sets(self, now_s: float) -> frozenset[str]:
        """Names of the sets with which nothing is signed now."""
        return frozenset(
            name for name, entry in self._sets.items() if self.is_open(name, entry.tag, now_s)
        )

    def _entry(self, name: str, tag: str) -> _Set:
        entry = self._sets.get(name)
        if entry is None or entry.tag != tag:
            entry = self._sets[name] = _Set(tag)
        return entry
