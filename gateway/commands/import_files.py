"""Reads what an import is given, before anything of ours is touched: archive files and credentials."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway import registry
from gateway.domain.archive_fields import Kind, plain_name
from gateway.domain.archive_table import EXTRA
from gateway.errors import ArchiveError, UsageError
from gateway.importing import kind_of
from gateway.ports import Credential, RawTable, Secret

GROUP = "sightline.archives"
ENDINGS = {"txt": "csv", "tsv": "csv", "json": "geojson"}
"""Other endings of the formats whose readers are named by ending."""

READ_AT_MOST = 64 * 1024 * 1024 + 1
"""Bytes taken from a file: one more than the readers accept, so that they can say no."""

CREDENTIAL_COLUMNS: Mapping[str, frozenset[str]] = {
    "name": frozenset({"name", "凭据组", "口令组", "名称", "credentialset"}),
    "username": frozenset({"username", "user", "用户名", "账号"}),
    "password": frozenset({"password", "密码", "口令"}),
}

STEPS_AFTER = 3
"""Steps of an import after its files are read."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many steps are behind."""


@dataclass(frozen=True)
class Given:
    """What stands in the files of an import.

    Attributes:
        digest: of the archive files, for the id of the import.
        credentials: by name of the set.
    """

    tables: tuple[RawTable, ...]
    digest: str
    credentials: Mapping[str, Credential]


async def read_given(
    files: Sequence[Path], kind: Kind | None, credentials: Path | None, tell: Progress
) -> Given:
    """Read the files, in a thread.

    Args:
        files: of the archive.
        kind: what they list, where their columns do not tell.
        credentials: a CSV file name,username,password.
        tell: told after each file.

    Raises:
        ArchiveError: a file cannot be read as a whole, or it cannot be told what it lists.
        UsageError: a file is given twice.
    """
    tables, digest = await asyncio.to_thread(_read_files, files, kind, tell)
    return Given(tuple(tables), digest, await asyncio.to_thread(_read_credentials, credentials))


def _read_files(
    files: Sequence[Path], kind: Kind | None, tell: Progress
) -> tuple[list[RawTable], str]:
    names = [path.name for path in files]
    if len(set(names)) < len(names):
        names = [str(path) for path in files]
    if len(set(names)) < len(names):
        raise UsageError("a file is given twice")
    digest = hashlib.sha256()
    tables: list[RawTable] = []
    for done, (path, name) in enumerate(zip(files, names, strict=True)):
        tell("read", done, len(files) + STEPS_AFTER)
        tables.append(read_file(path, name, digest.update))
        if kind is None:
            kind_of(tables[-1])
    return tables, digest.hexdigest()


def read_file(path: Path, name: str, seen: Callable[[bytes], None] = lambda _: None) -> RawTable:
    """Read one file by the reader of its ending; `seen` gets its bytes."""
    ending = path.suffix.removeprefix(".").casefold()
    ending = ENDINGS.get(ending, ending)
    if ending not in registry.names(GROUP):
        raise ArchiveError(
            f"{name}: no reader for this ending; there are {', '.join(registry.names(GROUP))}"
        )
    try:
        with path.open("rb") as file:
            content = file.read(READ_AT_MOST)
    except OSError as error:
        raise ArchiveError(f"{name}: cannot be read: {error.strerror}") from error
    seen(content)
    table: RawTable = registry.get(GROUP, ending)(content, name)
    return table


# --- credentials: no message below may hold a value of the file


def _read_credentials(path: Path | None) -> dict[str, Credential]:
    if path is None:
        return {}
    table = read_file(path, path.name)
    columns: dict[str, str] = {}
    for column in table.columns:
        for key, names in CREDENTIAL_COLUMNS.items():
            if plain_name(column) in names:
                columns.setdefault(key, column)
    if len(columns) < len(CREDENTIAL_COLUMNS):
        raise ArchiveError(f"{path.name}: its first row must be: name,username,password")
    found: dict[str, Credential] = {}
    for row, cells in table.rows:
        if any(column.startswith(EXTRA) for column in cells):
            raise ArchiveError(
                f"{path.name}: row {row}: it has more fields than there are columns; "
                'put a value that holds a comma in double quotes: "..."'
            )
        name, username, password = (cells.get(columns[key], "") for key in CREDENTIAL_COLUMNS)
        if not (name.strip() and username and password):
            raise ArchiveError(f"{path.name}: row {row}: name, username and password are needed")
        if name.strip() in found:
            raise ArchiveError(f"{path.name}: row {row}: this name is given twice")
        found[name.strip()] = Credential(name.strip(), username, Secret(password))
    return found
