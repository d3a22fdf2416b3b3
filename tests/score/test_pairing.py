"""Pairing rules: which responses meet, in which order, and that chance is seeded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.pairing import PAIRINGS, group_sizes, pair_rows
from mmpo_core.errors import InputError

# Two prompts whose responses alternate; ratings of prompt 7: 1, 9, 5; of prompt 3: 2, 2.
GROUP = np.array([7, 3, 7, 3, 7], dtype=np.uint64)
RATING = np.array([1.0, 2.0, 9.0, 2.0, 5.0])


def pairs(rule: str, seed: int = 0) -> list[tuple[int, int]]:
    first, second = pair_rows(rule, GROUP, RATING, seed)
    return list(zip(first.tolist(), second.tolist(), strict=True))


def test_best_worst() -> None:
    """Prompt 7 comes first in the input: row 2 (9) with row 0 (1); then 3: equal, input order."""
    assert pairs("best-worst") == [(2, 0), (1, 3)]


def test_all_pairs_best_first() -> None:
    """Ranks of prompt 7: rows 2, 4, 0."""
    assert pairs("all") == [(2, 4), (2, 0), (4, 0), (1, 3)]


def test_adjacent_ranks() -> None:
    assert pairs("adjacent") == [(2, 4), (4, 0), (1, 3)]


def test_best_random_has_the_best_and_varies_with_the_seed() -> None:
    found = {pairs("best-random", seed)[0] for seed in range(20)}
    assert found == {(2, 0), (2, 4)}
    assert pairs("best-random", 5) == pairs("best-random", 5)


def test_best_random_partner_does_not_depend_on_other_groups() -> None:
    alone = np.array([0, 2, 4])
    for seed in range(10):
        first, second = pair_rows("best-random", GROUP[alone], RATING[alone], seed)
        assert (alone[first[0]], alone[second[0]]) == pairs("best-random", seed)[0]


def test_random_partners_are_spread_evenly() -> None:
    """4,000 groups of 4: each of the 3 partners is drawn 1,333 times, sd 30; 5 sd allowed."""
    group = np.repeat(np.arange(4000, dtype=np.uint64), 4)
    rating = np.tile([4.0, 3.0, 2.0, 1.0], 4000)
    _, second = pair_rows("best-random", group, rating, seed=1)
    counts = np.bincount(second % 4, minlength=4)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 4000 / 3).max() < 150


def test_a_single_response_gives_no_pair() -> None:
    one = np.array([1, 2, 2], dtype=np.uint64)
    for rule in PAIRINGS:
        first, second = pair_rows(rule, one, np.array([1.0, 2.0, 3.0]), 0)
        assert (first.tolist(), second.tolist()) == ([2], [1])
    assert group_sizes(one).tolist() == [1, 2, 2]


def test_no_responses_give_no_pairs() -> None:
    for rule in PAIRINGS:
        first, second = pair_rows(rule, np.empty(0, np.uint64), np.empty(0), 0)
        assert len(first) == len(second) == 0


@given(
    st.sampled_from(sorted(PAIRINGS)),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 10)), max_size=40),
    st.integers(0, 2**31),
)
def test_pairs_stay_in_their_group_and_never_put_the_worse_first(
    rule: str, rows: list[tuple[int, int]], seed: int
) -> None:
    group = np.array([g for g, _ in rows], dtype=np.uint64)
    rating = np.array([float(r) for _, r in rows])
    first, second = pair_rows(rule, group, rating, seed)
    assert np.all(group[first] == group[second])
    assert np.all(first != second)
    assert np.all(rating[first] >= rating[second])
    starts = [int(np.flatnonzero(group == g)[0]) for g in group[first]]
    assert starts == sorted(starts)
    sizes = np.unique(group, return_counts=True)[1]
    expected = {
        "all": int((sizes * (sizes - 1) // 2).sum()),
        "adjacent": int((sizes - 1).sum()),
    }.get(rule, int((sizes > 1).sum()))
    assert len(first) == expected


def test_unknown_rule() -> None:
    with pytest.raises(InputError, match="unknown pairing"):
        pair_rows("best", GROUP, RATING, 0)
