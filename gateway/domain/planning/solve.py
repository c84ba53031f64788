"""A plan: greedy, exchanges and the bound together, and how far from the best it can be at most."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.domain.coverage.model import Csr, Floats, Ints
from gateway.domain.planning.bound import lagrangian
from gateway.domain.planning.chosen import EPSILON, Chosen
from gateway.domain.planning.greedy import fill, greedy
from gateway.domain.planning.problem import Limits, Problem, build_problem
from gateway.domain.planning.reduce import needed, only
from gateway.domain.planning.site_table import SiteTable
from gateway.domain.planning.swap import improve

ROUNDS = 400
GOOD_ENOUGH = 0.005
"""Stop when the gap is proven to be no larger."""
EVERY = 20
"""Rounds between two looks at whether the bound's own choice is better."""
GREEDY_DONE, SWAPS_DONE = 0.2, 0.4
"""Shares of the work, for the progress shown."""


@dataclass(frozen=True)
class Task:
    """What is to be planned, in numbers.

    Attributes:
        covers: option -> points.
        option_site: site of each option, ascending.
        cost: CNY of one camera, by site.
        weight: of each point.
        seen: standing cameras that see each point.
        limits: what may be chosen.
        beside: site -> points whose only standing viewer stands there: a second view from there is
            none, for two cameras on one pole fail together. None = no site has such points.
    """

    covers: Csr
    option_site: Ints
    cost: Floats
    weight: Floats
    seen: Ints
    limits: Limits
    beside: Csr | None = None


@dataclass(frozen=True)
class SitePlan:
    """One site of a plan.

    Attributes:
        site: number of the site.
        options: chosen there.
        gain: weight it adds beside the sites before it.
        points: that it is the first to see, or the second where that counts.
        cost: CNY.
    """

    site: int
    options: tuple[int, ...]
    gain: float
    points: Ints
    cost: float


@dataclass(frozen=True)
class Solution:
    """Sites in the order to build them, and what is proven about their choice.

    Attributes:
        sites: largest gain first.
        gain: of all together.
        bound: no permitted choice gains more.
        rounds: of the bound.
        greedy_gain: before the exchanges.
        cut_short: time was up; the bound still holds.
    """

    sites: tuple[SitePlan, ...]
    gain: float
    bound: float
    rounds: int
    greedy_gain: float
    cut_short: bool = False

    @property
    def gap(self) -> float:
        """At most this share of the optimum is missing."""
        return (self.bound - self.gain) / self.bound if self.bound > EPSILON else 0.0


