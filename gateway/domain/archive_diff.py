"""What an import changes: the old archive against the new one, field by field."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

TEXT_SHOWN = 60


class ChangeKind(StrEnum):
    """What happened to one entry of the archive."""

    ADDED = "added"
    CHANGED = "changed"
    READDRESSED = "readdressed"
    """A channel answers at another address now: its state starts anew."""
    DECOMMISSIONED = "decommissioned"
    """A channel is no longer in the archive: kept, not polled."""
    REMOVED = "removed"
    """A node, division, grid cell or window is no longer in the archive."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of one entry: text before and after ("" = nothing)."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Change:
    """One entry that is not as before."""

    entry: str
    """`camera`, `device`, `node`, `division`, `grid`, `window`."""
    id: str
    kind: ChangeKind
    fields: tuple[FieldChange, ...] = ()


def compare(entry: str, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> list[Change]:
    """The entries that differ, in the order of the new archive, removed ones last.

    Args:
        entry: what the rows are, for `Change.entry`.
        old: rows (dataclasses) by id before the import.
        new: the same after it.
    """
    changes: list[Change] = []
    for key, row in new.items():
        before = old.get(key)
        if before is None:
            changes.append(Change(entry, str(key), ChangeKind.ADDED))
        elif before != row:
            fields = tuple(_fields(before, row))
            changes.append(Change(entry, str(key), _kind(fields), fields))
    changes += [Change(entry, str(key), ChangeKind.REMOVED) for key in old if key not in new]
    return changes


def _kind(fields: tuple[FieldChange, ...]) -> ChangeKind:
    by_name = {field.name: field for field in fields}
    if "in_use" in by_name and by_name["in_use"].new == "False":
        return ChangeKind.DECOMMISSIONED
    return ChangeKind.READDRESSED if "device" in by_name else ChangeKind.CHANGED


def _fields(old: Any, new: Any) -> list[FieldChange]:  # noqa: ANN401 - any row of the archive
    changed: list[FieldChange] = []
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before == after:
            continue
        if isinstance(before, Mapping):
            keys = {**before, **after}
            changed += [
                FieldChange(key, before.get(key, ""), after.get(key, ""))
                for key in keys
                if before.get(key) != after.get(key)
            ]
        else:
            changed.append(FieldChange(field.name, _text(before), _text(after)))
    return changed


def _text(value: Any) -> str:  # noqa: ANN401 - any field
    if value is None:
        return ""
    if isinstance(value, tuple):
        return f"{len(value)} shapes"
    text = str(value)
    return text if len(text) <= TEXT_SHOWN else text[: TEXT_SHOWN - 1] + "…"
