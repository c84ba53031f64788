"""What expansion plans take: 50 of 5,000 poles for the places of the whole district.

`python tests/bench/planning.py` measures in this process and prints. The district is that of
`coverage_build.py`: 12,328 cameras, 40,000 buildings, 50,000 places. `solve` is what is compared with the
goal and with other solvers: from cover sets to a plan with a proven gap. `options` (lines of sight from the
poles to the places) and reading the archive come before it and are told apart.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.coverage_build import BUILDINGS, FULL, PLACES, buildings, cameras, places, spots
from gateway.domain.coverage.model import Floats
from gateway.domain.coverage.place import CandidateSite, PlaceList, SiteId
from gateway.domain.coverage.plane import DISTRICT
from gateway.inventory import Inventory
from gateway.planning import Planner, PlanRequest
from gateway.what_if import WhatIfDesk

POLES, SITES = 5_000, 50
CASES = {
    "one_lens": PlanRequest(sites=SITES),
    "three_lenses": PlanRequest(sites=SITES, lenses=("standard", "narrow", "long")),
    "two_a_site": PlanRequest(sites=SITES, per_site=2),
    "backup": PlanRequest(sites=SITES, backup=0.5),
    "all_together": PlanRequest(
        sites=SITES, per_site=3, backup=0.5, lenses=("standard", "narrow", "long")
    ),
    "budget": PlanRequest(budget=600_000.0, per_site=2),
}


def poles(rng: np.random.Generator, near: Floats) -> list[CandidateSite]:
    """Candidate sites, half of them near a listed place; a third without a cost."""
    beside = rng.normal(near[rng.integers(0, len(near), POLES // 2)], 30.0)
    xy = np.concatenate((beside, spots(rng, POLES - len(beside))))
    costs = rng.choice([0.0, 9_000.0, 14_000.0], POLES)
    return [
        CandidateSite(SiteId(f"pole-{n}"), f"pole {n}", "pole", lon, lat, cost=cost or None)
        for n, ((lon, lat), cost) in enumerate(
            zip(DISTRICT.to_lonlat(xy).tolist(), costs.tolist(), strict=True)
        )
    ]


def measure() -> dict[str, Any]:
    """Every case: seconds by part, gain, bound and gap; and a change by hand."""
    rng = np.random.default_rng(1)
    stands = spots(rng, FULL)
    fleet = list(cameras(rng, stands))
    listed = list(places(rng, PLACES, stands))
    near = DISTRICT.to_xy(np.array([place.geometry["coordinates"] for place in listed]))
    told = PlaceList.of(listed, buildings(rng, BUILDINGS), (), poles(rng, near))
    began = time.process_time()
    planner = Planner(Inventory.of(fleet), told)
    found: dict[str, Any] = {"read_cpu_s": round(time.process_time() - began, 2)}
    for name, request in CASES.items():
        began = time.process_time()
        plan = planner.plan(request)
        found[name] = {
            "cpu_s": round(time.process_time() - began, 2),
            "options_s": plan["seconds"]["prepare"],
            "solve_s": plan["seconds"]["solve"],
            "reaim_s": plan["seconds"]["reaim"],
            "sites": len(plan["sites"]),
            "options": plan["candidates"]["options"],
            "gain": round(plan["gain"], 3),
            "bound": round(plan["bound"], 3),
            "gap_percent": round(100 * plan["gap"], 3),
            "rounds": plan["rounds"],
        }
    found["what_if_s"] = _what_if(planner)
    return found


def _what_if(planner: Planner) -> float:
    """The slowest of some changes by hand, the first of them left out."""
    desk = WhatIfDesk(planner)
    views = planner.scene.views
    known = np.flatnonzero(np.isfinite(views.azimuth_deg)).tolist()
    took = []
    for c, other in zip(known[::300], known[1::300], strict=False):
        changes: list[dict[str, Any]] = [
            {"do": "turn", "channel": views.channels[c], "azimuth_deg": 90.0},
            {"do": "remove", "channel": views.channels[other]},
        ]
        took.append(desk.answer(changes)["seconds"])
    return float(max(took[1:]))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=1) + "\n")
