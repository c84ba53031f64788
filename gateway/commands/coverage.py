"""`sightline coverage`: what is seen, what is not, and what to do about it, from the store."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gateway.commands.coverage_present import Stored, read_present
from gateway.commands.options import ConfigOption, JsonOption, local, out, run_async, settings_from
from gateway.domain.coverage.figures import CoverageBy, by, headline
from gateway.domain.coverage.redundancy import redundancy
from gateway.domain.coverage.repair import repair_order
from gateway.domain.coverage.trust import bounds_by
from gateway.errors import UsageError
from gateway.opening import open_store
from gateway.ports import Store
from gateway.ports.coverage import BlindSpotQuery
from gateway.reporting import read_availability
from gateway.web.coverage_shapes import (
    IntrusionFilter,
    availability_item,
    bounded_item,
    bounds_item,
    intrusion_item,
    part_item,
    part_name,
    past_item,
    redundancy_item,
    repair_item,
    survey_item,
    trust_in,
)
from gateway.web.params import LIMIT_MAX, parse_time
from gateway.web.reply import encode
from gateway.web.shapes import Json, headline_item, row

coverage = typer.Typer(
    help="What is seen, what is not, and what to do about it (覆盖). Reads the store, as `report` "
    "does: needs no running service; the present is what the service wrote last.",
    no_args_is_help=True,
)
ByOption = Annotated[CoverageBy, typer.Option(help="What a line stands for.")]
LimitOption = Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="Lines, at most.")]


def _read(config: Path | None, work: Callable[[Store], Awaitable[Json]]) -> Json:
    settings = settings_from(config)

    async def go() -> Json:
        async with open_store(settings, create=False) as store:
            return await work(store)

    return run_async(go())


def _present(config: Path | None, tell: Callable[[Stored], Json], *, trust: bool = False) -> Json:
    """An answer about the present, with its `as_of`."""

    async def work(store: Store) -> Json:
        stored = await read_present(store, datetime.now(UTC))
        if trust:
            present = replace(stored.present, trust=stored.reading.trust())
            stored = replace(stored, present=present)
        return {**tell(stored), "as_of": stored.present.as_of_at}

    return _read(config, work)


def _show(
    told: Json, as_json: bool, rows: Iterable[Json], columns: Sequence[tuple[str, str]]
) -> None:
    """The whole as JSON, or some columns of its rows and the single figures below."""
    if as_json:
        typer.echo(encode(told).decode())
        return
    table = Table(*(f"{zh} {key}" for key, zh in columns))
    for one in rows:
        table.add_row(*(Text(_cell(key, one.get(key))) for key, _ in columns))
    out.print(table)
    for key, value in told.items():
        if not isinstance(value, list) and value is not None:
            out.print(Text(f"{key}: {_cell(key, value)}"))


def _cell(key: str, value: Any) -> str:  # noqa: ANN401 - any value of a row
    match value:
        case None:
            return "-"
        case datetime():
            return local(value)
        case float() if "share" in key:
            return f"{value:.2%}"
        case float():
            return f"{value:,.1f}" if key.endswith("_m2") else f"{value:,.2f}"
        case dict():
            return " / ".join(f"{name} {_cell(name, part)}" for name, part in value.items())
        case list() | tuple():
            return ", ".join(_cell(key, part) for part in value)
        case _:
            return str(value)


@coverage.command()
def summary(
    what: Annotated[CoverageBy, typer.Option("--by", help="What a line stands for.")] = (
        CoverageBy.TOWNSHIP
    ),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Weighted share of the listed places, as designed and now, and area by part."""

    def tell(stored: Stored) -> Json:
        p = stored.present
        parts = by(what, p.state, p.places, p.divided, p.designed_m2)
        items = [part_item(stored.inventory, what, part) for part in parts]
        return {**headline_item(headline(p.state, p.places)), "by": what.value, "parts": items}

    told = _present(config, tell)
    columns = (("code", "编码"), ("name", "名称"), ("places", "部位"), ("designed_share", "设计可视率"),
               ("seen_share", "当前可视率"), ("blind_share", "失视"), ("unknown_share", "未观测"),
               ("lost_m2", "失视面积"))  # fmt: skip
    _show(told, as_json, told["parts"], columns)


