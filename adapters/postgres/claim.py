"""The right to be the one service on a store: an advisory lock of a session that lives as long.

Two services on one store would each judge the fleet and write over each other's rows. The server
itself drops the lock when the session ends, so a process that is killed leaves nothing behind.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime

import asyncpg
import structlog

from adapters.postgres.database import UNAVAILABLE, foreign_errors
from adapters.postgres.queries import SQL
from gateway.errors import StoreTaken

TRY_S = 2.0
"""The first claim is repeated for so long: a service that was just killed is still being noticed."""
_AGAIN_S = 0.2
_SESSION = {
    "application_name": "sightline service",
    "idle_session_timeout": "0",  # it idles by design
    # the session of a machine that vanished must not keep the lock for two hours
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

log = structlog.get_logger("sightline.postgres")


class Claim:
    """Held from the first `take` until `release`; taken again when its connection was lost."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._session: tuple[int, datetime] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._lost_to_another = False
        self.more: Callable[[BaseException], str] = lambda _error: ""
        """What else is known of a server that does not answer."""

    @property
    def is_wanted(self) -> bool:
        """Whether this process is, or was, the service of the store."""
        return self._session is not None

    async def take(self, dsn: str) -> None:
        """Get it, or see that it is still held.

        Raises:
            StoreTaken: another service has it; after a loss nobody here gets it back.
            StoreUnavailable: the server does not answer; ask again.
        """
        async with self._one_at_a_time:
            if self._lost_to_another:
                raise _taken()
            if self._connection is not None and await self._answers(self._connection):
                return
            was_ours, patience_s = self._session is not None, TRY_S
            with foreign_errors(self.more):
                while not await self._try(dsn):
                    if patience_s <= 0:
                        self._lost_to_another = was_ours
                        raise _taken()
                    patience_s -= _AGAIN_S
                    await asyncio.sleep(_AGAIN_S)
            if was_ours:
                log.info("claim on the store taken again")

    async def check(self, dsn: str) -> None:
        """Before each write of a service: nothing, while its session stands (no round trip)."""
        if self._connection is None or self._connection.is_closed():
            await self.take(dsn)

    async def release(self) -> None:
        """Give it back; the server does so by itself when the process ends."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                await asyncio.wait_for(connection.close(), 1.0)
            except UNAVAILABLE:
                connection.terminate()

    async def _answers(self, connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
        """One question, so that a line that was cut silently is noticed."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.fetchval(SQL["ping"])
        except UNAVAILABLE:
            connection.terminate()
            self._connection = None
            return False
        return True

    async def _try(self, dsn: str) -> bool:
        async with asyncio.timeout(self._timeout_s):
            connection = await asyncpg.connect(
                dsn,
                timeout=self._timeout_s,
                command_timeout=self._timeout_s,
                server_settings=_SESSION,
            )
            try:
                if self._session is not None:
                    # Behind a line that was cut our own former session may stand a while longer.
                    await connection.fetchval(SQL["claim_end_former"], *self._session)
                row = await connection.fetchrow(SQL["claim"])
                if row is not None and row["taken"]:
                    self._connection = connection
                    self._session = (row["pid"], row["since"])
                    return True
            finally:
                if self._connection is not connection:
                    with contextlib.suppress(*UNAVAILABLE):
                        await connection.close()
        return False


def _taken() -> StoreTaken:
    return StoreTaken(
        "another `sightline run` works on this store: stop it first, or give this one its own "
        "store.dsn or store.state_dir"
    )
