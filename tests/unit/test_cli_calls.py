"""Wrong calls end with code 2, one sentence and the way to the help; never with a traceback."""

import json
from pathlib import Path

import pytest

from gateway.cli import main


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sing",), "No such command 'sing'; see `sightline --help`"),
        (("run", "--loud"), "No such option: --loud; see `sightline run --help`"),
        (("import",), "Missing argument 'files'; see `sightline import --help`"),
        (
            ("token", "create", "x"),
            (
                "Missing option '--role'. Choose from: viewer, operator, planner, center, admin, "
                "auditor; see `sightline token --help`"
            ),
        ),
    ],
)
def test_a_wrong_call_is_told_in_one_sentence(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 2
    assert capsys.readouterr().err == f"sightline: {said}\n"


def test_a_wrong_call_with_json_is_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("report", "--by", "street", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == "UsageError"
    assert "'--by'" in told["problems"][0]


@pytest.mark.parametrize("arguments", [(), ("token",), ("keys",), ("config",)])
def test_a_bare_call_shows_its_help(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 2
    shown = capsys.readouterr()
    assert "Usage: sightline" in shown.out
    assert "Traceback" not in shown.err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out.startswith("sightline ")


def test_config_check_names_the_file_it_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    file = tmp_path / "some-settings.toml"
    file.write_text("[poll]\ncadence_s = 20\n", encoding="utf-8")
    assert call("config", "check", "--config", str(file)) == 0
    assert str(file) in capsys.readouterr().out
    assert call("config", "check") == 0
    assert "No settings file was named" in capsys.readouterr().out
