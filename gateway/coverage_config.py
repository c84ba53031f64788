"""Reads what coverage needs from `config/`: pixel densities, place kinds, optical assumptions."""

import tomllib
from typing import Any

from gateway.domain.coverage.ladder import Ladder
from gateway.domain.coverage.optics import Optics, PlaceKind, parse_place_kinds
from gateway.resources import data_dir

EDITION = "2015"
"""Of the pixel-density ladder where none is chosen: the default of `coverage.edition`."""


def load_ladder(edition: str = EDITION) -> Ladder:
    """One edition of the pixel-density ladder.

    Raises:
        UsageError: there is no such edition.
    """
    return Ladder.of(edition, _table("pixel_density.toml"))


def load_place_kinds() -> dict[str, PlaceKind]:
    """Kinds of listed places by key, in the order of the file."""
    return parse_place_kinds(_table("place_kinds.toml"))


def load_optics(edition: str = EDITION) -> Optics:
    """Everything `build_model` is told beside archive and places.

    Raises:
        UsageError: there is no such edition.
    """
    return Optics.of(load_ladder(edition), load_place_kinds(), _table("optics.toml"))


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((data_dir("config") / name).read_text(encoding="utf-8"))
