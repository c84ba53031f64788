"""On a machine without a store a wrong call, or one that only reads, makes none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "data" / "archive"


def sightline(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    """The command with an embedded store that nobody has made."""
    environ = os.environ | {"SIGHTLINE_STORE__STATE_DIR": str(state), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env=environ, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "missing.csv"), "missing.csv: cannot be read: No such file or directory"),
        (("import", "missing.pdf"), "no reader for this ending"),
        (("import", str(FOLDER / "broken-quotes.csv")), "broken-quotes.csv: line 3"),
        (("import", str(FOLDER / "good-nodes.csv"), "--credentials", "none.csv"), "none.csv"),
        (("import", str(FOLDER / "good-nodes.csv"), "--report", "no/x.csv"), "no folder no"),
        (("report",), "there is no store in"),
        (("report", "--csv", "no/x.csv"), "no folder no"),
        (("audit",), "there is no store in"),
        (("probe", "61080200001310000001"), "there is no store in"),
        (("probe", "--survey"), "there is no store in"),
        (("token", "list"), "there is no store in"),
        (("token", "revoke", "abc"), "there is no store in"),
        (("keys", "rotate"), "there is no store in"),
        (("backup", "x.tar.gz"), "there is no store in"),
        (("backup", "missing.tar.gz", "--restore"), "there is no such file"),
    ],
)
def test_a_call_that_cannot_be_done_says_so_and_leaves_nothing_behind(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    state = tmp_path / "state"
    done = sightline(*arguments, state=state)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not state.exists()


def test_a_dry_run_of_the_first_import_makes_no_store(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = sightline("import", str(FOLDER / "good-nodes.csv"), "--dry-run", state=state)
    assert done.returncode == 0, done.stderr
    assert "dry run" in done.stdout
    assert not state.exists()


def test_a_diagnosis_makes_none_and_says_what_would(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = sightline("doctor", "--json", state=state)
    assert done.returncode in (0, 1), done.stderr
    store = next(line for line in json.loads(done.stdout) if line["what"] == "store")
    assert (store["level"], store["found"]) == ("warn", f"none in {state} yet")
    assert "sightline import" in store["fix"]
    assert not state.exists()


def test_listing_the_keys_makes_none(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = sightline("keys", "list", state=state)
    assert (done.returncode, "no keys yet" in done.stdout) == (0, True)
    assert '"keys": []' in sightline("keys", "list", "--json", state=state).stdout
    assert not state.exists()
