"""A better choice, by exchanging one site for another as long as that helps."""

from collections.abc import Callable

import numpy as np

from gateway.domain.planning.chosen import EPSILON, Chosen
from gateway.domain.planning.greedy import best_of_site, fill
from gateway.domain.planning.site_table import Options, SiteTable


def improve(chosen: Chosen, table: SiteTable, stop: Callable[[], bool] = lambda: False) -> None:
    """Exchange one site at a time for a better one, until a pass over all finds none.

    Args:
        chosen: to be improved in place.
        table: of its problem.
        stop: asked before each exchange whether time is up.
    """
    same = np.ones(len(chosen.problem.option_site))
    before = -1.0
    while chosen.total() > before + EPSILON:
        before = chosen.total()
        for site in dict.fromkeys(chosen.problem.option_site[chosen.options].tolist()):
            if stop():
                return
            exchange(chosen, table, site)
        fill(chosen, same)


def exchange(chosen: Chosen, table: SiteTable, site: int) -> None:
    """Take a site out and put the best one in its place, which may be the same one."""
    held = chosen.at_site(site)
    for option in held:
        chosen.remove(option)
    before = chosen.total()
    room = _room(chosen, table)
    gains, _ = table.best(chosen.gains(), chosen.problem.limits.per_site)
    upper = np.where((room > 0) & (chosen.used[table.sites] == 0), gains.sum(axis=1), 0.0)
    best, options = -1.0, held
    for option in held:
        chosen.add(option)
    best = chosen.total() - before + EPSILON
    for option in held:
        chosen.remove(option)
    while True:
        row = int(upper.argmax())
        if upper[row] <= best:
            break
        upper[row] = 0.0
        gain, found = best_of_site(chosen, int(table.sites[row]), int(room[row]))
        if gain > best:
            best, options = gain, found
    for option in options:
        chosen.add(option)


def _room(chosen: Chosen, table: SiteTable) -> Options:
    """How many cameras each site could carry beside the others."""
    limits = chosen.problem.limits
    room = np.full(len(table.sites), limits.per_site)
    if limits.budget is None:
        return room
    rest = limits.budget + EPSILON - chosen.cost
    affordable = np.divide(rest, table.cost, out=np.full(len(room), np.inf), where=table.cost > 0)
    fewer: Options = np.minimum(room, np.floor(affordable)).astype(np.int64)
    return fewer
