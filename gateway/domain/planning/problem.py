"""The choice as numbers: rows to be covered, options that cover them, and what limits the choice.

A *row* is a group of sample points that the same options see: they are won and lost together. An
*option* is one camera at one site, with one azimuth and one lens. Options are sorted by site.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.domain.coverage.model import Csr, Floats, Ints

_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Limits:
    """What limits a plan; at least one of `sites` and `budget` is given.

    Attributes:
        sites: sites at most, or None.
        budget: CNY in all, or None.
        per_site: cameras at one site, at most.
        backup: what a second view on a point counts, as a fraction of the first, 0 to 1. It must come
            from another site: two cameras on one pole fail together (`Task.beside` for standing ones).
    """

    sites: int | None = None
    budget: float | None = None
    per_site: int = 1
    backup: float = 0.0


@dataclass(frozen=True)
class Problem:
    """Which options to choose.

    Attributes:
        weight: of each row.
        seen: how many standing cameras see each row: 0, or 1 where a second view counts.
        covers: option -> rows.
        covered_by: row -> options, the same the other way round.
        option_site: site of each option, ascending.
        cost: CNY of one camera at each site.
        limits: what may be chosen.
    """

    weight: Floats
    seen: Ints
    covers: Csr
    covered_by: Csr
    option_site: Ints
    cost: Floats
    limits: Limits

    @property
    def first(self) -> Floats:
        """What a first view on each row is worth."""
        return np.where(self.seen == 0, self.weight, 0.0)

    @property
    def second(self) -> Floats:
        """What a second view on each row is worth."""
        return self.weight * self.limits.backup


def sums(values: Floats, lists: Csr) -> Floats:
    """The sum of the values of each list; 0 for an empty one."""
    total = np.zeros(len(lists.index) + 1)
    np.cumsum(values[lists.index], out=total[1:])
    found: Floats = total[lists.start[1:]] - total[lists.start[:-1]]
    return found


def totals(rows: NDArray[np.integer], values: Floats, count: int) -> Floats:
    """The sum of the values by row; `count` rows in all."""
    return np.bincount(rows, weights=values, minlength=count).astype(np.float64)


def csr_of(rows: NDArray[np.integer], columns: NDArray[np.integer], count: int) -> Csr:
    """A list of lists from pairs: `columns` by `rows`, each ascending; `count` rows in all."""
    order = np.lexsort((columns, rows))
    start = np.zeros(count + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=count), out=start[1:])
    return Csr(start, columns[order].astype(np.int32))


def _mixed(seed: int, count: int) -> NDArray[np.uint64]:
    """A number for each of 0..count-1 that looks drawn at random, and is always the same."""
    z = (np.arange(count, dtype=np.uint64) + np.uint64(seed)) * np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def groups_of(covered_by: Csr, options: int, seen: Ints) -> tuple[Ints, Ints]:
    """Points with the same options and the same number of views stand for one row.

    Returns:
        The row of each point, -1 for those that no option sees; and one point of each row. Sets are
        compared by two independent 64-bit sums and their size: among 10^6 sets the chance of one
        mistake is below 10^-26.
    """
    sizes = np.diff(covered_by.start)
    (points,) = np.nonzero(sizes)
    key = np.empty((len(points), 3), dtype=np.uint64)
    for column, seed in enumerate((1, options + 1)):
        total = np.zeros(len(covered_by.index) + 1, dtype=np.uint64)
        np.cumsum(_mixed(seed, options)[covered_by.index], out=total[1:])  # wraps, as it should
        key[:, column] = total[covered_by.start[points + 1]] - total[covered_by.start[points]]
    key[:, 2] = sizes[points].astype(np.uint64) * np.uint64(2) + (seen[points] > 0)
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    row_of = np.full(len(sizes), -1, dtype=np.int32)
    row_of[points] = inverse.reshape(-1)
    return row_of, points[first].astype(np.int32)


def build_problem(
    covers: Csr,
    option_site: Ints,
    cost: Floats,
    weight: Floats,
    seen: Ints,
    limits: Limits,
) -> tuple[Problem, Ints]:
    """Aggregate points to rows.

    Args:
        covers: option -> points.
        option_site: site of each option, ascending.
        cost: of one camera, by site.
        weight: of each point.
        seen: standing cameras that see each point. Points that need no further view count nothing.
        limits: what may be chosen.

    Returns:
        The problem, and the row of each point (-1 = it counts nothing, or no option sees it).
    """
    options = len(covers.start) - 1
    wanted = (seen == 0) | ((seen == 1) & (limits.backup > 0))
    wanted &= weight > 0
    keep = wanted[covers.index]
    option_of = np.repeat(np.arange(options), np.diff(covers.start))[keep]
    covered_by = csr_of(covers.index[keep], option_of, len(weight))
    row_of, sample = groups_of(covered_by, options, seen)
    inside = row_of >= 0
    total = totals(row_of[inside], weight[inside], len(sample))
    sizes = np.diff(covered_by.start)[sample]
    row = np.repeat(np.arange(len(sample)), sizes)
    at = np.repeat(covered_by.start[sample] - np.concatenate(([0], np.cumsum(sizes)[:-1])), sizes)
    option = covered_by.index[at + np.arange(len(row))] if len(row) else row
    return (
        Problem(
            weight=total,
            seen=seen[sample].astype(np.int32),
            covers=csr_of(option, row, options),
            covered_by=csr_of(row, option, len(sample)),
            option_site=option_site,
            cost=cost,
            limits=limits,
        ),
        row_of,
    )
