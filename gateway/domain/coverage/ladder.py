"""The pixel-density ladder: which purpose needs how many pixels a metre (IEC 62676-4).

Editions differ in names and numbers, so that each figure names its own. The numbers are data
(`config/pixel_density.toml`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import UsageError


@dataclass(frozen=True)
class Ladder:
    """One edition.

    Attributes:
        edition: its short name, such as `2015`.
        name: of the standard.
        steps: name of a level -> pixels a metre, rising.
        area_level: the level at which a square metre counts as covered.
        instead: names of other editions -> the level that stands for them here.
    """

    edition: str
    name: str
    steps: Mapping[str, float]
    area_level: str
    instead: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, edition: str, table: Mapping[str, Any]) -> "Ladder":
        """Read one edition from the parsed file.

        Raises:
            UsageError: the file has no such edition, or its levels contradict each other.
        """
        editions = table.get("editions", {})
        if edition not in editions:
            known = ", ".join(sorted(editions))
            raise UsageError(f"pixel density: there is no edition {edition!r}, only {known}")
        row = editions[edition]
        steps = {str(name): float(value) for name, value in row["steps"].items()}
        instead = dict(row.get("instead", {}))
        values = list(steps.values())
        wrong = {row["area_level"], *instead.values()} - set(steps)
        if wrong or values != sorted(values) or not values[0] > 0:
            raise UsageError(
                f"pixel density: edition {edition} must rise and know all its levels "
                f"{sorted(wrong)}"
            )
        return cls(edition, row["name"], steps, row["area_level"], instead)

    def step(self, level: str) -> str | None:
        """The name of a level in this edition; None for one that it has no step for."""
        name = self.instead.get(level, level)
        return name if name in self.steps else None

    def px_per_m(self, level: str) -> float:
        """Pixels a metre of a level.

        Raises:
            KeyError: no level of this edition or any other.
        """
        return self.steps[self.instead.get(level, level)]
