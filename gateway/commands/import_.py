"""`sightline import`: read archive files (一机一档), say what is wrong, make them current."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway import registry
from gateway.archive_plan import ImportPlan, plan_import
from gateway.commands.audited import actor
from gateway.commands.import_files import STEPS_AFTER, Given, Progress, read_file, read_given
from gateway.commands.import_lists import ListRequest, apply_lists, named_kind, prepare_lists
from gateway.commands.import_output import plan_json, print_plan, progress_bar, write_report
from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    check_folder,
    counted,
    print_json,
    run_async,
    settings_from,
)
from gateway.commands.own_addresses import own_addresses
from gateway.domain.archive_fields import LISTS, Kind, detect_kind
from gateway.domain.datum import Datum, parse_datum
from gateway.errors import NoSchema, Refused, UsageError
from gateway.importing import ImportOptions, Plan, kind_of
from gateway.opening import make_store, open_store
from gateway.ports import AuditEntry, Credential, RawTable, Role, Store
from gateway.resources import data_dir
from gateway.settings import Settings
from gateway.vault import Vault

SHIPPED_DIVISIONS = "(shipped) divisions.csv"
"""Names the district's own divisions, taken while the archive has none."""


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
    actor: str = field(default_factory=actor)


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
    given = await read_given(files, request.kind, request.credentials, on_progress or _silent)
    prepared = await prepare_import(store, settings, given, request, on_progress)
    if not request.dry_run:
        await apply_import(store, prepared, on_progress)
    return prepared.plan


