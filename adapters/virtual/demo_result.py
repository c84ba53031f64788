"""What a demo found, as one JSON object and as lines for people."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from adapters.virtual.blind_truth import BlindVerdict
from adapters.virtual.compare import Comparison
from adapters.virtual.demo_alerts import AlertsVerdict

SHOWN = 20
"""Offences listed."""
_MEASURED = (
    "checks", "heard", "lateness_seconds", "round_seconds", "cpu_ms_per_check", "cores_used", "loop_lag_ms",
)  # fmt: skip


def ledger_part(stats: Mapping[str, Any], verdict: Comparison) -> dict[str, Any]:
    """The outage ledger against the truth."""
    totals = stats["totals"]
    return {
        **{key: stats[key] for key in _MEASURED},
        "detection_seconds": {"p50": verdict.detection_p50_s, "p99": verdict.detection_p99_s},
        "outages": totals["outages"],
        "faults": totals["faults"],
        "incidents": totals["incidents"],
        "truth": {
            key: value
            for key, value in asdict(verdict).items()
            if key not in {"offences", "incidents", "ok"}
        },
        "truth_incidents": [asdict(finding) for finding in verdict.incidents],
    }


def blind_part(verdict: BlindVerdict) -> dict[str, Any]:
    """The blind spots against the replay."""
    return {key: value for key, value in asdict(verdict).items() if key != "offences"}


def alerts_part(verdict: AlertsVerdict) -> dict[str, Any]:
    """The alerts against the script."""
    return {key: value for key, value in asdict(verdict).items() if key != "offences"}


def plan_part(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The expansion plan in four numbers."""
    return {
        "sites": len(plan["sites"]),
        "gain": plan["gain"],
        "gap": plan["gap"],
        "seconds": plan["seconds"]["total"],
    }


def tell(result: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """The verdicts in both languages, then what was not as it should be."""
    truth, blind, plan = result["truth"], result["blind_spots"], result["plan"]
    colour = "green" if result["ok"] else "red"
    say(
        f"[{colour}]outages: {truth['missed']} missed, {truth['invented']} invented, worst bound error "
        f"{truth['worst_bound_error_s']} s[/] 与真值比对：漏报 {truth['missed']}，误报 {truth['invented']}"
    )
    say(
        f"blind spots: {blind['opened']} opened, {blind['closed']} closed, {blind['missed']} missed, "
        f"{blind['invented']} invented 盲区：漏报 {blind['missed']}，误报 {blind['invented']}"
    )
    say(
        f"plan: {plan['sites']} sites gain {plan['gain']:.4g}, at most {plan['gap']:.2%} below the best, "
        f"{plan['seconds']:.1f} s 扩面规划：{plan['sites']} 个点位，与最优差距不超过 {plan['gap']:.2%}"
    )
    alerts = result["alerts"]
    say(
        f"alerts: {alerts['expected']} expected, {alerts['delivered']} delivered, {alerts['missed']} missed, "
        f"{alerts['duplicated']} duplicated, {alerts['mislinked']} mislinked, "
        f"{alerts['disagreeing']} told otherwise, {alerts['acknowledged']} "
        f"acknowledged, {alerts['closed']} closed 预警：送达 {alerts['delivered']}，签收 "
        f"{alerts['acknowledged']}，办结 {alerts['closed']}"
    )
    for offence in result["offences"]:
        say(f"  {offence['what']}: {offence['kind']} {offence['channel']} {offence['reason']}")
