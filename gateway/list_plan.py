"""Plan an import of lists beside the archive: places, footprints, prohibited areas, sites, sensors.

Pure, like `gateway.archive_plan`; what both share stands in `gateway.importing`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.domain.archive import ImportRecord, Severity
from gateway.domain.archive_context import ArchiveContext
from gateway.domain.archive_diff import Change, ChangeKind, compare
from gateway.domain.archive_fields import Kind
from gateway.domain.archive_lists import (
    read_candidates,
    read_footprints,
    read_place_rows,
    read_prohibited,
    read_sensors,
)
from gateway.domain.archive_table import Table
from gateway.domain.coverage.ladder import Ladder
from gateway.domain.coverage.optics import PlaceKind
from gateway.domain.coverage.place import Place, PlaceId, PlaceList
from gateway.domain.event import Sensor
from gateway.importing import (
    Files,
    ImportOptions,
    Plan,
    Refusal,
    mass_disappearance,
    read_files,
    serious_findings,
    too_many_quarantined,
)
from gateway.inventory import Inventory
from gateway.ports import RawTable


@dataclass(frozen=True)
class Lists:
    """The lists as they are, and what their rows are read against."""

    places: PlaceList
    sensors: tuple[Sensor, ...]
    inventory: Inventory
    kinds: Mapping[str, PlaceKind]
    ladder: Ladder


@dataclass(frozen=True, kw_only=True)
class ListPlan(Plan):
    """What an import of lists would do; None = that part stays as it is."""

    places: PlaceList | None
    sensors: tuple[Sensor, ...] | None


def plan_lists(old: Lists, tables: Sequence[RawTable], options: ImportOptions) -> ListPlan:
    """Work out what importing `tables` over `old` does.

    Only the kinds of tables that are given replace their part. Drafts of `--suggest` stay beside an imported
    list until they are accepted.

    Raises:
        ArchiveError: it cannot be told what a file lists.
    """
    files = read_files(tables, options)
    new = _read(old, files.by_kind, options)
    changes = _changes(old, new)
    places = None if new.places is old.places else new.places
    sensors = None if new.sensors is old.sensors else new.sensors
    severities = Counter(r.severity for r in files.repairs())
    return ListPlan(
        record=files.record(options, _counts(new, changes, severities)),
        changes=tuple(changes),
        tables=files.listed(),
        refusals=tuple(_refusals(old, changes, files, options)),
        places=places,
        sensors=sensors,
    )


def plan_drafts(old: Lists, drafts: Iterable[Place], options: ImportOptions) -> ListPlan:
    """Work out what taking up suggested places does: drafts replace drafts, never an accepted place."""
    kept = {id_: place for id_, place in old.places.places.items() if place.accepted}
    found = {place.id: place for place in drafts if place.id not in kept}
    return _replace_places(old, kept | found, options)


def plan_acceptance(old: Lists, options: ImportOptions) -> ListPlan:
    """Work out what accepting all drafts does."""
    every = {id_: replace(place, accepted=True) for id_, place in old.places.places.items()}
    return _replace_places(old, every, options)


def _replace_places(
    old: Lists, places: Mapping[PlaceId, Place], options: ImportOptions
) -> ListPlan:
    new = replace(old, places=replace(old.places, places=places))
    changes = _changes(old, new)
    counts = _counts(new, changes, Counter())
    record = ImportRecord(options.import_id, options.at, options.actor, (), counts)
    return ListPlan(
        record=record, changes=tuple(changes), tables={}, refusals=(), places=new.places, sensors=None
    )  # fmt: skip


def _read(old: Lists, by_kind: Mapping[Kind, Sequence[Table]], options: ImportOptions) -> Lists:
    inventory = old.inventory
    context = ArchiveContext(
        divisions=inventory.divisions, grids=inventory.grids, district=options.district
    )
    places = old.places
    if tables := by_kind.get(Kind.PLACES):
        drafts = {i: p for i, p in places.places.items() if not p.accepted}
        rows = read_place_rows(tables, context, old.kinds, old.ladder)
        places = replace(places, places=drafts | {p.id: p for p in rows})
    if tables := by_kind.get(Kind.FOOTPRINTS):
        places = replace(places, footprints=tuple(read_footprints(tables)))
    if tables := by_kind.get(Kind.PROHIBITED):
        places = replace(places, prohibited=tuple(read_prohibited(tables)))
    if tables := by_kind.get(Kind.CANDIDATES):
        places = replace(places, candidates={s.id: s for s in read_candidates(tables)})
    sensors = old.sensors
    if tables := by_kind.get(Kind.SENSORS):
        sensors = tuple(read_sensors(tables, context))
    return replace(old, places=places, sensors=sensors)


def _changes(old: Lists, new: Lists) -> list[Change]:
    return [
        *compare("place", old.places.places, new.places.places),
        *compare("footprint", _by_id(old.places.footprints), _by_id(new.places.footprints)),
        *compare("prohibited", _by_id(old.places.prohibited), _by_id(new.places.prohibited)),
        *compare("candidate", old.places.candidates, new.places.candidates),
        *compare("sensor", _by_id(old.sensors), _by_id(new.sensors)),
    ]


def _by_id(rows: Iterable[object]) -> dict[str, object]:
    return {str(row.id): row for row in rows}  # type: ignore[attr-defined]  # all of them have one


def _counts(
    new: Lists, changes: Sequence[Change], severities: Counter[Severity]
) -> tuple[tuple[str, int], ...]:
    kinds = Counter(change.kind for change in changes)
    accepted = sum(place.accepted for place in new.places.places.values())
    return (
        ("places", accepted),
        ("drafts", len(new.places.places) - accepted),
        ("footprints", len(new.places.footprints)),
        ("prohibited", len(new.places.prohibited)),
        ("candidates", len(new.places.candidates)),
        ("sensors", len(new.sensors)),
        ("added", kinds[ChangeKind.ADDED]),
        ("changed", kinds[ChangeKind.CHANGED]),
        ("removed", kinds[ChangeKind.REMOVED]),
        ("quarantined", severities[Severity.QUARANTINE]),
        ("defects", severities[Severity.DEFECT]),
        ("notes", severities[Severity.NOTE]),
    )


def _refusals(
    old: Lists, changes: Sequence[Change], files: Files, options: ImportOptions
) -> Iterable[Refusal]:
    if not options.yes:
        yield from too_many_quarantined(files)
        gone = Counter(c.entry for c in changes if c.kind is ChangeKind.REMOVED)
        for entry, before in (("place", len(old.places.places)), ("sensor", len(old.sensors))):
            reason = (
                f"{gone[entry]:,} of {before:,} {entry}s would disappear; "
                "repeat with --yes if that is meant"
            )
            yield from mass_disappearance(gone[entry], before, reason)
    if options.strict:
        yield from serious_findings(files)
