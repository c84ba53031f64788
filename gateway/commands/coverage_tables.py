"""What `sightline coverage` prints for people: a table, and sentences below it."""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from gateway.commands.coverage_words import (
    CAUSE,
    CONFIDENCE,
    FIELD,
    NONE,
    PLACE_STATE,
    SURE,
    area,
    areas,
    figure,
    percent,
    some,
    weights,
)
from gateway.commands.options import local, out
from gateway.domain.coverage.figures import CoverageBy
from gateway.domain.report import UNASSIGNED
from gateway.web.shapes import Json

NO_LIST = (
    "尚未录入重点部位清单，无法计算可视率。可先从档案生成草稿：`sightline import places --suggest`"
)
DRAFTS = "清单中有 {n:,} 处草稿，审核生效前不计入可视率。审核无误后执行：`sightline import places --accept`"
BOUNDS = "（确定 / 按档案 / 可能）"

Names = Mapping[str, str]


def show(columns: Sequence[str], rows: Iterable[Sequence[str]], said: Iterable[str]) -> None:
    """Print a table, where it has rows, and sentences below it; long cells are folded, never cut."""
    table = Table()
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    if table.row_count:
        out.print(table)
    for sentence in said:
        out.print(Text(sentence))


def _part(item: Json, what: CoverageBy, kinds: Names) -> list[str]:
    """Code and name of a part; a kind of place has a name alone."""
    code, name = item["code"], item["name"]
    if what is CoverageBy.KIND:
        return [kinds.get(code, code) or UNASSIGNED]
    return [code or NONE, name if name and name != code else NONE if code else UNASSIGNED]


def _part_columns(what: CoverageBy) -> list[str]:
    return ["部位类别"] if what is CoverageBy.KIND else ["编码", "名称"]


def summary(told: Json, what: CoverageBy, kinds: Names) -> None:
    """The headline below its parts. Kinds of places have no area."""
    with_area = what is not CoverageBy.KIND
    columns = [*_part_columns(what), "部位", "设计可视率", "当前可视率", "待核实", "未观测", "失视"]
    shares = ("designed_share", "seen_share", "unverified_share", "unknown_share", "blind_share")
    rows = [
        [
            *_part(part, what, kinds),
            f"{part['places']:,}",
            *(percent(part[key]) for key in shares),
            *([area(part["designed_m2"]), area(part["lost_m2"])] if with_area else []),
        ]
        for part in told["parts"]
    ]
    show([*columns, *(["设计覆盖面积", "失视面积"] if with_area else [])], rows, _headline(told))


def _headline(told: Json) -> list[str]:
    said: list[str] = []
    if told["listed"]:
        states = "，".join(
            f"{PLACE_STATE[state]} {count:,} 处" for state, count in told["places_by_state"].items()
        )
        rest = "，".join(
            f"{word} {percent(told[f'{key}_share'])}"
            for key, word in PLACE_STATE.items()
            if key not in ("seen", "partly")
        )
        said.append(
            f"重点部位可视率 {percent(told['seen_share'])}"
            f"（设计 {percent(told['designed_share'])}；{rest}）"
        )
        said.append(f"重点部位 {told['places']:,} 处，权重 {figure(told['weight'])}：{states}")
    elif not told["drafts"]:
        said.append(NO_LIST)
    if told["drafts"]:
        said.append(DRAFTS.format(n=told["drafts"]))
    if told["designed_bounds"] is not None:
        least, most = (
            percent(told["designed_bounds"][f"{key}_share"]) for key in ("lower", "upper")
        )
        said.append(f"设计可视率受档案缺失字段影响，介于 {least} 与 {most} 之间（coverage bounds）")
    lost = area(told["lost_area_m2"])
    said.append(
        f"摄像机 {told['cameras']:,} 路，临时盲区 {told['blind_spots']:,} 处，失视面积 {lost}"
    )
    return [*said, _ladder(told), _as_of(told)]


def _ladder(told: Json) -> str:
    return f"像素密度按 {told['ladder']}"


def _as_of(told: Json) -> str:
    return "尚未计算覆盖" if told["as_of"] is None else f"截至 {local(told['as_of'])}"


