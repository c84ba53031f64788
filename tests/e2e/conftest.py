"""What all tests with a browser share."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOCKETS = (
    r"ignore:Exception ignored in. <(function _SelectorTransport\.__del__|socket\.socket)"
    ":pytest.PytestUnraisableExceptionWarning"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Chromium opens sockets ahead of need and drops them when it likes, also while a gateway stops.

    Which of them the stopped loop had not buried yet is chance, and says nothing of the console.
    """
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings(SOCKETS))
