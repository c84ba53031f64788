"""Plans as files: GeoJSON for a map, a workbook for people. Texts never become formulas."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.ports.coverage import PlanRecord

_SITE_COLUMNS = (
    ("rank", "顺序"),
    ("site", "点位编号"),
    ("name", "点位名称"),
    ("kind", "类型"),
    ("longitude", "经度"),
    ("latitude", "纬度"),
    ("gain", "新增权重"),
    ("cost", "造价（元）"),
    ("power", "取电"),
    ("network", "网络"),
)
_YES = {True: "有", False: "无", None: "未知"}


def to_geojson(plan: PlanRecord) -> dict[str, Any]:
    """A FeatureCollection (RFC 7946): a point for each site, a polygon for each planned view."""
    features: list[dict[str, Any]] = []
    result = plan.result or {}
    for row in result.get("sites", ()):
        about = {k: v for k, v in row.items() if k not in {"cameras", "places"}}
        about["places"] = len(row["places"])
        about["cameras"] = len(row["cameras"])
        at = [row["longitude"], row["latitude"]]
        features.append(_feature(f"site-{row['rank']}", {"type": "Point", "coordinates": at},
                                 {"layer": "site", **about}))  # fmt: skip
        for number, camera in enumerate(row["cameras"], start=1):
            told = {k: v for k, v in camera.items() if k != "view"}
            told.update(layer="view", site=row["site"], rank=row["rank"])
            features.append(_feature(f"view-{row['rank']}-{number}", camera["view"], told))
    kept = {k: result[k] for k in ("gain", "bound", "gap", "cost", "notes") if k in result}
    return {
        "type": "FeatureCollection",
        "features": features,
        "plan": {"id": plan.id, "name": plan.name, **kept},
    }


def _feature(name: str, geometry: Any, properties: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "Feature", "id": name, "geometry": geometry, "properties": dict(properties)}


def to_xlsx(plan: PlanRecord) -> bytes:
    """A workbook: sites, cameras, places gained, marginal curve, re-aiming, explanation."""
    import xlsxwriter

    out = io.BytesIO()
    result = plan.result or {}
    options = {"strings_to_formulas": False, "strings_to_urls": False, "in_memory": True}
    with xlsxwriter.Workbook(out, options) as book:
        bold = book.add_format({"bold": True})
        for name, heads, rows in _sheets(plan, result):
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1 if heads else 0, 0)
            lines: list[list[Any]] = [list(heads), *rows] if heads else rows
            for at, row in enumerate(lines):
                for column, cell in enumerate(row):
                    _write(sheet, at, column, cell, bold if heads and at == 0 else None)
    return out.getvalue()


def _sheets(
    plan: PlanRecord, result: Mapping[str, Any]
) -> list[tuple[str, list[str], list[list[Any]]]]:
    sites = result.get("sites", ())
    return [
        ("点位", [f"{zh} {key}" for key, zh in _SITE_COLUMNS] + ["造价已知 cost_known"], [
            [_shown(row[key]) for key, _ in _SITE_COLUMNS] + [_YES[row["cost_known"]]]
            for row in sites]),
        ("摄像机", ["顺序 rank", "点位编号 site", "方位角 azimuth_deg", "镜头 lens"], [
            [row["rank"], row["site"], one["azimuth_deg"], one["lens"]]
            for row in sites for one in row["cameras"]]),
        ("新增部位", ["顺序 rank", "点位编号 site", "部位 place", "名称 name", "类型 kind",
                  "新增权重 weight"], [
            [row["rank"], row["site"], one["place"], one["name"], one["kind"], one["weight"]]
            for row in sites for one in row["places"]]),
        ("边际曲线", ["点位数 sites", "累计权重 gain", "本点新增 added", "累计造价 cost"], [
            [row["sites"], row["gain"], row["added"], row["cost"]]
            for row in result.get("curve", ())]),
        ("先调向", ["摄像机 channel", "现方位角 azimuth_deg", "新方位角 new_azimuth_deg",
                 "新增 gain", "损失 loss", "净增 net"], [
            [row["channel"], row["azimuth_deg"], row["new_azimuth_deg"], row["gain"], row["loss"],
             row["net"]] for row in result.get("reaim", ())]),
        ("说明", [], [[text] for text in explained(plan)]),
    ]  # fmt: skip


def explained(plan: PlanRecord) -> list[str]:
    """What the figures of a plan mean."""
    result = plan.result or {}
    already = result.get("already", {})
    seen, total = already.get("weight_seen", 0.0), already.get("weight", 0.0)
    return [
        f"方案 plan: {plan.name or plan.id}  {plan.created_at:%Y-%m-%dT%H:%M:%SZ}",
        f"新增权重 gain: {result.get('gain', 0.0):.6g}",
        f"上限 bound: {result.get('bound', 0.0):.6g}",
        f"与最优差距不超过 proven gap: {result.get('gap', 0.0):.2%}",
        f"现已覆盖 seen now: {seen:.6g} / {total:.6g}（{already.get('cameras', 0)} 路 cameras）",
        f"像素密度 pixel density: {result.get('ladder', '')}",
        "二维模型，不含地形、建筑高度与植被。2D: no terrain, heights or plants.",
        *_after_turns(result),
        *result.get("notes", ()),
    ]


def _after_turns(result: Mapping[str, Any]) -> list[str]:
    """What is left for the sites when the standing cameras are turned first."""
    turns = result.get("reaim", ())
    if not turns or "gain_after_reaim" not in result:
        return []
    won, left = result["reaim_net"], result["gain_after_reaim"]
    return [
        f"先调向 {len(turns)} 路净增 turning {len(turns)} cameras first wins: {won:.6g}",
        f"调向后本方案新增权重 gain of this plan after these turns: {left:.6g}",
    ]


def _shown(value: object) -> object:
    return _YES[value] if isinstance(value, bool) or value is None else value


def _write(sheet: Any, row: int, column: int, cell: object, style: Any) -> None:  # noqa: ANN401
    if isinstance(cell, int | float):
        sheet.write_number(row, column, cell, style)
    elif cell is not None:
        sheet.write_string(row, column, str(cell), style)


def compared(one: PlanRecord, other: PlanRecord) -> dict[str, Any]:
    """Two plans beside each other: figures, and the sites that both or only one of them has."""

    def told(plan: PlanRecord) -> dict[str, Any]:
        result = plan.result or {}
        keys = ("gain", "bound", "gap", "cost")
        figures = {key: result.get(key) for key in keys}
        return {"id": plan.id, "name": plan.name, "request": dict(plan.request),
                "sites": len(result.get("sites", ())), **figures}  # fmt: skip

    def ids(plan: PlanRecord) -> list[str]:
        rows: Sequence[Mapping[str, Any]] = (plan.result or {}).get("sites", ())
        return [str(row["site"]) for row in rows]

    first, second = ids(one), ids(other)
    return {
        "plans": [told(one), told(other)],
        "both": [site for site in first if site in set(second)],
        "only_first": [site for site in first if site not in set(second)],
        "only_second": [site for site in second if site not in set(first)],
    }
