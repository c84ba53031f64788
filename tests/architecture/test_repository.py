"""What must not stand in the repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACHINE = re.compile("|".join(("/wor" + "k/", "/tm" + "p/w/", r"/ho" + r"me/\w+/", "/ro" + "ot/")))
REGISTRY = re.compile(
    "|".join(
        (
            "pypi" + r"\.org",
            "python" + r"hosted\.org",
            r"registry\.npm" + r"js\.org",
            "index" + "-url",
        )
    )
)
BINARY = {".png", ".xlsx", ".jpg", ".ico"}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [f for f in files if f.is_file() and f.suffix not in BINARY]


@pytest.mark.parametrize(
    ("what", "pattern"), [("a path of somebody's machine", MACHINE), ("a registry", REGISTRY)]
)
def test_no_file_names(what: str, pattern: re.Pattern[str]) -> None:
    allowed = {"uv pip compile", "no-emit-index"}
    found = []
    for file in tracked():
        text = file.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line) and not any(a in line for a in allowed):
                found.append(f"{file.relative_to(ROOT)}:{number}")
    assert found == [], what


def test_no_file_is_larger_than_a_megabyte() -> None:
    assert [f.name for f in tracked() if f.stat().st_size > 1_000_000] == []


def test_modules_have_no_names_that_say_nothing() -> None:
    empty = {"utils", "helpers", "common", "manager", "misc"}
    names = {f.stem for f in tracked() if f.suffix == ".py"}
    assert names & empty == set()


def test_locked_packages_are_locked_by_hash() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if re.match(r"^[a-z0-9]", line)]
    assert names
    text = "\n".join(lines)
    for block in re.split(r"\n(?=[a-z0-9])", text):
        if re.match(r"^[a-z0-9]", block):
            assert "--hash=sha256:" in block, block.splitlines()[0]
