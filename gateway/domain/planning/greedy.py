"""A good choice, quickly: always what adds most, looked up lazily.

A gain never grows while others are chosen, so an old gain is an upper limit: only the one on top of
the heap has to be counted again. Equal gains go to the lower number, so the answer is always the
same.
"""

import heapq

import numpy as np

from gateway.domain.coverage.model import Floats
from gateway.domain.planning.chosen import EPSILON, Chosen
from gateway.domain.planning.problem import Problem, totals


def fill(chosen: Chosen, price: Floats) -> None:
    """Choose cameras one by one until nothing that fits adds anything.

    Args:
        chosen: to be extended.
        price: by option: gains are compared after division by it.
    """
    gains = chosen.gains() / price
    gains[chosen.options] = 0.0
    heap = [(-gains[o], o) for o in np.flatnonzero(gains > EPSILON).tolist()]
    heapq.heapify(heap)
    while heap:
        _, option = heapq.heappop(heap)
        if not chosen.fits(option):  # sites, room and money only become less
            continue
        gain = chosen.gain(option) / price[option]
        if gain <= EPSILON:
            continue
        if heap and (-gain, option) > heap[0]:
            heapq.heappush(heap, (-gain, option))
            continue
        chosen.add(option)


def best_of_site(chosen: Chosen, site: int, most: int) -> tuple[float, list[int]]:
    """What the best cameras at a site that is not used yet would add together, and which they are."""
    problem = chosen.problem
    first, last = np.searchsorted(problem.option_site, (site, site + 1))
    left = {option: problem.covers.of(option) for option in range(first, last)}
    worth, total = chosen.worth, 0.0
    taken: list[int] = []
    while left and len(taken) < most:
        gains = {option: float(worth[rows].sum()) for option, rows in left.items()}
        best = max(gains, key=lambda option: (gains[option], -option))
        if gains[best] <= EPSILON:
            break
        total += gains[best]
        taken.append(int(best))
        seen = left.pop(best)
        left = {o: np.setdiff1d(rows, seen, assume_unique=True) for o, rows in left.items()}
    return total, taken


def upper_by_site(chosen: Chosen, most: int) -> Floats:
    """By site: at least what its best cameras would add together, whichever they are."""
    of, gains = chosen.problem.option_site, chosen.gains()
    order = np.lexsort((-gains, of))
    first = np.searchsorted(of, of)
    top = np.arange(len(of)) - first < most
    return totals(of[order], gains[order] * top, len(chosen.used))


def fill_sites(chosen: Chosen) -> None:
    """Choose whole sites, each with all the cameras it may carry, while sites are left."""
    limits = chosen.problem.limits
    upper = upper_by_site(chosen, limits.per_site)
    upper[chosen.used > 0] = 0.0
    heap = [(-upper[s], s) for s in np.flatnonzero(upper > EPSILON).tolist()]
    heapq.heapify(heap)
    while heap and (limits.sites is None or chosen.sites < limits.sites):
        _, site = heapq.heappop(heap)
        gain, options = best_of_site(chosen, site, limits.per_site)
        if gain <= EPSILON:
            continue
        if heap and (-gain, site) > heap[0]:
            heapq.heappush(heap, (-gain, site))
            continue
        for option in options:
            if chosen.fits(option):
                chosen.add(option)


def greedy(problem: Problem) -> Chosen:
    """The best of the greedy choices.

    With a budget the gain per CNY alone can go badly wrong on few, dear sites: the plain gain is
    tried too. With several cameras a site, opening sites by their first camera alone can: whole
    sites are tried too.
    """
    same = np.ones(len(problem.option_site))
    found = [Chosen(problem)]
    fill(found[0], same)
    if problem.limits.budget is not None:
        found.append(Chosen(problem))
        fill(found[-1], np.maximum(problem.cost[problem.option_site], EPSILON))
    if problem.limits.per_site > 1:
        found.append(Chosen(problem))
        fill_sites(found[-1])
        fill(found[-1], same)
    return max(found, key=Chosen.total)
