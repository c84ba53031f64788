"""docs/guide/cli.md names every verb and every option, and none that does not exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from gateway.cli import build

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "cli.md"
OPTION = re.compile(r"`(--?[a-z][a-z-]*)`")


def commands(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    """Every callable command below one, with the spellings of its options."""
    children = getattr(command, "commands", None)
    if children is not None:
        for verb, child in children.items():
            yield from commands(child, f"{name} {verb}")
        if not command.invoke_without_command or not command.params or name == "sightline":
            return
    spellings = {
        spelling
        for parameter in command.params
        for spelling in (*parameter.opts, *parameter.secondary_opts)
        if spelling.startswith("-")
    }
    yield name, spellings - {"--help"}


def sections() -> dict[str, str]:
    """The page by its headings of the third level, which are the commands."""
    parts = re.split(r"^### (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    bodies = (re.split(r"^## ", body, flags=re.MULTILINE)[0] for body in parts[2::2])
    return dict(zip(parts[1::2], bodies, strict=True))


def documented(body: str) -> set[str]:
    """The options in the first column of a section's table."""
    rows = (line for line in body.splitlines() if line.startswith("| `-"))
    return {option for row in rows for option in OPTION.findall(row.split("|")[1])}


def test_the_page_has_a_section_for_every_command_with_all_its_options() -> None:
    real = dict(commands(typer.main.get_command(build()), "sightline"))
    told = {name: documented(body) for name, body in sections().items()}

    assert told == real
