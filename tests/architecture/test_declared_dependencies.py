"""What the packages import is declared: a clean installation has no test tools beside it."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {"gateway", "adapters"}


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def declared() -> set[str]:
    """The distributions that the wheel asks for, in normal form."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = (re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0] for line in project["dependencies"])
    return {normal(name) for name in names}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_of_the_packages_is_a_declared_dependency() -> None:
    owners = packages_distributions()
    wanted = declared()
    undeclared = {
        f"{path.relative_to(ROOT)}: {name}"
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path) - set(sys.stdlib_module_names) - OURS
        if not wanted & {normal(owner) for owner in owners.get(name, [])}
    }
    assert not undeclared