@coverage.command()
def bounds(
    what: Annotated[CoverageBy, typer.Option("--by", help="What a line stands for.")] = (
        CoverageBy.TOWNSHIP
    ),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lower, expected and upper weight of seen places and covered area, by design."""

    def tell(stored: Stored) -> Json:
        p, found = stored.present, trust_in(stored.present).bounds
        parts = bounds_by(what, found, p.state.model, p.places, p.divided)
        items = [bounded_item(part, part_name(stored.inventory, what, part.code)) for part in parts]
        return {**bounds_item(found), "by": what.value, "items": items}

    told = _present(config, tell, trust=True)
    columns = (("code", "编码"), ("name", "名称"), ("listed_weight", "权重"),
               ("weight", "可见权重"), ("area_m2", "覆盖面积"))  # fmt: skip
    _show(told, as_json, told["items"], columns)


@coverage.command("redundancy")
def show_redundancy(
    limit: LimitOption = 20, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Cameras whose next failure would blind most."""
    told = _present(config, lambda s: redundancy_item(redundancy(s.present.state), limit))
    columns = (("channel", "摄像机编码"), ("weight", "将失权重"), ("places", "部位"))
    _show(told, as_json, told["failures"], columns)


@coverage.command("repair-order")
def show_repair_order(
    limit: LimitOption = 20, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Visits (抢修顺序), the one that restores most first."""
    near_m = settings_from(config).coverage.visit_m

    def tell(stored: Stored) -> Json:
        cameras = stored.present.cameras
        visits = repair_order(stored.present.state, cameras.node, near_m)
        return repair_item(visits, cameras.node_name, limit)

    told = _present(config, tell)
    rows = [{**one, "channels": [r["channel"] for r in one["repairs"]]} for one in told["items"]]
    columns = (("node_name", "接入点"), ("adds", "恢复权重"), ("channels", "摄像机编码"))
    _show(told, as_json, rows, columns)


@coverage.command("survey-order")
def show_survey_order(
    limit: LimitOption = 20, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Cameras whose missing archive fields cost most first (补采顺序)."""

    def tell(stored: Stored) -> Json:
        order = trust_in(stored.present).survey
        items = [
            survey_item(stored.present, order, n, stored.inventory)
            for n in range(min(limit, len(order)))
        ]
        return {"cameras": len(order), "by_field": dict(order.by_field), "items": items}

    told = _present(config, tell, trust=True)
    rows = [{**one, "fields": [f["field"] for f in one["fields"]]} for one in told["items"]]
    columns = (("rank", "序"), ("channel", "摄像机编码"), ("camera_name", "名称"),
               ("weight", "不确定权重"), ("area_m2", "不确定面积"), ("fields", "缺失字段"))  # fmt: skip
    _show(told, as_json, rows, columns)


@coverage.command("intrusions")
def show_intrusions(
    possible: Annotated[
        bool, typer.Option("--possible", help="Those, too, that only may look in.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Standing cameras that look into prohibited areas; exit code 1 when there is one."""

    def tell(stored: Stored) -> Json:
        p = stored.present
        rows = IntrusionFilter(possible).rows(p, trust_in(p).intrusions)
        items = [intrusion_item(p, one, c, stored.inventory) for one, c in rows]
        return {
            "cameras": len({one.channel for one, _ in rows}),
            "areas": len({one.area for one, _ in rows}),
            "items": items,
        }

    told = _present(config, tell, trust=True)
    columns = (("channel", "摄像机编码"), ("camera_name", "名称"), ("area_name", "禁拍区域"),
               ("area_kind", "类别"), ("sure", "把握"), ("overlap_m2", "侵入面积"))  # fmt: skip
    _show(told, as_json, told["items"], columns)
    if told["items"]:
        raise typer.Exit(1)


@coverage.command("blind-spots")
def show_blind_spots(
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    limit: LimitOption = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Blind spots (监控盲区), newest first."""

    async def work(store: Store) -> Json:
        live = await store.coverage.load()
        query = BlindSpotQuery(open_only=not every, limit=limit)
        found, _ = await store.coverage.blind_spots(query)
        items = [{k: v for k, v in row(one).items() if k != "polygon"} for one in found]
        return {"open": len(live.blind_spots), "items": items, "as_of": live.as_of_at}

    told = _read(config, work)
    columns = (("channel", "摄像机编码"), ("cause", "原因"), ("failed_at", "开始"),
               ("ended_at", "结束"), ("area_m2", "面积"), ("weight", "权重"),
               ("places", "部位"))  # fmt: skip
    _show(told, as_json, told["items"], columns)


def _time(text: str, name: str) -> datetime:
    try:
        at = parse_time(text)
    except ValueError as error:
        raise UsageError(f"{name}: {text!r} {error}") from None
    if at > datetime.now(UTC):
        raise UsageError(f"{name}: {text} lies ahead")
    return at


@coverage.command("availability")
def show_availability(
    first: Annotated[str, typer.Option("--from", help="ISO 8601 with an offset.")] = "",
    last: Annotated[str, typer.Option("--to", help="Default: now.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Weighted place-hours seen of those due (覆盖可用率), by the weights valid at each time."""
    until = _time(last, "--to") if last else datetime.now(UTC)
    since = _time(first, "--from") if first else until - timedelta(days=1)
    if since >= until:
        raise UsageError("--from: must lie before --to")

    async def work(store: Store) -> Json:
        return availability_item(await read_availability(store, since, until), since, until)

    told = _read(config, work)
    columns = (("share", "可用率"), ("share_least", "下限"), ("share_most", "上限"),
               ("due_h", "应看时长"), ("lost_h", "失视时长"), ("unknown_h", "未观测时长"))  # fmt: skip
    _show(told, as_json, [told], columns)


@coverage.command("at")
def show_past(
    time: Annotated[str, typer.Argument(help="ISO 8601 with an offset.")],
    limit: LimitOption = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The places that were not well seen at a past moment, by the weights and names of then."""
    at = _time(time, "TIME")

    async def work(store: Store) -> Json:
        found = await store.coverage.past(at, limit)
        return {**past_item(found, at), "next": found.next}

    told = _read(config, work)
    columns = (("place", "部位"), ("name", "名称"), ("lost", "失视"), ("unknown", "未观测"),
               ("unverified", "待核实"))  # fmt: skip
    _show(told, as_json, told["items"], columns)
