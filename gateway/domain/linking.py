"""Which grid cells (网格) lie at a place and around it, and which cameras look at it.

Built once for an archive, asked for each incident: some tens of microseconds a place. What lies inside is
decided in degrees, exactly as the archive draws it; distances are true polygon distances in metres in one
local plane.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import atan2, degrees, hypot, isfinite
from types import MappingProxyType

import numpy as np
import shapely

from gateway.domain.alerting.rows import CameraInView, GridLink, LinkReason
from gateway.domain.camera import ChannelId, DivisionCode, GridCell, GridId
from gateway.domain.coverage.model import CoverageModel
from gateway.domain.coverage.plane import DISTRICT, Plane
from gateway.domain.coverage.view import ViewState

NEAREST = 5
RADIUS_M = 2000.0
FIRST_REACH_M = 250.0
MILLIMETRES = 3
"""Distances are compared and told in millimetres: a shared corner is equally near for both cells."""
TOWNSHIP_DIGITS = 9
NORTHWARDS_DEG = 1e-3


@dataclass(frozen=True, slots=True)
class Post:
    """A post to inform, by its role, with a reference to its contact: never a person's name.

    Attributes:
        role: `grid_worker`, `beat_officer`, `village_chief`, `volunteers`.
        title: the same for people, Chinese.
        contact: what the center's own directory is asked by, `<role>@<grid code>`.
    """

    role: str
    title: str
    contact: str


ROLES: Mapping[str, str] = MappingProxyType(
    {
        "grid_worker": "网格员",
        "beat_officer": "警格民警",
        "village_chief": "村(社区)长",
        "volunteers": "驼城义警",
    }
)


def posts(grid: GridId, contacts: Mapping[str, str] = MappingProxyType({})) -> tuple[Post, ...]:
    """The posts to inform for a cell.

    Args:
        grid: its code.
        contacts: references by role, where the grids' archive has them.
    """
    return tuple(
        Post(role, title, contacts.get(role, f"{role}@{grid}")) for role, title in ROLES.items()
    )


def township_of(village: DivisionCode) -> DivisionCode:
    """The township or street of a village or community."""
    return DivisionCode(village[:TOWNSHIP_DIGITS])


class CellIndex:
    """The grid cells that have a shape, ready to be asked.

    Args:
        cells: of the archive; those without polygons are left out.
        plane: where distances are measured.
    """

    def __init__(self, cells: Sequence[GridCell], plane: Plane = DISTRICT) -> None:
        drawn = sorted((cell for cell in cells if cell.polygons), key=lambda cell: cell.id)
        self.grids = tuple(cell.id for cell in drawn)
        self.villages = {cell.id: cell.village for cell in drawn}
        self.names = {cell.id: cell.name for cell in drawn}
        self._outlines = np.array([_shape(cell) for cell in drawn], dtype=object)
        self._plane = plane
        self._cells = shapely.transform(self._outlines, self._plane.to_xy)
        self._inside = shapely.STRtree(self._outlines)
        self._boxes = shapely.STRtree(self._cells)
        self._reach_m = np.sqrt(shapely.area(self._cells)).tolist()

    def __len__(self) -> int:
        return len(self.grids)

    def containing(self, longitude: float, latitude: float) -> GridId | None:
        """The cell that a place lies in; on a border the one with the smallest code."""
        home = self._home(longitude, latitude)
        return None if home is None else self.grids[home]

    def _home(self, longitude: float, latitude: float) -> int | None:
        found = self._inside.query(shapely.Point(longitude, latitude), predicate="intersects")
        return int(found.min()) if len(found) else None

    def link(
        self, longitude: float, latitude: float, k: int = NEAREST, radius_m: float = RADIUS_M
    ) -> tuple[GridLink, ...]:
        """The containing cell, then the `k` nearest others within `radius_m`.

        Order: the containing cell, then by distance (to the millimetre), then by grid code.
        """
        home = self._home(longitude, latitude)
        pair = [(longitude, latitude), (longitude, latitude + NORTHWARDS_DEG)]
        (x, y), (north_x, north_y) = self._plane.to_xy(np.array(pair)).tolist()
        if not isfinite(x):
            return ()
        # Away from its middle the plane's y is not quite north.
        turned = degrees(atan2(north_x - x, north_y - y))
        place = shapely.Point(x, y)
        first_m = FIRST_REACH_M if home is None else self._reach_m[home]
        near = self._nearest(x, y, place, k + 1, first_m, radius_m)
        links = []
        if home is not None:
            links.append(self._link(home, LinkReason.CONTAINS, 0.0, None))
        others = [(d, g) for d, g in near if g != home][:k]
        bearings = self._bearings(place, [g for _, g in others])
        for (distance, g), grid_bearing in zip(others, bearings, strict=True):
            bearing = round(grid_bearing - turned, 1) % 360.0 if distance else None
            links.append(self._link(g, LinkReason.NEAR, distance, bearing))
        return tuple(links)

    def seen(self, grids: Sequence[GridId]) -> tuple[GridLink, ...]:
        """Links to the cells that a camera looks into (`CoverageModel.cells_of`), by code."""
        return tuple(
            GridLink(grid, LinkReason.IN_VIEW, 0.0, None, village, township_of(village))
            for grid in sorted(grids)
            if (village := self.villages.get(grid)) is not None
        )

    def _nearest(
        self,
        x: float,
        y: float,
        place: shapely.Point,
        wanted: int,
        reach_m: float,
        radius_m: float,
    ) -> list[tuple[float, int]]:
        """The nearest cells as (distance, index), exactly: equal to measuring all of them.

        Whatever is not farther than `reach_m` has a box that touches the square around the place, so
        once enough of those found are that near, none is missing; else the square grows.
        """
        while True:
            reach_m = min(reach_m, radius_m)
            box = shapely.box(x - reach_m, y - reach_m, x + reach_m, y + reach_m)
            found = self._boxes.query(box)
            exact = shapely.distance(self._cells[found], place).tolist()
            near = [(d, g) for d, g in zip(exact, found.tolist(), strict=True) if d <= reach_m]
            # Strictly nearer: what is equally near to the millimetre is ordered by its code.
            if reach_m >= radius_m or sum(d < reach_m - 0.001 for d, _ in near) >= wanted:
                return sorted((round(d, MILLIMETRES), g) for d, g in near)[:wanted]
            reach_m *= 2

    def _bearings(self, place: shapely.Point, cells: list[int]) -> list[float]:
        """From the place to the nearest point of each cell, clockwise from the plane's y."""
        lines = shapely.get_coordinates(shapely.shortest_line(place, self._cells[cells])).tolist()
        ends = zip(lines[::2], lines[1::2], strict=True)
        return [degrees(atan2(x1 - x0, y1 - y0)) for (x0, y0), (x1, y1) in ends]

    def _link(
        self, g: int, reason: LinkReason, distance_m: float, bearing_deg: float | None
    ) -> GridLink:
        grid = self.grids[g]
        village = self.villages[grid]
        return GridLink(grid, reason, distance_m, bearing_deg, village, township_of(village))