def bounds(told: Json, what: CoverageBy, kinds: Names) -> None:
    """How far coverage can be trusted, by part and for the district."""
    with_area = what is not CoverageBy.KIND
    columns = [*_part_columns(what), "部位权重", f"可视权重{BOUNDS}"]
    rows = [
        [
            *_part(part, what, kinds),
            figure(part["listed_weight"]),
            weights(part["weight"]),
            *([area(part["cell_m2"]), areas(part["area_m2"])] if with_area else []),
        ]
        for part in told["items"]
    ]
    by_source = "，".join(f"{CONFIDENCE[key]} {n:,} 路" for key, n in told["cameras"].items())
    whole = (
        f"合计：可视权重 {weights(told['weight'])}，部位权重 {figure(told['listed_weight'])}；"
        f"覆盖面积 {areas(told['area_m2'])}，网格面积 {area(told['cell_m2'])}"
    )
    said = [whole, f"视场来源：{by_source}", _ladder(told), _as_of(told)]
    show([*columns, *(["网格面积", f"覆盖面积{BOUNDS}"] if with_area else [])], rows, said)


def redundancy(told: Json, cameras: Names, places: Names) -> None:
    """The cameras whose next failure costs most."""
    rows = [
        [
            one["channel"],
            cameras.get(one["channel"], ""),
            figure(one["weight"]),
            some([places.get(place, place) for place in one["places"]]),
        ]
        for one in told["failures"]
    ]
    of = told["weight_seen"]
    share = percent(told["weight_single"] / of if of else None)
    single = (
        f"{told['places_single']:,} 处部位有一部分只靠一路摄像机，占当前可视权重 {share}"
        f"（{figure(told['weight_single'])} / {figure(of)}）"
    )
    said = [single, *_first(len(rows), told["cameras"], "路摄像机"), _as_of(told)]
    show(("摄像机编码", "名称", "离线将失视的权重", "部位"), rows, said)


def _first(shown: int, of: int, thing: str) -> list[str]:
    return [f"共 {of:,} {thing}，仅列出前 {shown:,} 项（--limit）"] if shown < of else []


def repair_order(told: Json, cameras: Names, places: Names) -> None:
    """Visits, the one that restores most first."""
    rows = [
        [
            str(rank),
            _where(visit, cameras),
            f"{len(visit['repairs']):,}",
            figure(visit["adds"]),
            area(visit["lost_m2"]),
            some([_called(cameras, one["channel"]) for one in visit["repairs"]], "路"),
            some([places.get(place, place) for place in visit["places"]]),
        ]
        for rank, visit in enumerate(told["items"], 1)
    ]
    said = _first(len(rows), told["visits"], "次出勤")
    if not rows:
        said = ["没有待抢修的摄像机"]
    show(
        ("序", "去处", "路数", "恢复权重", "失视面积", "摄像机", "恢复部位"),
        rows,
        [*said, _as_of(told)],
    )


def _where(visit: Json, cameras: Names) -> str:
    """Where a visit goes: to the node that is to blame, else to the camera itself."""
    if visit["incident"] and (visit["node_name"] or visit["node"]):
        return str(visit["node_name"] or visit["node"])
    first = visit["repairs"][0]["channel"]
    return cameras.get(first, "") or str(first)


def _called(cameras: Names, channel: str) -> str:
    name = cameras.get(channel, "")
    return f"{name}（{channel}）" if name and name != channel else channel


def survey_order(told: Json) -> None:
    """The cameras whose missing fields cost most."""
    rows = [
        [
            str(one["rank"]),
            one["channel"],
            one["camera_name"],
            one["township_name"] or NONE,
            figure(one["weight"]),
            area(one["area_m2"]),
            "、".join(FIELD[field["field"]] for field in one["fields"]) or NONE,
        ]
        for one in told["items"]
    ]
    costs = "，".join(f"{FIELD[key]} {figure(weight)}" for key, weight in told["by_field"].items())
    said = [
        *_first(len(rows), told["cameras"], "路摄像机"),
        f"各字段缺失造成的不确定权重：{costs}",
        _as_of(told),
    ]
    columns = ("序", "摄像机编码", "名称", "乡镇", "不确定权重", "不确定面积", "缺失字段")
    show(columns, rows, said if rows else ["没有需要补采的摄像机", _as_of(told)])


