"""How far the model of an import can be trusted, and what to do about it: one answer an import.

Everything here is by design (every camera up) and changes only with an import.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gateway.domain.coverage.bounds import (
    CoverageBounds,
    Estimate,
    coverage_bounds,
    views_of,
    weight_of,
)
from gateway.domain.coverage.build import Scene
from gateway.domain.coverage.figures import (
    CoverageBy,
    Divided,
    PlaceFacts,
    cell_code,
    point_codes,
)
from gateway.domain.coverage.intrusions import Intrusion, intrusions
from gateway.domain.coverage.model import CoverageModel
from gateway.domain.coverage.place import ProhibitedArea
from gateway.domain.coverage.survey import SurveyOrder, survey_order


@dataclass(frozen=True)
class Trust:
    """What stands beside a model."""

    bounds: CoverageBounds
    survey: SurveyOrder
    intrusions: tuple[Intrusion, ...]


def trust_of(scene: Scene, areas: Iterable[ProhibitedArea]) -> Trust:
    """Of a scene; seconds for a district, off the loop."""
    views = views_of(scene)
    return Trust(
        coverage_bounds(scene, views),
        survey_order(scene, views),
        intrusions(scene, views, areas),
    )


@dataclass(frozen=True, slots=True)
class BoundedPart:
    """Bounds of one cell, village, township or kind of place.

    Attributes:
        listed_weight: of its sample points.
        weight: of those that are seen at the level of their place.
        cell_m2: of its cells; zero by kind.
        area_m2: covered at the area level; zero by kind.
    """

    code: str
    listed_weight: float
    weight: Estimate
    cell_m2: float
    area_m2: Estimate


def bounds_by(
    what: CoverageBy,
    bounds: CoverageBounds,
    model: CoverageModel,
    facts: PlaceFacts,
    divided: Divided,
) -> list[BoundedPart]:
    """Bounds by cell, village, township or kind, in the order of their codes."""
    of_cell = [cell_code(what, grid, divided) for grid in model.grids]
    of_point = point_codes(what, model, facts, of_cell)
    if what is CoverageBy.KIND:
        of_cell = []
    codes, number = np.unique(
        np.array([*of_cell, *of_point], object).astype(str), return_inverse=True
    )
    cells, points = number[: len(of_cell)], number[len(of_cell) :]
    areas = np.zeros((len(codes), 4))
    columns = (bounds.cell_m2, bounds.lower_m2, bounds.expected_m2, bounds.upper_m2)
    for n, column in enumerate(columns if of_cell else ()):
        areas[:, n] = np.bincount(cells, column, len(codes))
    order = np.argsort(points, kind="stable")
    ends = np.cumsum(np.bincount(points, minlength=len(codes)))
    parts = []
    for n, code in enumerate(codes.tolist()):
        mine = order[ends[n - 1] if n else 0 : ends[n]]
        weight = model.point_weight[mine]
        whole, *area = areas[n].tolist()
        parts.append(
            BoundedPart(
                code,
                float(weight.sum()),
                weight_of(bounds.points[mine], weight),
                whole,
                Estimate(*area),
            )
        )
    return parts
