"""The numbers of joined pairs: by hand, against scipy and scikit-learn, and their symmetries."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.metrics import brier_score_loss, log_loss

from margintool.compare.measures import (
    AGREEMENT,
    CALIBRATION,
    agreement,
    calibration,
    same_winner,
    spearman_signed,
    winners,
)

values = st.integers(-4, 4).map(float) | st.floats(-1e3, 1e3, allow_subnormal=False)
two_columns = st.lists(st.tuples(values, values), min_size=1, max_size=30).map(
    lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True))
)


def test_three_pairs_by_hand() -> None:
    """a = (3, -1, 2), b = (2, 1, -1).

    Winners: the same in the first of three. Pearson both ways: (6 - 1 - 2) / sqrt(14 * 6).
    Ranks of |a| are 3, 1, 2, those of |b| 3, 1.5, 1.5; minus 1/2 and with the sign
    (2.5, -.5, 1.5) and (2.5, 1, -1): Spearman (6.25 - .5 - 1.5) / sqrt(8.75 * 8.25).
    Kendall, 15 pairs of 6 points: the first and its mirror with the four others, 8 concordant;
    (-1, 1) and its mirror with (2, -1) and its own, 2 discordant and 2 tied in b; mirrors with
    each other, 1 concordant and 2 discordant: (9 - 4) / sqrt(15 * (15 - 2)).
    Sizes (3, 1, 2) and (2, 1, 1): two concordant, one tied in b: 2 / sqrt(3 * 2). Spearman of
    ranks (3, 1, 2), (3, 1.5, 1.5): 1.5 / sqrt(2 * 1.5). Pearson: sums of products 1, of squares 2
    and 2/3.
    """
    found = agreement(np.array([3.0, -1.0, 2.0]), np.array([2.0, 1.0, -1.0]))
    assert found == pytest.approx(
        {
            "same_winner": 1 / 3,
            "kendall_signed": 5 / math.sqrt(15 * 13),
            "spearman_signed": 4.25 / math.sqrt(8.75 * 8.25),
            "pearson_signed": 3 / math.sqrt(84),
            "kendall_size": 2 / math.sqrt(6),
            "spearman_size": 1.5 / math.sqrt(3),
            "pearson_size": 1 / math.sqrt(4 / 3),
        }
    )
    assert list(found) == list(AGREEMENT)


@given(two_columns)
def test_every_correlation_is_scipys(columns: tuple[np.ndarray, np.ndarray]) -> None:
    """Signed: of the 2N points in which every pair stands both ways; sizes: of the N sizes."""
    a, b = columns
    found = agreement(a, b)
    both = np.r_[a, -a], np.r_[b, -b]
    sizes = np.abs(a), np.abs(b)
    for kind, (x, y) in (("signed", both), ("size", sizes)):
        if len(set(x)) < 2 or len(set(y)) < 2:
            assert math.isnan(found[f"kendall_{kind}"])
            assert math.isnan(found[f"spearman_{kind}"])
            continue
        assert found[f"kendall_{kind}"] == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)
        assert found[f"spearman_{kind}"] == pytest.approx(spearmanr(x, y).statistic, abs=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nearly constant input
            assert found[f"pearson_{kind}"] == pytest.approx(pearsonr(x, y).statistic, abs=1e-6)
    assert spearman_signed(a, b) == pytest.approx(found["spearman_signed"], nan_ok=True)


@given(two_columns, st.randoms(use_true_random=False))
def test_turning_pairs_round_changes_nothing(
    columns: tuple[np.ndarray, np.ndarray], random: object
) -> None:
    a, b = columns
    turn = np.array([random.choice([-1.0, 1.0]) for _ in a])  # type: ignore[attr-defined]
    assert agreement(a * turn, b * turn) == pytest.approx(agreement(a, b), nan_ok=True)


def odd_function(values: np.ndarray, power: int) -> np.ndarray:
    """An odd increasing function that keeps ties and makes none, whatever is rounded."""
    sizes = np.unique(np.append(np.abs(values), 0.0))  # place 0 is that of 0
    return np.sign(values) * np.searchsorted(sizes, np.abs(values)).astype(float) ** power


@given(two_columns)
def test_rank_numbers_do_not_change_with_the_scale_of_margins(
    columns: tuple[np.ndarray, np.ndarray],
) -> None:
    """Any odd increasing function of either margin: here one of its places among the sizes."""
    a, b = columns
    before, after = agreement(a, b), agreement(odd_function(a, 3), 5 * odd_function(b, 2))
    for name in AGREEMENT:
        if not name.startswith("pearson"):
            assert after[name] == pytest.approx(before[name], nan_ok=True)


def test_independent_files_with_a_lean_do_not_agree() -> None:
    """Sizes drawn apart, winners by coin: every number is near its value by chance."""
    rng = np.random.default_rng(0)
    a, b = rng.exponential(size=(2, 4000)) * rng.choice([-1, 1], size=(2, 4000))
    found = agreement(a, b)
    assert found.pop("same_winner") == pytest.approx(0.5, abs=0.03)
    assert all(abs(value) < 0.05 for value in found.values())


def test_normal_margins_give_the_textbook_values() -> None:
    """Correlation r = 1 / sqrt 2: tau = 2/pi asin r = 1/2, Spearman 6/pi asin r/2, winners 3/4.

    Greiner's relation; the same sign has probability 1/2 + asin(r) / pi.
    """
    rng = np.random.default_rng(1)
    a = rng.normal(size=40_000)
    found = agreement(a, a + rng.normal(size=40_000))
    assert found["kendall_signed"] == pytest.approx(0.5, abs=0.01)
    assert found["spearman_signed"] == pytest.approx(6 / np.pi * np.arcsin(8**-0.5), abs=0.01)
    assert found["pearson_signed"] == pytest.approx(2**-0.5, abs=0.01)
    assert found["same_winner"] == pytest.approx(0.75, abs=0.01)


def test_ties_name_no_winner() -> None:
    """Of (1, 1), (-1, 2), (0, 1), (1, 0), (0, 0) two are decided in both, one alike."""
    assert same_winner(np.array([1.0, -1, 0, 1, 0]), np.array([1.0, 2, 1, 0, 0])) == 0.5
    assert math.isnan(same_winner(np.zeros(2), np.ones(2)))
    assert winners(np.array([3.0, -2.0, 0.0])).tolist() == [1.0, 0.0, 0.5]


def test_constant_sizes_have_no_correlation_of_sizes() -> None:
    found = agreement(np.array([0.1, -0.1, 0.1]), np.array([1.0, -2.0, 3.0]))
    assert found["pearson_signed"] == pytest.approx(6 / math.sqrt(3 * 14))
    assert math.isnan(found["pearson_size"])
    assert math.isnan(found["kendall_size"])


def test_huge_and_tiny_margins_keep_their_correlation() -> None:
    found = agreement(np.array([1e300, -1e300, 3e300]), np.array([1e-300, -1e-300, 3e-300]))
    assert found == pytest.approx(dict.fromkeys(AGREEMENT, 1.0))


@pytest.mark.parametrize("one", [2.0, -2.0])
def test_one_pair(one: float) -> None:
    """Both ways it is two points: they agree wholly or not at all. Sizes have no correlation."""
    found = agreement(np.array([1.0]), np.array([one]))
    assert found["kendall_signed"] == found["spearman_signed"] == np.sign(one)
    assert found["same_winner"] == (one > 0)
    assert math.isnan(found["spearman_size"])


def test_calibration_by_hand() -> None:
    """Predicted .8, .8, .6, .5; outcomes 1, 0, 1/2, 1.

    Accuracy (1 + 0 + 1/2 + 1/2) / 4. Brier (.04 + .64 + .01 + .25) / 4. Log-loss
    -(ln .8 + ln .2 + (ln .6 + ln .4) / 2 + ln .5) / 4. ECE both ways, the half above .5 (the other
    is its mirror; .5 and its mirror share a bin, where predictions .5, .5, .4 meet 1, 0, .5):
    (2 * |.8 - .5| + |.6 - .5|) / 8 above; below mirror .2 with gap .3 twice, and
    |1.4 / 3 - 1.5 / 3| * 3.
    """
    found = calibration(np.array([0.8, 0.8, 0.6, 0.5]), np.array([1.0, 0.0, 0.5, 1.0]))
    log = math.log
    assert found == pytest.approx(
        {
            "accuracy": 0.5,
            "brier": 0.235,
            "log_loss": -(log(0.8) + log(0.2) + (log(0.6) + log(0.4)) / 2 + log(0.5)) / 4,
            "ece": (2 * 0.3 + 0.1 + 2 * 0.3 + 0.1) / 8,
        }
    )
    assert set(found) == set(CALIBRATION)


def test_calibration_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    predicted, outcome = rng.uniform(0.01, 0.99, 300), rng.integers(0, 2, 300).astype(float)
    found = calibration(predicted, outcome)
    assert found["brier"] == pytest.approx(brier_score_loss(outcome, predicted))
    assert found["log_loss"] == pytest.approx(log_loss(outcome, predicted))
