"""docs/guide/api.md names every route of the interface, and none that does not exist."""

import re
from pathlib import Path

from gateway.web.app import INTERFACE
from gateway.web.problems import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "api.md"
CALL = re.compile(r"`(GET|POST|DELETE|PUT|PATCH) (/[^`?]*)[^`]*`")


def calls() -> set[tuple[str, str]]:
    """Method and path of every call in the page's table."""
    table = PAGE.read_text(encoding="utf-8").partition("\n## Calls\n")[2].partition("\n## ")[0]
    return {(method, path) for method, path in CALL.findall(table)}


def test_the_table_of_calls_is_the_interface() -> None:
    assert calls() == {(route.method, route.path) for route in INTERFACE if route.documented}


def test_every_kind_of_problem_is_explained() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \| \d", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(told) == sorted(kind.name for kind in KINDS)
