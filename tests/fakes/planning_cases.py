"""Small planning problems, drawn from a seed, and what they are worth by slow and simple means."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from gateway.domain.planning.problem import Limits, csr_of
from gateway.domain.planning.solve import Task


def draw_task(
    seed: int, limits: Limits, *, sites: int = 7, points: int = 16, per_site: int = 3
) -> Task:
    """A random problem; some points are seen already, some options see nothing."""
    draw = np.random.default_rng(seed)
    option_site = np.repeat(np.arange(sites), per_site).astype(np.int32)
    near = draw.random((sites, points)) < 0.35
    sees = near[option_site] & (draw.random((len(option_site), points)) < 0.6)
    option, point = np.nonzero(sees)
    stand, twin = np.nonzero(near & (np.random.default_rng(seed + 1).random((sites, points)) < 0.5))
    return Task(
        covers=csr_of(option, point, len(option_site)),
        option_site=option_site,
        cost=draw.choice([1000.0, 2500.0, 4000.0], sites),
        weight=draw.choice([0.0, 1.0, 2.5, 4.0], points, p=[0.1, 0.4, 0.3, 0.2]),
        seen=draw.choice([0, 1, 2], points, p=[0.8, 0.15, 0.05]).astype(np.int32),
        limits=limits,
        beside=csr_of(stand, twin, sites),
    )


def counts(task: Task, site: int, point: int) -> bool:
    """Whether a view of a point from a site counts: not when its only viewer stands there already."""
    assert task.beside is not None
    return int(task.seen[point]) != 1 or point not in task.beside.of(site)


def worth(task: Task, options: list[int]) -> float:
    """The gain of some options, point by point."""
    total = 0.0
    for point, weight in enumerate(task.weight):
        sites = {int(task.option_site[o]) for o in options if point in task.covers.of(o)}
        sites = {site for site in sites if counts(task, site, point)}
        before = int(task.seen[point])
        views = before + len(sites)
        if before == 0 and views >= 1:
            total += float(weight)
        if before <= 1 and views >= 2:
            total += float(weight) * task.limits.backup
    return total


def permitted(task: Task, options: list[int]) -> bool:
    """Whether the limits allow these options."""
    at = [int(task.option_site[o]) for o in options]
    limits = task.limits
    if len(set(options)) != len(options) or max(map(at.count, at), default=0) > limits.per_site:
        return False
    if limits.sites is not None and len(set(at)) > limits.sites:
        return False
    return limits.budget is None or sum(task.cost[s] for s in at) <= limits.budget + 1e-6


def optimum(task: Task) -> float:
    """The best gain, by HiGHS.

    One variable an option, one a site, two views a point, and one for each site that sees a point.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    options, sites, points = len(task.option_site), len(task.cost), len(task.weight)
    pairs = sorted({(int(task.option_site[o]), int(p))
                    for o in range(options) for p in task.covers.of(o)
                    if counts(task, int(task.option_site[o]), int(p))})  # fmt: skip
    at_site, first, second = options, options + sites, options + sites + points
    view = second + points
    count = view + len(pairs)
    rows: list[tuple[dict[int, float], float]] = [
        ({o: 1, at_site + int(task.option_site[o]): -1}, 0) for o in range(options)
    ]
    for s in range(sites):
        here = {int(o): 1.0 for o in np.flatnonzero(task.option_site == s)}
        rows.append((here, task.limits.per_site))
    if task.limits.sites is not None:
        rows.append(({at_site + s: 1 for s in range(sites)}, task.limits.sites))
    if task.limits.budget is not None:
        costs = {o: float(task.cost[task.option_site[o]]) for o in range(options)}
        rows.append((costs, task.limits.budget))
    for number, (s, p) in enumerate(pairs):
        seeing = [
            o for o in np.flatnonzero(task.option_site == s).tolist() if p in task.covers.of(o)
        ]
        rows.append(({view + number: 1, **{int(o): -1 for o in seeing}}, 0))
    for p in range(points):
        views = {view + n: -1.0 for n, (_, q) in enumerate(pairs) if q == p}
        rows.append(({first + p: 1, second + p: 1, **views}, min(int(task.seen[p]), 2)))
    matrix = np.zeros((len(rows), count))
    for r, (terms, _) in enumerate(rows):
        for column, value in terms.items():
            matrix[r, column] = value
    price = np.zeros(count)
    price[first:second] = -task.weight
    price[second:view] = -task.weight * task.limits.backup
    found: Any = milp(
        price,
        constraints=LinearConstraint(matrix, -np.inf, np.array([most for _, most in rows])),
        bounds=Bounds(0, 1),
        integrality=np.arange(count) < options,  # the rest follows
    )
    already = sum(
        float(w) * ((s >= 1) + task.limits.backup * (s >= 2))
        for w, s in zip(task.weight, task.seen, strict=True)
    )
    return float(-found.fun) - float(already)


def by_trying(task: Task, most: int) -> float:
    """The best gain of at most `most` options, by trying all."""
    numbers = range(len(task.option_site))
    return max(
        worth(task, list(options))
        for size in range(most + 1)
        for options in itertools.combinations(numbers, size)
        if permitted(task, list(options))
    )


def with_limits(task: Task, **changes: Any) -> Task:
    """The same task under other limits."""
    return replace(task, limits=replace(task.limits, **changes))
