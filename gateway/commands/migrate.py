"""`sightline migrate`: bring the schema of the store up to this release."""

from collections.abc import Sequence
from pathlib import Path

from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.opening import make_store


def migrate(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the schema of the store up to this release.

    Safe to repeat, and safe beside others: migrations run in one transaction under a lock, and
    what was applied is not applied again. The service does the same when it starts; this is for
    a database whose service may not change the schema.
    """
    applied = run_async(_migrate(config))
    if as_json:
        print_json({"applied": list(applied)})
    elif applied:
        out.print(f"Applied: {', '.join(applied)}", highlight=False)
    else:
        out.print("The schema is current.")


async def _migrate(config: Path | None) -> Sequence[str]:
    settings = settings_from(config)
    store = make_store(settings)
    try:
        return await store.migrate()
    finally:
        await store.close()
