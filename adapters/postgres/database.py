"""The way to the server: a pool, deadlines, and foreign errors mapped to ours at one place."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gateway.errors import Conflict, NotMigrated, StoreUnavailable, UsageError

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # "cannot switch to state 12": neither a PostgresError nor an InterfaceError, seen whenever a
    # server dies while it answers (MagicStack/asyncpg 1069, open since 2023)
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, crashed, query cancelled
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.PostgresSystemError,  # I/O errors of the server
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.ReadOnlySQLTransactionError,  # still on the old primary after a fail-over
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidAuthorizationSpecificationError,  # a password under rotation, pg_hba
    asyncpg.InvalidCatalogNameError,
)
"""The normal errors of a store that does not answer now: repeat later, nothing was lost."""

NOT_MIGRATED = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
)
"""The schema is older than this release."""

WRONG_ROW = (
    asyncpg.CheckViolationError,
    asyncpg.NotNullViolationError,
    asyncpg.exceptions.DataError,
)
"""A row breaks a rule of the schema: our own mistake, repeating does not help."""

LONG_S = 60.0
"""Limit of an import, a migration, a restart: far more than a judged batch."""


@contextmanager
def foreign_errors(more: Callable[[BaseException], str] = lambda _error: "") -> Iterator[None]:
    """Map what the driver raises to the errors of `gateway.errors`.

    Args:
        more: what else is known of a store that does not answer; empty = nothing.

    Raises:
        StoreUnavailable: repeat later.
        Conflict: a unique rule refuses the row (a second open outage of a channel).
        NotMigrated: the schema is not current.
        UsageError: the role may not do this.
        ValueError: a row breaks a rule of the schema.
    """
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"{error.table_name}: {error.constraint_name}: {error.detail}") from error
    except WRONG_ROW as error:
        raise ValueError(str(error)) from error
    except NOT_MIGRATED as error:
        raise NotMigrated(f"{error}; run `sightline migrate`") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise UsageError(f"store.dsn: {error}") from error
    except UNAVAILABLE as error:
        if isinstance(error, ValueError):  # the driver's DataError: an InterfaceError by descent
            raise
        said = f"store: {type(error).__name__}: {error}".rstrip(": ")
        raise StoreUnavailable("; ".join(filter(None, (said, more(error))))) from error


class Database:
    """A pool to one database that heals by itself.

    A connection on which anything about the server failed is thrown away, never handed out again.
    """

    def __init__(self, command_timeout_s: float, connections: int = 6) -> None:
        self._timeout_s = command_timeout_s
        self._connections = connections
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self.more: Callable[[BaseException], str] = lambda _error: ""
        """What else is known of a server that does not answer; for the reason that people read."""

    @property
    def is_open(self) -> bool:
        """Whether there is a pool."""
        return self._pool is not None

    async def open(self, dsn: str) -> None:
        """Connect.

        Raises:
            StoreUnavailable: the server does not answer.
            UsageError: the DSN cannot be read.
        """
        if self._pool is not None:
            return
        try:
            with foreign_errors(self.more):
                async with asyncio.timeout(self._timeout_s):
                    self._pool = await asyncpg.create_pool(
                        dsn,
                        min_size=1,
                        max_size=self._connections,
                        max_inactive_connection_lifetime=0,
                        timeout=self._timeout_s,
                        command_timeout=self._timeout_s,
                        server_settings=_server_settings(self._timeout_s),
                    )
        except (ValueError, asyncpg.ClientConfigurationError) as error:
            raise UsageError(f"store.dsn: {error}") from error

    async def close(self) -> None:
        """Let go within a few seconds, whatever state the server is in."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), 2.0)
        except UNAVAILABLE:
            pool.terminate()

    @asynccontextmanager
    async def connection(
        self, limit_s: float | None = None, wait_s: float | None = None
    ) -> AsyncIterator[Connection]:
        """A connection for one operation; acquiring, working and releasing share the limit.

        Args:
            limit_s: seconds for everything, the command timeout by default. Each statement has that
                limit in any case: a batch of many may take longer over a slow wire, a hung server not.
            wait_s: seconds of that for a connection that is free.
        """
        pool = self._pool
        if pool is None:
            raise StoreUnavailable("store: not open")
        with foreign_errors(self.more):
            async with asyncio.timeout(limit_s or self._timeout_s):
                connection = await pool.acquire(timeout=wait_s)
                try:
                    yield connection
                except (asyncio.CancelledError, *UNAVAILABLE):
                    connection.terminate()
                    raise
                finally:
                    await pool.release(connection, timeout=1.0)

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Connection]:
        """A connection in one transaction that may take longer than a statement: many over a slow wire.

        A statement that timed out ends the connection: a hung server would let the rollback wait as long.
        """
        waits = self.connection(LONG_S, wait_s=self._timeout_s)
        async with waits as connection, connection.transaction():
            try:
                yield connection
            except TimeoutError:
                connection.terminate()
                raise

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:  # noqa: ANN401
        """All rows of one statement."""
        async with self.connection() as connection:
            return await connection.fetch(sql, *args)

    async def value(self, sql: str, *args: Any) -> Any:  # noqa: ANN401 - one column of one row
        """The first column of the first row, or None."""
        async with self.connection() as connection:
            return await connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> None:  # noqa: ANN401
        """Run one statement."""
        async with self.connection() as connection:
            await connection.execute(sql, *args)


def _server_settings(timeout_s: float) -> dict[str, str]:
    return {
        "application_name": "sightline",
        "jit": "off",
        # optional filters (`$1 IS NULL OR ...`) are planned for the values at hand
        "plan_cache_mode": "force_custom_plan",
        # a server that lost its client gives up by itself
        "statement_timeout": str(int(max(timeout_s, LONG_S) * 1000)),
        "idle_in_transaction_session_timeout": str(int(LONG_S * 1000)),
    }
