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

from bench.goals import GOALS

RESULT = Path("build/bench.json")
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
    for goal in GOALS:
        mark = {None: "–", True: "[green]✓", False: "[red]✗"}[goal.reached(found)]
        table.add_row(goal.what, f"<= {goal.most:g}", goal.text(found), mark)
    console.print(table)
    console.print(f"all figures: {RESULT}")


if __name__ == "__main__":
    main(sys.argv[1:])
