"""mmpo_core.calibration against hand values, scikit-learn and its own symmetries."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from mmpo_core.calibration import (
    accuracy,
    bootstrap_interval,
    both_ways,
    brier,
    ece,
    nll,
    pair_ece,
    reliability,
    resampled_rows,
)
from mmpo_core.errors import InputError

unit = st.floats(0.0, 1.0, allow_nan=False)
pairs = st.lists(st.tuples(unit, unit), min_size=1, max_size=40).map(
    lambda rows: tuple(np.array(rows).T)
)


def predictions_and_outcomes(n=500):
    rng = np.random.default_rng(5)
    predicted = rng.uniform(0.01, 0.99, n)
    return predicted, (rng.uniform(size=n) < predicted**2).astype(float)


def test_hand_values():
    """p = .8, .4, .6 against outcomes 1, 1, 0.

    accuracy: only the first is right, 1/3. Brier: (.04 + .36 + .36) / 3 = .76 / 3.
    NLL: -(ln .8 + ln .4 + ln .4) / 3.
    """
    p, y = [0.8, 0.4, 0.6], [1, 1, 0]
    assert accuracy(p, y) == pytest.approx(1 / 3, abs=1e-15)
    assert brier(p, y) == pytest.approx(0.76 / 3, abs=1e-15)
    assert nll(p, y) == pytest.approx(-(math.log(0.8) + 2 * math.log(0.4)) / 3, abs=1e-15)


def test_ece_by_hand():
    """Two bins: (0, .5] has p = .2, .4 with truth 0, 1: |.3 - .5| = .2, two of four rows;
    (.5, 1] has p = .7, .9 with truth 1, 1: |.8 - 1| = .2, two of four. ECE = .2.
    """
    assert ece([0.2, 0.4, 0.7, 0.9], [0, 1, 1, 1], bins=2) == pytest.approx(0.2, abs=1e-15)


def test_reliability_table_by_hand():
    table = reliability([0.0, 0.5, 0.6, 1.0], [0.1, 0.3, 0.8, 0.9], bins=4)
    assert table.count.tolist() == [1, 1, 1, 1]
    assert table.low.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert table.mean_predicted.tolist() == [0.0, 0.5, 0.6, 1.0]
    assert table.mean_true.tolist() == [0.1, 0.3, 0.8, 0.9]


def test_empty_bins_are_nan_and_weigh_nothing():
    table = reliability([0.95], [1.0], bins=10)
    assert np.isnan(table.mean_true[:9]).all()
    assert ece([0.95], [1.0]) == pytest.approx(0.05, abs=1e-15)


def test_agrees_with_scikit_learn_on_outcomes():
    p, y = predictions_and_outcomes()
    assert brier(p, y) == pytest.approx(brier_score_loss(y, p), abs=1e-14)
    assert nll(p, y) == pytest.approx(log_loss(y, p), abs=1e-14)
    mean_true, mean_predicted = calibration_curve(y, p, n_bins=10)
    table = reliability(p, y, bins=10)
    used = table.count > 0
    np.testing.assert_allclose(table.mean_true[used], mean_true, atol=1e-14)
    np.testing.assert_allclose(table.mean_predicted[used], mean_predicted, atol=1e-14)


def test_soft_truth_is_the_mean_over_outcomes():
    """With q = .7: nll(p, q) = .7 nll(p, 1) + .3 nll(p, 0); Brier has q (1 - q) = .21 more noise
    against outcomes than against q.
    """
    p, q = [0.6], [0.7]
    assert nll(p, q) == pytest.approx(0.7 * nll(p, [1]) + 0.3 * nll(p, [0]), abs=1e-15)
    outcomes = 0.7 * brier(p, [1]) + 0.3 * brier(p, [0])
    assert outcomes == pytest.approx(brier(p, q) + 0.21, abs=1e-15)


def test_certain_and_right_costs_nothing_certain_and_wrong_costs_everything():
    assert nll([1.0, 0.0], [1.0, 0.0]) == 0.0
    assert nll([1.0, 0.5], [0.9, 0.5]) == math.inf


def test_undecided_counts_half():
    assert accuracy([0.5, 0.9], [1.0, 0.5]) == 0.5


@given(pairs)
def test_perfect_predictions_have_no_error(rows):
    _, q = rows
    assert brier(q, q) == 0.0
    assert ece(q, q) == pytest.approx(0.0, abs=1e-12)


@given(pairs)
def test_scores_do_not_depend_on_the_order_of_rows_and_stay_in_range(rows):
    p, q = rows
    for score in (accuracy, brier, ece, pair_ece):
        assert 0.0 <= score(p, q) <= 1.0
        assert score(p[::-1], q[::-1]) == pytest.approx(score(p, q), abs=1e-12)


@given(pairs, st.integers(0, 2**40))
def test_turning_any_pairs_round_changes_nothing(rows, turned):
    p, q = rows
    flip = np.array([(turned >> i) & 1 for i in range(len(p))], dtype=bool)
    p2, q2 = np.where(flip, 1 - p, p), np.where(flip, 1 - q, q)
    for score in (accuracy, brier, pair_ece):
        assert score(p2, q2) == pytest.approx(score(p, q), abs=1e-12)


@given(pairs)
def test_ece_is_at_most_the_mean_absolute_error(rows):
    p, q = rows
    assert ece(p, q) <= np.mean(np.abs(p - q)) + 1e-12


def test_ece_of_chosen_first_pairs_misleads_and_both_ways_does_not():
    """Answers with truth .7 / .3 predicted exactly, turned so that the voted winner stands first.

    Outcome-first orientation: every outcome is 1, so the ECE is 1 - mean(p) = 1 - .58 = .42 for
    perfect predictions. Counted both ways it is 0 up to sampling noise.
    """
    rng = np.random.default_rng(0)
    won = rng.uniform(size=20_000) < 0.7
    p_winner = np.where(won, 0.7, 0.3)
    assert ece(p_winner, np.ones(20_000)) == pytest.approx(0.42, abs=0.01)
    assert pair_ece(p_winner, np.ones(20_000)) < 0.01


def test_both_ways_doubles_rows_and_mirrors_them():
    p, t = both_ways([0.75, 0.25], [1.0, 0.5])
    assert p.tolist() == [0.75, 0.75, 0.25, 0.25]
    assert t.tolist() == [1.0, 0.5, 0.0, 0.5]


def test_bootstrap_interval_of_a_mean_matches_theory_and_repeats():
    """Mean of 400 standard normals: 95% interval about +-1.96 / 20 around the sample mean."""
    x = np.random.default_rng(1).normal(size=400)

    def mean(rows):
        return float(x[rows].mean())

    low, high = bootstrap_interval(mean, np.arange(400), seed=3)
    assert (low, high) == bootstrap_interval(mean, np.arange(400), seed=3)
    assert (low, high) != bootstrap_interval(mean, np.arange(400), seed=4)
    half = 1.96 * x.std() / 20
    assert low == pytest.approx(x.mean() - half, abs=0.02)
    assert high == pytest.approx(x.mean() + half, abs=0.02)


def test_bootstrap_draws_whole_groups():
    """Ten copies of each of 20 values: by rows the interval would be sqrt(10) times too narrow."""
    values = np.repeat(np.random.default_rng(2).normal(size=20), 10)

    def mean(rows):
        return float(values[rows].mean())

    by_group = bootstrap_interval(mean, np.repeat(np.arange(20), 10))
    by_row = bootstrap_interval(mean, np.arange(200))
    ratio = (by_group[1] - by_group[0]) / (by_row[1] - by_row[0])
    assert ratio == pytest.approx(math.sqrt(10), rel=0.2)


def test_resampled_rows_are_whole_groups_in_the_order_of_the_draws():
    """Groups a, b, c hold rows (0, 3), (1,), (2, 4, 5); the draws come from the same generator."""
    rows = {0: [0, 3], 1: [1], 2: [2, 4, 5]}
    rng = np.random.default_rng(7)
    found = resampled_rows(list("abcacc"), resamples=20, seed=7)
    for drawn in found:
        assert drawn.tolist() == [r for g in rng.integers(3, size=3) for r in rows[int(g)]]


def test_resampled_rows_of_fewer_draws():
    sizes = [len(r) for r in resampled_rows(np.arange(1000), resamples=3, seed=0, draws=40)]
    assert sizes == [40, 40, 40]


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        ([0.5, 1.2], [0, 1], r"predicted\[1\] is 1.2"),
        ([0.5], [math.nan], r"truth\[0\] is nan"),
        ([0.5, 0.5], [1.0], "predicted has 2 rows and truth 1"),
        ([[0.5], [0.5]], [[1.0], [0.0]], r"got shape \(2, 1\)"),
        ([], [], r"got shape \(0,\)"),
    ],
)
def test_bad_arrays_are_named(predicted, truth, message):
    with pytest.raises(InputError, match=message):
        brier(predicted, truth)


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="bins"):
        ece([0.5], [0.5], bins=0)
    with pytest.raises(InputError, match="groups"):
        bootstrap_interval(lambda rows: 0.0, [])
    with pytest.raises(InputError, match="level"):
        bootstrap_interval(lambda rows: 0.0, [1], level=1.0)
