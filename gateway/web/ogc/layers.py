"""What stands still between two imports: grid cells, coverage of each, listed places, candidate sites.

All of one layer lie in a `Frame`: ids in order and bounds, a few bytes a feature. Shapes stay where they are
(in the coverage model) and are turned into degrees a page at a time, in the thread that owns them.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import shapely
from aiohttp import web

from gateway.domain.coverage.figures import CoverageBy, Part, by
from gateway.domain.coverage.model import Floats, Ints
from gateway.domain.coverage.place import CandidateSite
from gateway.domain.coverage.present import Present
from gateway.errors import Unavailable
from gateway.inventory import Inventory
from gateway.web.auth import CONTEXT
from gateway.web.coverage import degrees, desk
from gateway.web.coverage_shapes import gap_weights
from gateway.web.ogc.asked import Asked, Box
from gateway.web.ogc.source import Extent, Found, as_feature, as_point
from gateway.web.reply import in_slices
from gateway.web.shapes import Json, division_name, grid_name

Texts = Sequence[str] | Sequence[bytes]
Page = tuple[list[bytes], Sequence[Any] | None, int | None]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the features of a layer are.

    Attributes:
        ids: in order.
        row: of each in the arrays it comes from.
        bounds: (n, 4) west, south, east, north in degrees; nan where there is no geometry.
    """

    ids: tuple[str, ...]
    row: Ints
    bounds: Floats

    @classmethod
    def of(cls, ids: Sequence[str], bounds: Floats) -> "Frame":
        """From rows in any order."""
        order = sorted(range(len(ids)), key=ids.__getitem__)
        row = np.array(order, np.int32)
        return cls(tuple(ids[n] for n in order), row, bounds.reshape(-1, 4)[row])

    def behind(self, after: Sequence[Any] | None, box: Box | None) -> Ints:
        """Positions behind a key whose bounds meet the box."""
        start = 0 if after is None else bisect_right(self.ids, str(after[0]))
        if box is None:
            return np.arange(start, len(self.ids), dtype=np.int32)
        found: Ints = (start + np.flatnonzero(box.touches(self.bounds[start:]))).astype(np.int32)
        return found

    def find(self, feature: str) -> int | None:
        """The position of an id."""
        at = bisect_right(self.ids, feature) - 1
        return at if at >= 0 and self.ids[at] == feature else None

    def extent(self) -> Extent | None:
        """The box around all."""
        known = self.bounds[np.isfinite(self.bounds).all(axis=1)]
        if not len(known):
            return None
        west, south = known[:, :2].min(axis=0).tolist()
        east, north = known[:, 2:].max(axis=0).tolist()
        return west, south, east, north


def _parsed(texts: Texts) -> Any:  # noqa: ANN401 - an array of shapes
    return shapely.from_geojson(np.array([_text(text) for text in texts], object))


def _text(geometry: str | bytes) -> str:
    return geometry if isinstance(geometry, str) else geometry.decode()


