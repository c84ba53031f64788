"""Secrets from files: `SIGHTLINE_SECTION__KEY_FILE` names a file that holds the value."""

from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import load

DSN = "postgresql://sightline@db.example/sightline"


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "dsn"
    path.write_text(f"{DSN}\n", encoding="utf-8")
    monkeypatch.setenv("SIGHTLINE_STORE__DSN_FILE", str(path))
    return path


def test_a_secret_is_read_from_the_file_that_the_environment_names(secret: Path) -> None:
    assert load().store.dsn.get_secret_value() == DSN


def test_the_file_wins_over_the_settings_file(secret: Path, tmp_path: Path) -> None:
    config = tmp_path / "sightline.toml"
    config.write_text('[store]\ndsn = "postgresql://other"\n', encoding="utf-8")

    assert load(config).store.dsn.get_secret_value() == DSN


def test_the_variable_itself_wins_over_the_file(
    secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_STORE__DSN", "memory:")

    assert load().store.dsn.get_secret_value() == "memory:"


def test_a_file_that_is_not_there_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGHTLINE_STORE__DSN_FILE", "/nowhere/dsn")

    with pytest.raises(SettingsError, match=r"SIGHTLINE_STORE__DSN_FILE: /nowhere/dsn"):
        load()


def test_the_path_of_the_keys_file_is_a_setting_and_no_secret_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGHTLINE_KEYS__FILE", "/etc/sightline/keys")

    assert load().keys.file == Path("/etc/sightline/keys")


def test_a_misspelt_variable_is_still_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_WEB__PROT", "1")

    with pytest.raises(SettingsError, match=r"web\.prot"):
        load()
