"""docs/guide/archive.md names every column and every rule, in the words of the code."""

import re
from pathlib import Path

import pytest

from gateway.domain.archive_fields import ALIASES, Kind
from gateway.domain.archive_rules import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "archive.md"


def section(name: str) -> str:
    """What stands between two markers of the page."""
    text = PAGE.read_text(encoding="utf-8")
    kind = name.partition(" ")[0]
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{kind} -->", text, re.DOTALL)
    assert found, f"{PAGE.name} has no markers for {name}"
    return found[1]


def columns_table(kind: Kind) -> str:
    """The table of the columns of a kind of file."""
    lines = ["| key | also read as |", "| --- | --- |"]
    lines += [f"| `{key}` | {aliases} |" for key, aliases in ALIASES[kind].items()]
    return "\n".join(lines) + "\n"


def rules_table() -> str:
    """The table of the rules of the repair list."""
    lines = ["| rule | severity | means | 中文 |", "| --- | --- | --- | --- |"]
    for code, rule in CATALOGUE.items():
        kept = ", kept" if rule.keeps and rule.severity != "note" else ""
        lines.append(f"| `{code}` | {rule.severity}{kept} | {rule.english} | {rule.chinese} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", Kind)
def test_the_page_lists_every_column_of_the_code(kind: Kind) -> None:
    assert section(f"columns {kind}") == columns_table(kind)


def test_the_page_lists_every_rule_of_the_code() -> None:
    assert section("rules") == rules_table()
