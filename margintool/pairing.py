"""Which responses to one prompt become pairs. Pure functions on numpy columns.

Several responses share a group (a prompt, or a row that holds them all) and are ranked by their
rating. A pairing rule says with which lower ranks each response is paired, as a range; so pairs
can be counted, and the n-th be named, without writing them all down. A prompt with n responses
has n (n - 1) / 2 pairs: where a cap is set, only those of the sample are ever made.

Neither ranks nor samples depend on the order of the file: draws come from the texts and the seed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from margintool.hashing import Keys, permuted, seeded
from mmpo_core.errors import lookup

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PAIRS_AT_ONCE = 4096


@dataclass(frozen=True)
class Limits:
    """Which pairs are wanted where a prompt has more than `cap`.

    Args:
        cap: most pairs of a prompt; 0 for no limit.
        drop_ties: whether pairs of equal rating are of no use.
        min_margin: pairs with a smaller gap are of no use.
    """

    cap: int = 0
    drop_ties: bool = False
    min_margin: float = 0.0


@dataclass(frozen=True)
class Excess:
    """K groups with more pairs than the cap, and what became of those pairs.

    Args:
        first: (K,) the response of the group that appears first.
        pairs: (K,) all pairs that the rule names.
        ties: (K,) those left out as ties.
        small: (K,) those left out for their gap.
        made: (K,) those made: a sample of the rest.
    """

    first: Rows
    pairs: Rows
    ties: Rows
    small: Rows
    made: Rows


@dataclass(frozen=True)
class Pairing:
    """The pairs of a file, named but not yet written down.

    Args:
        alone: responses without another one in their group.
        excess: what the cap left out.
        ranked: (N,) responses group by group as they appear, best first within each.
        rating: (N,) rating of each response, by its number.
        low: (N,) the first partner of the response in each place of `ranked`.
        partners: (N,) how many partners it has: places low, low + 1, ...
        starts: (G,) first place of each group.
        choices: (G,) number of pairs to choose from.
        made: (G,) number of pairs made; where fewer than choices, a sample.
        chance: (G,) seed of the group's sample.
    """

    alone: Rows
    excess: Excess
    ranked: Rows
    rating: Floats
    low: Rows
    partners: Rows
    starts: Rows
    choices: Rows
    made: Rows
    chance: Keys

    def batches(self) -> Iterator[tuple[Rows, Rows]]:
        """Yield the first and second responses of the pairs, PAIRS_AT_ONCE at a time.

        Ordered by where the group first appears. The better one is first, and of equals the one
        that appears first.
        """
        ends = np.cumsum(self.made)
        before = np.cumsum(self.partners)  # pairs up to and with a place
        for start in range(0, int(self.made.sum()), PAIRS_AT_ONCE):
            number = np.arange(start, min(start + PAIRS_AT_ONCE, int(ends[-1])))
            group = np.searchsorted(ends, number, side="right")
            choice = number - (ends - self.made)[group]
            some = self.made[group] < self.choices[group]
            sampled = group[some]
            choice[some] = permuted(choice[some], self.choices[sampled], self.chance[sampled])
            choice += (before - self.partners)[self.starts[group]]
            place = np.searchsorted(before, choice, side="right")
            first = self.ranked[place]
            second = self.ranked[self.low[place] + choice - (before - self.partners)[place]]
            swap = (self.rating[first] == self.rating[second]) & (first > second)
            yield np.where(swap, second, first), np.where(swap, first, second)


def pair_up(
    rule: str, group: Keys, text: Keys, rating: Floats, *, seed: int, limits: Limits
) -> Pairing:
    """Pair the responses of each group.

    Args:
        rule: a key of PAIRINGS.
        group: (N,) key of the group of each response, in order of appearance.
        text: (N,) hash of each response; no two of a group are the same text.
        rating: (N,) finite ratings.
        seed: seeds the order of equal ratings, the random partner of `best-random` and samples.
        limits: the cap. In a group with more pairs, those that `limits` calls of no use are left
            out first, and the cap is a sample of the rest.

    Raises:
        InputError: if the rule is not known.
    """
    partners_of = lookup("pairing", rule, PAIRINGS)
    draw = seeded(text, seed)
    _, first_seen, member = np.unique(group, return_index=True, return_inverse=True)
    appears = first_seen[member]
    ranked = np.lexsort((draw, -rating, appears)).astype(np.int64)
    ordered = appears[ranked]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(group)])
    sizes = np.diff(np.r_[starts, len(group)])
    chance = seeded(np.add.reduceat(draw[ranked], starts), seed)
    low, high = partners_of(starts, sizes, chance)
    pairs = _per_group(high - low, starts)
    over = (pairs > limits.cap) & (limits.cap > 0)
    no_tie, low = _without_useless(rating[ranked], low, high, np.repeat(over, sizes), limits)
    choices = _per_group(high - low, starts)
    made = np.where(over, np.minimum(choices, limits.cap), choices)
    excess = Excess(
        first=ordered[starts][over],
        pairs=pairs[over],
        ties=(pairs - _per_group(high - no_tie, starts))[over],
        small=_per_group(low - no_tie, starts)[over],
        made=made[over],
    )
    alone = ranked[starts[sizes == 1]]
    return Pairing(alone, excess, ranked, rating, low, high - low, starts, choices, made, chance)


def _per_group(counts: Rows, starts: Rows) -> Rows:
    return np.asarray(np.add.reduceat(counts, starts), dtype=np.int64)


def _without_useless(
    rating: Floats, low: Rows, high: Rows, where: Bools, limits: Limits
) -> tuple[Rows, Rows]:
    """Return (N,) `low` after the ties of the places in `where`, and then after small gaps too.

    Partners are ranked, so that those too near are the first of a range.
    """
    no_tie = low.copy()
    if limits.drop_ties:
        no_tie[where] = _skip(rating, low, high, where, lambda gap: gap == 0)
    large = no_tie.copy()
    if limits.min_margin > 0:
        large[where] = _skip(rating, no_tie, high, where, lambda gap: gap < limits.min_margin)
    return no_tie, large


def _skip(
    rating: Floats, low: Rows, high: Rows, where: Bools, near: Callable[[Floats], Bools]
) -> Rows:
    """Return for the places in `where` the first partner that is not near, or `high`: bisection."""
    place, low, high = np.flatnonzero(where), low[where], high[where]
    while len(undecided := np.flatnonzero(low < high)):
        middle = (low[undecided] + high[undecided]) // 2
        with np.errstate(over="ignore"):  # an infinite margin is rejected by name
            skip = near(rating[place[undecided]] - rating[middle])
        low[undecided[skip]] = middle[skip] + 1
        high[undecided[~skip]] = middle[~skip]
    return low


# Each rule: (G,) place of each group's best, (G,) its size, (G,) a random uint64
# -> (N,) low and high: the response in place i is paired with those in low[i] <= place < high[i].
Rule = Callable[[Rows, Rows, Keys], tuple[Rows, Rows]]


def _best_random(starts: Rows, sizes: Rows, chance: Keys) -> tuple[Rows, Rows]:
    others = np.maximum(sizes - 1, 1).astype(np.uint64)
    return _of_the_best(starts, sizes, starts + 1 + (chance % others).astype(np.int64))


def _best_worst(starts: Rows, sizes: Rows, _chance: Keys) -> tuple[Rows, Rows]:
    return _of_the_best(starts, sizes, starts + sizes - 1)


def _of_the_best(starts: Rows, sizes: Rows, partner: Rows) -> tuple[Rows, Rows]:
    """Pair only the best of each group, with the response in place `partner`."""
    low = np.zeros(int(sizes.sum()), dtype=np.int64)
    high = low.copy()
    several = sizes > 1
    low[starts[several]] = partner[several]
    high[starts[several]] = partner[several] + 1
    return low, high


def _adjacent(starts: Rows, sizes: Rows, chance: Keys) -> tuple[Rows, Rows]:
    low, end = _all_pairs(starts, sizes, chance)
    return low, np.minimum(low + 1, end)


def _all_pairs(starts: Rows, sizes: Rows, _chance: Keys) -> tuple[Rows, Rows]:
    return np.arange(1, int(sizes.sum()) + 1), np.repeat(starts + sizes, sizes)


PAIRINGS: Mapping[str, Rule] = {
    "best-random": _best_random,
    "best-worst": _best_worst,
    "all": _all_pairs,
    "adjacent": _adjacent,
}
