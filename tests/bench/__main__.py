"""`make bench`: measures, prints the table of goals and what was reached, writes build/bench.json.

About half an hour. Figures move with the machine: read the ratios, and the CPU seconds rather than
the walls. `python -m bench sweep store` measures only these parts.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULT = Path("build/bench.json")
SUMMARY, PAGE = "api/v1/summary?by=township", "api/v1/cameras?limit=100"
PARTS = (
    "sweep",
    "slow",
    "growth",
    "store",
    "pages",
    "dead",
    "coverage",
    "coverage_growth",
    "memory",
    "pulls",
    "coverage_live",
    "mqtt",
    "plan",
    "linking",
    "events",
    "center_down",
    "footprint",
    "live",
)


def measure(part: str) -> Any:
    """One part, in a process of its own: nothing of one part weighs on the next."""
    code = (
        f"import json, sys; from bench.__main__ import RUN; json.dump(RUN[{part!r}](), sys.stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE, text=True, check=False, env=os.environ,
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"failed": done.returncode}
    return json.loads(lines[-1])


def _sweep() -> object:
    from bench import sweep

    return sweep.run()


def _slow() -> object:
    from bench import sweep

    return sweep.run_slow()


def _growth() -> object:
    from bench import growth

    return growth.run()


def _store() -> object:
    from bench import store

    return store.run()


def _pages() -> object:
    from bench import pages

    return pages.run()


def _dead() -> object:
    from bench import dead

    return dead.run()


def _coverage() -> object:
    from bench import coverage_build

    return coverage_build.measure()


def _coverage_growth() -> object:
    from bench import coverage_build, coverage_live

    return {"build": coverage_build.growth(), "change": coverage_live.growth()}


def _memory() -> object:
    from bench import memory

    return memory.measure()


def _pulls() -> object:
    from bench import pulls

    return pulls.run()


def _linking() -> object:
    from bench import linking

    return linking.run()


def _events() -> object:
    from bench import events

    return events.run()


def _center_down() -> object:
    from bench import center_down

    return center_down.run()


def _footprint() -> object:
    from bench import footprint

    return footprint.run()


def _live() -> object:
    from bench import live

    return live.run()


def _plan() -> object:
    from bench import planning

    return planning.measure()


def _mqtt() -> object:
    from bench import mqtt

    return mqtt.run()


def _coverage_live() -> object:
    from bench import coverage_live

    return coverage_live.run()


RUN: dict[str, Callable[[], object]] = {
    "sweep": _sweep,
    "slow": _slow,
    "growth": _growth,
    "store": _store,
    "pages": _pages,
    "dead": _dead,
    "coverage": _coverage,
    "coverage_growth": _coverage_growth,
    "memory": _memory,
    "pulls": _pulls,
    "linking": _linking,
    "events": _events,
    "center_down": _center_down,
    "footprint": _footprint,
    "live": _live,
    "coverage_live": _coverage_live,
    "mqtt": _mqtt,
    "plan": _plan,
}


def _at(found: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found


GOALS: tuple[tuple[str, str, float, tuple[str, ...]], ...] = (
    ("cold sweep of the fleet, CPU-s", "<=", 4.8, ("sweep", "cold_cpu_s")),
    ("warm sweep of the fleet, CPU-s", "<=", 2.4, ("sweep", "warm_cpu_s")),
    ("CPU a warm check, ms", "<=", 0.20, ("sweep", "warm_ms_per_check")),
    ("wall of a cold sweep, 30 ms latency, 3 % dead, s", "<=", 6, ("slow", "wall_s")),
    ("CPU a cold check, three fleets to one", "<=", 1.2, ("growth", "ratios", "cold_3x")),
    ("CPU a recorded check, ten fleets to one", "<=", 1.2, ("growth", "ratios", "recorded_10x")),
    ("place to its cells, country, ms", "<=", 0.2, ("linking", "link", "country_ms")),
    ("place to its cells, city, ms", "<=", 0.2, ("linking", "link", "city_ms")),
    ("storm of signals, CPU µs each", "<=", 50, ("linking", "storm", "cpu_us_a_signal")),
    ("storm of signals, memory grown, MB", "<=", 50, ("linking", "storm", "grown_mb")),
    ("1,000 events/s: device to center p99, s", "<=", 1, ("events", "steady", "p99_s")),
    ("1,000 events/s: incidents not told", "<=", 0, ("events", "steady", "not_told")),
    ("1,000 events/s: signals lost", "<=", 0, ("events", "steady", "signals_lost")),
    ("storm of 10,000/s: alarms lost", "<=", 0, ("events", "storm", "alarms_lost")),
    ("storm of 10,000/s: signals of incidents lost", "<=", 0, ("events", "storm", "signals_lost")),
    ("storm of 10,000/s: coalesced and not counted", "<=", 0, ("events", "storm", "plain_uncounted")),
    ("storm of 10,000/s: checks later than 1 s, share", "<=", 0.01, ("events", "storm", "checks_late_share")),
    ("storm of 10,000/s: memory grown, MB", "<=", 50, ("events", "storm", "grown_mb")),
    ("center down an hour: messages lost", "<=", 0, ("center_down", "lost")),
    ("center down an hour: duplicated", "<=", 0, ("center_down", "duplicated")),
    ("center down an hour: drained after, s", "<=", 60, ("center_down", "drained_s")),
    ("demo: lateness p99, s", "<=", 1, ("live", "demo", "lateness_seconds", "p99")),
    ("demo: death to confirmed outage p50, s", "<=", 30, ("live", "demo", "detection_seconds", "p50")),
    ("demo: death to confirmed outage p99, s", "<=", 50, ("live", "demo", "detection_seconds", "p99")),
    ("demo: missed", "<=", 0, ("live", "demo", "truth", "missed")),
    ("demo: invented", "<=", 0, ("live", "demo", "truth", "invented")),
    ("demo: cut uplink and switch that are not ONE incident", "<=", 0, ("live", "cuts", "not_one_incident")),
    ("demo: alerts missed", "<=", 0, ("live", "demo", "alerts", "missed")),
    ("demo: alerts linked wrongly", "<=", 0, ("live", "demo", "alerts", "mislinked")),
    ("demo: blind spots missed", "<=", 0, ("live", "demo", "blind_spots", "missed")),
    ("demo: blind spots invented", "<=", 0, ("live", "demo", "blind_spots", "invented")),
    ("lateness p99 of the healthy, 30 % SYN-dropped, s", "<=", 1, ("dead", "lateness_p99_s")),
    ("event-loop lag p99 meanwhile, ms", "<=", 50, ("dead", "loop_lag_p99_ms")),
    ("coverage: full build with line of sight, CPU-s", "<=", 6, ("coverage", "build_cpu_s")),
    ("gateway peak RSS, fleet only, MB", "<=", 200, ("footprint", "fleet_only", "peak_mb")),
    ("gateway peak RSS, fleet and coverage, MB", "<=", 350, ("footprint", "with_coverage", "peak_mb")),
    ("gateway peak RSS, with pulled events too, MB", "<=", 550, ("footprint", "with_pulls", "peak_mb")),
    ("demo: gateway peak RSS, everything on, MB", "<=", 550, ("live", "demo", "memory_mb", "gateway")),
    ("12,328 idle pulls, share of a core", "<=", 0.15, ("pulls", "core_share_of_12328")),
    ("store: a sweep with 1 % changes committed, ms", "<=", 10, ("store", "commit_ms_p50")),
    ("/metrics/devices scrape, CPU ms", "<=", 5, ("pages", "/metrics/devices")),
    ("MQTT QoS 1: CPU a message stored and acknowledged, ms", "<=", 0.5, ("mqtt", "cpu_ms_each")),
    ("coverage: a change to its rows p99, ms", "<=", 5, ("coverage_live", "single", "p99_ms")),
    ("coverage: the same where 20 views overlap, ms", "<=", 15, ("coverage_live", "single_dense", "p99_ms")),
    ("coverage: storm of 1,000 outages, s", "<=", 0.5, ("coverage_live", "storm", "one_batch_s")),
    ("coverage: counts wrong after 100,000 changes", "<=", 0, ("coverage_live", "walk", "wrong_counts")),
    ("coverage: area drift after 100,000 changes, m2", "<=", 1, ("coverage_live", "walk", "area_drift_m2")),
    ("coverage: CPU a camera, ten districts to one", "<=", 1.2, ("coverage_growth", "build", "each_camera")),
    ("coverage: a change p50, ten districts to one", "<=", 1.5, ("coverage_growth", "change", "ratio")),
    ("plan: 50 of 5,000 poles, 8 directions, s", "<=", 2, ("plan", "one_lens", "solve_s")),
    ("plan: its proven gap, %", "<=", 2, ("plan", "one_lens", "gap_percent")),
    ("plan: lenses, three a site, backup, s", "<=", 15, ("plan", "all_together", "solve_s")),
    ("plan: a change by hand, s", "<=", 0.2, ("plan", "what_if_s")),
    ("demo: event-loop lag p99, ms", "<=", 50, ("live", "demo", "loop_lag_ms", "p99")),
    ("summary p99 while polling, ms", "<=", 50, ("live", "api", SUMMARY, "p99_ms")),
    ("page of cameras p99 while polling, ms", "<=", 50, ("live", "api", PAGE, "p99_ms")),
)  # fmt: skip


def main(parts: list[str]) -> None:
    """Measure, keep, print."""
    console = Console()
    RESULT.parent.mkdir(exist_ok=True)
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for part in parts or PARTS:
        console.print(f"measuring {part} …")
        found[part] = measure(part)
    found["machine"] = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    table = Table("what", "reach", "reached", "")
    for what, sign, goal, path in GOALS:
        value = _at(found, *path)
        mark = "–" if value is None else "[green]✓" if value <= goal else "[red]✗"
        table.add_row(what, f"{sign} {goal}", "–" if value is None else f"{value:.4g}", mark)
    console.print(table)
    console.print(f"all figures: {RESULT}")


if __name__ == "__main__":
    main(sys.argv[1:])
