"""Reads what a report needs, day by day: the same for the screen, the CSV and `sightline report`."""

import asyncio
import contextlib
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gateway.domain import report
from gateway.domain.camera import Camera, ChannelId, DivisionCode, GridId
from gateway.domain.coverage.availability import Availability, AvailabilitySums
from gateway.domain.ledger import Outage
from gateway.domain.rates import Tally
from gateway.domain.seconds import day_of
from gateway.inventory import Inventory
from gateway.ports import LedgerKind, LedgerQuery, Store
from gateway.projection import Dimension

PAGE = 1000
AVAILABILITY_MOST = timedelta(days=92)
AVAILABILITY_DEFAULT = timedelta(days=1)
FIRST_YEAR = 2000
"""Before any archive, and far enough from the first time there is to reckon with."""

KEYS: Mapping[Dimension, Callable[[Camera], str]] = {
    Dimension.TOWNSHIP: lambda camera: camera.township,
    Dimension.VILLAGE: lambda camera: camera.village,
    Dimension.GRID: lambda camera: camera.grid,
    Dimension.VENDOR: lambda camera: camera.manufacturer,
}


def group_name(inventory: Inventory, by: Dimension, key: str) -> str:
    """The display name of a group."""
    name = key
    if by in {Dimension.TOWNSHIP, Dimension.VILLAGE}:
        division = inventory.divisions.get(DivisionCode(key))
        name = division.name if division else ""
    elif by is Dimension.GRID:
        grid = inventory.grids.get(GridId(key))
        name = grid.name if grid else ""
    return name or key or report.UNASSIGNED


async def outages_of(store: Store, since: datetime, until: datetime) -> list[Outage[datetime]]:
    """All outages that overlap a window, page by page, newest first.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    return await _every(store, LedgerKind.OUTAGES, since, until)


async def _every(store: Store, kind: LedgerKind, since: datetime, until: datetime) -> list[Any]:
    found: list[Any] = []
    query = LedgerQuery(since=since, until=until, limit=PAGE)
    while True:
        page = await store.ledger(kind, query)
        found.extend(page.rows)
        if page.next is None:
            return found
        query = replace(query, after=page.next)


def availability_window(
    since: datetime | None, until: datetime | None, now_at: datetime
) -> tuple[datetime, datetime]:
    """The window that availability is told of: the last day unless said otherwise.

    Raises:
        ValueError: what is wrong with its beginning.
    """
    until = min(until or now_at, now_at)
    if until.year < FIRST_YEAR:
        raise ValueError(f"must lie in the past, after {FIRST_YEAR}")
    since = since or until - AVAILABILITY_DEFAULT
    if since >= until:
        raise ValueError("must be before `to`, and not in the future")
    if until - since > AVAILABILITY_MOST:
        raise ValueError(f"at most {AVAILABILITY_MOST.days} days before `to`")
    return since, until


async def read_availability(store: Store, since: datetime, until: datetime) -> Availability:
    """覆盖可用率 of a window; the rows come in portions, each added up in a thread.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    bases = await store.coverage.bases(since, until)
    weights = [(basis.valid_from, basis.reached) for basis in bases]
    gaps = [
        (gap.started_at, gap.ended_at or until)
        for gap in await _every(store, LedgerKind.GAPS, since, until)
    ]
    sums = AvailabilitySums(gaps, (since, until), weights)
    async with contextlib.aclosing(store.coverage.interval_portions(since, until)) as portions:
        async for rows in portions:
            await asyncio.to_thread(sums.add, rows)
    return sums.result()


async def read_report(
    store: Store,
    inventory: Inventory,
    *,
    by: Dimension,
    first_day: str,
    last_day: str,
    now_at: datetime,
    told: Callable[[str], None] = lambda _: None,
) -> tuple[report.Report, Sequence[Outage[datetime]]]:
    """The report of a window of Shanghai days, and its outages.

    The rows of a day come in portions, added up by the store, so that the loop is never held long.

    Args:
        store: open.
        inventory: the archive: groups, names, and who is in use.
        by: what a line stands for.
        first_day: ISO day.
        last_day: ISO day, included.
        now_at: where open outages end for now.
        told: called with each day that is done.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    since, until = report.window_of(first_day, last_day)
    outages = await outages_of(store, since, min(until, now_at + timedelta(seconds=1)))
    group_of = {c.id: KEYS[by](c) for c in inventory.cameras.values()}
    in_use = [c.id for c in inventory.cameras.values() if c.in_use]
    names = {key: group_name(inventory, by, key) for key in set(group_of.values())}
    days = report.days_between(first_day, last_day)
    takeover = report.takeover_seconds(outages, days, now_at)
    today = day_of(now_at.timestamp())
    sums: dict[str, Tally] = {}
    for day in days:
        complete: Sequence[ChannelId] = in_use if day < today else ()
        of_day = report.DaySums(group_of, takeover, complete)
        async for rows in store.day_seconds(day):
            of_day.add(rows)
        sums = report.merged(sums, of_day.result())
        told(day)
    made = report.build(
        first_day=first_day,
        last_day=last_day,
        group_of=group_of,
        in_use=in_use,
        names=names,
        sums=sums,
        outages=outages,
    )
    return made, outages


def to_csv(made: report.Report, now_at: datetime) -> str:
    """The table as CSV text, safe to open in a spreadsheet; save it as UTF-8 with BOM."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(report.headings())
    for group in (*made.groups, made.total):
        cells = report.cells(group)
        writer.writerow([report.safe_text(c) if isinstance(c, str) else c for c in cells])
    writer.writerow([])
    window = f"{made.first_day} - {made.last_day} Asia/Shanghai"
    writer.writerow([window, f"as of {now_at:%Y-%m-%dT%H:%M:%SZ}", report.FORMULA])
    return out.getvalue()
