"""Changes by hand as JSON: what they would gain and lose."""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gateway.domain.camera import ChannelId
from gateway.errors import UsageError
from gateway.planning import Planner, load_catalogue

if TYPE_CHECKING:
    from gateway.domain.planning.what_if import Change, Now

MOST_CHANGES = 50


class WhatIfDesk:
    """Answers questions about one archive; the first one takes longer."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner

    @cached_property
    def now(self) -> "Now":
        """How it is."""
        from gateway.domain.planning.what_if import Now

        return Now.of(self.planner.scene, self.planner.views, self.planner.sees)

    def answer(self, changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The difference that all changes together make.

        Args:
            changes: objects with `do` (remove, move, turn, add), and `channel`, `longitude`,
                `latitude`, `azimuth_deg`, `lens` as it needs.

        Raises:
            UsageError: a change makes no sense.
        """
        from gateway.domain.planning.what_if import what_if

        began = time.monotonic()
        found = what_if(self.now, [self._change(n, one) for n, one in enumerate(changes)])
        weight = self.planner.scene.points.weight
        gained, lost = float(weight[found.gained].sum()), float(weight[found.lost].sum())
        return {
            "gained": {
                "weight": gained,
                "area_m2": found.gained_m2,
                "places": self.planner.place_rows(found.gained),
            },
            "lost": {
                "weight": lost,
                "area_m2": found.lost_m2,
                "places": self.planner.place_rows(found.lost),
            },
            "net_weight": gained - lost,
            "into_prohibited_area": list(found.intruding),
            "seconds": round(time.monotonic() - began, 4),
        }

    def _change(self, number: int, one: Mapping[str, Any]) -> "Change":
        import numpy as np

        from gateway.domain.planning.what_if import Change

        do = one["do"]
        needs = {"move": ("channel", "longitude", "latitude"), "turn": ("channel", "azimuth_deg"),
                 "remove": ("channel",), "add": ("longitude", "latitude")}[do]  # fmt: skip
        lacking = [name for name in needs if one.get(name) is None]
        if lacking:
            raise UsageError(f"what-if: change {number} ({do}) needs {', '.join(lacking)}")
        xy = None
        if one.get("longitude") is not None:
            at = self.planner.plane.to_xy(np.array([[one["longitude"], one["latitude"]]]))[0]
            if not np.isfinite(at).all():
                raise UsageError(f"what-if: change {number}: the position is none")
            xy = (float(at[0]), float(at[1]))
        catalogue = load_catalogue()
        lens = one.get("lens")
        return Change(
            channel=None if do == "add" else ChannelId(one["channel"]),
            xy=xy,
            azimuth_deg=one.get("azimuth_deg"),
            lens=catalogue.choose((lens,) if lens else ())[0] if lens or do == "add" else None,
            remove=do == "remove",
        )
