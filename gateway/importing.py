"""What every import has in common: its options, its plan, the files read, and what forbids it.

`gateway.archive_plan` plans an import of the archive, `gateway.list_plan` one of the lists beside it. Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain.archive import ImportRecord, Repair, Severity
from gateway.domain.archive_context import DISTRICT_BOUNDS
from gateway.domain.archive_diff import Change
from gateway.domain.archive_fields import Kind, detect_kind, read_header
from gateway.domain.archive_table import Table, read_table
from gateway.domain.datum import Datum
from gateway.errors import ArchiveError
from gateway.ports import RawTable

GUARD_SHARE = 0.05
"""More than this share quarantined, or disappearing, needs somebody's yes."""


@dataclass(frozen=True)
class ImportOptions:
    """How an import is done.

    Attributes:
        import_id / at / actor: for the record.
        yes: quarantine and disappearance beyond 5 % are meant.
        strict: any finding above a note refuses the whole import.
        kinds: what a file lists, where its columns do not tell.
        datum: of coordinates that declare none.
        virtual: loopback addresses are allowed.
        own_addresses: the gateway's own addresses.
        credential_sets: existing names, or None when unknown.
        district / bounds: who is served, and where that lies while no grid cells are known.
    """

    import_id: str
    at: datetime
    actor: str
    yes: bool = False
    strict: bool = False
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    datum: Datum = Datum.WGS84
    virtual: bool = False
    own_addresses: frozenset[str] = frozenset()
    credential_sets: frozenset[str] | None = None
    district: str = "610802"
    bounds: tuple[float, float, float, float] = DISTRICT_BOUNDS


@dataclass(frozen=True)
class Refusal:
    """Why a plan must not be carried out as it is."""

    code: str
    """`too_many_quarantined`, `mass_disappearance`, `strict`."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What any import would do.

    Attributes:
        record: what is kept of the import, with counts and repair list.
        changes: everything that differs.
        tables: file -> (kind, rows, encoding).
        refusals: what forbids it; empty = go.
    """

    record: ImportRecord
    changes: tuple[Change, ...]
    tables: Mapping[str, tuple[Kind, int, str]]
    refusals: tuple[Refusal, ...]

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """The repair list (问题清单)."""
        return self.record.repairs

    @property
    def counts(self) -> Mapping[str, int]:
        """Counts by name, in display order."""
        return dict(self.record.counts)


# --- the files


@dataclass(frozen=True)
class Files:
    """The files of one import, their columns recognized.

    What their rows are worth is found out by who reads them, and noted in the tables: ask for the
    repair list, the record and the refusals after that.

    Attributes:
        raw: as they came.
        tables: one for each of them, in the same order.
        by_kind: the same tables; a kind of which there is none is not in it.
    """

    raw: Sequence[RawTable]
    tables: Sequence[Table]
    by_kind: Mapping[Kind, Sequence[Table]]

    def repairs(self) -> tuple[Repair, ...]:
        """The repair list (问题清单): file by file, in the order of rows."""
        return tuple(
            r for t in self.tables for r in sorted(t.findings.repairs, key=lambda r: r.row)
        )

    def listed(self) -> Mapping[str, tuple[Kind, int, str]]:
        """File -> (kind, rows, encoding)."""
        return {
            t.file: (t.kind, len(t.rows), raw.encoding)
            for t, raw in zip(self.tables, self.raw, strict=True)
        }

    def record(self, options: ImportOptions, counts: tuple[tuple[str, int], ...]) -> ImportRecord:
        """What is kept of the import."""
        return ImportRecord(
            id=options.import_id,
            at=options.at,
            actor=options.actor,
            files=tuple(raw.file for raw in self.raw),
            counts=counts,
            repairs=self.repairs(),
            unknown_columns=tuple(dict.fromkeys(c for t in self.tables for c in t.header.unknown)),
        )


def read_files(raw: Sequence[RawTable], options: ImportOptions) -> Files:
    """Recognize what each file lists, and its columns.

    Raises:
        ArchiveError: it cannot be told what a file lists.
    """
    tables: list[Table] = []
    by_kind: dict[Kind, list[Table]] = defaultdict(list)
    for one in raw:
        kind = options.kinds.get(one.file) or kind_of(one)
        table = read_table(one.file, kind, one.columns, one.rows)
        tables.append(table)
        by_kind[kind].append(table)
    return Files(raw, tables, dict(by_kind))


def kind_of(raw: RawTable) -> Kind:
    """What a file lists, by its columns.

    Raises:
        ArchiveError: they do not tell.
    """
    kind = detect_kind(raw.columns)
    if kind is None:
        raise ArchiveError(_unknown_kind(raw))
    return kind


def _unknown_kind(raw: RawTable) -> str:
    """Names only what was recognized: the first row of a wrong file may hold anything."""
    best = max((read_header(kind, raw.columns) for kind in Kind), key=lambda h: len(h.keys))
    seen = ", ".join(best.keys.values()) or "none"
    hint = "; logins are read with --credentials" if best.secret else ""
    return (
        f"{raw.file}: its {len(raw.columns)} columns fit no kind of archive file (recognized: "
        f"{seen}){hint}; name the kind with --kind, one of {', '.join(Kind)}"
    )


# --- what forbids it


def too_many_quarantined(files: Files) -> Iterable[Refusal]:
    """For each kind of file of whose rows too many cannot be taken."""
    for kind in Kind:
        tables = files.by_kind.get(kind, ())
        rows = sum(len(t.rows) for t in tables)
        bad = sum(
            len({r.row for r in t.findings.repairs if r.severity is Severity.QUARANTINE})
            for t in tables
        )
        if bad > GUARD_SHARE * rows:
            yield Refusal(
                "too_many_quarantined",
                f"{bad:,} of {rows:,} rows of {kind} cannot be taken; "
                "mend the file, or repeat with --yes to leave them out",
            )


def mass_disappearance(gone: int, before: int, reason: str) -> Iterable[Refusal]:
    """If too many of those that were there before are gone; `reason` says so to people."""
    if gone > GUARD_SHARE * before:
        yield Refusal("mass_disappearance", reason)


def serious_findings(files: Files) -> Iterable[Refusal]:
    """For `--strict`: if there is any finding above a note."""
    serious = sum(r.severity is not Severity.NOTE for r in files.repairs())
    if serious:
        yield Refusal("strict", f"{serious:,} findings, and --strict allows none")
