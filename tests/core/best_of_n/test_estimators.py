"""What the best of n is worth, against all subsets counted one by one and against known maxima."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.best_of_n.estimators import (
    by_prompt,
    expected_of_best,
    mean_over_prompts,
    rank_weights,
)
from mmpo_core.errors import InputError

NUMBERS = st.integers(-5, 5)  # few values: ties are common


def counted(scores: list[int], values: list[int], n: int) -> float:
    """The mean over all subsets of n of what the best is worth, equal ones taken evenly."""
    worth = []
    for subset in combinations(range(len(scores)), n):
        top = max(scores[i] for i in subset)
        best = [values[i] for i in subset if scores[i] == top]
        worth.append(sum(best) / len(best))
    return sum(worth) / len(worth)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=7), st.data())
def test_equal_to_all_subsets_counted(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    scores, values = [a for a, _ in pairs], [b for _, b in pairs]
    n = data.draw(st.integers(1, len(pairs)))
    assert expected_of_best(scores, n) == pytest.approx(counted(scores, scores, n), abs=1e-12)
    assert expected_of_best(scores, n, values) == pytest.approx(
        counted(scores, values, n), abs=1e-12
    )


def test_by_hand() -> None:
    """Of 3, 1, 2: one is worth their mean 2; of the pairs (1, 2), (1, 3), (2, 3) the best are
    2, 3 and 3, so 8/3; all three 3."""
    assert [expected_of_best([3.0, 1.0, 2.0], n) for n in (1, 2, 3)] == pytest.approx([2, 8 / 3, 3])


def test_the_proxy_may_be_wrong() -> None:
    """Picked by a score that is the reverse of the value, the best of all is the worst."""
    assert expected_of_best([1.0, 2.0, 3.0], 3, [30.0, 20.0, 10.0]) == 10


def test_weights_are_the_binomials_also_where_these_overflow() -> None:
    exact = [math.comb(i - 1, 4) / math.comb(12, 5) for i in range(1, 13)]
    assert rank_weights(12, 5).tolist() == pytest.approx(exact, abs=1e-15)
    large = rank_weights(5000, 2500)  # C(5000, 2500) has 1,504 digits
    assert large.sum() == pytest.approx(1, abs=1e-12)
    assert large[-1] == 0.5
    assert math.comb(4989, 2499) / math.comb(5000, 2500) == pytest.approx(large[-11], rel=1e-12)


def test_unbiased_for_the_maximum_of_uniform_numbers() -> None:
    """The maximum of n uniform numbers has mean n / (n + 1): 0.8 for n = 4. The estimates of 4,000
    sets of 16 have a standard deviation below 0.12 (that of one maximum is 0.163), so their mean
    is known to 0.002; the naive mean of the best of all 16 would be 16/17 = 0.94."""
    draws = np.random.default_rng(3).random((4000, 16))
    assert float(by_prompt(list(draws), [4]).mean()) == pytest.approx(0.8, abs=0.008)


def test_more_answers_are_worth_no_less() -> None:
    scores = np.random.default_rng(1).normal(size=20)
    curve = by_prompt([scores], range(1, 21))[0]
    assert (np.diff(curve) >= 0).all()
    assert curve[0] == pytest.approx(scores.mean(), abs=1e-12)
    assert curve[-1] == scores.max()


def test_prompts_may_have_different_numbers_of_candidates() -> None:
    assert by_prompt([[1.0, 3.0], [5.0, 5.0, 8.0]], [1, 2]).tolist() == [
        pytest.approx([2, 3]),
        pytest.approx([6, 7]),
    ]


def test_intervals_are_over_prompts() -> None:
    """100 prompts at 0 and 100 at 1: the standard error of the mean is 0.5 / sqrt(200) = 0.0354."""
    table = np.repeat([[0.0, 3.0], [1.0, 3.0]], 100, axis=0)
    first, second = mean_over_prompts(table, resamples=2000, seed=0)
    low, high = first.interval() or (math.nan, math.nan)
    assert first.value == 0.5
    assert (low, high) == pytest.approx((0.5 - 0.0693, 0.5 + 0.0693), abs=0.01)
    assert second.interval() == (3, 3)


def test_the_same_prompts_are_drawn_for_all_n() -> None:
    table = np.random.default_rng(0).normal(size=(9, 1))
    first, second = mean_over_prompts(np.concatenate([table, table + 1], axis=1), resamples=50)
    assert second.draws - first.draws == pytest.approx(np.ones(50))


def test_of_one_prompt_there_is_no_interval() -> None:
    (only,) = mean_over_prompts([[2.0]])
    assert (only.value, only.interval()) == (2, None)


@pytest.mark.parametrize(
    ("scores", "n", "values", "words"),
    [
        ([1.0, 2.0], 3, None, "n is 3, expected a number from 1 to the 2 candidates"),
        ([1.0, 2.0], 0, None, "n is 0"),
        ([1.0, math.nan], 1, None, r"scores\[1\] is nan"),
        ([1.0, 2.0], 1, [1.0], "2 scores and 1 values"),
        ([], 1, None, "scores must be"),
    ],
)
def test_what_cannot_be_used_is_refused(
    scores: list[float], n: int, values: list[float] | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        expected_of_best(scores, n, values)


def test_the_prompt_at_fault_is_named() -> None:
    with pytest.raises(InputError, match="prompt 1: n is 2"):
        by_prompt([[1.0, 2.0], [1.0]], [2])
    with pytest.raises(InputError, match="at least one prompt"):
        mean_over_prompts(np.empty((0, 2)))
