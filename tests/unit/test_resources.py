"""Where config/ and dashboards/ are found."""

import pytest

from gateway.resources import data_dir


@pytest.mark.parametrize("name", ["config", "dashboards"])
def test_the_data_folders_are_found(name: str) -> None:
    assert data_dir(name).is_dir()
    assert any(data_dir(name).iterdir())


def test_a_folder_that_is_missing_says_so() -> None:
    with pytest.raises(FileNotFoundError, match="reinstall"):
        data_dir("no-such-folder")
