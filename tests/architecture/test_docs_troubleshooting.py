"""Every message that docs/guide/troubleshooting.md explains is still what the code says."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guide" / "troubleshooting.md"
VARIABLE = "…"


def messages() -> list[str]:
    """The headings that are messages."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [
        line[5:].strip("`").strip() if line.startswith("#### `` ") else line[6:-1]
        for line in lines
        if line.startswith("#### `")
    ]


def texts(tree: ast.AST) -> Iterator[str]:
    """String constants of a file; of f-strings, with a mark where values stand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else VARIABLE
                for part in node.values
            )


@cache
def everything_said() -> tuple[str, ...]:
    """All string constants of both packages."""
    files = (path for package in ("gateway", "adapters") for path in (ROOT / package).rglob("*.py"))
    return tuple(
        text for path in files for text in texts(ast.parse(path.read_text(encoding="utf-8")))
    )


def fits(message: str, text: str) -> bool:
    """Whether a text of the code is the message: equal but for what varies, and for its ends."""
    parts = [re.escape(part) for part in message.split(VARIABLE)]
    return re.search(".*".join(parts).strip(), text, re.DOTALL) is not None


def test_there_are_messages_on_the_page() -> None:
    assert len(messages()) > 30


@pytest.mark.parametrize("message", messages())
def test_the_code_says_so(message: str) -> None:
    assert any(fits(message, text) for text in everything_said()), message
