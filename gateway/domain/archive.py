"""What an import of the device archive (一机一档) finds and records."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """What a finding of the repair list does to its row."""

    QUARANTINE = "quarantine"
    """The row is not taken (no id, no address, duplicate endpoint)."""
    DEFECT = "defect"
    """The row is taken, the bad field is set aside."""
    NOTE = "note"
    """Nothing is set aside; somebody should look."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One line of the repair list (问题清单).

    Attributes:
        code: stable name of the rule, e.g. `swapped_lon_lat`.
        reason: one plain sentence in English; the Chinese text comes from the catalogue by `code`.
    """

    file: str
    row: int
    """1-based row as the person sees it in the file; 0 = the file as a whole."""
    column: str
    value: str
    code: str
    reason: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """One import, kept for ever: what came in, from whom, and what was found."""

    id: str
    at: datetime
    actor: str
    files: tuple[str, ...]
    counts: tuple[tuple[str, int], ...]
    """added / changed / unchanged / decommissioned / quarantined ..., in display order."""
    repairs: tuple[Repair, ...] = ()
    unknown_columns: tuple[str, ...] = ()
