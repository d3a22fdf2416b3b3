"""Quantiles, histogram, length bias, duplicates: against hand-derived values, numpy and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from margintool.report.measures import duplicates, histogram, length_bias, quantiles

finite = st.floats(-1e6, 1e6)


def test_quantiles_of_one_to_five() -> None:
    """Linear interpolation: 25% of 1..5 is 2, 5% is 1.2, mean 3."""
    found = quantiles(np.arange(1.0, 6.0))
    assert found["min"] == 1
    assert found["5%"] == pytest.approx(1.2)
    assert found["25%"] == 2
    assert found["50%"] == 3
    assert found["max"] == 5
    assert found["mean"] == 3


def test_quantiles_leave_out_nan_and_infinity() -> None:
    assert quantiles(np.array([1.0, np.nan, np.inf, 3.0]))["mean"] == 2


def test_quantiles_of_nothing_are_empty() -> None:
    assert quantiles(np.array([np.nan])) == {}


def test_histogram_counts_zeros_apart_and_keeps_an_outlier_in_the_last_bin() -> None:
    """1..100 and 10,000: the 99% quantile of the 101 values is 100, so bins of two end at 100.

    The last bin is stretched to 10,000 and holds 96..100 and the outlier, others 5 each.
    """
    values = np.concatenate([np.zeros(7), np.arange(1.0, 101.0), [10_000.0]])
    found = histogram("margin", values)
    assert found is not None
    assert found.zeros == 7
    assert found.edges[-1] == 10_000
    assert found.edges[-2] == pytest.approx(95)
    assert found.counts[-1] == 7  # 95 (bins are closed on the left) to 100, and 10,000
    assert sum(found.counts) == 101


def test_histogram_of_few_different_values_counts_each() -> None:
    """Ratings give such margins; bins between them would all be empty."""
    found = histogram("margin", np.array([0.0, 2.0, 1.0, 2.0, np.nan]))
    assert found is not None
    assert (found.zeros, found.edges) == (1, [])
    assert (found.values, found.counts) == ([1.0, 2.0], [1, 2])


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [0.0], [1e-320, 2e-320], [1.0, 1 + 2**-52]])
def test_histogram_holds_every_value_whatever_their_spread(values: list[float]) -> None:
    found = histogram("margin", np.array(values))
    assert found is not None
    assert found.zeros + sum(found.counts) == len(values)


@given(st.lists(finite, min_size=1, max_size=60))
def test_histogram_loses_no_value(values: list[float]) -> None:
    found = histogram("margin", np.array(values))
    assert found is not None
    assert found.zeros + sum(found.counts) == len(values)
    assert found.edges == sorted(set(found.edges))


def test_histogram_of_values_too_close_for_bins_loses_none() -> None:
    """25 neighbouring floats above 1, and 25 below -1e300: no 20 bins fit between any two."""
    values = 1 + np.arange(25) * 2.0**-52
    found = histogram("margin", np.concatenate([values, [-1e300]]))
    assert found is not None
    assert sum(found.counts) == 26


def test_length_bias_leaves_ties_out() -> None:
    """Differences of the three pairs with a winner: -2, 3, 0."""
    margin = np.array([0.0, 1.0, 2.0, 3.0])
    found = length_bias("characters", margin, np.array([2, 1, 4, 4]), np.array([1, 3, 1, 4]))
    assert (found.pairs, found.longer, found.equal, found.shorter) == (3, 1, 1, 1)
    assert found.share_longer == pytest.approx(1 / 3)


@given(st.lists(st.tuples(st.floats(0.01, 9), st.integers(0, 99)), min_size=3, max_size=40))
def test_length_bias_correlations_are_scipys(rows: list[tuple[float, int]]) -> None:
    margin, chosen = np.array([m for m, _ in rows]), np.array([n for _, n in rows])
    found = length_bias("words", margin, chosen, np.zeros_like(chosen))
    if np.ptp(margin) == 0 or np.ptp(chosen) == 0:
        assert found.pearson is None
        assert found.spearman is None
    else:
        ranks = stats.rankdata(margin), stats.rankdata(chosen)
        assert found.spearman == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)
        assert found.pearson == pytest.approx(np.corrcoef(margin, chosen)[0, 1], abs=1e-6)


def test_length_bias_of_two_pairs_has_no_correlation() -> None:
    found = length_bias("words", np.array([1.0, 2.0]), np.array([3, 9]), np.array([1, 1]))
    assert found.spearman is None
    assert found.share_longer == 1


def test_length_bias_without_a_winner() -> None:
    found = length_bias("words", np.zeros(3), np.arange(3), np.arange(3))
    assert found.share_longer is None


def test_duplicates_tell_repeated_from_swapped() -> None:
    """Pairs AB, AB, BA of prompt 1 and XY of prompt 2: two repeat the first, one is turned."""
    prompt = np.array([1, 1, 1, 2], dtype=np.uint64)
    ordered = np.array([10, 10, 11, 20], dtype=np.uint64)
    pair = np.array([10, 10, 10, 20], dtype=np.uint64)
    found = duplicates(prompt, ordered, pair, identical=0)
    assert found.repeated == 2
    assert found.swapped == 1
    assert found.first_repeated == 1
    assert found.prompts == 2
    assert found.pairs_per_prompt == {1: 1, 3: 1}