async def prepare_import(
    store: Store,
    settings: Settings,
    given: Given,
    request: ImportRequest,
    on_progress: Progress | None = None,
) -> Prepared:
    """Work out, in a thread, what importing what was read does."""
    tell = on_progress or _silent
    read = len(given.tables)
    steps = read + STEPS_AFTER
    old = await store.load_inventory()
    sealed = await store.load_credentials()
    tables, credentials = list(given.tables), given.credentials
    if not old.divisions and not any(_is_divisions(table, request) for table in tables):
        shipped = data_dir("config") / "divisions.csv"
        tables = [*tables, await asyncio.to_thread(read_file, shipped, SHIPPED_DIVISIONS)]
    changed = await asyncio.to_thread(_changed, keys_file(settings), credentials, sealed)
    at = datetime.now(UTC)
    options = ImportOptions(
        import_id=f"{at:%Y%m%dT%H%M%S%f}-{given.digest[:8]}",
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
    tell("check", read, steps)
    plan = await asyncio.to_thread(plan_import, old, tables, options)
    tell("check", read + 1, steps)
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
    steps = len(plan.record.files) + STEPS_AFTER
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
    sets = (
        f"; {counted(len(prepared.credentials), 'credential set')}" if prepared.credentials else ""
    )
    return AuditEntry(
        at=record.at,
        actor=record.actor,
        role=Role.ADMIN,
        action="import",
        target=record.id,
        result="done",
        detail=f"{', '.join(record.files)}: {counts}{sets}",
    )


def _is_divisions(table: RawTable, request: ImportRequest) -> bool:
    return (request.kind or detect_kind(table.columns)) is Kind.DIVISIONS


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
        list[Path],
        typer.Argument(
            help="CSV, XLSX or GeoJSON files; kinds are told by columns, or by a first word: places, "
            "footprints, prohibited, candidates, sensors"
        ),
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
    suggest: Annotated[
        bool,
        typer.Option("--suggest", help="`import places --suggest`: draft them from the archive"),
    ] = False,
    accept: Annotated[
        bool,
        typer.Option("--accept", help="`import places --accept`: all drafts count from now on"),
    ] = False,
    config: ConfigOption = None,
    report: Annotated[
        Path | None, typer.Option(help="write the whole repair list as .csv or .xlsx")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Import the device archive (一机一档): cameras, nodes, divisions, grid cells, windows.

    Or the lists beside it: listed places, building footprints, prohibited areas, candidate sites, sensors.

    Only the kinds of files that are given replace their part of the archive; cameras missing from a
    camera file are decommissioned, never deleted. Everything is written in one transaction.

    Exit codes: 0 done, 1 refused by a guard, 2 a file or the call is wrong, 3 our own trouble.
    """
    known = parse_datum(datum)
    if known is None:
        raise UsageError(f"--datum {datum}: not WGS-84, GCJ-02 or BD-09")
    if (named := named_kind(files)) is not None:
        files, kind = files[1:], named
        if not files and not (suggest or accept):
            raise UsageError(f"import {named}: which file?")
    request = ImportRequest(
        dry_run=dry_run, yes=yes, strict=strict, kind=kind, datum=known, credentials=credentials
    )
    drafts = (suggest, accept)
    refused = run_async(_import(files, request, config, report, drafts, as_json=as_json))
    if refused:
        raise typer.Exit(1)


async def _import(
    files: Sequence[Path],
    request: ImportRequest,
    config: Path | None,
    report: Path | None,
    drafts: tuple[bool, bool],
    *,
    as_json: bool,
) -> bool:
    """Import, show and report; True when a guard refused it."""
    settings = settings_from(config)
    if report is not None and report.suffix.casefold() not in {".csv", ".xlsx"}:
        raise UsageError(f"--report {report.name}: must end in .csv or .xlsx")
    check_folder(report, "--report")
    began = time.perf_counter()
    # Before a store is made: a misspelt name must leave nothing behind.
    with progress_bar() as on_progress:
        given = await read_given(files, request.kind, request.credentials, on_progress)
    if any(drafts) or _are_lists(given, request):
        return await _import_lists(settings, given, request, report, drafts, as_json=as_json)
    async with _store_for(settings, request) as store:
        with progress_bar() as on_progress:
            prepared = await prepare_import(store, settings, given, request, on_progress)
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


def _are_lists(given: Given, request: ImportRequest) -> bool:
    """Whether lists are imported, not the archive.

    Raises:
        UsageError: both at once.
    """
    kinds = {request.kind or kind_of(table) for table in given.tables}
    if kinds & LISTS and kinds - LISTS:
        raise UsageError("files of the archive and lists beside it go in two imports")
    return bool(kinds & LISTS)


async def _import_lists(
    settings: Settings,
    given: Given,
    request: ImportRequest,
    report: Path | None,
    drafts: tuple[bool, bool],
    *,
    as_json: bool,
) -> bool:
    began = time.perf_counter()
    edition = settings.coverage.edition
    wish = ListRequest(request.actor, request.kind, request.yes, request.strict, *drafts, edition)
    async with _store_for(settings, request) as store:
        plan = await prepare_lists(store, given, wish)
        if report is not None:
            await asyncio.to_thread(write_report, plan, report)
        if not as_json:
            print_plan(plan)
        go = not request.dry_run and not plan.refusals
        if go:
            with progress_bar() as on_progress:
                on_progress("write", 0, 1)
                await apply_lists(store, plan)
    applied = go and bool(plan.changes)
    if as_json:
        seconds = round(time.perf_counter() - began, 3)
        told = {"dry_run": request.dry_run, "applied": applied, "seconds": seconds}
        print_json(plan_json(plan) | told)
    else:
        typer.echo(_told(plan, dry_run=request.dry_run, applied=applied))
    return bool(plan.refusals)


@contextlib.asynccontextmanager
async def _store_for(settings: Settings, request: ImportRequest) -> AsyncIterator[Store]:
    """The store; for a dry run where there is none yet, an empty one that leaves no trace."""
    if not request.dry_run:
        async with open_store(settings, migrate=True) as store:
            yield store
        return
    there: Store | None = None
    async with contextlib.AsyncExitStack() as held:
        if await make_store(settings).exists():
            with contextlib.suppress(NoSchema):
                there = await held.enter_async_context(open_store(settings, create=False))
        if there is None:
            there = registry.get("sightline.stores", "memory")("memory:")
            await there.open()
        yield there


def _outcome(prepared: Prepared, request: ImportRequest, *, applied: bool) -> str:
    told = _told(prepared.plan, dry_run=request.dry_run, applied=applied)
    if applied and prepared.credentials:
        told += f", {counted(len(prepared.credentials), 'credential set')} sealed"
    return told


def _told(plan: Plan, *, dry_run: bool, applied: bool) -> str:
    if plan.refusals:
        return "未导入 not imported: " + "; ".join(r.reason for r in plan.refusals)
    if dry_run:
        return "试运行，未写入 dry run: nothing was written"
    if not applied:
        return "无变化 nothing changed"
    return f"已导入 imported as {plan.record.id}"
