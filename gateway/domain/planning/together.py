"""What several cameras of one site see together, when each row has a price.

Cameras of one site overlap: two views of 90 degrees, 45 degrees apart, share half. Adding up what
each sees would make the bound useless, so pairs are counted exactly. For more than two, the best
pair plus the next largest values is never less than what they see together.
"""

import numpy as np

from gateway.domain.coverage.model import Floats
from gateway.domain.planning.problem import Problem
from gateway.domain.planning.site_table import Options, SiteTable

MOST_COLUMNS = 63
"""Options of one site that fit the bits of a number."""


class Together:
    """The rows each site can see, grouped by which of its options see them ("pieces")."""

    def __init__(self, problem: Problem, table: SiteTable) -> None:
        self.table = table
        at, column = table.place
        sizes = np.diff(problem.covers.start)
        site = np.repeat(at, sizes).astype(np.int64)
        bit = np.repeat(np.int64(1) << column.astype(np.int64), sizes)
        rows = len(problem.weight)
        pair, where = np.unique(site * rows + problem.covers.index, return_inverse=True)
        mask = np.zeros(len(pair), dtype=np.int64)
        np.bitwise_or.at(mask, where.reshape(-1), bit)
        self.row = pair % max(rows, 1)
        key = np.stack((pair // max(rows, 1), mask), axis=1)
        pieces, piece = np.unique(key, axis=0, return_inverse=True)
        self.piece = piece.reshape(-1)
        count = np.bincount(pieces[:, 0], minlength=len(table.sites))
        place = np.arange(len(pieces)) - (np.cumsum(count) - count)[pieces[:, 0]]
        self.place = (pieces[:, 0], place)
        self.shape = (len(table.sites), int(count.max(initial=1)))
        self.mask = np.zeros(self.shape, dtype=np.int64)
        self.mask[self.place] = pieces[:, 1]

    def values(self, price: Floats) -> Floats:
        """(sites, pieces) the price of each piece."""
        table = np.zeros(self.shape)
        table[self.place] = np.bincount(
            self.piece, weights=price[self.row], minlength=len(self.place[0])
        )
        return table

    def best_pairs(self, rows: Options, values: Floats) -> tuple[Floats, Options]:
        """The best two options of some sites, and what they see together.

        Args:
            rows: of the table.
            values: of `values`.
        """
        columns = np.arange(self.table.option.shape[1])
        seen = ((self.mask[rows][:, :, None] >> columns) & 1).astype(np.float64)
        both = np.swapaxes(seen * values[rows][:, :, None], 1, 2) @ seen
        alone = np.diagonal(both, axis1=1, axis2=2)
        pairs = alone[:, :, None] + alone[:, None, :] - both
        best = pairs.reshape(len(rows), -1).argmax(axis=1)
        first, second = np.divmod(best, len(columns))
        at = np.arange(len(rows))
        return pairs[at, first, second], self.table.option[
            rows[:, None], np.stack((first, second), 1)
        ]
