"""`token`, `audit` and `report` over a store: what they write, print and refuse."""

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from fakes.ledger_rows import at, outage, rollup
from fakes.web_service import channel, district
from python_calamine import CalamineWorkbook
from rich.console import Console

from adapters.memory import MemoryStore
from gateway.commands import report
from gateway.commands.audit import read_audit
from gateway.commands.report import Result, as_dict, parse_day, write_workbook
from gateway.commands.token import create_token, parse_span, revoke_token, shown, table_of
from gateway.domain.ledger import Changes
from gateway.errors import Refused, UsageError
from gateway.ports import AuditEntry, Role
from gateway.projection import Dimension
from gateway.reporting import read_report, to_csv
from gateway.web.tokens import digest

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


async def open_store() -> MemoryStore:
    store = MemoryStore()
    await store.open()
    return store


async def test_a_new_token_is_stored_as_a_hash_and_audited() -> None:
    store = await open_store()
    secret, row = await create_token(store, "值班台", Role.OPERATOR, NOW, timedelta(days=30))
    (kept,) = await store.tokens()
    assert kept == row
    assert kept.digest == digest(secret)
    assert kept.expires_at == NOW + timedelta(days=30)
    (line,) = await store.audit()
    assert (line.action, line.role) == ("token.create", Role.ADMIN)
    assert row.id in line.target
    assert secret not in str(line)
    assert secret not in str(shown(row, NOW))


async def test_a_token_is_revoked_once() -> None:
    store = await open_store()
    _, row = await create_token(store, "x", Role.VIEWER, NOW, None)
    revoked = await revoke_token(store, row.id, NOW)
    assert shown(revoked, NOW)["valid"] is False
    with pytest.raises(Refused, match="was revoked at"):
        await revoke_token(store, row.id, NOW)
    with pytest.raises(Refused, match="no token has the id"):
        await revoke_token(store, "none", NOW)
    assert [line.action for line in await store.audit()] == ["token.revoke", "token.create"]


async def test_times_of_tokens_are_listed_with_their_offset() -> None:
    store = await open_store()
    await create_token(store, "x", Role.VIEWER, NOW, timedelta(days=1))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table_of(await store.tokens(), NOW))
    shown_text = console.export_text()
    assert "2026-03-02 12:00:00+08:00" in shown_text
    assert "2026-03-03 12:00:00+08:00" in shown_text


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb"])
async def test_a_token_needs_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="NAME"):
        await create_token(await open_store(), name, Role.VIEWER, NOW, None)


@pytest.mark.parametrize(
    ("text", "span"),
    [("12h", timedelta(hours=12)), ("30d", timedelta(days=30)), ("4W", timedelta(weeks=4))],
)
def test_spans_are_hours_days_or_weeks(text: str, span: timedelta) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "0d", "-1d", "30", "d", "1y", "1.5d", "999999d"])
def test_other_spans_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--expires"):
        parse_span(text)


async def test_the_audit_log_is_read_to_its_end_and_no_further_than_asked() -> None:
    store = await open_store()
    for n in range(1203):
        at_ = NOW + timedelta(seconds=n)
        await store.append_audit(AuditEntry(at_, "a", Role.ADMIN, "x", str(n), "accepted"))
    lines = await read_audit(store, 1100)
    assert [line.target for line in lines] == [str(n) for n in range(1202, 102, -1)]
    assert len(await read_audit(store, 5000)) == 1203


def test_days_have_names_and_may_not_lie_ahead() -> None:
    today = date(2026, 3, 2)
    assert parse_day("yesterday", "--from", today) == date(2026, 3, 1)
    assert parse_day("2026-02-28", "--from", today) == date(2026, 2, 28)
    with pytest.raises(UsageError, match="lies ahead"):
        parse_day("2026-03-03", "--to", today)
    with pytest.raises(UsageError, match="is no day"):
        parse_day("March", "--to", today)


