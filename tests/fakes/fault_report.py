"""What a run of the fault matrix has measured, as the table of docs/design/faults.md."""

import os
import platform
import subprocess
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.town import SCALE, TORTURE

ROOT = Path(__file__).parents[2]
Measured = Callable[[str, object], None]
"""Notes one figure of a test: what it is, with its unit, and how much."""


def heading() -> str:
    """When and where, and how large."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    scale = "torture" if TORTURE else "small"
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit or 'unknown'}, {scale} scale: "
        f"{SCALE.cameras} cameras, {SCALE.cadence_s:g} s cadence, {SCALE.kills} kills of the "
        f"gateway; Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} at the end"
    )


def table(reports: Iterable[pytest.TestReport]) -> list[str]:
    """One line a test, in the order of the run."""
    lines = ["| test | result | s | measured |", "| --- | --- | --- | --- |"]
    for report in reports:
        name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("|", "/")
        figures = "; ".join(f"{what}: {value}" for what, value in report.user_properties)
        lines.append(
            f"| {name.replace('_', ' ')} | {report.outcome} | {report.duration:.0f} | {figures} |"
        )
    return lines


def of_faults(report: pytest.TestReport) -> bool:
    """Whether a report tells of a test of the matrix: its call, or what kept it from being called."""
    return "torture" in report.keywords and (report.when == "call" or not report.passed)
