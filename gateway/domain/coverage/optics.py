"""What is assumed about cameras and places, and how far a camera sees at a pixel density.

All numbers are data: `config/optics.toml`, `config/pixel_density.toml`, `config/place_kinds.toml`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.domain.coverage.ladder import Ladder
from gateway.domain.coverage.model import Floats

_SIZE = re.compile(r"(\d{3,5})\s*[*x×X]\s*\d{3,5}")
_HALF_CIRCLE_DEG = 180.0


@dataclass(frozen=True, slots=True)
class PlaceKind:
    """A kind of listed place.

    Attributes:
        zh / en: its name.
        weight / level: of a place of this kind that has none of its own.
        gb37300: GB 37300-2018 demands that such places are covered.
        position_type: its code in archives of the 2016 edition, or None.
    """

    zh: str
    en: str
    weight: float
    level: str
    gb37300: bool
    position_type: int | None = None


def parse_place_kinds(table: Mapping[str, Any]) -> dict[str, PlaceKind]:
    """The kinds of the parsed file `config/place_kinds.toml`, in its order."""
    return {str(name): PlaceKind(**row) for name, row in table["kinds"].items()}


@dataclass(frozen=True, slots=True)
class Assumed:
    """A value where the archive is silent, and the range in which nearly all lie."""

    lo: float
    mid: float
    hi: float


@dataclass(frozen=True)
class Optics:
    """Everything the model is told beside archive and places; immutable.

    Attributes:
        ladder: pixel densities by level.
        kinds: kinds of places.
        field_deg / view_m / width_px: assumed field angle, view distance, picture width.
        field_by_structure: field angle by `ptz_type`, where it differs.
        field_error / view_error: relative errors of what the archive says.
        azimuth_error_deg / compass_error_deg: errors of an azimuth and of the 8-way code.
        rectilinear_up_to_deg: wider lenses spread their pixels evenly over the angle.
        turning / all_round: structure types that can turn; that see all round without a direction.
        width_by_name / width_by_model: picture width by words and by the beginning of a model.
        least / quantiles: how many cameras must have a field before others are judged by them.
    """

    ladder: Ladder
    kinds: Mapping[str, PlaceKind]
    field_deg: Assumed
    view_m: Assumed
    width_px: Assumed
    field_by_structure: Mapping[int, float]
    field_error: float
    view_error: float
    azimuth_error_deg: float
    compass_error_deg: float
    rectilinear_up_to_deg: float
    turning: frozenset[int]
    all_round: frozenset[int]
    width_by_name: Mapping[str, float]
    width_by_model: Mapping[str, float]
    least: int
    quantiles: tuple[float, float]
    own_building_m: float
    arc_error_m: float
    simplify_m: float
    line_step_m: float
    area_step_m: float
    area_points: tuple[int, int]
    intrusion_m2: float

    @classmethod
    def of(
        cls, ladder: Ladder, kinds: Mapping[str, PlaceKind], table: Mapping[str, Any]
    ) -> "Optics":
        """Read the parsed file `config/optics.toml`."""
        angle, distance, pixels = table["angle"], table["distance"], table["pixels"]
        return cls(
            ladder,
            kinds,
            _assumed(angle["field_deg"], angle["field_range_deg"]),
            _assumed(distance["view_m"], distance["view_range_m"]),
            _assumed(pixels["width"], pixels["width_range"]),
            {int(kind): float(deg) for kind, deg in angle["by_structure"].items()},
            angle["field_error"],
            distance["view_error"],
            angle["azimuth_error_deg"],
            angle["compass_error_deg"],
            angle["rectilinear_up_to_deg"],
            frozenset(table["structure"]["turning"]),
            frozenset(table["structure"]["all_round"]),
            {str(name): float(px) for name, px in pixels["names"].items()},
            {str(name): float(px) for name, px in pixels["models"].items()},
            table["learning"]["least"],
            tuple(table["learning"]["quantiles"]),
            area_points=tuple(table["geometry"]["area_points"]),
            **{k: v for k, v in table["geometry"].items() if k != "area_points"},
        )

    def area_px_per_m(self) -> float:
        """The density at which a square metre counts as covered."""
        return self.ladder.px_per_m(self.ladder.area_level)

    def place_px_per_m(self, kind: str, level: str) -> float:
        """The density a place asks for: its own level, else its kind's, else the area level.

        A level that this edition has no step for counts as not given (the import reports it).
        """
        known = self.kinds.get(kind)
        for wanted in (level, known.level if known else "", self.ladder.area_level):
            step = self.ladder.step(wanted)
            if step is not None:
                return self.ladder.steps[step]
        raise KeyError(level)  # pragma: no cover - the area level is always a step

    def width_of(self, resolution: str, model: str) -> float | None:
        """Picture width in pixels from the resolution of the archive, else from the model."""
        text = resolution.replace(" ", "").casefold()
        size = _SIZE.match(text)
        if size:
            return float(size[1])
        found = self.width_by_name.get(text)
        if found is None and model:
            heads = (px for head, px in self.width_by_model.items() if model.startswith(head))
            found = next(heads, None)
        return found

    def range_m(self, width_px: Floats, field_deg: Floats, px_per_m: float) -> Floats:
        """How far a metre still has `px_per_m` pixels.

        A flat picture: width / (2 * density * tan(angle / 2)). A lens wider than
        `rectilinear_up_to_deg` spreads its pixels over the arc: width / (density * angle).
        """
        angle = np.radians(field_deg)
        wide = field_deg > self.rectilinear_up_to_deg
        flat = 2.0 * np.tan(np.where(wide, 1.0, angle) / 2.0)
        metres: Floats = width_px / (px_per_m * np.where(wide, angle, flat))
        return metres


def _assumed(mid: float, bounds: list[float]) -> Assumed:
    return Assumed(float(bounds[0]), float(mid), float(bounds[1]))