async def result() -> Result:
    """Three cameras, two days, an outage, one camera with a dangerous name."""
    store = await open_store()
    inventory = district(3)
    cameras = dict(inventory.cameras)
    cameras[channel(0)] = replace(cameras[channel(0)], name="=1+1")
    inventory = replace(inventory, cameras=cameras)
    half = replace(rollup(0, "2026-03-01", 1800.0), channel=channel(0))
    good = replace(rollup(1, "2026-03-01"), channel=channel(1))
    row = replace(outage("o1", 0, 30, 60), channel=channel(0), reason=("tcp: refused",))
    await store.commit(Changes(1, outages=(row,), rollups=(half, good)))
    days: list[str] = []
    made, outages = await read_report(
        store,
        inventory,
        by=Dimension.TOWNSHIP,
        first_day="2026-03-01",
        last_day="2026-03-02",
        now_at=NOW,
        told=days.append,
    )
    assert days == ["2026-03-01", "2026-03-02"]
    return Result(made, outages, inventory, Dimension.TOWNSHIP, NOW, AVAILABILITY)


AVAILABILITY = {
    "share": 0.9, "share_least": 0.85, "share_most": 0.95, "lost_h": 10.0, "due_h": 100.0
}  # fmt: skip


async def test_coverage_availability_stands_beside_the_online_rate() -> None:
    assert as_dict(await result())["coverage_availability"] == AVAILABILITY
    told = report.availability_text(AVAILABILITY)
    assert "90.00%（85.00% 至 95.00%）" in told
    assert "失视 10.0 / 应看 100.0 加权小时" in told
    assert "没有应看时长" in report.availability_text({**AVAILABILITY, "share": None})
    assert "时段超过 92 天" in report.availability_text(None)


async def test_the_screen_shows_the_online_rate_between_its_bounds() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    shown_table = report.table_of((await result()).report)
    headings = [str(column.header) for column in shown_table.columns]
    assert headings[2:5] == ["在线率", "在线率下限", "在线率上限"]
    console.print(shown_table)
    lines = [line.split("│")[1:-1] for line in console.export_text().splitlines() if "│" in line]
    total = [cell.strip() for cell in lines[-1]]
    rate, low, high = (float(cell.rstrip("%")) for cell in total[2:5])
    assert 0 < low <= rate <= high < 100


async def test_a_report_shows_each_rate_with_its_parts() -> None:
    found = as_dict(await result())
    first, second, third = found["groups"]
    assert (first["name"], first["online_rate"], first["outages"]) == ("第0镇", 0.5, 1)
    assert first["online_rate_low"] < 0.5 < first["online_rate_high"]
    assert second["online_rate"] == 1.0
    assert (third["online_rate"], third["unobserved_h"]) == (None, 24.0)
    assert found["total"]["channels"] == 3
    assert found["outages"] == 1


async def test_outages_that_only_touch_the_window_are_left_out() -> None:
    store = await open_store()
    before = replace(outage("b", 0, -3000, -2900), channel=channel(0))
    await store.commit(Changes(1, outages=(before,)))
    made, outages = await read_report(
        store,
        district(3),
        by=Dimension.VENDOR,
        first_day="2026-03-01",
        last_day="2026-03-01",
        now_at=at(600),
    )
    assert not outages
    assert made.total.outages == 0


async def test_the_workbook_holds_rates_outages_and_what_they_mean(tmp_path: Path) -> None:
    path = tmp_path / "r.xlsx"
    write_workbook(await result(), path)
    book = CalamineWorkbook.from_path(str(path))
    assert book.sheet_names == ["在线率", "离线记录", "说明"]
    rates = book.get_sheet_by_name("在线率").to_python()
    assert rates[1][:4] == ["610802100", "第0镇", 1.0, 0.5]
    assert rates[-1][1] == "合计"
    (line,) = book.get_sheet_by_name("离线记录").to_python()[1:]
    assert line[0] == "=1+1"  # a text cell: no formula, and no apostrophe to be seen
    assert line[1] == "第0镇"
    assert "2026-03-01 12:30:00+08:00" in line
    assert "tcp: refused" in line
    explained = str(book.get_sheet_by_name("说明").to_python())
    assert "good / (elapsed - unobserved" in explained


async def test_the_csv_says_its_window_and_formula() -> None:
    found = await result()
    lines = list(csv.reader(to_csv(found.report, NOW).splitlines()))
    assert lines[-1][0] == "2026-03-01 - 2026-03-02 Asia/Shanghai"
    assert lines[-1][1] == "as of 2026-03-02T04:00:00Z"