class Layer:
    """A layer out of the coverage model. Everything but `page`, `one`, `extent` runs in its thread."""

    cursor: tuple[type, ...] = (str,)

    def __init__(self) -> None:
        self._held: tuple[str, Frame] | None = None

    def ids(self, present: Present) -> Sequence[str]:
        """Of all rows."""
        raise NotImplementedError

    def geometries(self, present: Present, rows: Sequence[int]) -> Texts:
        """GeoJSON text of some rows."""
        raise NotImplementedError

    def properties(self, present: Present, inventory: Inventory) -> Callable[[str, int], Json]:
        """What tells the properties of a row."""
        raise NotImplementedError

    def frame(self, present: Present) -> Frame:
        """Made once an import: some tenths of a second for a district."""
        if self._held is None or self._held[0] != present.import_id:
            ids = self.ids(present)
            shapes = _parsed(self.geometries(present, range(len(ids))))
            self._held = present.import_id, Frame.of(ids, shapely.bounds(shapes))
        return self._held[1]

    async def page(self, request: web.Request, asked: Asked, after: Sequence[Any] | None) -> Found:
        """Features behind an id that touch the box."""
        inventory = request.app[CONTEXT].projection.inventory

        def take(present: Present) -> Page:
            frame = self.frame(present)
            near = frame.behind(after, asked.box)
            if asked.box is not None:
                near = self._meeting(present, frame, near, asked.box, asked.limit + 1)
            page = near[: asked.limit].tolist()
            more = [frame.ids[page[-1]]] if len(near) > asked.limit else None
            matched = len(frame.ids) if asked.box is None else None
            if after is None and more is None:
                matched = len(page)
            return self._made(present, inventory, frame, page), more, matched

        return Found(*await desk(request).ask(take))

    def _meeting(self, present: Present, frame: Frame, near: Ints, box: Box, most: int) -> Ints:
        """Of those whose bounds meet the box the first ones that do themselves."""
        kept: list[Ints] = [near[:0]]
        for first in range(0, len(near), most):
            some = near[first : first + most]
            rows = frame.row[some].tolist()
            kept.append(some[box.meets(_parsed(self.geometries(present, rows)))])
            if sum(map(len, kept)) >= most:
                break
        found: Ints = np.concatenate(kept)[:most]
        return found

    def _made(
        self, present: Present, inventory: Inventory, frame: Frame, page: Sequence[int]
    ) -> list[bytes]:
        rows = frame.row[list(page)].tolist() if page else []
        tell = self.properties(present, inventory)
        return [
            as_feature(frame.ids[n], orjson.Fragment(text), tell(frame.ids[n], row))
            for n, row, text in zip(page, rows, self.geometries(present, rows), strict=True)
        ]

    async def one(self, request: web.Request, feature: str) -> bytes | None:
        """A feature by its id."""
        inventory = request.app[CONTEXT].projection.inventory

        def take(present: Present) -> bytes | None:
            frame = self.frame(present)
            at = frame.find(feature)
            return None if at is None else self._made(present, inventory, frame, [at])[0]

        return await desk(request).ask(take)

    async def extent(self, request: web.Request) -> Extent | None:
        """The box around all; None while the model is being built."""
        try:
            return await desk(request).ask(lambda present: self.frame(present).extent())
        except Unavailable:
            return None


class Grids(Layer):
    """Grid cells (网格) that have a shape."""

    def ids(self, present: Present) -> Sequence[str]:
        """Of the cells."""
        return present.state.model.grids

    def geometries(self, present: Present, rows: Sequence[int]) -> Texts:
        """Cells in degrees."""
        return degrees(present.state.model.cells[list(rows)]) if len(rows) else []

    def properties(self, present: Present, inventory: Inventory) -> Callable[[str, int], Json]:
        """Name and divisions."""
        divided = present.divided

        def tell(feature: str, row: int) -> Json:
            del row
            village = divided.village_of.get(feature, "")
            township = divided.township_of.get(village, "")
            return {
                "name": grid_name(inventory, feature),
                "village": village,
                "village_name": division_name(inventory, village),
                "township": township,
                "township_name": division_name(inventory, township),
            }

        return tell


class Coverage(Grids):
    """The same cells with the share of listed places and of area seen, as designed and now."""

    def __init__(self) -> None:
        super().__init__()
        self._counted: tuple[datetime, Floats, dict[str, Part]] | None = None

    def parts(self, present: Present) -> dict[str, Part]:
        """What is counted in each cell: a tenth of a second, so once for the pages of one moment."""
        at, designed_m2 = present.as_of_at, present.designed_m2
        held = self._counted
        if held is None or held[0] != at or held[1] is not designed_m2:
            of = (present.state, present.places, present.divided, designed_m2)
            held = at, designed_m2, {part.code: part for part in by(CoverageBy.GRID, *of)}
            self._counted = held
        return held[2]

    def properties(self, present: Present, inventory: Inventory) -> Callable[[str, int], Json]:
        """Beside the cell what is counted in it."""
        cell, parts = super().properties(present, inventory), self.parts(present)

        def tell(feature: str, row: int) -> Json:
            return {**cell(feature, row), **_counted(parts[feature]), "as_of": present.as_of_at}

        return tell


