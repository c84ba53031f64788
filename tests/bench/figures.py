"""Puts the figures of build/bench.json into both READMEs and, all of them, into docs/design/figures.md.

`python -m bench.figures` after `make bench`; a figure that was not measured stays a dash.
"""

import json
import re
from pathlib import Path
from typing import Any

from bench.goals import GOALS

RESULT = Path("build/bench.json")
READMES = (Path("README.md"), Path("README.zh-CN.md"))
PAGE = Path("docs/design/figures.md")
SHAPES = ("fleet_only", "with_coverage", "with_pulls")
TABLE = re.compile(r"(<!-- figures -->\n)(.*?)(<!-- /figures -->)", re.DOTALL)


def cells(found: dict[str, Any]) -> list[str]:
    """One text a row of the table, in its order."""
    sweep, slow, live = found.get("sweep", {}), found.get("slow", {}), found.get("live", {})
    demo = live.get("demo", {})
    truth, detection = demo.get("truth", {}), demo.get("detection_seconds", {})
    uplinks = [f for f in demo.get("truth_incidents", []) if f["kind"] == "uplink"]
    blind, alerts = demo.get("blind_spots", {}), demo.get("alerts", {})
    events, away = found.get("events", {}), found.get("center_down", {})
    steady, storm = events.get("steady", {}), events.get("storm", {})
    plan = found.get("plan", {}).get("one_lens", {})
    footprint = found.get("footprint", {})
    summary = live.get("api", {}).get("api/v1/summary?by=township", {})
    return [
        _text(sweep.get("cold_cpu_s"), 2),
        _text(sweep.get("warm_cpu_s"), 2),
        _text(slow.get("wall_s"), 1),
        _text(demo.get("lateness_seconds", {}).get("p99"), 2),
        f"{_text(detection.get('p50'), 0)} / {_text(detection.get('p99'), 0)}",
        f"{_text(truth.get('missed'), 0)} / {_text(truth.get('invented'), 0)}",
        "–" if not uplinks else f"{len(uplinks)} / {sum(len(u['problems']) for u in uplinks)}",
        f"{_text(blind.get('missed'), 0)} / {_text(blind.get('invented'), 0)}",
        " / ".join(_text(alerts.get(k), 0) for k in ("expected", "delivered", "duplicated")),
        f"{_text(steady.get('p99_s'), 2)} / {_text(steady.get('not_told'), 0)}",
        f"{_text(storm.get('alarms_lost'), 0)} / {_text(storm.get('grown_mb'), 0)}",
        " / ".join(
            (
                _text(away.get("lost"), 0),
                _text(away.get("duplicated"), 0),
                _text(away.get("drained_s"), 0),
            )
        ),
        " / ".join(_text(footprint.get(shape, {}).get("peak_mb"), 0) for shape in SHAPES),
        _text(found.get("coverage_live", {}).get("single", {}).get("p99_ms"), 1),
        f"{_text(plan.get('solve_s'), 2)} / {_text(plan.get('gap_percent'), 1)}",
        _text(found.get("store", {}).get("commit_ms_p50"), 1),
        _text(found.get("pages", {}).get("/metrics/devices"), 1),
        _text(summary.get("p99_ms"), 0),
    ]


def _text(value: Any, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def fill(text: str, values: list[str]) -> str:
    """The README with the third column of its figures replaced."""

    def put(match: re.Match[str]) -> str:
        head, rule, *rows = match[2].rstrip("\n").split("\n")
        if len(rows) != len(values):
            raise ValueError(f"the table has {len(rows)} rows, {len(values)} figures are known")
        filled = []
        for row, value in zip(rows, values, strict=True):
            parts = row.split(" | ")
            filled.append(" | ".join([*parts[:2], value, *parts[3:]]))
        return match[1] + "\n".join([head, rule, *filled]) + "\n" + match[3]

    return TABLE.sub(put, text)


def page(text: str, found: dict[str, Any]) -> str:
    """The page with its table of all goals written anew."""
    machine = found["machine"]
    marks = {None: "not measured", True: "yes", False: "**no**"}
    lines = [
        f"Measured {machine['at'][:10]}: {machine['cores']} cores, Python {machine['python']}.",
        "",
        "| what | to reach | measured | reached |",
        "| --- | --- | --- | --- |",
        *(
            f"| {goal.what} | ≤ {goal.most:g} | {goal.text(found)} | {marks[goal.reached(found)]} |"
            for goal in GOALS
        ),
    ]
    return TABLE.sub(lambda match: match[1] + "\n".join(lines) + "\n" + match[3], text)


def main() -> None:
    """Fill all."""
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    values = cells(found)
    for path in READMES:
        path.write_text(fill(path.read_text(encoding="utf-8"), values), encoding="utf-8")


if __name__ == "__main__":
    main()
