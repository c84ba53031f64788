"""What `sightline import` shows: a progress bar, tables on the terminal, JSON, a report file."""

import csv
import dataclasses
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xlsxwriter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gateway.domain.archive import Repair, Severity
from gateway.domain.archive_diff import Change
from gateway.domain.archive_rules import chinese
from gateway.errors import UsageError
from gateway.importing import Plan

REPAIRS_SHOWN = 50
CHANGES_SHOWN = 20

_STAGES = {
    "read": "读取文件 reading",
    "check": "核对 checking",
    "write": "写入 writing",
}
_SEVERITIES = {
    Severity.QUARANTINE: ("隔离 quarantine", "red"),
    Severity.DEFECT: ("缺陷 defect", "yellow"),
    Severity.NOTE: ("提示 note", "dim"),
}
_COUNTS = {
    "cameras": "在用摄像机 cameras in use",
    "devices": "设备 devices",
    "added": "新增 added",
    "changed": "变更 changed",
    "readdressed": "地址变更 re-addressed",
    "decommissioned": "停用 decommissioned",
    "unchanged": "未变 unchanged",
    "quarantined": "隔离 quarantined",
    "defects": "缺陷 defects",
    "notes": "提示 notes",
    "unmapped": "不上图 without position",
    "nodes": "网络节点 nodes",
    "divisions": "行政区划 divisions",
    "grids": "网格 grid cells",
    "windows": "检修计划 windows",
    "places": "重点部位 listed places",
    "drafts": "待确认草案 drafts",
    "footprints": "建筑轮廓 footprints",
    "prohibited": "禁摄区域 prohibited areas",
    "candidates": "备选点位 candidate sites",
    "sensors": "传感器 sensors",
}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_REPORT_COLUMNS = ("文件 file", "行 row", "列 column", "值 value", "规则 rule", "级别 severity",
                   "原因 (中文)", "reason")  # fmt: skip


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr while something long runs; silent off a terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(_STAGES["read"], total=None)

        def tell(stage: str, done: int, total: int) -> None:
            bar.update(task, description=_STAGES[stage], completed=done, total=total)

        yield tell


def print_plan(plan: Plan, console: Console | None = None) -> None:
    """The difference, the counts and the first lines of the repair list."""
    console = console or Console()
    for file, (kind, rows, encoding) in plan.tables.items():
        console.print(Text(f"{file}: {kind}, {rows:,} rows, {encoding}"))
    counts = Table(title="导入结果 Import", show_header=False)
    for name, count in plan.counts.items():
        label = _COUNTS.get(name)
        if label:
            counts.add_row(label, f"{count:,}")
    console.print(counts)
    _print_changes(plan, console)
    _print_repairs(plan, console)


def _print_changes(plan: Plan, console: Console) -> None:
    telling = [change for change in plan.changes if change.kind != "added"]
    if not telling:
        return
    table = Table(title="变更 Changes")
    for column in ("对象 entry", "编码 id", "变化 change", "字段 fields"):
        table.add_column(column, overflow="fold")
    for change in telling[:CHANGES_SHOWN]:
        table.add_row(change.entry, Text(change.id), change.kind, Text(_field_text(change)))
    console.print(table)
    if len(telling) > CHANGES_SHOWN:
        console.print(f"… 另有 {len(telling) - CHANGES_SHOWN:,} 项 more (--json)")


def _field_text(change: Change) -> str:
    return "; ".join(f"{f.name}: {f.old or '∅'} → {f.new or '∅'}" for f in change.fields)


def _print_repairs(plan: Plan, console: Console) -> None:
    if not plan.repairs:
        console.print("问题清单为空 the repair list is empty")
        return
    table = Table(title=f"问题清单 Repair list ({len(plan.repairs):,})")
    for column in ("行 row", "列 column", "值 value", "级别 severity", "原因 reason"):
        table.add_column(column, overflow="fold")
    worst_first = sorted(plan.repairs, key=lambda r: list(Severity).index(r.severity))
    for repair in worst_first[:REPAIRS_SHOWN]:
        word, style = _SEVERITIES[repair.severity]
        table.add_row(
            Text(_place(repair)),
            Text(repair.column),
            Text(repair.value),
            Text(word, style=style),
            Text(f"{chinese(repair.code)}\n{repair.reason}"),
        )
    console.print(table)
    if len(plan.repairs) > REPAIRS_SHOWN:
        rest = len(plan.repairs) - REPAIRS_SHOWN
        console.print(f"… 另有 {rest:,} 条 more: --report FILE.xlsx or --json has all")


def _place(repair: Repair) -> str:
    return f"{repair.file}:{repair.row}" if repair.row else repair.file


def plan_json(plan: Plan) -> dict[str, Any]:
    """The whole plan as plain data."""
    return {
        "import": plan.record.id,
        "at": plan.record.at.isoformat(),
        "files": [
            {"file": file, "kind": kind, "rows": rows, "encoding": encoding}
            for file, (kind, rows, encoding) in plan.tables.items()
        ],
        "counts": dict(plan.counts),
        "refusals": [dataclasses.asdict(refusal) for refusal in plan.refusals],
        "unknown_columns": list(plan.record.unknown_columns),
        "changes": [dataclasses.asdict(change) for change in plan.changes],
        "repairs": [
            dataclasses.asdict(repair) | {"reason_zh": chinese(repair.code)}
            for repair in plan.repairs
        ],
    }


def write_report(plan: Plan, path: Path) -> None:
    """The whole repair list as CSV or XLSX, safe to open in a spreadsheet.

    Raises:
        UsageError: the file cannot be written.
    """
    rows = [_report_row(repair) for repair in plan.repairs]
    content = _xlsx(rows) if path.suffix.casefold() == ".xlsx" else _csv(rows)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"--report {path.name}: {error.strerror}") from error


def _report_row(repair: Repair) -> tuple[str, ...]:
    return (
        repair.file,
        str(repair.row or ""),
        repair.column,
        repair.value,
        repair.code,
        str(repair.severity),
        chinese(repair.code),
        repair.reason,
    )


def defused(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _csv(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_REPORT_COLUMNS)
    writer.writerows([defused(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _xlsx(rows: list[tuple[str, ...]]) -> bytes:
    content = io.BytesIO()
    safe = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(content, safe) as book:
        sheet = book.add_worksheet("问题清单")
        head = book.add_format({"bold": True})
        for column, name in enumerate(_REPORT_COLUMNS):
            sheet.write_string(0, column, name, head)
        for number, row in enumerate(rows, start=1):
            for column, cell in enumerate(row):
                sheet.write_string(number, column, cell)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, max(len(rows), 1), len(_REPORT_COLUMNS) - 1)
        for column, width in enumerate((18, 6, 16, 26, 22, 12, 40, 60)):
            sheet.set_column(column, column, width)
    return content.getvalue()
