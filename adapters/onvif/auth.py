"""Signatures: WS-UsernameToken digest and HTTP Digest (RFC 7616). Never Basic, never PasswordText.

Pure: time and nonces come in as parameters.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.ports import Credential

_PAIR = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][\w-]*)\s+(?=[\w-]+\s*=)")
ALGORITHMS = {"sha-256": "sha256", "sha-256-sess": "sha256", "md5": "md5", "md5-sess": "md5"}
"""In order of preference."""


def token_values(credential: Credential, nonce: bytes, created: datetime) -> dict[str, str]:
    """The values of a UsernameToken; `created` is the time by the *device's* clock, with Z.

    A password with special characters is only ever hashed, so it cannot break the XML (quirk 10).
    """
    stamp = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    secret = credential.password.reveal().encode()
    digest = hashlib.sha1(nonce + stamp.encode() + secret).digest()  # noqa: S324 - the standard's
    return {
        "username": credential.username,
        "digest": base64.b64encode(digest).decode(),
        "nonce": base64.b64encode(nonce).decode(),
        "created": stamp,
    }


@dataclass(frozen=True, slots=True)
class Challenge:
    """One `WWW-Authenticate: Digest`, for one URL (quirk 6: the nonce is bound to it)."""

    realm: str
    nonce: str
    algorithm: str
    """As the device wrote it; empty = not given, which means MD5."""
    qop: bool
    opaque: str | None
    stale: bool
    count: int = 0

    @property
    def used(self) -> "Challenge":
        """The same challenge after one more request."""
        return replace(self, count=self.count + 1)


def challenge(headers: Sequence[str]) -> Challenge | None:
    """The strongest Digest challenge we can answer, of all headers together; None if there is none."""
    found: dict[str, Challenge] = {}
    for header in headers:
        for scheme, text in _challenges(header):
            if scheme == "digest" and (made := _digest(text)) is not None:
                found.setdefault((made.algorithm or "md5").lower(), made)
    return next((found[name] for name in ALGORITHMS if name in found), None)


def _challenges(header: str) -> list[tuple[str, str]]:
    """A header may hold several challenges, separated by commas like their parameters."""
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: "_" * len(m[0]), header)
    marks = list(_SCHEME.finditer(outside))
    starts = [mark.start() for mark in marks] + [len(header)]
    return [(m[1].lower(), header[m.end() : starts[i + 1]]) for i, m in enumerate(marks)]


def _digest(text: str) -> Challenge | None:
    values = {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        for name, quoted, plain in _PAIR.findall(text)
    }
    qops = [q.strip().lower() for q in values.get("qop", "").split(",") if q.strip()]
    if "nonce" not in values or values.get("algorithm", "md5").lower() not in ALGORITHMS:
        return None
    if qops and "auth" not in qops:
        return None
    return Challenge(
        values.get("realm", ""),
        values["nonce"],
        values.get("algorithm", ""),
        bool(qops),
        values.get("opaque"),
        values.get("stale", "").lower() == "true",
    )


def authorization(
    asked: Challenge, credential: Credential, uri: str, cnonce: str, method: str = "POST"
) -> str:
    """The `Authorization` header for a request to `uri` (path and query as sent)."""
    algorithm = asked.algorithm.lower() or "md5"

    def hashed(text: str) -> str:
        raw = text.encode("utf-8", "surrogateescape")  # realm and nonce: bytes of the device
        return hashlib.new(ALGORITHMS[algorithm], raw, usedforsecurity=False).hexdigest()

    secret = credential.password.reveal()
    first = hashed(f"{credential.username}:{asked.realm}:{secret}")
    if algorithm.endswith("-sess"):
        first = hashed(f"{first}:{asked.nonce}:{cnonce}")
    second = hashed(f"{method}:{uri}")
    count = f"{asked.count + 1:08x}"
    middle = f"{asked.nonce}:{count}:{cnonce}:auth" if asked.qop else asked.nonce
    parts = [
        f"username={_quoted(credential.username)}",
        f"realm={_quoted(asked.realm)}",
        f"nonce={_quoted(asked.nonce)}",
        f"uri={_quoted(uri)}",
        f'response="{hashed(f"{first}:{middle}:{second}")}"',
    ]
    if asked.algorithm:
        parts.append(f"algorithm={asked.algorithm}")
    if asked.opaque is not None:
        parts.append(f"opaque={_quoted(asked.opaque)}")
    if asked.qop:
        parts += ["qop=auth", f"nc={count}", f'cnonce="{cnonce}"']
    elif algorithm.endswith("-sess"):
        parts.append(f'cnonce="{cnonce}"')
    return "Digest " + ", ".join(parts)


def _quoted(text: str) -> str:
    clean = re.sub(r"[\r\n]", "", text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{clean}"'
