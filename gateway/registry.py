"""Finds adapters by entry point: `gateway` never imports `adapters`."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from gateway.errors import UsageError


def names(group: str) -> list[str]:
    """The adapters installed in a group such as `sightline.probes`, sorted."""
    return sorted(point.name for point in entry_points(group=group))


def get(group: str, name: str) -> Any:  # noqa: ANN401 - what the entry point names
    """Load one adapter.

    Raises:
        UsageError: it is not installed; says what is, and how to refresh entry points.
    """
    found: list[EntryPoint] = [p for p in entry_points(group=group) if p.name == name]
    if not found:
        msg = (
            f"no adapter {name!r} in {group}; installed: {', '.join(names(group)) or 'none'}. "
            "After adding a line to pyproject.toml run `make setup` again."
        )
        raise UsageError(msg)
    return found[0].load()
