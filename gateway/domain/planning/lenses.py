"""What can be mounted: lenses, directions, and what a camera costs where nobody knows.

All numbers are data: `config/planning.toml`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.domain.coverage.model import Floats
from gateway.domain.coverage.optics import Optics
from gateway.errors import UsageError

CIRCLE_DEG = 360.0


@dataclass(frozen=True, slots=True)
class Lens:
    """A camera that can be bought.

    Attributes:
        field_deg: horizontal field angle; 360 = it sees all round.
        width_px: of its picture.
        most_m: it is not trusted beyond, whatever its pixels say.
    """

    name: str
    field_deg: float
    width_px: float
    most_m: float

    def range_m(self, optics: Optics, px_per_m: Floats) -> Floats:
        """How far it sees at some pixel densities."""
        width, field = np.array([self.width_px]), np.array([self.field_deg])
        ranges = [optics.range_m(width, field, float(density))[0] for density in px_per_m]
        return np.minimum(np.array(ranges, dtype=np.float64), self.most_m)


@dataclass(frozen=True)
class Catalogue:
    """The parsed file `config/planning.toml`.

    Attributes:
        azimuths: directions tried at each site.
        default_cost: CNY of one camera at a site without a cost.
    """

    lenses: Mapping[str, Lens]
    azimuths: int
    default_lens: str
    default_cost: float

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "Catalogue":
        """Read the parsed file."""
        lenses = {name: Lens(name, **row) for name, row in table["lenses"].items()}
        return cls(lenses, table["azimuths"], table["default_lens"], table["default_cost"])

    def choose(self, names: Iterable[str]) -> tuple[Lens, ...]:
        """The lenses of these names, in their order; without names the default one.

        Raises:
            UsageError: a name is not in the catalogue.
        """
        wanted = tuple(dict.fromkeys(names)) or (self.default_lens,)
        strange = [name for name in wanted if name not in self.lenses]
        if strange:
            known = ", ".join(self.lenses)
            raise UsageError(f"lens: there is no {strange[0]!r}, only {known}")
        return tuple(self.lenses[name] for name in wanted)

    def azimuths_of(self, lens: Lens) -> Floats:
        """The directions tried with a lens; one that sees all round needs only one."""
        count = 1 if lens.field_deg >= CIRCLE_DEG else self.azimuths
        return np.linspace(0.0, CIRCLE_DEG, count, endpoint=False, dtype=np.float64)
