"""Links of the documents lead somewhere: the file is there, and so is the heading."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
SECRETIVE = re.compile(
    r"(?<![\w.])/(?:work|root|home/\w|tmp/(?!bash))|pypi\.|npmjs|registry\.|pythonhosted", re.ASCII
)
"""Paths of somebody's machine, and hosts of package registries."""


def pages() -> list[Path]:
    """Every Markdown page under version control, and those about to be."""
    named = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if named.returncode:  # not a checkout: a source distribution
        return [p for p in ROOT.rglob("*.md") if not {".venv", "node_modules"} & set(p.parts)]
    return [ROOT / name for name in named.stdout.split() if (ROOT / name).is_file()]


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = []
    for title in re.findall(r"^#{1,6} +(.+?) *$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower()
        found.append(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return frozenset(found)


def problem(page: Path, target: str) -> str | None:
    """What is wrong with a link, or None."""
    if target.startswith(("https://", "http://", "mailto:")):
        return None
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return f"{target}: there is no such file"
    if anchor and anchor not in anchors(file):
        return f"{target}: there is no such heading"
    return None


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))

    assert [p for target in LINK.findall(text) if (p := problem(page, target))] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_no_machine_and_no_package_registry(page: Path) -> None:
    assert SECRETIVE.findall(page.read_text(encoding="utf-8")) == []
