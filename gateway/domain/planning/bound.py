"""What no choice can exceed: the Lagrangian bound.

The condition "a row counts only as often as chosen options see it" is given up and priced instead:
a view on row i costs `price[i]`. For any prices the rest falls apart into rows and sites, is solved
exactly, and its value is at least that of every permitted choice. A subgradient method looks for
prices that make it small. (Fisher 1981; for maximal covering Galvao and ReVelle 1996.)

Two cameras at one site that see the same row are counted as two views here, which can only make the
bound larger. With a budget the choice of sites is a knapsack, and is bounded by its fraction form.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gateway.domain.coverage.model import Floats
from gateway.domain.planning.problem import Problem, sums, totals
from gateway.domain.planning.site_table import Options, SiteTable
from gateway.domain.planning.together import MOST_COLUMNS, Together

STEP_FIRST = 1.0
STEP_LAST = 1e-3
PATIENCE = 12
"""Rounds without a better bound before the step is halved."""


@dataclass
class Bound:
    """The best bound so far.

    Attributes:
        value: no permitted choice is worth more.
        price: of a view on each row, where it was found.
        rounds: how many prices were tried.
        worth: by option, at `price`: what the choice of it seemed to be worth.
    """

    value: float
    price: Floats
    worth: Floats
    rounds: int = 0


@dataclass(frozen=True)
class Picked:
    """What is best at some prices.

    Attributes:
        value: at least the worth of the best permitted choice.
        options: it.
        part: how much of each option is taken.
    """

    value: float
    options: Options
    part: Floats


class Relaxed:
    """The problem with priced views."""

    def __init__(self, problem: Problem, table: SiteTable) -> None:
        self.problem, self.table = problem, table
        self.first, self.second = problem.first, problem.second
        self.most = min(problem.limits.per_site, table.option.shape[1])
        exact = self.most > 1 and table.option.shape[1] <= MOST_COLUMNS
        self.together = Together(problem, table) if exact else None

    def chosen(self, price: Floats, worth: Floats) -> Picked:
        """The best options at these prices.

        Args:
            price: of a view on each row.
            worth: of each option alone.
        """
        limits = self.problem.limits
        best, options = self.table.best(worth, self.most)
        found = []
        if limits.budget is not None:
            found.append(self._by_money(best, options, limits.budget))
        if limits.sites is not None:
            found.append(self._by_count(price, best, options, limits.sites))
        return min(found, key=lambda one: one.value)

    def _by_count(self, price: Floats, best: Floats, options: Options, sites: int) -> Picked:
        total = best.sum(axis=1)
        if self.together is not None:
            total, options = self._paired(self.together, price, best, options, sites)
        if sites < len(total):
            kept = np.argpartition(total, -sites)[-sites:] if sites else np.empty(0, dtype=int)
            total, options = total[kept], options[kept]
        options = options[total > 0].reshape(-1)
        options = options[options >= 0]
        return Picked(float(total[total > 0].sum()), options, np.ones(len(options)))

    def _paired(
        self, together: Together, price: Floats, best: Floats, options: Options, sites: int
    ) -> tuple[Floats, Options]:
        """As `best`, with pairs counted exactly wherever it may matter.

        Sites are looked at in portions, best first, until the rest cannot come among the chosen.
        """
        total = best.sum(axis=1)
        ranked = -np.sort(-best, axis=1)
        more = ranked[:, 2:].sum(axis=1)
        values = together.values(price)
        everything = values.sum(axis=1)
        order = np.argsort(-total, kind="stable")
        options, done, least = options.copy(), 0, -np.inf
        while done < len(order) and total[order[done]] > max(least, 0.0):
            rows = order[done : done + max(sites, 32)]
            pair, two = together.best_pairs(rows, values)
            total[rows] = np.minimum(total[rows], np.minimum(pair + more[rows], everything[rows]))
            if self.most == 2:  # noqa: PLR2004 - a pair
                options[rows] = two
            done += len(rows)
            counted = total[order[:done]]
            least = np.partition(counted, -sites)[-sites] if 0 < sites <= done else -np.inf
        return total, options

    def _by_money(self, best: Floats, options: Options, budget: float) -> Picked:
        cost = np.repeat(self.table.cost[:, None], best.shape[1], axis=1)
        good = best > 0
        best, options, cost = best[good], options[good], cost[good]
        with np.errstate(divide="ignore"):
            order = np.lexsort((options, -(best / cost)))
        best, options, cost = best[order], options[order], cost[order]
        spent = np.cumsum(cost)
        part = np.ones(len(cost))
        over = spent > budget
        with np.errstate(invalid="ignore"):
            rest = np.clip((budget - (spent - cost)) / cost, 0.0, 1.0)
        part[over] = rest[over]
        taken = part > 0
        return Picked(float((best * part).sum()), options[taken], part[taken])


def lagrangian(
    problem: Problem,
    table: SiteTable,
    *,
    rounds: int,
    good_enough: float = 0.0,
    told: Callable[[int, Floats], float],
) -> Bound:
    """Look for a small bound.

    Args:
        problem: what is to be chosen.
        table: of its options.
        rounds: prices to try, at most.
        good_enough: stop when (bound - gain) / bound is not larger.
        told: called each round with its number and the worth of each option; returns the gain of
            the best choice known by then, or a negative number to stop.
    """
    relaxed = Relaxed(problem, table)
    top = np.maximum(relaxed.first, relaxed.second)
    price = top * 0.5
    bound = Bound(np.inf, price, np.zeros(len(problem.option_site)))
    step, since = STEP_FIRST, 0
    for number in range(rounds):
        worth = sums(price, problem.covers)
        picked = relaxed.chosen(price, worth)
        unpaid = np.maximum(relaxed.first - price, 0.0) + np.maximum(relaxed.second - price, 0.0)
        value = float(unpaid.sum()) + picked.value
        bound.rounds = number + 1
        since += 1
        if value < bound.value:
            if value < bound.value * (1 - 1e-5):
                since = 0
            bound.value, bound.price, bound.worth = value, price, worth
        gain = told(number, worth)
        if gain < 0 or bound.value - gain <= good_enough * bound.value:
            break
        if since >= PATIENCE:
            step, since = step / 2, 0
            price = bound.price
            if step < STEP_LAST:
                break
            continue
        slope = _views(problem, picked)
        slope -= price < relaxed.first
        slope -= price < relaxed.second
        # At a limit of the price, a step beyond it is no step.
        slope[(price <= 0) & (slope > 0)] = 0.0
        length = float((slope**2).sum())
        if length == 0:
            break
        price = np.clip(price - step * (value - gain) / length * slope, 0.0, top)
    return bound


def _views(problem: Problem, picked: Picked) -> Floats:
    """From how many of the picked sites each row is seen."""
    start, index = problem.covers.start, problem.covers.index
    sizes = start[picked.options + 1] - start[picked.options]
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    row = index[np.repeat(start[picked.options], sizes) + within]
    part = np.repeat(picked.part, sizes)
    if problem.limits.per_site > 1 and problem.limits.budget is None:
        site = np.repeat(problem.option_site[picked.options].astype(np.int64), sizes)
        _, once = np.unique(site * len(problem.weight) + row, return_index=True)
        row, part = row[once], part[once]
    return totals(row, part, len(problem.weight))
