"""`sightline plans`: the plans that are kept, and what changes by hand would do."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.text import Text

from gateway.commands.coverage_tables import show
from gateway.commands.coverage_words import area, figure, some
from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    check_folder,
    local,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.commands.plan import plan_object, print_plan, write_plan
from gateway.errors import Refused, UsageError
from gateway.opening import open_store
from gateway.plan_files import compared
from gateway.planning import Planner
from gateway.ports import Store
from gateway.ports.coverage import PlanRecord, PlanStatus
from gateway.web.plans import LISTED_MAX, item, wrong_changes
from gateway.web.reply import encode
from gateway.web.shapes import Json
from gateway.what_if import WhatIfDesk

T = TypeVar("T")
plans = typer.Typer(
    help="Plans that are kept (补盲方案), and what changes by hand would do. Needs no running service.",
    no_args_is_help=True,
)
PlanArgument = Annotated[str, typer.Argument(metavar="PLAN", help="Id of a plan.")]
STATUS = {
    PlanStatus.QUEUED: "等待",
    PlanStatus.RUNNING: "计算中",
    PlanStatus.DONE: "完成",
    PlanStatus.FAILED: "失败",
    PlanStatus.CANCELLED: "已取消",
}
SITES_SHOWN = 20


def _read(config: Path | None, work: Callable[[Store], Awaitable[T]]) -> T:
    settings = settings_from(config)

    async def go() -> T:
        async with open_store(settings, create=False) as store:
            return await work(store)

    return run_async(go())


async def _find(store: Store, plan_id: str) -> PlanRecord:
    found = await store.coverage.plan(plan_id)
    if found is None:
        raise UsageError(f"no plan has the id {plan_id!r}; see `sightline plans list`")
    if found.result is None:
        raise Refused(f"plan {plan_id} has no result: it is {found.status}")
    return found


@plans.command("list")
def list_plans(
    limit: Annotated[int, typer.Option(min=1, max=LISTED_MAX, help="Lines, at most.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The last plans, newest first."""
    found = _read(config, lambda store: store.coverage.plans(limit))
    if as_json:
        typer.echo(encode({"items": [item(one) for one in found]}).decode())
        return
    rows = [
        [one.id, one.name or "-", local(one.created_at), one.actor, STATUS[one.status], _asked(one)]
        for one in found
    ]
    columns = ("编号", "名称", "建立时间", "建立人", "状态", "要求")
    show(columns, rows, [] if rows else ["还没有方案：sightline plan --sites N"])


def _asked(plan: PlanRecord) -> str:
    """What was asked for, in a few words."""
    sites, budget = plan.request.get("sites"), plan.request.get("budget")
    said = [] if sites is None else [f"{sites} 个点位"]
    return "，".join(said if budget is None else [*said, f"预算 {budget:,.0f} 元"])


@plans.command("show")
def show_plan(plan: PlanArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """One plan, as it was told when it was made."""
    found = _read(config, lambda store: _find(store, plan))
    if as_json:
        print_json(plan_object(found))
    else:
        print_plan(found)


@plans.command("export")
def export_plan(
    plan: PlanArgument,
    file: Annotated[Path, typer.Argument(help="Ends in .geojson or .xlsx.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one plan as a map layer or a workbook."""
    check_folder(file, "FILE")
    found = _read(config, lambda store: _find(store, plan))
    write_plan(found, file, "FILE")
    if as_json:
        print_json({"id": found.id, "file": str(file)})
    else:
        out.print(Text(f"已导出 {found.name or found.id}：{file}"))


@plans.command("compare")
def compare_plans(
    first: Annotated[str, typer.Argument(help="Id of a plan.")],
    second: Annotated[str, typer.Argument(help="Id of another one.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Two plans beside each other: figures, and the sites that both or only one of them has."""

    async def work(store: Store) -> Json:
        return compared(await _find(store, first), await _find(store, second))

    told = _read(config, work)
    if as_json:
        print_json(told)
        return
    one, other = told["plans"]
    rows = [
        ["编号", one["id"], other["id"]],
        ["名称", one["name"] or "-", other["name"] or "-"],
        ["点位数", *(f"{each['sites']:,}" for each in (one, other))],
        ["新增权重", *(figure(each["gain"]) for each in (one, other))],
        ["与最优差距不超过", *(f"{each['gap']:.2%}" for each in (one, other))],
        ["造价（元）", *(f"{each['cost']:,.0f}" for each in (one, other))],
    ]
    said = [
        f"{word} {len(told[key]):,} 个点位：{some(told[key], '个')}"
        for key, word in (
            ("both", "两者都有"),
            ("only_first", "仅方案一"),
            ("only_second", "仅方案二"),
        )
    ]
    show(("", "方案一", "方案二"), rows, said)


@plans.command("what-if")
def ask_what_if(
    file: Annotated[
        Path, typer.Argument(help="JSON with `changes`, as the API takes it; - for standard input.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What removing, moving, turning or adding cameras by hand would gain and lose."""
    changes = _changes(file)
    settings = settings_from(config)

    async def work(store: Store) -> Json:
        inventory = await store.load_inventory(shapes=False)
        places = await store.coverage.load_places()
        return WhatIfDesk(Planner(inventory, places, settings.coverage)).answer(changes)

    told = _read(config, work)
    if as_json:
        print_json(told)
        return
    rows = [
        [word, figure(told[key]["weight"]), area(told[key]["area_m2"]),
         some([one["name"] or one["place"] for one in told[key]["places"]])]
        for key, word in (("gained", "新增"), ("lost", "损失"))
    ]  # fmt: skip
    said = [f"净增权重 {figure(told['net_weight'])}"]
    if told["into_prohibited_area"]:
        said.append(f"视场进入禁拍区域：{some(told['into_prohibited_area'], '路')}")
    show(("", "权重", "面积", "部位"), rows, said)


def _changes(file: Path) -> list[dict[str, Any]]:
    """The list of changes of a file.

    Raises:
        UsageError: the file cannot be read, or what is wrong in it.
    """
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        body = orjson.loads(text)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{file}: is not JSON: {error}") from None
    errors = wrong_changes(body)
    if errors:
        raise UsageError("; ".join(f"{file}: {one['name']} {one['reason']}" for one in errors[:5]))
    changes: list[dict[str, Any]] = body["changes"]
    return changes
