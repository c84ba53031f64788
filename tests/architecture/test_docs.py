"""The documentation says what the code does."""

import runpy
from pathlib import Path

from typer.testing import CliRunner

from gateway.commands.config import config
from gateway.settings import describe

ROOT = Path(__file__).parents[2]


def test_the_table_of_settings_is_fresh() -> None:
    done = CliRunner().invoke(config, ["schema", "--markdown"])
    assert done.exit_code == 0
    page = (ROOT / "docs/guide/settings.md").read_text(encoding="utf-8")
    assert done.output.strip() in page, "run: sightline config schema --markdown"


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs/guide/settings.md").read_text(encoding="utf-8")
    for key, _, _ in describe():
        assert f"`{key}`" in page, key


def test_the_diagram_of_the_phases_is_fresh() -> None:
    drawn = runpy.run_path(str(ROOT / "docs/design/health_diagram.py"))["page"]()
    page = (ROOT / "docs/design/health.md").read_text(encoding="utf-8")
    assert drawn == page, "run: python docs/design/health_diagram.py"
