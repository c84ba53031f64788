"""Fewer options, the same answer: an option that another one at its site outdoes is never needed."""

import numpy as np
from numpy.typing import NDArray

from gateway.domain.coverage.model import Csr, Ints


def needed(covers: Csr, option_site: Ints) -> NDArray[np.bool_]:
    """Which options see something that no other option at their site sees as well.

    An option is left out when everything it sees is seen by another one at its site: a wider lens, a
    longer one, or a neighbouring azimuth. Of options that see the same, the first stays.

    Args:
        covers: option -> points.
        option_site: site of each option, ascending.
    """
    sizes = np.diff(covers.start).astype(np.int64)
    options = len(sizes)
    option = np.repeat(np.arange(options), sizes)
    order = np.lexsort((option, covers.index, option_site[option]))
    option, point = option[order], covers.index[order]
    site = option_site[option]
    new = np.ones(len(option), dtype=bool)
    new[1:] = (site[1:] != site[:-1]) | (point[1:] != point[:-1])
    begin = np.flatnonzero(new)
    length = np.diff(np.append(begin, len(option)))
    group = np.repeat(np.arange(len(begin)), length)
    # Every ordered pair of options of one site that see the same point.
    width = length[group]
    a = np.repeat(option, width)
    within = np.arange(len(a)) - np.repeat(np.cumsum(width) - width, width)
    b = option[np.repeat(begin[group], width) + within]
    pairs, both = np.unique(a * np.int64(options) + b, return_counts=True)
    a, b = np.divmod(pairs, max(options, 1))
    inside = (both == sizes[a]) & (a != b) & ((sizes[a] < sizes[b]) | (b < a))
    keep: NDArray[np.bool_] = sizes > 0
    keep[a[inside]] = False
    return keep


def only(covers: Csr, kept: NDArray[np.integer]) -> Csr:
    """The lists of some options, given by number."""
    sizes = np.diff(covers.start)
    start = np.zeros(len(kept) + 1, dtype=np.int32)
    np.cumsum(sizes[kept], out=start[1:])
    within = np.arange(int(start[-1])) - np.repeat(start[:-1], sizes[kept])
    return Csr(start, covers.index[np.repeat(covers.start[kept], sizes[kept]) + within])
