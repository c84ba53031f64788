"""`sightline keys`: the keys that seal credentials at rest."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from gateway.commands.audited import audit_line
from gateway.commands.import_ import keys_file
from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    counted,
    print_json,
    run_async,
    settings_from,
)
from gateway.errors import UsageError
from gateway.opening import open_store
from gateway.ports import Store
from gateway.vault import Vault

keys = typer.Typer(help="The keys that seal credentials at rest.", no_args_is_help=True)


async def rotate_keys(store: Store, path: Path) -> tuple[Vault, int]:
    """Seal everything under a fresh key; the vault, and how many credential sets it seals.

    The order is safe against a crash at any moment: the fresh key is on disk before anything is
    sealed with it, everything is sealed anew in one transaction, and the old keys go last. A
    rotation that was cut short is simply repeated.
    """
    with _alone(path):
        vault = await asyncio.to_thread(lambda: Vault.open(path).rotate())
        sealed = vault.reseal(await store.load_credentials())
        if sealed:
            await store.save_credentials(sealed)
        vault = await asyncio.to_thread(vault.drop_old)
    return vault, len(sealed)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Only one rotation at a time: two would drop each other's keys."""
    # 0711: the store's own user must get through to its data below; the file itself is 0600.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    handle = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{path}: another rotation is running") from None
        yield
    finally:
        os.close(handle)


@keys.command("list")
def list_keys(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the ids of the keys, newest first. Ids say nothing about the keys."""
    settings = settings_from(config)
    path = keys_file(settings)
    vault = Vault.existing(path)
    ids = vault.key_ids if vault is not None else ()
    if as_json:
        print_json({"file": str(path), "keys": ids})
        return
    if not ids:
        typer.echo(f"{path}: no keys yet; the first import with --credentials makes one")
    for place, key_id in enumerate(ids):
        typer.echo(f"{key_id}  {'seals and opens' if place == 0 else 'opens only'}")


@keys.command("rotate")
def rotate(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make a fresh key, seal all credentials with it, then drop the old keys."""
    vault, count = run_async(_rotate(config))
    if as_json:
        print_json({"keys": vault.key_ids, "credential_sets": count})
    else:
        sets = counted(count, "credential set")
        typer.echo(f"Sealed with key {vault.key_ids[0]} now: {sets}")


async def _rotate(config: Path | None) -> tuple[Vault, int]:
    settings = settings_from(config)
    async with open_store(settings, create=False) as store:
        vault, count = await rotate_keys(store, keys_file(settings))
        await audit_line(
            store, "keys.rotate", vault.key_ids[0], detail=counted(count, "credential set")
        )
    return vault, count