def _shape(cell: GridCell) -> shapely.Polygon | shapely.MultiPolygon:
    parts = [shapely.Polygon(rings[0], rings[1:]) for rings in cell.polygons]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


NO_VIEWS: Mapping[ChannelId, ViewState] = MappingProxyType({})


@dataclass(frozen=True)
class ViewIndex:
    """Which cameras can see a place, from the coverage model.

    Args:
        model: built by coverage.
        plane: what the model's coordinates lie in.
    """

    model: CoverageModel
    plane: Plane = DISTRICT
    _tree: shapely.STRtree = field(init=False, repr=False, compare=False)
    _number: Mapping[ChannelId, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tree", shapely.STRtree(self.model.views))
        object.__setattr__(self, "_number", self.model.number())

    def cameras_in_view(
        self,
        longitude: float,
        latitude: float,
        view_states: Mapping[ChannelId, ViewState] | Callable[[ChannelId], ViewState] = NO_VIEWS,
    ) -> tuple[CameraInView, ...]:
        """The cameras whose view contains the place, nearest first, and whether each sees now.

        Args:
            longitude: degrees.
            latitude: degrees.
            view_states: by channel; what is not in it is unknown.
        """
        ((x, y),) = self.plane.to_xy(np.array([(longitude, latitude)])).tolist()
        rows = []
        for c in self._tree.query(shapely.Point(x, y), predicate="intersects"):
            channel = self.model.channels[c]
            at_x, at_y = self.model.xy[c]
            if isinstance(view_states, Mapping):
                state = view_states.get(channel, ViewState.UNKNOWN)
            else:
                state = view_states(channel)
            rows.append(CameraInView(channel, round(hypot(x - at_x, y - at_y), 1), str(state)))
        return tuple(sorted(rows, key=lambda row: (row.distance_m, row.channel)))

    def cells_of(self, channel: ChannelId) -> tuple[GridId, ...]:
        """The cells that a camera looks into."""
        c = self._number.get(channel)
        return () if c is None else tuple(self.model.grids[g] for g in self.model.cells_of.of(c))
