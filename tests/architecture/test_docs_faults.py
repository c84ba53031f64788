"""The fault matrix on paper is the one that runs."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/design/faults.md"
TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def written(pattern: str) -> set[str]:
    files = (ROOT / "tests").rglob(pattern)
    return {name for file in files for name in TEST.findall(file.read_text(encoding="utf-8"))}


def named() -> set[str]:
    return set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))


def test_every_test_that_the_matrix_names_is_there() -> None:
    assert named() - written("test_*.py") == set()


def test_every_test_of_the_whole_service_under_faults_stands_in_the_matrix() -> None:
    assert written("test_faults_*.py") - named() == set()
