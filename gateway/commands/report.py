"""`sightline report`: outages and online rate of a window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from gateway.commands.options import (
    SHANGHAI,
    ConfigOption,
    JsonOption,
    check_folder,
    err,
    local,
    out,
    run_async,
    settings_from,
)
from gateway.domain.ledger import Outage
from gateway.domain.report import COLUMNS, FORMULA, Group, Report, cells, headings
from gateway.errors import UsageError
from gateway.inventory import Inventory
from gateway.log import configure
from gateway.opening import open_store
from gateway.ports import Store
from gateway.projection import Dimension
from gateway.reporting import (
    AVAILABILITY_MOST,
    availability_window,
    group_name,
    read_availability,
    read_report,
    to_csv,
)
from gateway.web.coverage_shapes import availability_item
from gateway.web.reply import encode
from gateway.web.shapes import Json

DAYS_MAX = 1096
SHOWN = ("name", "channels", "online_rate", "online_rate_low", "online_rate_high",
         "online_rate_without_upstream", "good_condition_rate", "unobserved_h",
         "takeover_channels", "outages")  # fmt: skip
RATES = tuple(key for key, _, _ in COLUMNS if "rate" in key)
OUTAGE_COLUMNS = (
    ("id", "编号"),
    ("channel", "摄像机编码"),
    ("cause", "原因"),
    ("last_seen_at", "最后正常"),
    ("failed_at", "首次失败"),
    ("last_failed_at", "最后失败"),
    ("ended_at", "恢复"),
    ("bad_s", "离线秒"),
    ("unobserved_s", "未观测秒"),
    ("flapping", "频繁掉线"),
    ("planned", "检修"),
    ("takeover", "存量故障"),
    ("incident", "故障单"),
    ("reason", "原因链"),
)


@dataclass(frozen=True)
class Result:
    """What was read."""

    report: Report
    outages: Sequence[Outage[datetime]]
    inventory: Inventory
    by: Dimension
    now_at: datetime
    availability: Json | None
    """覆盖可用率 of the window, as in the API; None: longer than it is kept for."""


def parse_day(text: str, name: str, today: date) -> date:
    """An ISO date, `today` or `yesterday`, in Asia/Shanghai.

    Raises:
        UsageError: it is none, or lies ahead.
    """
    words = {"today": today, "yesterday": today - timedelta(days=1)}
    try:
        day = words.get(text) or date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{name}: {text!r} is no day; write 2026-03-01 or today") from None
    if day > today:
        raise UsageError(f"{name}: {day} lies ahead")
    return day


def report(
    first: Annotated[str, typer.Option("--from", help="First day (Asia/Shanghai).")] = "today",
    last: Annotated[str, typer.Option("--to", help="Last day, included.")] = "today",
    by: Annotated[Dimension, typer.Option(help="What a line stands for.")] = Dimension.TOWNSHIP,
    xlsx: Annotated[Path | None, typer.Option(help="Write a workbook.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a CSV (UTF-8 with BOM).")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Outages and online rate of a window of days, with the denominator of every rate.

    Unobserved seconds (the gateway could not watch) are in no rate and shown beside it; cameras
    never seen good since the import (存量故障) are shown apart.
    """
    check_folder(csv, "--csv")
    check_folder(xlsx, "--xlsx")
    settings = settings_from(config)
    configure("warning", settings.log.format)
    now_at = datetime.now(UTC)
    today = now_at.astimezone(SHANGHAI).date()
    from_day, to_day = parse_day(first, "--from", today), parse_day(last, "--to", today)
    if from_day > to_day or (to_day - from_day).days >= DAYS_MAX:
        raise UsageError(f"--to: must not lie before --from, nor {DAYS_MAX} days after it")

    async def read(told: Callable[[str], None]) -> Result:
        async with open_store(settings, create=False) as store:
            inventory = await store.load_inventory(shapes=False)
            made, outages = await read_report(
                store,
                inventory,
                by=by,
                first_day=from_day.isoformat(),
                last_day=to_day.isoformat(),
                now_at=now_at,
                told=told,
            )
            availability = await _availability(store, from_day, to_day, now_at)
            return Result(made, outages, inventory, by, now_at, availability)

    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("Reading days", total=(to_day - from_day).days + 1)
        found = run_async(read(lambda _: progress.advance(task)))
    if csv is not None:
        csv.write_text(to_csv(found.report, now_at), encoding="utf-8-sig", newline="")
    if xlsx is not None:
        write_workbook(found, xlsx)
    if as_json:
        typer.echo(encode(as_dict(found)).decode())
    else:
        _print(found)


async def _availability(store: Store, first: date, last: date, now_at: datetime) -> Json | None:
    """覆盖可用率 beside the online rate, where the window is not too long for it."""
    begin = datetime.combine(first, time(), SHANGHAI)
    end = datetime.combine(last + timedelta(days=1), time(), SHANGHAI)
    try:
        since, until = availability_window(begin, end, now_at)
    except ValueError:
        return None
    return availability_item(await read_availability(store, since, until), since, until)


