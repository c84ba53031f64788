"""The opened credentials of a running service: imports and key rotations count without a restart."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import structlog

from gateway.errors import StoreUnavailable, UsageError
from gateway.ports import Credential, Store
from gateway.vault import Vault

log = structlog.get_logger("sightline.credentials")
WATCH_S = 10.0


class OpenedCredentials(Mapping[str, Credential]):
    """The credential sets of the store by name; probes look them up at each signed check.

    Args:
        store: open.
        keys: the keys file.

    Attributes:
        changed: told the names of the sets that hold another login than before.
    """

    def __init__(self, store: Store, keys: Path) -> None:
        self._store = store
        self._keys = keys
        self.changed: Callable[[frozenset[str]], None] = lambda _names: None
        self._sealed: dict[str, bytes] = {}
        self._opened: dict[str, Credential] = {}
        self._trouble = ""

    def __getitem__(self, name: str) -> Credential:
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened)

    def __len__(self) -> int:
        return len(self._opened)

    async def refresh(self) -> frozenset[str]:
        """Take what the store holds now; the names of the sets with another login than before.

        Only sets whose sealed bytes changed are opened, in a thread.

        Raises:
            StoreUnavailable: the store does not answer; everything stays as it was.
            UsageError: a set does not open with the keys; everything stays as it was.
        """
        sealed = dict(await self._store.load_credentials())
        if sealed == self._sealed:
            return frozenset()
        fresh = {n: token for n, token in sealed.items() if self._sealed.get(n) != token}
        opened = await asyncio.to_thread(_open, self._keys, fresh) if fresh else {}
        after = {n: opened.get(n) or self._opened[n] for n in sealed}
        names = after.keys() | self._opened.keys()
        changed = frozenset(n for n in names if after.get(n) != self._opened.get(n))
        self._sealed, self._opened = sealed, after
        return changed

    async def watch(self) -> None:
        """Refresh every few seconds, until cancelled; trouble is told once."""
        while True:
            await asyncio.sleep(WATCH_S)
            await self.look()

    async def look(self) -> None:
        """Refresh once, and tell whoever wants to know."""
        try:
            changed = await self.refresh()
        except StoreUnavailable:
            return
        except (
            UsageError
        ) as error:  # a rotation under way, or a keys file that does not belong here
            if str(error) != self._trouble:
                log.warning("credentials stay as they were", reason=str(error))
            self._trouble = str(error)
            return
        self._trouble = ""
        if changed:
            log.info("credentials taken", sets=sorted(changed))
            self.changed(changed)


def _open(keys: Path, sealed: Mapping[str, bytes]) -> dict[str, Credential]:
    return Vault.open(keys).unseal_all(sealed)
