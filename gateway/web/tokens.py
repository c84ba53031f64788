"""Bearer tokens: minted once, stored as a hash, looked up in memory.

A token is 256 random bits, so a plain SHA-256 is the right hash: there is nothing to guess and so
nothing for a slow, salted password hash to slow down, while every request needs the digest.
Looking the digest up in a dictionary leaks no useful timing: nobody can steer a digest bit by bit.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import structlog

from gateway.domain.observation import Instant
from gateway.errors import StoreUnavailable
from gateway.ports import Role, Token

PREFIX = "slt_"
"""Makes a token that leaked into a log or a repository easy to find."""
FRESH_S = 5.0
"""A revoked token is refused after so many seconds at the latest, while the store answers."""
AHEAD_S = 2.5
"""Tokens in use are read again after so many seconds already, so that no request waits for it."""
MISS_S = 1.0
"""Tokens that are not known make us ask the store at most once in so many seconds."""
WAIT_S = 1.0
"""A request waits so long for a re-read; after that the tokens last read go on counting."""

log = structlog.get_logger("sightline.web")


def digest(secret: str) -> bytes:
    """The stored form of a token."""
    return hashlib.sha256(secret.encode()).digest()


def mint(name: str, role: Role, now_at: datetime, expires_at: datetime | None) -> tuple[str, Token]:
    """A new token: the secret, shown once, and the row to store."""
    secret = PREFIX + secrets.token_urlsafe(32)
    row = Token(secrets.token_hex(4), name, role, digest(secret), now_at, expires_at)
    return secret, row


def is_valid(token: Token, now_at: datetime) -> bool:
    """Neither revoked nor expired."""
    expired = token.expires_at is not None and token.expires_at <= now_at
    return token.revoked_at is None and not expired


class TokenBook:
    """The tokens as last read from the store.

    While the store is away the tokens last read go on counting (expiry included), so that operators
    are not locked out by the very trouble they want to look at; only revocations wait.

    Args:
        read: reads all tokens; may raise `StoreUnavailable`.
        now: CLOCK_BOOTTIME seconds.
    """

    def __init__(
        self, read: Callable[[], Awaitable[Sequence[Token]]], now: Callable[[], Instant]
    ) -> None:
        self._read = read
        self._now = now
        self._by_digest: dict[bytes, Token] = {}
        self._loaded = False
        self._tried: Instant | None = None
        self._settled: Instant | None = None
        self._reading: asyncio.Task[None] | None = None

    async def find(self, secret: str, now_at: datetime) -> Token | None:
        """The valid token behind a secret, or None.

        Raises:
            StoreUnavailable: the tokens were never read, and cannot be read now.
        """
        key = digest(secret)
        if key in self._by_digest:
            age_s = self._age_s(self._settled)
            if age_s > FRESH_S:
                await self._refresh()
            elif age_s > AHEAD_S:
                self._begin()
        elif self._reading is not None or self._age_s(self._tried) > MISS_S:
            await self._refresh()
        if not self._loaded:
            raise StoreUnavailable("the tokens could not be read yet")
        token = self._by_digest.get(key)
        return token if token is not None and is_valid(token, now_at) else None

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _age_s(self, since: Instant | None) -> float:
        return float("inf") if since is None else self._now() - since

    async def _refresh(self) -> None:
        self._begin()
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=WAIT_S)

    def _begin(self) -> None:
        """Read, unless that is under way."""
        if self._reading is None:
            self._tried = self._now()
            self._reading = asyncio.create_task(self._load(self._tried), name="read tokens")

    async def _load(self, begun: Instant) -> None:
        try:
            self._by_digest = {token.digest: token for token in await self._read()}
            self._loaded = True
        except StoreUnavailable:
            log.warning("tokens not re-read", kept=len(self._by_digest))
            begun = self._now()  # asked again in a while, not by the next request
        finally:
            self._reading, self._settled = None, begun
