"""The two READMEs say the same, and what they tell people to type exists."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
FIGURES = re.compile(r"<!-- figures -->\n(.*?)<!-- /figures -->", re.DOTALL)


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def headings(page: Path) -> list[int]:
    """Levels of the headings, in order; those inside code do not count."""
    plain = re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL)
    return [len(level) for level in re.findall(r"^(#+) ", plain, re.MULTILINE)]


def figures(page: Path) -> list[tuple[str, ...]]:
    """What is to be reached, what was, and the command, of each row of the table."""
    found = FIGURES.findall(text(page))
    assert len(found) == 1
    rows = [line.strip("|").split("|") for line in found[0].splitlines()[2:]]
    return [tuple(cell.strip() for cell in row[1:4]) for row in rows]


def blocks(page: Path) -> list[str]:
    """The shell commands, without their remarks."""
    shells = re.findall(r"^```sh\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)
    return [line.partition("#")[0].strip() for block in shells for line in block.splitlines()]


def test_both_have_the_same_sections() -> None:
    assert headings(ENGLISH) == headings(CHINESE)


def test_both_show_the_same_figures() -> None:
    assert len(figures(ENGLISH)) > 5
    assert figures(ENGLISH) == figures(CHINESE)


def test_both_name_the_same_numbers() -> None:
    number = re.compile(r"\d[\d,.]*\d|\d")

    assert sorted(number.findall(text(ENGLISH))) == sorted(number.findall(text(CHINESE)))


def test_both_show_the_same_commands_and_link_to_the_same_pages() -> None:
    link = re.compile(r"\]\(([^)]+)\)")
    other = {"README.md", "README.zh-CN.md"}

    assert blocks(ENGLISH) == blocks(CHINESE)
    assert set(link.findall(text(ENGLISH))) - other == set(link.findall(text(CHINESE))) - other


@pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_what_they_tell_people_to_make_can_be_made(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    wanted = set(re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join(blocks(page)) + text(page)))

    assert {"demo", "test"} <= wanted
    assert wanted <= targets


@pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_the_first_screen_has_sentence_picture_and_commands(page: Path) -> None:
    first = text(page).partition("\n## ")[0]

    assert first.index("12,328") < first.index("docs/img/wall.png") < first.index("make demo")
    assert len(first.splitlines()) < 40


@pytest.mark.parametrize("page", [ENGLISH, CHINESE, ROOT / "docs" / "guide" / "install.md"])
def test_the_files_to_copy_are_where_the_page_says(page: Path) -> None:
    (found, *_) = re.findall(
        r"^files=\$\(/opt/sightline/bin/python (.+)\)$", text(page), re.MULTILINE
    )
    done = subprocess.run(
        [sys.executable, *shlex.split(found)],
        capture_output=True, text=True, timeout=60, check=True, cwd="/",
    )  # fmt: skip
    copied = re.findall(r'"\$files/([^"]+)"', text(page))
    assert {"sightline.service", "sightline.example.toml"} == set(copied)
    assert all((Path(done.stdout.strip()) / name).is_file() for name in copied)


@pytest.mark.parametrize("page", [ENGLISH, CHINESE])
def test_the_command_is_put_on_the_path(page: Path) -> None:
    assert ".venv/bin/sightline" in text(page)
    assert any(line.startswith("ln -s /opt/sightline/bin/sightline") for line in blocks(page))
