"""The options of a problem as a table: a row for each site, a column for each of its options."""

import numpy as np
from numpy.typing import NDArray

from gateway.domain.coverage.model import Floats
from gateway.domain.planning.problem import Problem

Options = NDArray[np.int64]


class SiteTable:
    """Where each option stands.

    Attributes:
        sites: the site of each row, ascending: only those with options.
        option: (sites, columns) the options, -1 where a site has fewer.
        cost: of one camera, by row.
    """

    def __init__(self, problem: Problem) -> None:
        self.sites, row = np.unique(problem.option_site, return_inverse=True)
        row = row.reshape(-1)
        sizes = np.bincount(row, minlength=len(self.sites))
        column = np.arange(len(row)) - (np.cumsum(sizes) - sizes)[row]
        self.place = (row, column)
        self.option: Options = np.full((len(sizes), max(int(sizes.max(initial=1)), 1)), -1)
        self.option[self.place] = np.arange(len(row))
        self.cost = problem.cost[self.sites]

    def spread(self, values: Floats) -> Floats:
        """Values by option as a table; 0 where there is no option."""
        table = np.zeros(self.option.shape)
        table[self.place] = values
        return table

    def best(self, values: Floats, most: int) -> tuple[Floats, Options]:
        """The largest values of each site and their options, in no order; none below 0."""
        table = self.spread(values)
        if most == 1:
            columns = table.argmax(axis=1)[:, None]
        elif most < table.shape[1]:
            columns = np.argpartition(table, -most, axis=1)[:, -most:]
        else:
            columns = np.tile(np.arange(table.shape[1]), (len(table), 1))
        rows = np.arange(len(table))[:, None]
        return np.maximum(table[rows, columns], 0.0), self.option[rows, columns]
