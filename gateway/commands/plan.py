"""`sightline plan`: where the next cameras help most, and how good that answer is."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from gateway.commands.audited import actor, audit_line
from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    check_folder,
    err,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.errors import UsageError
from gateway.opening import open_store
from gateway.plan_files import explained, to_geojson, to_xlsx
from gateway.planning import Planner, PlanRequest, Source
from gateway.ports.coverage import PlanRecord, PlanStatus
from gateway.settings import Settings

SHOWN_PLACES = 3
SHOWN_TURNS = 10


def plan(
    sites: Annotated[int | None, typer.Option(help="Sites, at most.")] = None,
    budget: Annotated[float | None, typer.Option(help="CNY, at most.")] = None,
    per_site: Annotated[int, typer.Option(help="Cameras at one site, at most.")] = 1,
    backup: Annotated[bool, typer.Option("--backup", help="Count second views, by half.")] = False,
    lens: Annotated[
        list[str] | None, typer.Option(help="A lens to choose from; can be repeated.")
    ] = None,
    candidates: Annotated[Source, typer.Option(help="Where sites come from.")] = Source.AUTO,
    name: Annotated[str, typer.Option(help="A name for the plan.")] = "",
    export: Annotated[Path | None, typer.Option(help="Write the plan: .geojson or .xlsx.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Where the next cameras help most: sites, directions and lenses, with a proven gap to the best.

    Needs no running service. The plan is kept in the store.
    """
    request = PlanRequest(
        sites, budget, per_site, 0.5 if backup else 0.0, tuple(lens or ()), candidates
    )
    request.check()
    if export is not None:
        check_suffix(export, "--export")
        check_folder(export, "--export")
    settings = settings_from(config)
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("Planning", total=1.0)
        made = run_async(
            compute(settings, request, name, lambda share: progress.update(task, completed=share))
        )
    if export is not None:
        write_plan(made, export, "--export")
    if as_json:
        print_json(plan_object(made))
    else:
        print_plan(made)


async def compute(
    settings: Settings, request: PlanRequest, name: str, told: Callable[[float], None]
) -> PlanRecord:
    """Read archive and places, plan in this process, keep the plan."""
    async with open_store(settings, create=False) as store:
        inventory = await store.load_inventory(shapes=False)
        places = await store.coverage.load_places()
        record = PlanRecord(
            secrets.token_hex(8), name, datetime.now(UTC), actor(), PlanStatus.DONE,
            request.as_dict(), progress=1.0,
        )  # fmt: skip
        result = Planner(inventory, places, settings.coverage).plan(request, told)
        record = replace(record, finished_at=datetime.now(UTC), result=result)
        await store.coverage.save_plan(record)
        await audit_line(store, "plan", record.id, detail=name)
        return record


def check_suffix(file: Path, option: str) -> None:
    """Refuse a file that is neither a map layer nor a workbook.

    Raises:
        UsageError: with the option and the file.
    """
    if file.suffix not in {".geojson", ".xlsx"}:
        raise UsageError(f"{option} {file}: must end in .geojson or .xlsx")


def write_plan(made: PlanRecord, file: Path, option: str) -> None:
    """Write a plan that has a result; raises `UsageError` as `check_suffix`."""
    check_suffix(file, option)
    is_map = file.suffix == ".geojson"
    file.write_bytes(orjson.dumps(to_geojson(made)) if is_map else to_xlsx(made))


def plan_object(made: PlanRecord) -> dict[str, Any]:
    """A plan that has a result, for `--json`."""
    return {"id": made.id, "name": made.name, "request": made.request, **(made.result or {})}


def print_plan(made: PlanRecord) -> None:
    """A plan that has a result, for people."""
    result: Any = made.result
    table = Table(
        "#", "点位 site", "镜头/方位 cameras", "新增 gain", "累计 total", "造价 cost", "部位 places"
    )
    for row, at in zip(result["sites"], result["curve"], strict=True):
        names = [one["name"] for one in row["places"]]
        more = f" +{len(names) - SHOWN_PLACES}" if len(names) > SHOWN_PLACES else ""
        cells = (
            str(row["rank"]),
            row["name"] or row["site"],
            " ".join(f"{one['lens']}/{one['azimuth_deg']:.0f}°" for one in row["cameras"]),
            f"{row['gain']:.4g}",
            f"{at['gain']:.4g}",
            f"{row['cost']:.0f}{'' if row['cost_known'] else '?'}",
            ", ".join(names[:SHOWN_PLACES]) + more,
        )
        table.add_row(*map(Text, cells))
    out.print(table)
    for text in explained(made):
        out.print(Text(text))
    steps = ", ".join(f"{one['share']:.0%}: {one['sites']}" for one in result["milestones"])
    out.print(Text(f"达到比例所需点位 sites for a share of the gain: {steps}"))
    for turn in result["reaim"][:SHOWN_TURNS]:
        out.print(Text(
            f"先调向 re-aim {turn['channel']}: {turn['azimuth_deg']:.0f}° -> "
            f"{turn['new_azimuth_deg']:.0f}°, +{turn['gain']:.4g} -{turn['loss']:.4g}"
        ))  # fmt: skip
    out.print(Text(f"{result['seconds']['total']:.1f} s"))