def _counted(part: Part) -> Json:
    weights = part.weights
    names = ("designed", "seen", "unverified", "unknown", "blind", "never")
    return {
        "places": part.places,
        "weight": weights.total,
        **{f"{name}_share": weights.share(getattr(weights, name)) for name in names},
        "area_m2": round(part.area_m2, 1),
        "designed_m2": round(part.designed_m2, 1),
        "now_m2": None if part.now_m2 is None else round(part.now_m2, 1),
        "lost_m2": round(part.lost_m2, 1),
    }


class Places(Layer):
    """Listed places (重点部位) that count, each with its state now."""

    def ids(self, present: Present) -> Sequence[str]:
        """Of the accepted places."""
        return present.state.model.places

    def geometries(self, present: Present, rows: Sequence[int]) -> Texts:
        """As they were imported."""
        return [present.places.geometry[row] for row in rows]

    def properties(self, present: Present, inventory: Inventory) -> Callable[[str, int], Json]:
        """What is told of a place, and how it is seen."""
        facts, counters = present.places, present.state.counters
        weights = counters.place_weights()

        def tell(feature: str, row: int) -> Json:
            del feature
            return {
                "name": facts.name[row],
                "kind": facts.kind[row],
                "level": facts.level[row],
                "state": counters.place_state(row).value,
                "weight": facts.weight[row],
                **gap_weights(weights, row),
                "township": facts.township[row],
                "township_name": division_name(inventory, facts.township[row]),
                "village": facts.village[row],
                "village_name": division_name(inventory, facts.village[row]),
                "grid": facts.grid[row],
                "as_of": present.as_of_at,
            }

        return tell


class Candidates:
    """Where a camera could be mounted (备选点位), as imported."""

    cursor: tuple[type, ...] = (str,)

    def __init__(self) -> None:
        self._held: tuple[str, Frame, Sequence[CandidateSite]] | None = None
        self._reading = asyncio.Lock()

    async def _sites(self, request: web.Request) -> tuple[Frame, Sequence[CandidateSite]]:
        """Read once an import."""
        store = request.app[CONTEXT].store
        async with self._reading:
            records = await store.imports(1)
            newest = records[0].id if records else ""
            if self._held is None or self._held[0] != newest:
                sites = await store.coverage.candidates()
                bounds = [2 * (site.longitude, site.latitude) for site in sites]
                frame = Frame.of([site.id for site in sites], np.array(bounds, np.float64))
                self._held = newest, frame, sites
            return self._held[1:]

    async def page(self, request: web.Request, asked: Asked, after: Sequence[Any] | None) -> Found:
        """Sites behind an id that lie in the box."""
        frame, sites = await self._sites(request)
        near = frame.behind(after, asked.box).tolist()
        page = near[: asked.limit]
        more = [frame.ids[page[-1]]] if len(near) > asked.limit else None
        features = await in_slices(page, lambda n: _site(sites[frame.row[n]]))
        whole = asked.box is None or after is None
        return Found(
            features, more, (len(near) if after is None else len(sites)) if whole else None
        )

    async def one(self, request: web.Request, feature: str) -> bytes | None:
        """A site by its id."""
        frame, sites = await self._sites(request)
        at = frame.find(feature)
        return None if at is None else _site(sites[frame.row[at]])

    async def extent(self, request: web.Request) -> Extent | None:
        """The box around all."""
        return (await self._sites(request))[0].extent()


def _site(site: CandidateSite) -> bytes:
    properties = {
        "name": site.name,
        "kind": site.kind,
        "power": site.power,
        "network": site.network,
        "cost": site.cost,
    }
    return as_feature(site.id, as_point(site.longitude, site.latitude), properties)
