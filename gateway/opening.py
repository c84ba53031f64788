"""Opens what everything works on: the store, credentials, probes: for the service and for commands."""

import contextlib
from collections.abc import AsyncIterator, Mapping

import structlog

from gateway.domain.camera import CheckBy
from gateway.errors import NoSchema, UsageError
from gateway.ports import Probe, ProbeContext, Store
from gateway.registry import get
from gateway.runtime.credentials import OpenedCredentials
from gateway.settings import Settings

log = structlog.get_logger("sightline.app")


def make_store(settings: Settings) -> Store:
    """The store the settings ask for, not yet opened."""
    dsn = settings.store.dsn.get_secret_value()
    if dsn.startswith("memory:"):
        memory: Store = get("sightline.stores", "memory")(dsn)
        return memory
    if not dsn:
        dsn = f"embedded:{settings.store.state_dir}"
    factory = get("sightline.stores", "postgres")
    postgres: Store = factory(dsn, command_timeout_s=settings.store.command_timeout_s)
    return postgres


@contextlib.asynccontextmanager
async def open_store(
    settings: Settings, *, migrate: bool = False, claim: bool = False, create: bool = True
) -> AsyncIterator[Store]:
    """An open store with the schema of this release; closed at the end.

    Args:
        settings: where the store is.
        migrate: bring an older schema up to this release. Not for a question, nor for a line that is
            added: a service of the older release may be working on it.
        claim: be the one service on it, which brings the schema up to this release, too.
        create: make an embedded one where there is none, and a schema where the store is empty.

    Raises:
        NotMigrated: the schema is older, or there is none, and may be neither made nor changed here.
        StoreUnavailable: it does not answer.
        StoreTaken: another process is the service.
        UsageError: there is no store, or its schema is of a newer release.
    """
    store = make_store(settings)
    if not create and not await store.exists():
        where = settings.store.state_dir
        raise UsageError(
            f"there is no store in {where} yet: `sightline import FILE` makes one; is this the "
            "right --config, and the right user?"
        )
    await store.open()
    try:
        if claim:  # first: a store that a service works on is not migrated under its feet
            await store.claim()
        if migrate or claim:
            await _migrate(store)
        else:
            try:
                await store.check_schema()
            except NoSchema:
                if not create:
                    raise
                await _migrate(store)
        yield store
    finally:
        await store.close()


async def _migrate(store: Store) -> None:
    applied = await store.migrate()
    if applied:
        log.info("schema migrated", applied=list(applied))


def make_probes(context: ProbeContext) -> Mapping[CheckBy, Probe]:
    """One probe a way of asking: the next archive may need another than this one."""
    return {way: get("sightline.probes", way.value)(context) for way in CheckBy}


async def credentials_of(store: Store, settings: Settings) -> OpenedCredentials:
    """The credential sets, opened."""
    opened = OpenedCredentials(store, settings.keys.file or settings.store.state_dir / "keys")
    await opened.refresh()
    return opened