def solve(
    task: Task,
    told: Callable[[float], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Solution:
    """Choose sites, and prove how good the choice is.

    The answer depends on nothing but the task, unless `stop` ends the work early.

    Args:
        task: what is to be planned.
        told: called with the share of the work done, 0 to 1.
        stop: asked often whether time is up.
    """
    covers = helpful(task)
    kept = np.flatnonzero(needed(covers, task.option_site)).astype(np.int32)
    problem, row_of = build_problem(
        only(covers, kept), task.option_site[kept], task.cost, task.weight, task.seen, task.limits
    )
    table = SiteTable(problem)
    chosen = greedy(problem)
    greedy_gain = chosen.total()
    told(GREEDY_DONE)
    improve(chosen, table, stop)
    told(SWAPS_DONE)
    chosen, bound, rounds = _prove(problem, table, chosen, told, stop)
    gain = chosen.total()
    told(1.0)
    return Solution(
        sites=_in_order(chosen, row_of, kept),
        gain=gain,
        bound=max(bound, gain),
        rounds=rounds,
        greedy_gain=greedy_gain,
        cut_short=stop(),
    )


def helpful(task: Task) -> Csr:
    """Option -> the points that it helps: not seen yet, or where a second view from there counts."""
    covers, points = task.covers, np.int64(len(task.weight))
    wanted = (task.seen == 0) | ((task.seen == 1) & (task.limits.backup > 0))
    keep = (wanted & (task.weight > 0))[covers.index]
    if task.beside is not None:
        site = task.option_site[np.repeat(np.arange(len(task.option_site)), np.diff(covers.start))]
        at = np.repeat(np.arange(len(task.beside.start) - 1), np.diff(task.beside.start))
        twins = np.isin(site * points + covers.index, at * points + task.beside.index)
        keep &= ~(twins & (task.seen[covers.index] == 1))
    before = np.concatenate(([0], np.cumsum(keep))).astype(np.int32)
    return Csr(before[covers.start], covers.index[keep])


def gains_in_order(task: Task, sites: Iterable[Sequence[int]]) -> list[float]:
    """What each site adds beside those before it, counted anew.

    Args:
        task: how things stand; they need not stand as when the sites were chosen.
        sites: the options at each.
    """
    covers, views, found = helpful(task), task.seen.copy(), []
    for options in sites:
        rows = np.unique(np.concatenate([covers.of(option) for option in options]))
        share = np.where(views[rows] == 0, 1.0, task.limits.backup * (views[rows] == 1))
        found.append(float((task.weight[rows] * share).sum()))
        views[rows] += 1
    return found


def _prove(
    problem: Problem,
    table: SiteTable,
    chosen: Chosen,
    told: Callable[[float], None],
    stop: Callable[[], bool],
) -> tuple[Chosen, float, int]:
    """The bound; and a better choice where the prices lead to one."""
    best, gain = chosen, chosen.total()

    def look(number: int, worth: Floats) -> float:
        nonlocal best, gain
        if stop():
            return -1.0
        if number % EVERY == EVERY - 1:
            told(SWAPS_DONE + (1 - SWAPS_DONE) * number / ROUNDS)
            other = guided(problem, worth)
            if other.total() > gain + EPSILON:
                improve(other, table, stop)
                best, gain = other, other.total()
        return gain

    bound = lagrangian(problem, table, rounds=ROUNDS, good_enough=GOOD_ENOUGH, told=look)
    return best, bound.value, bound.rounds


def guided(problem: Problem, worth: Floats) -> Chosen:
    """A choice that takes the options that seem worth most at the prices of the bound."""
    chosen = Chosen(problem)
    money = problem.limits.budget is not None
    price = np.maximum(problem.cost[problem.option_site], EPSILON) if money else 1.0
    for option in np.argsort(-(worth / price), kind="stable").tolist():
        if worth[option] <= EPSILON or (
            not money and int(chosen.used.sum()) >= (problem.limits.sites or 0)
        ):
            break
        if chosen.fits(option) and not chosen.used[problem.option_site[option]]:
            chosen.add(option)
    fill(chosen, np.ones(len(worth)))
    return chosen


def _in_order(chosen: Chosen, row_of: Ints, kept: Ints) -> tuple[SitePlan, ...]:
    """The chosen sites, always the one next that adds most to those before it."""
    problem = chosen.problem
    again = Chosen(problem)
    left = {
        int(site): chosen.at_site(int(site))
        for site in np.unique(problem.option_site[chosen.options])
    }
    points_of = _points_by_row(row_of, len(problem.weight))
    found = []
    while left:
        gains = {site: _gain(again, options) for site, options in left.items()}
        site = max(gains, key=lambda one: (gains[one], -one))
        options = left.pop(site)
        worth = again.worth.copy()
        for option in options:
            again.add(option)
        rows = np.unique(np.concatenate([problem.covers.of(option) for option in options]))
        rows = rows[worth[rows] > 0]
        points = np.concatenate([points_of.of(int(r)) for r in rows] or [np.empty(0, np.int32)])
        cost = float(problem.cost[site]) * len(options)
        numbers = tuple(int(kept[option]) for option in sorted(options))
        found.append(SitePlan(site, numbers, gains[site], np.sort(points), cost))
    return tuple(found)


def _gain(chosen: Chosen, options: list[int]) -> float:
    """What options of one site, not used yet, would add together."""
    rows = np.unique(np.concatenate([chosen.problem.covers.of(option) for option in options]))
    return float(chosen.worth[rows].sum())


def _points_by_row(row_of: Ints, rows: int) -> Csr:
    (points,) = np.nonzero(row_of >= 0)
    start = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(np.bincount(row_of[points], minlength=rows), out=start[1:])
    return Csr(start, points[np.argsort(row_of[points], kind="stable")].astype(np.int32))