def intrusions(told: Json) -> None:
    """Cameras that look where none may."""
    rows = [
        [
            one["channel"],
            one["camera_name"],
            one["area_name"] or one["area"],
            one["area_kind"],
            SURE[one["sure"]],
            area(one["overlap_m2"]),
            area(one["most_m2"]),
        ]
        for one in told["items"]
    ]
    found = f"{told['cameras']:,} 路摄像机的视场进入 {told['areas']:,} 处禁拍区域"
    columns = ("摄像机编码", "名称", "禁拍区域", "类别", "把握", "侵入面积", "至多")
    show(columns, rows, [found if rows else "没有摄像机的视场进入禁拍区域", _as_of(told)])


def blind_spots(told: Json, cameras: Names, names: Names) -> None:
    """Blind spots, newest first; the area is that at its beginning."""
    rows = [
        [
            one["channel"],
            cameras.get(one["channel"], "") or NONE,
            CAUSE.get(one["cause"], one["cause"]),
            local(one["failed_at"]),
            "未恢复" if one["ended_at"] is None else local(one["ended_at"]),
            area(one["area_m2"]),
            figure(one["weight"]),
            some([names.get(place, place) for place in one["places"]]),
        ]
        for one in told["items"]
    ]
    now = f"当前临时盲区 {told['open']:,} 处" if told["open"] else "当前没有临时盲区"
    columns = ("摄像机编码", "名称", "原因", "开始", "结束", "失视面积", "权重", "部位")
    show(columns, rows, [now, _as_of(told)])


def places(told: Json, kinds: Names, townships: Names) -> None:
    """Listed places with their state."""
    rows = [
        [
            one["id"],
            one["name"] or NONE,
            kinds.get(one["kind"], one["kind"]) or NONE,
            townships.get(one["township"], one["township"]) or NONE,
            figure(one["weight"]),
            PLACE_STATE[one["state"]],
            figure(one["blind_weight"] or None),
            figure(one["never_weight"] or None),
        ]
        for one in told["items"]
    ]
    said = [] if rows else ["没有符合条件的部位"]
    if told["next"] is not None:
        said.append(f"还有更多，续页：--from {told['next']}")
    columns = ("部位", "名称", "类别", "乡镇", "权重", "状态", "失视权重", "固有盲区权重")
    show(columns, rows, [*said, _as_of(told)])


def availability(told: Json) -> None:
    """覆盖可用率 with its bounds."""
    row = [
        *(percent(told[key]) for key in ("share", "share_least", "share_most")),
        *(figure(told[key]) for key in ("due_h", "lost_h", "unverified_h", "unknown_h")),
    ]
    said = ["时长均按部位权重加权，单位小时；未观测时长不计入应看时长"]
    if told["share"] is None:
        said.append("该时段没有应看时长：尚未计算覆盖，或网关未在监看")
    said.append(f"时段 {local(told['from'])} 至 {local(told['to'])}")
    columns = ("覆盖可用率", "下限", "上限", "应看时长", "失视时长", "待核实时长", "未观测时长")
    show(columns, [row], said)


def past(told: Json) -> None:
    """The places that were not well seen at a past moment."""
    rows = [
        [
            one["place"],
            one["name"] or NONE,
            *(figure(one[key] or None) for key in ("lost", "unknown", "unverified")),
        ]
        for one in told["items"]
    ]
    said = [_seen_then(told)]
    if not told["observed"]:
        said.append("当时网关自身未在监看：表中为此前最后所知")
    elif not rows and told["weight"] is not None:
        said.append("没有失视、未观测或待核实的部位")
    if told["next"] is not None:
        said.append(f"还有更多，续页：--after {told['next']}")
    said.append(f"时刻 {local(told['time'])}")
    show(("部位", "名称", "失视权重", "未观测权重", "待核实权重"), rows, said)


def _seen_then(told: Json) -> str:
    if told["weight"] is None:
        return "当时尚未计算覆盖"
    return (
        f"可视权重 {figure(told['seen'])}（设计 {figure(told['designed'])}，"
        f"部位权重 {figure(told['weight'])}）；失视 {figure(told['lost'])}，"
        f"未观测 {figure(told['unknown'])}，待核实 {figure(told['unverified'])}"
    )
