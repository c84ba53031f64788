"""What rows of the archive are read against: the divisions, grid cells and nodes they name."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gateway.domain.archive_fields import plain_name
from gateway.domain.camera import (
    ChannelId,
    DeviceId,
    Division,
    DivisionCode,
    GridCell,
    GridId,
    Node,
    NodeId,
)
from gateway.domain.datum import Datum

_SUFFIXES = (
    "街道办事处", "社区居民委员会", "社区居委会", "村民委员会", "居民委员会", "村委会", "居委会",
    "街道", "社区", "镇", "乡", "村",
)  # fmt: skip

DISTRICT_BOUNDS = (108.9, 37.8, 110.6, 39.1)
"""West, south, east, north of 榆阳区 with a margin: used while no grid cells are known."""


@dataclass(frozen=True)
class ArchiveContext:
    """What is known besides the camera file itself.

    Attributes:
        district: 6-digit code of the district served.
        bounds: where it lies, WGS-84 degrees, while no grid cells are known.
        virtual: loopback addresses are allowed.
        own_addresses: the gateway's own addresses.
        datum: what undeclared coordinates are in.
        credential_sets: names that exist, or None when that is not known.
        known: where the last archive has each channel: keeps ids stable among duplicates.
    """

    divisions: Mapping[DivisionCode, Division] = field(default_factory=dict)
    grids: Mapping[GridId, GridCell] = field(default_factory=dict)
    nodes: Mapping[NodeId, Node] = field(default_factory=dict)
    district: str = "610802"
    bounds: tuple[float, float, float, float] = DISTRICT_BOUNDS
    virtual: bool = False
    own_addresses: frozenset[str] = frozenset()
    datum: Datum = Datum.WGS84
    credential_sets: frozenset[str] | None = None
    known: Mapping[ChannelId, DeviceId] = field(default_factory=dict)

    @cached_property
    def _by_name(self) -> Mapping[tuple[int, str], list[DivisionCode]]:
        found: dict[tuple[int, str], list[DivisionCode]] = defaultdict(list)
        for division in self.divisions.values():
            for name in {plain_name(division.name), short_name(division.name)}:
                found[len(division.code), name].append(division.code)
        return found

    def find_division(
        self, text: str, digits: int, within: str = ""
    ) -> tuple[DivisionCode | None, str]:
        """The division that a cell names by code or by name.

        Args:
            text: the cell.
            digits: length of the codes looked for: 9 = township, 12 = village.
            within: only divisions whose code starts so.

        Returns:
            The code and ""; or None and the rule that was broken.
        """
        if text.isascii() and text.isdigit():
            code = DivisionCode(text[:digits] if set(text[digits:]) <= {"0"} else text)
            known = code in self.divisions if self.divisions else len(code) == digits
            return (code, "") if known and len(code) == digits else (None, "unknown_division")
        for name in (plain_name(text), short_name(text)):
            found = [c for c in self._by_name.get((digits, name), ()) if c.startswith(within)]
            if len(found) == 1:
                return found[0], ""
            if found:
                return None, "ambiguous_division"
        return None, "unknown_division"


def short_name(name: str) -> str:
    """The name of a division without the word for what it is."""
    plain = plain_name(name)
    for suffix in _SUFFIXES:
        if plain.endswith(suffix) and len(plain) > len(suffix) + 1:
            return plain.removesuffix(suffix)
    return plain
