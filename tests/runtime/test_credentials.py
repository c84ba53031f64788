"""Credentials of a running service: what an import or a rotation changes, without a restart."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters.memory import MemoryStore
from gateway.commands.keys import rotate_keys
from gateway.errors import StoreUnavailable, UsageError
from gateway.ports import Credential, Secret
from gateway.runtime.credentials import OpenedCredentials
from gateway.vault import Vault


def login(name: str, password: str) -> Credential:
    return Credential(name, "admin", Secret(password))


class Desk:
    """A store, a keys file, and what the service opened of them."""

    def __init__(self, keys: Path) -> None:
        self.keys = keys
        self.store = MemoryStore()
        self.opened = OpenedCredentials(self.store, keys)
        self.told: list[frozenset[str]] = []
        self.opened.changed = self.told.append

    async def save(self, *logins: Credential) -> None:
        vault = Vault.open(self.keys)
        await self.store.save_credentials({c.name: vault.seal(c) for c in logins})


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "keys")
    await made.store.open()
    await made.save(login("a", "one"), login("b", "two"))
    await made.opened.refresh()
    return made


async def test_a_set_that_is_imported_again_counts_and_only_that_one_is_told(desk: Desk) -> None:
    assert desk.opened["a"].password.reveal() == "one"
    await desk.save(login("a", "three"), login("c", "four"))
    await desk.opened.look()
    assert {n: c.password.reveal() for n, c in desk.opened.items()} == {
        "a": "three", "b": "two", "c": "four",
    }  # fmt: skip
    assert desk.told == [{"a", "c"}]
    await desk.opened.look()
    assert len(desk.told) == 1


async def test_a_rotation_of_keys_changes_no_login(desk: Desk) -> None:
    before = dict(desk.opened)
    await rotate_keys(desk.store, desk.keys)
    await desk.opened.look()
    assert (dict(desk.opened), desk.told) == (before, [])
    await desk.save(login("a", "after"))
    await desk.opened.look()
    assert desk.opened["a"].password.reveal() == "after", "sealed with a key made meanwhile"


async def test_what_does_not_open_leaves_the_old_logins_and_is_told_once(
    desk: Desk, tmp_path: Path
) -> None:
    foreign = Vault.open(tmp_path / "foreign").seal(login("a", "unseen"))
    await desk.store.save_credentials({"a": foreign})
    with pytest.raises(UsageError, match="credential set a"):
        await desk.opened.refresh()
    with capture_logs() as lines:
        await desk.opened.look()
        await desk.opened.look()
    assert [line["event"] for line in lines] == ["credentials stay as they were"]
    assert (desk.opened["a"].password.reveal(), desk.told) == ("one", [])
    await desk.save(login("a", "again"))
    await desk.opened.look()
    assert desk.opened["a"].password.reveal() == "again"


async def test_a_store_that_is_away_changes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> dict[str, bytes]:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(desk.store, "load_credentials", away)
        await desk.opened.look()
    assert desk.opened["b"].password.reveal() == "two"
