"""Backup and restore: every table by COPY, as of one moment, into one archive with a manifest.

The file is a `.tar.gz`: `manifest.json` (format, migrations with checksums, tables with columns,
rows and SHA-256), then one member `<table>.copy` each in PostgreSQL's text COPY format, which is
the same on every version. It holds sealed credentials and token hashes, never a password.
"""

import asyncio
import gzip
import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from adapters.postgres.database import Connection, Database
from adapters.postgres.queries import SQL
from gateway.errors import Conflict, UsageError

FORMAT = "sightline-backup-1"
_LIMIT_S = 3600.0
_DERIVED = frozenset({"migrations"})
"""Tables that the target's own migrations fill."""

_BLOCK = 1 << 20


async def write(database: Database, file: Path) -> Mapping[str, int]:
    """Write all tables into `file`, which appears only when it is complete.

    Returns:
        Rows by table.
    """
    try:
        # beside the target, so that the finished file takes its name in one step
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=file.parent) as folder:
            async with database.connection(_LIMIT_S) as connection, connection.transaction():
                await connection.execute(SQL["backup_snapshot"])
                manifest = await _copy_out(connection, Path(folder))
            half = Path(folder) / "backup"
            await asyncio.to_thread(_pack, Path(folder), manifest, half)
            half.chmod(0o600)
            half.replace(file)
    except OSError as error:
        raise UsageError(f"{error.filename or file}: {error.strerror}") from error
    return {table["name"]: table["rows"] for table in manifest["tables"]}


async def read(database: Database, file: Path) -> Mapping[str, int]:
    """Fill an empty, current schema from `file`, in one transaction.

    Returns:
        Rows by table.

    Raises:
        UsageError: the file is not a backup, is damaged, or is of another schema.
        Conflict: the schema is not empty.
    """
    with tempfile.TemporaryDirectory(prefix="sightline-restore-") as folder:
        manifest = await asyncio.to_thread(_unpack, file, Path(folder))
        async with database.connection(_LIMIT_S) as connection, connection.transaction():
            await _check_target(connection, manifest)
            for table in manifest["tables"]:
                if table["name"] not in _DERIVED:
                    await connection.copy_to_table(
                        table["name"],
                        schema_name="sightline",
                        columns=table["columns"],
                        source=Path(folder) / f"{table['name']}.copy",
                        timeout=_LIMIT_S,
                    )
            await connection.execute(SQL["restore_audit_numbers"])
            await connection.execute(SQL["restore_cursors"])
    return {table["name"]: table["rows"] for table in manifest["tables"]}


async def _copy_out(connection: Connection, folder: Path) -> dict[str, Any]:
    tables: list[dict[str, Any]] = []
    for row in await connection.fetch(SQL["tables"]):
        path = folder / f"{row['name']}.copy"
        status = await connection.copy_from_table(
            row["name"],
            schema_name="sightline",
            columns=row["columns"],
            output=path,
            timeout=_LIMIT_S,
        )
        tables.append(
            {
                "name": row["name"],
                "columns": list(row["columns"]),
                "rows": int(status.split()[-1]),
                "sha256": await asyncio.to_thread(_sha256, path),
            }
        )
    applied = await connection.fetch(SQL["migrations_applied"])
    return {
        "format": FORMAT,
        "migrations": [{"name": m["name"], "checksum": m["checksum"]} for m in applied],
        "tables": tables,
    }


async def _check_target(connection: Connection, manifest: Mapping[str, Any]) -> None:
    here = [(m["name"], m["checksum"]) for m in await connection.fetch(SQL["migrations_applied"])]
    there = [(m["name"], m["checksum"]) for m in manifest["migrations"]]
    if here != there:
        last = there[-1][0] if there else "none"
        raise UsageError(
            f"the backup is of another schema (its last migration is {last}): restore it with the "
            "release that wrote it, then migrate"
        )
    if not await connection.fetchval(SQL["is_empty"]):
        raise Conflict("the store is not empty: restore into a fresh one")


def _pack(folder: Path, manifest: Mapping[str, Any], target: Path) -> None:
    with target.open("wb") as raw:
        # no time stamp inside: the same content gives the same bytes
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|") as archive,
        ):
            text = orjson.dumps(manifest, option=orjson.OPT_INDENT_2)
            _add(archive, "manifest.json", len(text), io.BytesIO(text))
            for table in manifest["tables"]:
                path = folder / f"{table['name']}.copy"
                with path.open("rb") as content:
                    _add(archive, path.name, path.stat().st_size, content)
        raw.flush()
        os.fsync(raw.fileno())


def _add(archive: tarfile.TarFile, name: str, size: int, content: BinaryIO) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    archive.addfile(member, content)


def _unpack(file: Path, folder: Path) -> dict[str, Any]:
    """Unpack and verify: every table that the manifest names, whole, and nothing else."""
    try:
        with tarfile.open(file, mode="r:gz") as archive:
            manifest = _manifest(archive)
            for table in manifest["tables"]:
                path = folder / f"{table['name']}.copy"
                content = archive.extractfile(f"{table['name']}.copy")
                if content is None:
                    raise UsageError(f"{file}: table {table['name']} is not a file")
                with content, path.open("wb") as copy:
                    copy.writelines(_blocks(content))
                if _sha256(path) != table["sha256"]:
                    raise UsageError(f"{file}: table {table['name']} is damaged")
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, KeyError, TypeError) as error:
        raise UsageError(f"{file}: not a whole backup of sightline: {error}") from error
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
    return manifest


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    content = archive.extractfile("manifest.json")
    manifest: dict[str, Any] = orjson.loads(content.read() if content else b"{}")
    if manifest.get("format") != FORMAT:
        raise UsageError(f"the backup has format {manifest.get('format')!r}, not {FORMAT!r}")
    for table in manifest["tables"]:
        if not str(table["name"]).isidentifier():
            raise UsageError(f"the backup names a table {table['name']!r}")
    return manifest


def _blocks(stream: Any) -> Iterator[bytes]:  # noqa: ANN401 - a file of either kind
    while block := stream.read(_BLOCK):
        yield block


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in _blocks(file):
            digest.update(block)
    return digest.hexdigest()
