"""`sightline import`: read archive files (一机一档), say what is wrong, make them current."""

import asyncio
import getpass
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway import registry
from gateway.app import open_store
from gateway.archive_plan import ImportOptions, ImportPlan, plan_import
from gateway.commands.import_output import plan_json, print_plan, progress_bar, write_report
from gateway.commands.options import ConfigOption, JsonOption, print_json, run_async, settings_from
from gateway.commands.own_addresses import own_addresses
from gateway.domain.archive_fields import Kind, detect_kind, plain_name
from gateway.domain.datum import Datum, parse_datum
from gateway.errors import ArchiveError, Refused, UsageError
from gateway.ports import AuditEntry, Credential, RawTable, Role, Secret, Store
from gateway.resources import data_dir
from gateway.settings import Settings
from gateway.vault import Vault

GROUP = "sightline.archives"
ENDINGS = {"txt": "csv", "tsv": "csv", "json": "geojson"}
"""Other endings of the formats whose readers are named by ending."""

SHIPPED_DIVISIONS = "(shipped) divisions.csv"
"""Names the district's own divisions, taken while the archive has none."""

READ_AT_MOST = 64 * 1024 * 1024 + 1
"""Bytes taken from a file: one more than the readers accept, so that they can say no."""

CREDENTIAL_COLUMNS: Mapping[str, frozenset[str]] = {
    "name": frozenset({"name", "凭据组", "口令组", "名称", "credentialset"}),
    "username": frozenset({"username", "user", "用户名", "账号"}),
    "password": frozenset({"password", "密码", "口令"}),
}

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many steps are behind."""


@dataclass(frozen=True)
class ImportRequest:
    """What somebody asks of an import.

    Attributes:
        dry_run: work everything out, write nothing.
        kind: what the files list, where their columns do not tell.
        datum: of coordinates that declare none.
        credentials: a CSV file name,username,password.
        actor: who asks, for the record and the audit log.
    """

    dry_run: bool = False
    yes: bool = False
    strict: bool = False
    kind: Kind | None = None
    datum: Datum = Datum.WGS84
    credentials: Path | None = None
    actor: str = field(default_factory=lambda: f"cli:{_user()}")


@dataclass(frozen=True)
class Prepared:
    """An import worked out and not written yet."""

    plan: ImportPlan
    credentials: tuple[Credential, ...]
    """Credential sets that are new or changed; sealed when they are stored."""
    keys_file: Path

    @property
    def changes_anything(self) -> bool:
        """False when the archive and the credentials are as the files say already."""
        return bool(self.plan.changes or self.credentials)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in a container
        return "unknown"


async def run_import(
    store: Store,
    settings: Settings,
    files: Sequence[Path],
    request: ImportRequest | None = None,
    on_progress: Progress | None = None,
) -> ImportPlan:
    """Import files into an open store, in one transaction; with `dry_run` only plan it.

    Raises:
        ArchiveError: a file cannot be read as a whole.
        Refused: a guard forbids it (never with `dry_run`).
        StoreUnavailable: nothing was written, or everything.
    """
    request = request or ImportRequest()
    prepared = await prepare_import(store, settings, files, request, on_progress)
    if not request.dry_run:
        await apply_import(store, prepared, on_progress)
    return prepared.plan


async def prepare_import(
    store: Store,
    settings: Settings,
    files: Sequence[Path],
    request: ImportRequest,
    on_progress: Progress | None = None,
) -> Prepared:
    """Read the files and work out what importing them does; parsing runs in a thread."""
    tell = on_progress or _silent
    steps = len(files) + 3
    old = await store.load_inventory()
    sealed = await store.load_credentials()
    tables, digest = await asyncio.to_thread(_read_files, files, tell, steps)
    if not old.divisions and not any(_is_divisions(table, request) for table in tables):
        shipped = data_dir("config") / "divisions.csv"
        tables = [*tables, await asyncio.to_thread(_read_file, shipped, SHIPPED_DIVISIONS)]
    credentials = await asyncio.to_thread(_read_credentials, request.credentials)
    changed = await asyncio.to_thread(_changed, keys_file(settings), credentials, sealed)
    at = datetime.now(UTC)
    options = ImportOptions(
        import_id=f"{at:%Y%m%dT%H%M%S%f}-{digest[:8]}",
        at=at,
        actor=request.actor,
        yes=request.yes,
        strict=request.strict,
        kinds={t.file: request.kind for t in tables if t.file != SHIPPED_DIVISIONS}
        if request.kind
        else {},
        datum=request.datum,
        virtual=settings.network.virtual,
        own_addresses=own_addresses(),
        credential_sets=frozenset({*sealed, *credentials}),
    )
    tell("check", len(files), steps)
    plan = await asyncio.to_thread(plan_import, old, tables, options)
    tell("check", len(files) + 1, steps)
    return Prepared(plan, changed, keys_file(settings))


async def apply_import(
    store: Store, prepared: Prepared, on_progress: Progress | None = None
) -> None:
    """Write a prepared import. One that changes nothing writes nothing.

    Raises:
        Refused: a guard forbids it.
    """
    tell = on_progress or _silent
    plan = prepared.plan
    steps = len(plan.record.files) + 3
    if plan.refusals:
        raise Refused("; ".join(refusal.reason for refusal in plan.refusals))
    tell("write", steps - 2, steps)
    if prepared.credentials:  # first: a camera without its login would be asked in vain
        vault = await asyncio.to_thread(Vault.open, prepared.keys_file)
        await store.save_credentials({c.name: vault.seal(c) for c in prepared.credentials})
    if plan.changes:
        await store.save_import(plan.record, plan.inventory)
    if prepared.changes_anything:
        await store.append_audit(_audit(prepared))
    tell("write", steps, steps)


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass


def _audit(prepared: Prepared) -> AuditEntry:
    record = prepared.plan.record
    counts = ", ".join(f"{name} {count}" for name, count in record.counts if count)
    sets = f"; credential sets {len(prepared.credentials)}" if prepared.credentials else ""
    return AuditEntry(
        at=record.at,
        actor=record.actor,
        role=Role.ADMIN,
        action="import",
        target=record.id,
        result="done",
        detail=f"{', '.join(record.files)}: {counts}{sets}",
    )


# --- files


def _read_files(files: Sequence[Path], tell: Progress, steps: int) -> tuple[list[RawTable], str]:
    names = [path.name for path in files]
    if len(set(names)) < len(names):
        names = [str(path) for path in files]
    if len(set(names)) < len(names):
        raise UsageError("a file is given twice")
    digest = hashlib.sha256()
    tables: list[RawTable] = []
    for done, (path, name) in enumerate(zip(files, names, strict=True)):
        tell("read", done, steps)
        tables.append(_read_file(path, name, digest.update))
    return tables, digest.hexdigest()


def _read_file(path: Path, name: str, seen: Callable[[bytes], None] = lambda _: None) -> RawTable:
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


def _is_divisions(table: RawTable, request: ImportRequest) -> bool:
    return (request.kind or detect_kind(table.columns)) is Kind.DIVISIONS


# --- credentials: no message below may hold a value of the file


def _read_credentials(path: Path | None) -> dict[str, Credential]:
    if path is None:
        return {}
    table = _read_file(path, path.name)
    columns: dict[str, str] = {}
    for column in table.columns:
        for key, names in CREDENTIAL_COLUMNS.items():
            if plain_name(column) in names:
                columns.setdefault(key, column)
    if len(columns) < len(CREDENTIAL_COLUMNS):
        raise ArchiveError(f"{path.name}: its first row must be: name,username,password")
    found: dict[str, Credential] = {}
    for row, cells in table.rows:
        name, username, password = (cells.get(columns[key], "") for key in CREDENTIAL_COLUMNS)
        if not (name.strip() and username and password):
            raise ArchiveError(f"{path.name}: row {row}: name, username and password are needed")
        if name.strip() in found:
            raise ArchiveError(f"{path.name}: row {row}: this name is given twice")
        found[name.strip()] = Credential(name.strip(), username, Secret(password))
    return found


def _changed(
    path: Path, credentials: Mapping[str, Credential], sealed: Mapping[str, bytes]
) -> tuple[Credential, ...]:
    """Those that are new or differ: sealing them all would make each import a change."""
    if not credentials.keys() & sealed.keys():
        return tuple(credentials.values())  # without a look at the keys: a dry run makes none
    vault = Vault.open(path)
    return tuple(
        credential
        for name, credential in credentials.items()
        if name not in sealed or vault.unseal(name, sealed[name]) != credential
    )


def keys_file(settings: Settings) -> Path:
    """Where the keys for secrets at rest lie."""
    return settings.keys.file or settings.store.state_dir / "keys"


# --- the verb


def import_archive(
    files: Annotated[
        list[Path], typer.Argument(help="CSV, XLSX or GeoJSON files; kinds are told by columns")
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would change, write nothing")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="more than 5 % quarantined or disappearing is meant"),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="refuse everything when there is any defect")
    ] = False,
    kind: Annotated[
        Kind | None, typer.Option(help="what the files list, where columns do not tell")
    ] = None,
    datum: Annotated[
        str, typer.Option(help="datum of coordinates that declare none: WGS-84, GCJ-02, BD-09")
    ] = "WGS-84",
    credentials: Annotated[
        Path | None, typer.Option(help="CSV name,username,password: stored encrypted")
    ] = None,
    config: ConfigOption = None,
    report: Annotated[
        Path | None, typer.Option(help="write the whole repair list as .csv or .xlsx")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Import the device archive (一机一档): cameras, nodes, divisions, grid cells, windows.

    Only the kinds of files that are given replace their part of the archive; cameras missing from a
    camera file are decommissioned, never deleted. Everything is written in one transaction.

    Exit codes: 0 done, 1 refused by a guard, 2 a file or the call is wrong, 3 our own trouble.
    """
    known = parse_datum(datum)
    if known is None:
        raise UsageError(f"--datum {datum}: not WGS-84, GCJ-02 or BD-09")
    request = ImportRequest(
        dry_run=dry_run, yes=yes, strict=strict, kind=kind, datum=known, credentials=credentials
    )
    refused = run_async(_import(files, request, config, report, as_json=as_json))
    if refused:
        raise typer.Exit(1)


