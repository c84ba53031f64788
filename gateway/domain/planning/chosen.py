"""What a set of options is worth, kept up to date while options come and go."""

import numpy as np

from gateway.domain.coverage.model import Floats, Ints
from gateway.domain.planning.problem import Problem, sums

EPSILON = 1e-9
"""Gains below this are the rounding of sums, not places; money below it is rounding, too."""


class Chosen:
    """Options chosen so far, in their order.

    Attributes:
        options: what is chosen.
        views: how many sites see each row, standing cameras included (0, 1, 2, ...).
        worth: what one more site's view on each row would add.
        cost: of all options, CNY.
        used: cameras chosen at each site.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.options: list[int] = []
        self.views = problem.seen.copy()
        self.cost = 0.0
        self.used = np.zeros(len(problem.cost), dtype=np.int32)
        self.sites = 0
        self._first, self._second = problem.first, problem.second
        self.worth = np.where(self.views == 0, self._first, self._second)

    def at_site(self, site: int) -> list[int]:
        """The options chosen at a site."""
        if not self.used[site]:
            return []
        of = self.problem.option_site
        return [option for option in self.options if of[option] == site]

    def fresh(self, option: int) -> Ints:
        """The rows an option would add to what the others at its site see."""
        rows = self.problem.covers.of(option)
        for other in self.at_site(int(self.problem.option_site[option])):
            if other != option:
                rows = np.setdiff1d(rows, self.problem.covers.of(other), assume_unique=True)
        return rows

    def gain(self, option: int) -> float:
        """What one more option would add."""
        return float(self.worth[self.fresh(option)].sum())

    def gains(self) -> Floats:
        """What each option would add; for sites that are used already: at most so much."""
        return sums(self.worth, self.problem.covers)

    def add(self, option: int) -> float:
        """Choose an option; returns what it adds."""
        rows = self.fresh(option)
        gained = float(self.worth[rows].sum())
        self._change(rows, 1)
        site = int(self.problem.option_site[option])
        self.options.append(option)
        self.cost += float(self.problem.cost[site])
        self.sites += not self.used[site]
        self.used[site] += 1
        return gained

    def remove(self, option: int) -> float:
        """Take an option back; returns what is lost."""
        rows = self.fresh(option)
        site = int(self.problem.option_site[option])
        self.options.remove(option)
        self.cost -= float(self.problem.cost[site])
        self.used[site] -= 1
        self.sites -= not self.used[site]
        self._change(rows, -1)
        return float(self.worth[rows].sum())

    def _change(self, rows: Ints, by: int) -> None:
        self.views[rows] += by
        views = self.views[rows]
        worth = np.where(views == 0, self._first[rows], self._second[rows])
        self.worth[rows] = np.where(views > 1, 0.0, worth)

    def total(self) -> float:
        """What all of them are worth together, counted anew."""
        seen_twice = self._second[(self.views > 1)].sum()
        return float(self._first[self.views > 0].sum() + seen_twice)

    def fits(self, option: int) -> bool:
        """Whether the limits allow an option, not chosen yet, beside those chosen."""
        limits, site = self.problem.limits, self.problem.option_site[option]
        used = self.used[site]
        if used >= limits.per_site:
            return False
        if limits.sites is not None and not used and self.sites >= limits.sites:
            return False
        return limits.budget is None or bool(
            self.cost + self.problem.cost[site] <= limits.budget + EPSILON
        )