def availability_text(told: Json | None) -> str:
    """覆盖可用率 in one sentence."""
    if told is None:
        return f"覆盖可用率 coverage availability：时段超过 {AVAILABILITY_MOST.days} 天，未计算。"
    if told["share"] is None:
        return "覆盖可用率 coverage availability：该时段没有应看时长，未计算。"
    least, most = told["share_least"], told["share_most"]
    return (
        f"覆盖可用率 coverage availability：{told['share']:.2%}（{least:.2%} 至 {most:.2%}）"
        f" = 1 - 失视 {told['lost_h']:,.1f} / 应看 {told['due_h']:,.1f} 加权小时。"
    )


def as_dict(found: Result) -> dict[str, Any]:
    """The report as plain values."""
    made = found.report

    def line(group: Group) -> dict[str, Any]:
        return {key: value(group) for key, _, value in COLUMNS}

    return {
        "first_day": made.first_day,
        "last_day": made.last_day,
        "timezone": "Asia/Shanghai",
        "as_of": found.now_at.isoformat(),
        "formula": FORMULA,
        "groups": [line(group) for group in made.groups],
        "total": line(made.total),
        "outages": len(found.outages),
        "coverage_availability": found.availability,
    }


def _print(found: Result) -> None:
    made = found.report
    out.print(table_of(made))
    out.print(Text(f"{made.first_day} - {made.last_day} Asia/Shanghai. {FORMULA}"))
    out.print(Text(availability_text(found.availability)))


def table_of(made: Report) -> Table:
    """The report for a terminal: the online rate stands between its bounds."""
    by_key = {column[0]: column for column in COLUMNS}
    chosen = [by_key[key] for key in SHOWN]
    table = Table()
    for _, chinese, _ in chosen:
        table.add_column(chinese, overflow="fold")
    for group in (*made.groups, made.total):
        values = ((key, value(group)) for key, _, value in chosen)
        table.add_row(*(Text(_text(key, cell)) for key, cell in values))
    return table


def _text(key: str, cell: object) -> str:
    if cell is None:
        return "未观测"
    return f"{cell:.2%}" if key in RATES else str(cell)


def write_workbook(found: Result, path: Path) -> None:
    """The report as a workbook: rates with their parts, the outages, and what it all means.

    Texts are written as texts, so that no cell becomes a formula. Times are Asia/Shanghai.
    """
    import xlsxwriter

    made = found.report
    options = {"strings_to_formulas": False, "strings_to_urls": False, "constant_memory": True}
    with xlsxwriter.Workbook(str(path), options) as book:
        bold, percent = book.add_format({"bold": True}), book.add_format({"num_format": "0.00%"})
        sheet = book.add_worksheet("在线率")
        sheet.freeze_panes(1, 2)
        sheet.write_row(0, 0, headings(), bold)
        for at, group in enumerate((*made.groups, made.total), start=1):
            for column, (cell, (key, _, _)) in enumerate(zip(cells(group), COLUMNS, strict=True)):
                _write(sheet, at, column, cell, percent if key in RATES else None)
        sheet = book.add_worksheet("离线记录")
        sheet.freeze_panes(1, 0)
        names = ["名称 name", "乡镇 township", *(f"{zh} {key}" for key, zh in OUTAGE_COLUMNS)]
        sheet.write_row(0, 0, names, bold)
        for at, outage in enumerate(found.outages, start=1):
            for column, value in enumerate(outage_cells(outage, found.inventory)):
                _write(sheet, at, column, value, None)
        sheet = book.add_worksheet("说明")
        for at, text in enumerate(_explained(found)):
            sheet.write_string(at, 0, text)


def outage_cells(outage: Outage[datetime], inventory: Inventory) -> list[object]:
    """One line of the sheet of outages."""
    camera = inventory.cameras.get(outage.channel)
    township = camera.township if camera else ""
    line: list[object] = [
        camera.name if camera else "",
        group_name(inventory, Dimension.TOWNSHIP, township),
    ]
    for key, _ in OUTAGE_COLUMNS:
        value: object = getattr(outage, key)
        if isinstance(value, datetime):
            value = local(value)
        elif isinstance(value, tuple):
            value = " → ".join(value)
        elif isinstance(value, bool):
            value = "是" if value else ""
        line.append(value)
    return line


def _write(sheet: Any, row: int, column: int, cell: object, style: Any) -> None:  # noqa: ANN401
    if isinstance(cell, int | float):
        sheet.write_number(row, column, cell, style)
    elif cell is not None:
        sheet.write_string(row, column, str(cell))


def _explained(found: Result) -> list[str]:
    made = found.report
    return [
        f"时段 window: {made.first_day} - {made.last_day} Asia/Shanghai",
        f"截至 as of: {local(found.now_at)} Asia/Shanghai",
        FORMULA,
        availability_text(found.availability),
        "未观测 unobserved: 网关自身未能监看的时间，不计入任何比率。 Not watched; in no rate.",
        "存量故障 takeover: 导入以来从未正常的摄像机，单列。 Never seen good since import; apart.",
        "上下限 bounds: 离线起止时刻各有上下界，按最坏与最好情形计算。 From the bounds of outages.",
    ]
