"""The archive files under `tests/data/archive`, read and planned the way the service does."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.archive.geojson import read_geojson
from adapters.archive.tables import read_csv, read_xlsx
from gateway.archive_plan import ImportPlan, plan_import
from gateway.importing import ImportOptions
from gateway.inventory import Inventory
from gateway.ports import RawTable

FOLDER = Path(__file__).parent / "data" / "archive"
READERS = {".csv": read_csv, ".xlsx": read_xlsx, ".geojson": read_geojson}
OPTIONS = ImportOptions(
    import_id="import-1",
    at=datetime(2026, 1, 1, tzinfo=UTC),
    actor="test",
    credential_sets=frozenset({"district"}),
)
PLACES = ("good-divisions.csv", "good-grids.geojson", "good-nodes.csv")


def raw(name: str) -> RawTable:
    """One file of the folder, read."""
    path = FOLDER / name
    return READERS[path.suffix](path.read_bytes(), name)


def plan(
    *names: str, old: Inventory | None = None, tables: Sequence[RawTable] = (), **options: Any
) -> ImportPlan:
    """The plan of importing files (and tables made by the test) over an archive."""
    every = [*(raw(name) for name in names), *tables]
    return plan_import(old or Inventory(), every, replace(OPTIONS, **options))


def good() -> ImportPlan:
    """The good archive."""
    return plan(*PLACES, "good-cameras.csv", "good-windows.csv")


def codes(found: ImportPlan) -> set[str]:
    """The rules that spoke."""
    return {repair.code for repair in found.repairs}
