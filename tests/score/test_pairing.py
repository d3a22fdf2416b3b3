"""Pairing rules: which responses meet, in which order, and that chance is seeded."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.hashing import seeded
from margintool.pairing import PAIRINGS, Limits, Pairing, pair_up
from mmpo_core.errors import InputError

# Two prompts whose responses alternate; ratings of prompt 7: 1, 9, 5; of prompt 3: 2, 2.
GROUP = np.array([7, 3, 7, 3, 7], dtype=np.uint64)
RATING = np.array([1.0, 2.0, 9.0, 2.0, 5.0])
TEXT = seeded(np.arange(5, dtype=np.uint64), 1)


def listed(pairing: Pairing) -> list[tuple[int, int]]:
    return [
        pair
        for first, second in pairing.batches()
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]


def pairs(rule: str, seed: int = 0) -> list[tuple[int, int]]:
    return listed(pair_up(rule, GROUP, TEXT, RATING, seed=seed, limits=Limits()))


def one_group(ratings: list[float], limits: Limits, rule: str = "all", seed: int = 0) -> Pairing:
    n = len(ratings)
    text = seeded(np.arange(n, dtype=np.uint64), 2)
    group = np.ones(n, np.uint64)
    return pair_up(rule, group, text, np.array(ratings), seed=seed, limits=limits)


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
        made = pair_up(
            "best-random", GROUP[alone], TEXT[alone], RATING[alone], seed=seed, limits=Limits()
        )
        first, second = listed(made)[0]
        assert (alone[first], alone[second]) == pairs("best-random", seed)[0]


def test_random_partners_are_spread_evenly() -> None:
    """4,000 groups of 4: each of the 3 partners is drawn 1,333 times, sd 30; 5 sd allowed."""
    group = np.repeat(np.arange(4000, dtype=np.uint64), 4)
    text = seeded(np.arange(16000, dtype=np.uint64), 3)
    rating = np.tile([4.0, 3.0, 2.0, 1.0], 4000)
    made = listed(pair_up("best-random", group, text, rating, seed=1, limits=Limits()))
    counts = np.bincount([second % 4 for _, second in made], minlength=4)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 4000 / 3).max() < 150


def test_a_single_response_gives_no_pair() -> None:
    one = np.array([1, 2, 2], dtype=np.uint64)
    for rule in PAIRINGS:
        made = pair_up(rule, one, TEXT[:3], np.array([1.0, 2.0, 3.0]), seed=0, limits=Limits())
        assert listed(made) == [(2, 1)]
        assert made.alone.tolist() == [0]


def test_no_responses_give_no_pairs() -> None:
    nothing = np.empty(0, np.uint64)
    for rule in PAIRINGS:
        made = pair_up(rule, nothing, nothing, np.empty(0), seed=0, limits=Limits(cap=1))
        assert listed(made) == []
        assert len(made.alone) == len(made.excess.first) == 0


def test_batches_cut_the_list_of_pairs_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pairs("all")
    for size in (1, 2, 3):
        monkeypatch.setattr("margintool.pairing.PAIRS_AT_ONCE", size)
        assert pairs("all") == whole


ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 10)), max_size=40)
RULE, SEED = st.sampled_from(sorted(PAIRINGS)), st.integers(0, 2**31)


@given(RULE, ROWS, SEED)
def test_pairs_stay_in_their_group_and_never_put_the_worse_first(
    rule: str, rows: list[tuple[int, int]], seed: int
) -> None:
    group = np.array([g for g, _ in rows], dtype=np.uint64)
    rating = np.array([float(r) for _, r in rows])
    text = seeded(np.arange(len(rows), dtype=np.uint64), 5)
    made = listed(pair_up(rule, group, text, rating, seed=seed, limits=Limits()))
    first, second = (np.array([p[side] for p in made], dtype=int) for side in (0, 1))
    assert np.all(group[first] == group[second])
    assert np.all(first != second)
    assert np.all(rating[first] >= rating[second])
    assert np.all(first[rating[first] == rating[second]] < second[rating[first] == rating[second]])
    assert len(set(made)) == len(made)
    starts = [int(np.flatnonzero(group == g)[0]) for g in group[first]]
    assert starts == sorted(starts)
    sizes = np.unique(group, return_counts=True)[1]
    expected = {
        "all": int((sizes * (sizes - 1) // 2).sum()),
        "adjacent": int((sizes - 1).sum()),
    }.get(rule, int((sizes > 1).sum()))
    assert len(made) == expected


LIMITS = st.builds(
    Limits, cap=st.integers(0, 12), drop_ties=st.booleans(), min_margin=st.sampled_from([0, 2, 4.0])
)


@given(RULE, ROWS, SEED, LIMITS)
def test_the_cap_takes_useful_pairs_and_the_rest_is_counted(
    rule: str, rows: list[tuple[int, int]], seed: int, limits: Limits
) -> None:
    """Against a list of all pairs, group by group."""
    group = np.array([g for g, _ in rows], dtype=np.uint64)
    rating = np.array([float(r) for _, r in rows])
    text = seeded(np.arange(len(rows), dtype=np.uint64), 6)
    everything = listed(pair_up(rule, group, text, rating, seed=seed, limits=Limits()))
    pairing = pair_up(rule, group, text, rating, seed=seed, limits=limits)
    made = listed(pairing)
    assert set(made) <= set(everything)
    assert len(set(made)) == len(made)
    excess = {
        int(group[first]): numbers
        for first, *numbers in zip(
            pairing.excess.first.tolist(),
            *(
                getattr(pairing.excess, name).tolist()
                for name in ("pairs", "ties", "small", "made")
            ),
            strict=True,
        )
    }
    for key in np.unique(group).tolist():
        pairs_of = [p for p in everything if group[p[0]] == key]
        kept = [p for p in made if group[p[0]] == key]
        gaps = [rating[a] - rating[b] for a, b in pairs_of]
        if not limits.cap or len(pairs_of) <= limits.cap:
            assert kept == pairs_of
            assert key not in excess
            continue
        ties = sum(limits.drop_ties and gap == 0 for gap in gaps)
        small = sum(g < limits.min_margin and not (limits.drop_ties and g == 0) for g in gaps)
        expected = min(limits.cap, len(pairs_of) - ties - small)
        assert len(kept) == expected
        assert excess[key] == [len(pairs_of), ties, small, expected]
        for a, b in kept:
            gap = rating[a] - rating[b]
            assert gap >= limits.min_margin
            assert gap > 0 or not limits.drop_ties


@given(RULE, st.lists(st.integers(1, 4), min_size=2, max_size=12), st.randoms(), SEED)
def test_the_order_of_the_file_does_not_matter(rule: str, ratings, random, seed: int) -> None:  # type: ignore[no-untyped-def]
    """The same texts are paired, also among equal ratings and in samples."""
    order = list(range(len(ratings)))
    random.shuffle(order)
    text = seeded(np.arange(len(ratings), dtype=np.uint64), 8)
    group, rating = np.zeros(len(ratings), np.uint64), np.array(ratings, float)
    limits = Limits(cap=3)
    straight = listed(pair_up(rule, group, text, rating, seed=seed, limits=limits))
    shuffled = listed(pair_up(rule, group, text[order], rating[order], seed=seed, limits=limits))
    moved = {frozenset((order[a], order[b])) for a, b in shuffled}
    assert moved == {frozenset(pair) for pair in straight}


def test_samples_reach_every_pair_and_follow_the_seed() -> None:
    """8 responses have 28 pairs, of which 5 are made; the chance that 60 seeds miss one is 2e-4."""
    ratings = [float(i) for i in range(8)]
    samples = [listed(one_group(ratings, Limits(cap=5), seed=seed)) for seed in range(60)]
    assert all(len(set(sample)) == 5 for sample in samples)
    assert len({pair for sample in samples for pair in sample}) == 28
    assert samples[7] == listed(one_group(ratings, Limits(cap=5), seed=7))


def test_a_million_responses_to_one_prompt_are_not_paired_one_by_one() -> None:
    """5e11 pairs, of which 5 are made: nothing of that length exists."""
    n = 1_000_000
    limits = replace(Limits(cap=5), drop_ties=True)
    pairing = one_group([float(i % 10) for i in range(n)], limits)
    made = listed(pairing)
    assert len(set(made)) == 5
    assert all(a % 10 > b % 10 for a, b in made)
    assert pairing.excess.pairs.tolist() == [n * (n - 1) // 2]
    tenth = n // 10
    assert pairing.excess.ties.tolist() == [10 * (tenth * (tenth - 1) // 2)]


def test_unknown_rule() -> None:
    with pytest.raises(InputError, match="unknown pairing"):
        pairs("best")
