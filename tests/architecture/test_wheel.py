"""What the wheel carries."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        timeout=100,
        check=True,
    )
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_its_top_level_names_are_gateway_and_adapters(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"gateway", "adapters"}


def test_config_and_dashboards_are_inside(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert "gateway/_shared/config/divisions.csv" in names
    assert "gateway/_shared/config/openapi.json" in names
    assert "gateway/_shared/dashboards/console/index.html" in names
    assert "gateway/py.typed" in names


def test_sql_travels_with_its_package(wheel: zipfile.ZipFile) -> None:
    packed = {n for n in wheel.namelist() if n.endswith(".sql")}
    written = {str(file.relative_to(ROOT)) for file in (ROOT / "adapters").rglob("*.sql")}
    assert packed == written


def test_no_test_and_nothing_fetched_by_npm_is_inside(wheel: zipfile.ZipFile) -> None:
    for name in wheel.namelist():
        assert "node_modules" not in name, name
        assert "/tests/" not in name, name


def test_config_is_data_only() -> None:
    assert list((ROOT / "config").rglob("*.py")) == []
