"""Credentials at rest: sealed with Fernet keys that lie in a file of their own.

The keys file holds one key a line, the newest first; it seals, all open (MultiFernet). It belongs
to the service's user alone (0600) and is made on first use. A rotation adds a key, seals everything
anew in one transaction, and only then drops the old keys: after a crash at any moment every sealed
credential still opens, and the rotation is simply repeated.
"""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from gateway.errors import UsageError
from gateway.ports import Credential, Secret

_log = structlog.get_logger("sightline.vault")


class Vault:
    """Seals and opens credentials. Open it with `Vault.open`."""

    def __init__(self, path: Path, keys: Sequence[bytes]) -> None:
        self._path = path
        self._keys = tuple(keys)
        self._fernet = MultiFernet([Fernet(key) for key in self._keys])

    @classmethod
    def open(cls, path: Path) -> "Vault":
        """Read the keys file; make it with one fresh key where there is none.

        Raises:
            UsageError: it cannot be read, is readable by others, or holds no valid keys.
        """
        try:
            if _create(path, Fernet.generate_key()):
                _log.warning(
                    "made a new keys file: back it up, credentials need it", path=str(path)
                )
            return cls(path, _read(path))
        except OSError as error:
            raise UsageError(f"{path}: keys file: {error.strerror}") from error

    @classmethod
    def existing(cls, path: Path) -> "Vault | None":
        """Read the keys file; None where there is none. Makes nothing.

        Raises:
            UsageError: it cannot be read, is readable by others, or holds no valid keys.
        """
        try:
            return cls(path, _read(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{path}: keys file: {error.strerror}") from error

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of the keys, newest first: hashes that say nothing about the keys."""
        return tuple(hashlib.sha256(b"key id" + key).hexdigest()[:12] for key in self._keys)

    def seal(self, credential: Credential) -> bytes:
        """Encrypt a credential under the newest key; its name is sealed in."""
        content = {
            "name": credential.name,
            "username": credential.username,
            "password": credential.password.reveal(),
        }
        return self._fernet.encrypt(json.dumps(content).encode())

    def unseal(self, name: str, sealed: bytes) -> Credential:
        """Open a sealed credential.

        The keys are read anew when they do not fit: another process may have rotated them.

        Raises:
            UsageError: no key opens it, or it was sealed for another name.
        """
        try:
            content = json.loads(self._decrypt(sealed))
        except InvalidToken:
            raise UsageError(
                f"credential set {name}: none of the keys in {self._path} opens it; bring back "
                "the keys file it was sealed with, or import the credentials again"
            ) from None
        if content["name"] != name:
            raise UsageError(f"credential set {name}: was sealed for another name")
        return Credential(name, content["username"], Secret(content["password"]))

    def unseal_all(self, sealed: Mapping[str, bytes]) -> dict[str, Credential]:
        """Open all credential sets of the store."""
        return {name: self.unseal(name, value) for name, value in sealed.items()}

    def reseal(self, sealed: Mapping[str, bytes]) -> dict[str, bytes]:
        """The same credentials under the newest key.

        Raises:
            UsageError: one of them does not open; nothing is returned then.
        """
        return {name: self.seal(self.unseal(name, value)) for name, value in sealed.items()}

    def rotate(self) -> "Vault":
        """Put a fresh key first, on disk before this returns; the old keys still open.

        Seal everything anew with the returned vault and store it, then call `drop_old`.
        """
        keys = [Fernet.generate_key(), *_read(self._path)]
        _replace(self._path, keys)
        return Vault(self._path, keys)

    def drop_old(self) -> "Vault":
        """Keep the newest key only. Nothing may be sealed with the others any more."""
        keys = self._keys[:1]
        _replace(self._path, keys)
        return Vault(self._path, keys)

    def _decrypt(self, sealed: bytes) -> bytes:
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            keys = tuple(_read(self._path)) if self._path.exists() else ()
            if not keys or keys == self._keys:
                raise
            self._keys = keys
            self._fernet = MultiFernet([Fernet(key) for key in keys])
            return self._fernet.decrypt(sealed)


def _create(path: Path, key: bytes) -> bool:
    """Make the file with one key unless it is there; a half-written one is never seen."""
    if path.exists():
        return False
    # 0711: the store's own user must get through to its data below; the file itself is 0600.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    draft = _draft(path, [key])
    try:
        os.link(draft, path)  # unlike a rename, this does not replace a file made meanwhile
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    _sync(path.parent)
    return True


def _replace(path: Path, keys: Sequence[bytes]) -> None:
    _draft(path, keys).replace(path)
    _sync(path.parent)


def _draft(path: Path, keys: Sequence[bytes]) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made 0600
    with os.fdopen(handle, "wb") as file:
        file.write(b"".join(key + b"\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise UsageError(f"{path}: keys file: others may read it ({mode:04o}): chmod 600 it")
        lines = [line.strip() for line in file]
    keys = [line for line in lines if line and not line.startswith(b"#")]
    for place, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            raise UsageError(f"{path}: keys file: key {place} is not a Fernet key") from None
    if not keys:
        raise UsageError(f"{path}: keys file: there is no key in it")
    return keys