async def _import(
    files: Sequence[Path],
    request: ImportRequest,
    config: Path | None,
    report: Path | None,
    *,
    as_json: bool,
) -> bool:
    """Import, show and report; True when a guard refused it."""
    settings = settings_from(config)
    if report is not None and report.suffix.casefold() not in {".csv", ".xlsx"}:
        raise UsageError(f"--report {report.name}: must end in .csv or .xlsx")
    began = time.perf_counter()
    async with open_store(settings) as store:
        with progress_bar() as on_progress:
            prepared = await prepare_import(store, settings, files, request, on_progress)
        plan = prepared.plan
        if report is not None:
            await asyncio.to_thread(write_report, plan, report)
        if not as_json:  # the difference is shown before it is made
            print_plan(plan)
        go = not request.dry_run and not plan.refusals
        if go:
            with progress_bar() as on_progress:
                await apply_import(store, prepared, on_progress)
    applied = go and prepared.changes_anything
    if as_json:
        document = plan_json(plan) | {
            "dry_run": request.dry_run,
            "applied": applied,
            "credential_sets": len(prepared.credentials),
            "seconds": round(time.perf_counter() - began, 3),
        }
        print_json(document)
    else:
        typer.echo(_outcome(prepared, request, applied=applied))
    return bool(plan.refusals)


def _outcome(prepared: Prepared, request: ImportRequest, *, applied: bool) -> str:
    if prepared.plan.refusals:
        return "未导入 not imported: " + "; ".join(r.reason for r in prepared.plan.refusals)
    if request.dry_run:
        return "试运行，未写入 dry run: nothing was written"
    if not applied:
        return "无变化 nothing changed"
    sealed = f", {len(prepared.credentials)} credential sets sealed" if prepared.credentials else ""
    return f"已导入 imported as {prepared.plan.record.id}{sealed}"
