"""The ground of a map without a base map: cameras as points, grid cells, outlines of townships."""

import shapely

from gateway.domain.coverage.model import CoverageModel
from gateway.domain.coverage.present import Present
from gateway.web.access import Access, Route
from gateway.web.coverage import Features, degrees, layer
from gateway.web.shapes import Json

SIMPLE_M = 1.0
"""Outlines are drawn, not measured."""


def cameras(present: Present) -> Features:
    """Each camera that coverage knows, where it stands."""
    points = degrees(shapely.points(present.state.model.xy))
    properties: list[Json] = [
        {"name": name, "township": township}
        for name, township in zip(present.cameras.name, present.cameras.township, strict=True)
    ]
    return present.state.model.channels, points, properties


def cells(present: Present) -> Features:
    """Grid cells, with the codes of village and township."""
    model = present.state.model
    properties: list[Json] = []
    for grid in model.grids:
        village = present.divided.village_of.get(grid, "")
        township = present.divided.township_of.get(village, "")
        properties.append({"village": village, "township": township})
    return model.grids, degrees(model.cells), properties


class _Outlines:
    """Townships are as large as their cells; joined once a model, which takes a while."""

    def __init__(self) -> None:
        self._model: CoverageModel | None = None
        self._made: Features = ((), (), ())

    def __call__(self, present: Present) -> Features:
        if self._model is not present.state.model:
            self._made = self._join(present)
            self._model = present.state.model
        return self._made

    @staticmethod
    def _join(present: Present) -> Features:
        model, divided = present.state.model, present.divided
        members: dict[str, list[int]] = {}
        for n, grid in enumerate(model.grids):
            township = divided.township_of.get(divided.village_of.get(grid, ""), "")
            if township:
                members.setdefault(township, []).append(n)
        codes = sorted(members)
        joined = [shapely.union_all(model.cells[members[code]]) for code in codes]
        outlines = shapely.simplify(joined, SIMPLE_M)
        return (
            codes,
            degrees(outlines) if codes else (),
            [{"cells": len(members[c])} for c in codes],
        )


ROUTES = (
    Route("GET", "/api/v1/coverage/layers/cameras.geojson", layer(cameras), Access.READ),
    Route("GET", "/api/v1/coverage/layers/grids.geojson", layer(cells), Access.READ),
    Route("GET", "/api/v1/coverage/layers/townships.geojson", layer(_Outlines()), Access.READ),
)
