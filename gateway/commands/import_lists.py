"""`sightline import places|footprints|prohibited|candidates|sensors`: the lists beside the archive."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.commands.import_files import Given
from gateway.coverage_config import EDITION, load_ladder, load_place_kinds
from gateway.domain.archive_fields import Kind
from gateway.domain.coverage.suggest import suggest_places
from gateway.errors import Refused, UsageError
from gateway.importing import ImportOptions
from gateway.list_plan import ListPlan, Lists, plan_acceptance, plan_drafts, plan_lists
from gateway.ports import AuditEntry, Role, Store


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What somebody asks of an import of lists.

    Attributes:
        suggest: draft places from the archive instead of reading a file.
        accept: accept all drafts.
        edition: of the pixel densities that levels are names of.
    """

    actor: str
    kind: Kind | None = None
    yes: bool = False
    strict: bool = False
    suggest: bool = False
    accept: bool = False
    edition: str = EDITION


def named_kind(files: Sequence[Path]) -> Kind | None:
    """The list that the first word names: `sightline import places FILE`. A file of that name wins."""
    first = files[0] if files else None
    if first is None or first.exists() or first.parent != Path():
        return None
    return next((kind for kind in Kind if kind.value == first.name), None)


async def prepare_lists(store: Store, given: Given, request: ListRequest) -> ListPlan:
    """Work out, in a thread, what an import of lists does.

    Raises:
        UsageError: suggestions are asked for something else than places.
    """
    drafting = request.suggest or request.accept
    if drafting and (given.tables or request.kind not in {None, Kind.PLACES}):
        raise UsageError("--suggest and --accept stand alone: `sightline import places --suggest`")
    at = datetime.now(UTC)
    options = ImportOptions(
        import_id=f"{at:%Y%m%dT%H%M%S%f}-{given.digest[:8]}",
        at=at,
        actor=request.actor,
        yes=request.yes,
        strict=request.strict,
        kinds={t.file: request.kind for t in given.tables} if request.kind else {},
    )
    inventory = await store.load_inventory(shapes=False)
    places = await store.coverage.load_places()
    sensors = tuple(await store.events.load_sensors())
    old = Lists(places, sensors, inventory, load_place_kinds(), load_ladder(request.edition))
    if request.suggest:
        drafts = await asyncio.to_thread(suggest_places, inventory.cameras.values(), old.kinds)
        return plan_drafts(old, drafts, options)
    if request.accept:
        return plan_acceptance(old, options)
    return await asyncio.to_thread(plan_lists, old, given.tables, options)


async def apply_lists(store: Store, plan: ListPlan) -> None:
    """Write a prepared import. One that changes nothing writes nothing.

    Raises:
        Refused: a guard forbids it.
    """
    if plan.refusals:
        raise Refused("; ".join(refusal.reason for refusal in plan.refusals))
    if not plan.changes:
        return
    if plan.sensors is not None:
        await store.events.save_sensors(plan.sensors)
    # Last: the service looks for a new import, and takes what came with it.
    places = plan.places if plan.places is not None else await store.coverage.load_places()
    await store.coverage.save_places(plan.record, places)
    counts = ", ".join(f"{name} {count}" for name, count in plan.record.counts if count)
    files = ", ".join(plan.record.files) or "drafts"
    entry = AuditEntry(
        plan.record.at, plan.record.actor, Role.ADMIN, "import", plan.record.id, "done",
        f"{files}: {counts}",
    )  # fmt: skip
    await store.append_audit(entry)
