"""Expansion plans (补盲扩面) from archive and places: the request, the computing, the result as JSON.

Blocks for seconds: the command runs it in its own process, the service in a child.
"""

import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gateway.coverage_config import load_optics
from gateway.domain.coverage.place import CandidateSite, PlaceId, PlaceList, SiteId
from gateway.errors import UsageError
from gateway.inventory import Inventory
from gateway.resources import data_dir
from gateway.settings import CoverageSettings

if TYPE_CHECKING:
    import numpy as np

    from gateway.domain.coverage.build import Scene
    from gateway.domain.coverage.model import Csr, Floats
    from gateway.domain.planning.lenses import Catalogue
    from gateway.domain.planning.options import Options
    from gateway.domain.planning.solve import SitePlan, Solution

MOST_SITES = 2_000
MOST_PER_SITE = 8
MOST_BUDGET = 1e12
TIME_LIMIT_S = 300.0
MOST_LENSES = 7
"""With 8 directions so many fit the exact count of pairs; more would only loosen the bound."""
PREPARED = 0.3
"""Share of the work until the solver begins, for the progress shown."""
MILESTONES = (0.5, 0.8, 0.9)


class Source(StrEnum):
    """Where the candidate sites come from."""

    AUTO = "auto"
    """The list, where there is one; else the existing sites."""
    LIST = "list"
    EXISTING = "existing"
    BOTH = "both"
    """The list, and the existing sites that it does not name."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What is asked of a plan.

    Attributes:
        sites / budget: at least one of them: sites at most, CNY at most.
        per_site: cameras at one site, at most.
        backup: what a second view from another site counts, 0 to 1; a standing camera nearer than
            `coverage.visit_m` is no other site.
        lenses: names of `config/planning.toml`; none = the default one.
        candidates: where the sites come from.
        time_limit_s: after that the best plan so far is given, with the bound so far.
    """

    sites: int | None = None
    budget: float | None = None
    per_site: int = 1
    backup: float = 0.0
    lenses: tuple[str, ...] = ()
    candidates: Source = Source.AUTO
    time_limit_s: float = TIME_LIMIT_S

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: with every reason.
        """
        wrong = [
            text
            for good, text in (
                (self.sites is not None or self.budget is not None, "give sites or budget"),
                (self.sites is None or 1 <= self.sites <= MOST_SITES,
                 f"sites: must be 1 to {MOST_SITES}"),
                (self.budget is None or 0 < self.budget <= MOST_BUDGET,
                 f"budget: must be above 0, at most {MOST_BUDGET:.0f}"),
                (1 <= self.per_site <= MOST_PER_SITE, f"per_site: must be 1 to {MOST_PER_SITE}"),
                (0 <= self.backup <= 1, "backup: must be 0 to 1"),
                (len(self.lenses) <= MOST_LENSES, f"lenses: at most {MOST_LENSES}"),
                (0 < self.time_limit_s <= TIME_LIMIT_S,
                 f"time_limit_s: must be above 0, at most {TIME_LIMIT_S:.0f}"),
            )
            if not good
        ]  # fmt: skip
        if wrong:
            raise UsageError("plan: " + "; ".join(wrong))
        load_catalogue().choose(self.lenses)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "PlanRequest":
        """From `as_dict`."""
        lenses, source = tuple(values.get("lenses", ())), Source(values.get("candidates", "auto"))
        return cls(**{**values, "lenses": lenses, "candidates": source})


def load_catalogue() -> "Catalogue":
    """Lenses, directions and the cost where none is known."""
    from gateway.domain.planning.lenses import Catalogue

    text = (data_dir("config") / "planning.toml").read_text(encoding="utf-8")
    return Catalogue.of(tomllib.loads(text))


def existing_sites(inventory: Inventory) -> tuple[CandidateSite, ...]:
    """The distinct positions (within a metre) of the cameras in use: power and network are there."""
    found: dict[tuple[float, float], CandidateSite] = {}
    for camera in inventory.cameras.values():
        if camera.in_use and camera.longitude is not None and camera.latitude is not None:
            key = (round(camera.longitude, 5), round(camera.latitude, 5))
            found.setdefault(
                key,
                CandidateSite(
                    SiteId(str(camera.id)), camera.name, "existing", camera.longitude,
                    camera.latitude, power=True, network=True,
                ),
            )  # fmt: skip
    return tuple(found.values())


def candidates_of(
    source: Source, inventory: Inventory, places: PlaceList, near_m: float = 0.0
) -> tuple[Source, tuple[CandidateSite, ...]]:
    """The candidate sites, and where they came from.

    Args:
        source: where to look.
        inventory: with the standing cameras.
        places: with the list, if there is one.
        near_m: existing sites no further from a listed one are left out beside it.

    Raises:
        UsageError: a list is asked for, and there is none.
    """
    if source is Source.LIST and not places.candidates:
        raise UsageError(
            "plan: no candidate sites are listed; import them, or plan with --candidates existing"
        )
    if source is Source.EXISTING or not places.candidates:
        return Source.EXISTING, existing_sites(inventory)
    listed = tuple(places.candidates.values())
    if source is not Source.BOTH:
        return Source.LIST, listed
    return Source.BOTH, (*listed, *_apart(existing_sites(inventory), listed, near_m))


def _apart(
    sites: Sequence[CandidateSite], listed: Sequence[CandidateSite], near_m: float
) -> Iterator[CandidateSite]:
    """The sites that are no listed one: of those the list knows more, and one is enough."""
    import numpy as np
    import shapely

    from gateway.domain.coverage.line_of_sight import point_shapes
    from gateway.domain.coverage.plane import DISTRICT

    def points(of: Sequence[CandidateSite]) -> "np.ndarray[Any, Any]":
        lonlat = np.array([(s.longitude, s.latitude) for s in of], dtype=np.float64)
        return point_shapes(DISTRICT.to_xy(lonlat.reshape(-1, 2)))

    near, _ = shapely.STRtree(points(listed)).query(
        points(sites), predicate="dwithin", distance=near_m
    )
    known, ids = set(near.tolist()), {site.id for site in listed}
    yield from (s for n, s in enumerate(sites) if n not in known and s.id not in ids)


class Planner:
    """Archive and places made ready: asked for a plan, or what one change would do."""

    def __init__(
        self,
        inventory: Inventory,
        places: PlaceList,
        settings: CoverageSettings = CoverageSettings(),  # noqa: B008 - frozen
    ) -> None:
        """Read everything into metres; seconds.

        Args:
            inventory: the archive.
            places: and what is listed beside it.
            settings: the edition of the pixel densities, and how near to each other two cameras
                are at one place.

        Raises:
            UsageError: no place is listed and accepted: there is nothing to plan for.
        """
        from gateway.domain.coverage.build import make_scene
        from gateway.domain.coverage.line_of_sight import pairs_csr
        from gateway.domain.coverage.plane import DISTRICT

        self.inventory, self.places, self.plane = inventory, places, DISTRICT
        self.visit_m = settings.visit_m
        self.scene: Scene = make_scene(
            inventory.cameras.values(), (), places, load_optics(settings.edition)
        )
        if not len(self.scene.points.weight):
            raise UsageError(
                "plan: no place is listed and accepted: there is nothing to plan for; "
                "import the places that must be seen"
            )
        self.views = self.scene.area_views()
        camera, point = self.scene.sightings(self.views)
        self.sees: Csr = pairs_csr(camera, point, len(self.views))

    def plan(
        self, request: PlanRequest, told: Callable[[float], None] = lambda _: None
    ) -> dict[str, Any]:
        """Compute a plan.

        Args:
            request: checked.
            told: called with the share of the work done.

        Raises:
            UsageError: a list of candidates is asked for, and there is none.
        """
        import numpy as np

        from gateway.domain.planning.options import make_options
        from gateway.domain.planning.problem import Limits
        from gateway.domain.planning.reaim import reaim
        from gateway.domain.planning.sight_lines import seen_from_beside
        from gateway.domain.planning.solve import Task, gains_in_order, solve

        began = time.monotonic()
        catalogue = load_catalogue()
        source, sites = candidates_of(request.candidates, self.inventory, self.places, self.visit_m)
        seen = np.bincount(self.sees.index, minlength=len(self.scene.points.weight))
        xy = self.plane.to_xy(np.array([(s.longitude, s.latitude) for s in sites]))
        wanted = np.flatnonzero((seen == 0) | ((seen == 1) & (request.backup > 0)))
        lenses = catalogue.choose(request.lenses)
        options = make_options(self.scene, xy, lenses, catalogue, wanted)
        told(PREPARED)
        cost = [catalogue.default_cost if s.cost is None else s.cost for s in sites]
        limits = Limits(request.sites, request.budget, request.per_site, request.backup)
        prepared = time.monotonic()
        task = Task(
            options.covers, options.site, np.array(cost, dtype=np.float64),
            self.scene.points.weight, seen.astype(np.int32), limits,
            seen_from_beside(self.scene, self.sees, xy, self.visit_m),
        )  # fmt: skip
        solution = solve(
            task,
            lambda share: told(PREPARED + (0.9 - PREPARED) * share),
            lambda: time.monotonic() - began > request.time_limit_s,
        )
        solved = time.monotonic()
        aimed = reaim(self.scene, self.sees, catalogue.azimuths)
        then = replace(
            task,
            seen=np.bincount(aimed.sees.index, minlength=len(seen)).astype(np.int32),
            beside=seen_from_beside(self.scene, aimed.sees, xy, self.visit_m),
        )
        left = gains_in_order(then, [one.options for one in solution.sites])
        shaped = _Shaped(self, sites, options, xy, catalogue.default_cost, seen)
        ended = time.monotonic()
        told(1.0)
        result = shaped.result(solution, source)
        for row, gain in zip(result["sites"], left, strict=True):
            row["gain_after_reaim"] = gain
        return {
            **result,
            "reaim": [{**asdict(turn), "net": turn.net} for turn in aimed.turns],
            "reaim_net": sum(turn.net for turn in aimed.turns),
            "gain_after_reaim": sum(left),
            "ladder": self.scene.optics.ladder.name,
            "seconds": {
                "prepare": round(prepared - began, 3),
                "solve": round(solved - prepared, 3),
                "reaim": round(ended - solved, 3),
                "total": round(ended - began, 3),
            },
        }

    def place_rows(self, points: "np.ndarray[Any, Any]") -> list[dict[str, Any]]:
        """The places some points belong to, with the weight of these points; the heaviest first."""
        scene, weights = self.scene.points, dict[PlaceId, float]()
        for p in points.tolist():
            place = scene.places[scene.place[p]]
            weights[place] = weights.get(place, 0.0) + float(scene.weight[p])
        rows = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
        return [
            {
                "place": place,
                "name": self.places.places[place].name,
                "kind": self.places.places[place].kind,
                "weight": round(weight, 6),
            }
            for place, weight in rows
        ]


class _Shaped:
    """A solution in words and degrees."""

    def __init__(
        self,
        planner: Planner,
        sites: Sequence[CandidateSite],
        options: "Options",
        xy: "Floats",
        default_cost: float,
        seen: "np.ndarray[Any, Any]",
    ) -> None:
        self.planner, self.sites, self.options = planner, sites, options
        self.xy, self.default_cost, self.seen = xy, default_cost, seen

    def result(self, solution: "Solution", source: Source) -> dict[str, Any]:
        """Everything but what was measured."""
        rows = [self._site(rank, one) for rank, one in enumerate(solution.sites, start=1)]
        curve, gain, cost = [], 0.0, 0.0
        for row in rows:
            gain, cost = gain + row["gain"], cost + row["cost"]
            curve.append({"sites": row["rank"], "gain": gain, "added": row["gain"], "cost": cost})
        return {
            "sites": rows,
            "gain": solution.gain,
            "bound": solution.bound,
            "gap": solution.gap,
            "rounds": solution.rounds,
            "greedy_gain": solution.greedy_gain,
            "cut_short": solution.cut_short,
            "curve": curve,
            "milestones": [
                {"share": share, "sites": _sites_for(curve, share * gain)} for share in MILESTONES
            ],
            "cost": cost,
            "already": self._already(),
            "candidates": {
                "source": source,
                "sites": len(self.sites),
                "in_prohibited_area": len(self.options.sites_inside),
                "useful_sites": len(set(self.options.site.tolist())),
                "options": len(self.options.site),
                "options_into_prohibited_area": self.options.intruding,
            },
            "notes": self._notes(rows, source),
        }

    def _already(self) -> dict[str, Any]:
        """What is covered now, so that nothing is built twice."""
        import numpy as np

        points = self.planner.scene.points
        total, seen = float(points.weight.sum()), float(points.weight[self.seen > 0].sum())
        blind = np.bincount(points.place, weights=self.seen == 0, minlength=len(points.places))
        reach = np.unique(self.options.covers.index)
        reach = reach[self.seen[reach] == 0]
        return {
            "cameras": len(self.planner.scene.views.channels),
            "places": len(points.places),
            "places_seen": int((blind == 0).sum()),
            "weight": total,
            "weight_seen": seen,
            "weight_unseen": total - seen,
            "weight_within_reach": float(points.weight[reach].sum()),
        }

    def _site(self, rank: int, plan: "SitePlan") -> dict[str, Any]:
        import numpy as np

        site = self.sites[plan.site]
        scene, chosen = self.planner.scene, np.array(plan.options)
        views = scene.seen(self.options.sectors(scene, self.xy, chosen))
        geometry = self.planner.plane.shape_to_geojson
        return {
            "rank": rank,
            "site": site.id,
            "name": site.name,
            "kind": site.kind,
            "longitude": site.longitude,
            "latitude": site.latitude,
            "gain": plan.gain,
            "cost": plan.cost,
            "cost_known": site.cost is not None,
            "power": site.power,
            "network": site.network,
            "cameras": [
                {
                    "azimuth_deg": float(self.options.azimuth_deg[option]),
                    "lens": self.options.lenses[self.options.lens[option]].name,
                    "view": geometry(view),
                }
                for option, view in zip(plan.options, views, strict=True)
            ],
            "places": self.planner.place_rows(plan.points),
        }

    def _notes(self, rows: Sequence[Mapping[str, Any]], source: Source) -> list[str]:
        unknown = {
            "power": sum(row["power"] is None for row in rows),
            "network": sum(row["network"] is None for row in rows),
            "cost": sum(not row["cost_known"] for row in rows),
        }
        notes = []
        if source is Source.BOTH:
            notes.append(
                "清单点位与现有杆位一并比选。Listed and existing sites were compared together."
            )
        if source is Source.EXISTING:
            listed = (
                ""
                if self.planner.places.candidates
                else "没有候选点位清单。There is no candidate list: "
            )
            notes.append(f"{listed}existing camera sites were used (现有杆位).")
        if unknown["power"]:
            notes.append(f"取电未知 power not known at {unknown['power']} of {len(rows)} sites.")
        if unknown["network"]:
            notes.append(
                f"网络未知 network not known at {unknown['network']} of {len(rows)} sites."
            )
        if unknown["cost"]:
            notes.append(
                f"造价未知 cost not known at {unknown['cost']} of {len(rows)} sites: "
                f"{self.default_cost:.0f} CNY a camera assumed."
            )
        for key, zh in (("power", "无电"), ("network", "无网络")):
            lacking = sum(row[key] is False for row in rows)
            if lacking:
                notes.append(
                    f"{zh} no {key} at {lacking} of {len(rows)} sites: it must be brought."
                )
        return notes


def _sites_for(curve: Sequence[Mapping[str, Any]], gain: float) -> int:
    return next((row["sites"] for row in curve if row["gain"] >= gain - 1e-9), 0)
