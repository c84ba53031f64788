"""How a virtual device checks who calls: WS-UsernameToken digest and HTTP Digest, and locks out.

Every refused login is counted with its time: the district is the judge of how many a gateway causes.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Final

from adapters.virtual.http_server import HttpRequest
from adapters.virtual.model import Signing
from adapters.virtual.soap import UsernameToken

LOCKOUT_AFTER: Final = 5
LOCKOUT_S: Final = 1800.0
_DIGEST_FIELD: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')
_HASHES: Final = {Signing.DIGEST_MD5: "md5", Signing.DIGEST_SHA256: "sha256"}
_ALGORITHMS: Final = {"md5": "MD5", "sha256": "SHA-256"}


class Login(Enum):
    """What became of a login."""

    GOOD = auto()
    NONE = auto()
    """Nothing was presented, or not in a way that this device takes: a challenge is due."""
    STALE = auto()
    """Right, but the nonce is old (or belongs to another URL): a fresh one is due."""
    REFUSED = auto()
    LOCKED = auto()


@dataclass(frozen=True, slots=True)
class LoginRules:
    """What the devices of a district insist on."""

    username: str
    password: str = field(repr=False)
    created_window_s: float = 5.0
    """How far Created may be from the device's own clock, either way."""
    digest_nonce_s: float = 60.0


@dataclass(slots=True)
class LoginGuard:
    """The memory of one device: nonces, refusals, lock. Times are seconds of a steady clock.

    Attributes:
        changed_password: the right password is another one now (the trouble `auth`).
        locked: every login is refused as locked (the trouble `locked_out`).
        locks_itself: locks after `LOCKOUT_AFTER` refusals (quirk 8).
        refusals: when logins were refused.
    """

    rules: LoginRules
    zulu_only: bool = False
    nonce_per_url: bool = False
    locks_itself: bool = False
    changed_password: bool = False
    locked: bool = False
    refusals: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    _seen: dict[str, float] = field(default_factory=dict)
    _issued: dict[str, tuple[float, str, int]] = field(default_factory=dict)

    @property
    def password(self) -> str:
        """What the device takes now."""
        return self.rules.password + ("?" if self.changed_password else "")

    def refused_within(self, seconds: float) -> int:
        """The most refused logins in any stretch of so many seconds."""
        times, worst, first = list(self.refusals), 0, 0
        for last, at in enumerate(times):
            while at - times[first] > seconds:
                first += 1
            worst = max(worst, last - first + 1)
        return worst

    def _outcome(self, now: float, *, good: bool) -> Login:
        recent = sum(1 for at in self.refusals if now - at <= LOCKOUT_S)
        if self.locked or (self.locks_itself and recent >= LOCKOUT_AFTER):
            self.refusals.append(now)
            return Login.LOCKED
        if good:
            return Login.GOOD
        self.refusals.append(now)
        return Login.REFUSED

    def check_token(self, token: UsernameToken | None, now: float, device_utc: float) -> Login:
        """Judge a WS-UsernameToken; `device_utc` is the device's own clock, epoch seconds."""
        if token is None:
            return Login.NONE
        return self._outcome(now, good=self._token_is_good(token, now, device_utc))

    def _token_is_good(self, token: UsernameToken, now: float, device_utc: float) -> bool:
        try:
            nonce = base64.b64decode(token.nonce, validate=True)
            created = datetime.fromisoformat(token.created)
        except (binascii.Error, ValueError):
            return False
        if self.zulu_only and not token.created.endswith("Z"):
            return False
        if created.tzinfo is None:
            created = created.replace(tzinfo=UTC)
        window = self.rules.created_window_s
        fresh = abs(created.timestamp() - device_utc) <= window and token.nonce not in self._seen
        self._seen = {n: at for n, at in self._seen.items() if now - at <= 4 * window}
        self._seen[token.nonce] = now
        digest = hashlib.sha1(  # noqa: S324 - the standard's choice
            nonce + token.created.encode() + self.password.encode()
        ).digest()
        right = hmac.compare_digest(base64.b64encode(digest), token.digest.encode())
        return fresh and right and token.username == self.rules.username

    def challenge(self, signing: Signing, path: str, now: float, *, stale: bool = False) -> str:
        """A fresh value for WWW-Authenticate."""
        nonce = secrets.token_hex(16)
        self._issued = {
            n: entry
            for n, entry in self._issued.items()
            if now - entry[0] <= 10 * self.rules.digest_nonce_s
        }
        self._issued[nonce] = (now, path, 0)
        algorithm = _ALGORITHMS[_HASHES.get(signing, "md5")]
        end = ", stale=true" if stale else ""
        return (
            f'Digest realm="IP Camera(C1234)", qop="auth", algorithm={algorithm}, '
            f'nonce="{nonce}", opaque="5ccc069c403ebaf9f0171e9517f40e41"{end}'
        )

    def check_digest(self, request: HttpRequest, signing: Signing, now: float) -> Login:
        """Judge an `Authorization: Digest` header."""
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "digest":
            return Login.NONE if not scheme else self._outcome(now, good=False)
        fields = {
            m[1].lower(): m[2] if m[2] is not None else m[3] for m in _DIGEST_FIELD.finditer(rest)
        }
        if not self._digest_is_right(fields, request, _HASHES.get(signing, "md5")):
            return self._outcome(now, good=False)
        issued = self._issued.get(fields["nonce"])
        if issued is None or now - issued[0] > self.rules.digest_nonce_s:
            return Login.STALE
        at, path, used = issued
        if self.nonce_per_url and path != request.path:
            # Hikvision: "The url does not match the nonce url" (quirk 6).
            return Login.STALE
        count = int(fields["nc"], 16)
        if count <= used:
            return self._outcome(now, good=False)
        self._issued[fields["nonce"]] = (at, path, count)
        return self._outcome(now, good=True)

    def _digest_is_right(
        self, fields: dict[str, str], request: HttpRequest, algorithm: str
    ) -> bool:
        needed = ("username", "realm", "nonce", "uri", "response", "nc", "cnonce", "qop")
        if any(name not in fields for name in needed) or fields["uri"] != request.target:
            return False
        if not re.fullmatch(r"[0-9a-fA-F]{8}", fields["nc"]):
            return False

        def digest(text: str) -> str:
            return hashlib.new(algorithm, text.encode()).hexdigest()

        user = digest(f"{self.rules.username}:{fields['realm']}:{self.password}")
        what = digest(f"{request.method}:{fields['uri']}")
        middle = ":".join(fields[name] for name in ("nonce", "nc", "cnonce", "qop"))
        expected = digest(f"{user}:{middle}:{what}")
        return hmac.compare_digest(expected, fields["response"].lower()) and (
            fields["username"] == self.rules.username
        )
