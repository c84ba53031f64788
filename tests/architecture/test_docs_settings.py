"""The example settings and the unit are fit to be used as they are."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import describe, load

CONFIG = Path(__file__).parents[2] / "config"
EXAMPLE = CONFIG / "sightline.example.toml"
UNIT = CONFIG / "sightline.service"


def uncommented() -> str:
    """The example with every setting and section in it taken in."""
    text = EXAMPLE.read_text(encoding="utf-8")
    return re.sub(r"^# (\w+ = .*|\[[a-z.]+\])$", r"\1", text, flags=re.MULTILINE)


def keys_of(values: dict[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting as `describe` names it, with its value."""
    for name, value in values.items():
        inner = "recipients.<name>." if where == "recipients." else f"{where}{name}."
        if isinstance(value, dict):
            yield from keys_of(value, inner)
        else:
            yield f"{where}{name}", value


def test_the_example_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_CONFIG", raising=False)
    load(EXAMPLE, environ={})


def test_every_setting_that_the_example_shows_exists_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "sightline.toml"
    path.write_text(uncommented(), encoding="utf-8")
    shown = {key for key, _ in keys_of(tomllib.loads(uncommented()))}

    load(path, environ={})

    assert len(shown) > 15
    assert shown <= {key for key, _, _ in describe()}


def test_what_the_example_comments_out_is_the_default() -> None:
    defaults = {key: default for key, default, _ in describe() if default}
    told = {key: str(value) for key, value in keys_of(tomllib.loads(uncommented()))}
    lists = {"push_vendors", "push_devices", "push_proxies"}
    placeholders = {"network.canaries", "mqtt.topics", *(f"events.{name}" for name in lists)}

    wrong = {k: v for k, v in told.items() if defaults.get(k, v) != v and k not in placeholders}

    assert wrong == {}


def options(name: str) -> list[str]:
    """The values of an option of the unit."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_unit_waits_for_the_service_and_watches_it() -> None:
    assert options("Type") == ["notify"]
    # Three rounds: the service feeds the watchdog at least twice in that time.
    assert int(options("WatchdogSec")[0]) == 3 * load(EXAMPLE, environ={}).poll.cadence_s


def test_the_unit_runs_as_an_ordinary_user_in_a_closed_system() -> None:
    assert options("User") == ["sightline"]
    assert options("ProtectSystem") == ["strict"]
    assert options("NoNewPrivileges") == ["yes"]
    assert options("CapabilityBoundingSet") == [""]


def test_the_unit_allows_files_for_the_whole_fleet() -> None:
    assert int(options("LimitNOFILE")[0]) > 2 * 12_328


def test_the_unit_sets_only_settings_that_exist() -> None:
    names = re.findall(r"SIGHTLINE_([A-Z]+)__([A-Z_]+?)(?:_FILE)?=", UNIT.read_text("utf-8"))
    keys = {f"{section.lower()}.{key.lower()}" for section, key in names}

    assert keys
    assert keys <= {key for key, _, _ in describe()}
