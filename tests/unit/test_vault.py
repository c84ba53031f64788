"""The vault: sealed credentials, key files, rotation that survives a crash at any moment."""

import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from gateway.errors import UsageError
from gateway.ports import Credential, Secret
from gateway.vault import Vault

CANARY = "canary-Pa55"
DISTRICT = Credential("district", "admin", Secret(CANARY))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys"


def test_a_keys_file_is_made_on_first_use_for_its_owner_only(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = Vault.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o711, "to pass through, not to list"
    assert [p.name for p in path.parent.iterdir()] == ["keys"], "no draft is left behind"
    printed = capsys.readouterr()
    assert "made a new keys file" in printed.out + printed.err
    assert Vault.open(path).key_ids == vault.key_ids
    assert path.read_text().strip() not in printed.out + printed.err


def test_what_is_sealed_opens_again_and_does_not_show_the_password(path: Path) -> None:
    vault = Vault.open(path)
    sealed = vault.seal(DISTRICT)
    assert CANARY.encode() not in sealed
    assert vault.unseal("district", sealed) == DISTRICT
    assert CANARY not in repr(vault.unseal_all({"district": sealed}))


def test_a_credential_sealed_for_another_name_is_refused(path: Path) -> None:
    vault = Vault.open(path)
    with pytest.raises(UsageError, match="was sealed for another name"):
        vault.unseal("township", vault.seal(DISTRICT))


def test_a_foreign_or_broken_seal_is_refused_without_its_content(path: Path) -> None:
    foreign = Fernet(Fernet.generate_key()).encrypt(b"{}")
    for sealed in (foreign, b"nonsense"):
        with pytest.raises(UsageError, match="credential set district: none of the keys"):
            Vault.open(path).unseal("district", sealed)


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (Fernet.generate_key(), 0o640, r"others may read it \(0640\)"),
        (b"# nothing\n", 0o600, "no key in it"),
        (Fernet.generate_key() + b"\nshort\n", 0o600, "key 2 is not a Fernet key"),
    ],
)
def test_a_bad_keys_file_is_refused_with_its_reason(
    path: Path, content: bytes, mode: int, reason: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(UsageError, match=reason) as error:
        Vault.open(path)
    assert content.split(b"\n")[0].decode() not in str(error.value)


def test_a_keys_file_that_cannot_be_made_is_an_error_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(UsageError, match="keys file: "):
        Vault.open(tmp_path / "state" / "keys")


def rotated_until(stop: int, path: Path, stored: Mapping[str, bytes]) -> dict[str, bytes]:
    """A rotation that is cut short after `stop` of its three steps; what the store then holds."""
    vault, held = Vault.open(path), dict(stored)
    if stop > 0:
        vault = vault.rotate()
    if stop > 1:
        held = vault.reseal(held)
    if stop > 2:
        vault.drop_old()
    return held


@pytest.mark.parametrize("stop", [0, 1, 2, 3])
def test_a_rotation_cut_short_anywhere_loses_nothing_and_can_be_repeated(
    path: Path, stop: int
) -> None:
    first = Vault.open(path)
    held = rotated_until(stop, path, {"district": first.seal(DISTRICT)})
    assert Vault.open(path).unseal("district", held["district"]) == DISTRICT
    held = rotated_until(3, path, held)
    last = Vault.open(path)
    assert len(last.key_ids) == 1
    assert last.key_ids != first.key_ids
    assert last.unseal("district", held["district"]) == DISTRICT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_running_service_opens_what_was_sealed_after_a_rotation_beside_it(path: Path) -> None:
    service = Vault.open(path)
    held = rotated_until(3, path, {"district": service.seal(DISTRICT)})
    assert service.unseal("district", held["district"]) == DISTRICT


def test_a_vault_whose_file_is_gone_still_opens_what_it_sealed(path: Path) -> None:
    vault = Vault.open(path)
    sealed = vault.seal(DISTRICT)
    path.unlink()
    assert vault.unseal("district", sealed) == DISTRICT
    with pytest.raises(UsageError):
        vault.unseal("district", Fernet(Fernet.generate_key()).encrypt(b"{}"))


def test_of_two_processes_that_make_the_file_at_once_one_key_wins(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Vault.open(path)
    monkeypatch.setattr(Path, "exists", lambda _: False)  # as the slower one saw it
    assert Vault.open(path).key_ids == first.key_ids
