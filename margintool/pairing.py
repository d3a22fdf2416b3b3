"""Which responses to one prompt become pairs. Pure functions on numpy columns.

Several responses share a group (a prompt, or a row that holds them all). A pairing rule returns
row numbers (first, second) of the pairs, ordered by the group's first row, so that pairs come in
input order. Nothing depends on the order of random draws: each group draws by its own key.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from margintool.hashing import Keys, seeded
from mmpo_core.errors import lookup

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Pairs = tuple[Rows, Rows]


def pair_rows(rule: str, group: Keys, rating: Floats, seed: int) -> Pairs:
    """Pair the responses of each group.

    Args:
        rule: a key of PAIRINGS.
        group: (N,) key of the group of each response.
        rating: (N,) finite ratings.
        seed: seeds the random partner of `best-random`.

    Returns:
        (M,) row numbers of the first and of the second answer of each pair. Groups of one
        response give no pair.

    Raises:
        InputError: if the rule is not known.
    """
    make = lookup("pairing", rule, PAIRINGS)
    # Best first within a group; equal ratings keep input order.
    ranked = np.lexsort((np.arange(len(group)), -rating, group)).astype(np.int64)
    sorted_groups = group[ranked]
    starts = np.flatnonzero(np.r_[True, sorted_groups[1:] != sorted_groups[:-1]][: len(group)])
    sizes = np.diff(np.r_[starts, len(group)])
    several = sizes > 1
    starts, sizes = starts[several], sizes[several]
    chance = seeded(sorted_groups[starts], seed)
    first, second, owner = make(starts, sizes, chance)
    order = np.lexsort((np.arange(len(owner)), _first_rows(ranked, starts, sizes)[owner]))
    return ranked[first[order]], ranked[second[order]]


def group_sizes(group: Keys) -> Rows:
    """Return (N,) the number of responses in each response's group."""
    _, inverse, counts = np.unique(group, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse], dtype=np.int64)


def _first_rows(ranked: Rows, starts: Rows, sizes: Rows) -> Rows:
    """Return (G,) the smallest row number of each group: where it first appears in the input."""
    if not len(starts):
        return starts
    members = np.repeat(np.arange(len(starts)), sizes)
    places = _members(starts, sizes)
    lowest = np.full(len(starts), np.iinfo(np.int64).max)
    np.minimum.at(lowest, members, ranked[places])
    return lowest


def _members(starts: Rows, sizes: Rows) -> Rows:
    """Return the places of all groups' members, one group after the other."""
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(starts, sizes) + within


# Each rule: (G,) start of each group in rank order, (G,) its size, (G,) a random uint64
# -> places of the first and second answers, and the group number of each pair.
Rule = Callable[[Rows, Rows, Keys], tuple[Rows, Rows, Rows]]


def _best_random(starts: Rows, sizes: Rows, chance: Keys) -> tuple[Rows, Rows, Rows]:
    partner = 1 + (chance % (sizes - 1).astype(np.uint64)).astype(np.int64)
    return starts, starts + partner, np.arange(len(starts))


def _best_worst(starts: Rows, sizes: Rows, _chance: Keys) -> tuple[Rows, Rows, Rows]:
    return starts, starts + sizes - 1, np.arange(len(starts))


def _adjacent(starts: Rows, sizes: Rows, _chance: Keys) -> tuple[Rows, Rows, Rows]:
    first = _members(starts, sizes - 1)
    return first, first + 1, np.repeat(np.arange(len(starts)), sizes - 1)


def _all_pairs(starts: Rows, sizes: Rows, _chance: Keys) -> tuple[Rows, Rows, Rows]:
    firsts, seconds, owners = [starts[:0]], [starts[:0]], [starts[:0]]
    for size in np.unique(sizes).tolist():
        better, worse = np.triu_indices(size, k=1)
        groups = np.flatnonzero(sizes == size)
        firsts.append((starts[groups, None] + better).ravel())
        seconds.append((starts[groups, None] + worse).ravel())
        owners.append(np.repeat(groups, len(better)))
    return np.concatenate(firsts), np.concatenate(seconds), np.concatenate(owners)


PAIRINGS: Mapping[str, Rule] = {
    "best-random": _best_random,
    "best-worst": _best_worst,
    "all": _all_pairs,
    "adjacent": _adjacent,
}
