"""Agreement of judges: published and hand-worked values, and those of scipy and krippendorff."""

import json
import warnings

import krippendorff
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn
from scipy.stats import spearmanr

from margintool.judge.agreement import Agreement, agreement, alpha

NONE = float("nan")
Floats = npt.NDArray[np.float64]

# Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, example C: 4 observers, 12
# units; alpha is 0.849 for interval data and 0.815 for ordinal.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
    [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def judged(rows: list[list[float]]) -> Agreement:
    names = "abcd"[: len(rows[0])] if rows else "ab"
    return agreement(np.array(rows, dtype=float).reshape(-1, len(names)), list(names))


def test_krippendorffs_own_example():
    found = agreement(np.array(PUBLISHED).T, ["a", "b", "c", "d"])
    assert found.alpha_interval == pytest.approx(0.849, abs=5e-4)
    assert found.alpha_ordinal == pytest.approx(0.815, abs=5e-4)
    assert found.pairs == 11  # unit 12 has one value
    assert len(found.two) == 6


def test_alpha_by_hand():
    """Units (1, 1) and (2, 4): variances 0 and 2, times 2 values: 4. All four values: mean 2,
    squares 1 + 1 + 0 + 4 = 6 over 3, times 4: 8. alpha = 1 - 4 / 8.
    """
    assert alpha(np.array([[1.0, 1], [2, 4]])) == pytest.approx(0.5)


def test_two_judges_by_hand():
    """Five pairs with both margins. Winners differ in the third pair and the fourth (a tie).
    Ranks 5 4 1 2 3 and 5 3 2 1 4: squared differences 0 + 1 + 1 + 1 + 1 = 4, and
    1 - 6 * 4 / (5 * 24) = 0.8.
    """
    rows = [[3.0, 9], [2, 1], [-2, 0.5], [-1, 0], [1, 2]]
    (two,) = judged([*rows, [NONE, 4], [5, NONE]]).two
    assert (two.judges, two.pairs) == (("a", "b"), 5)
    assert two.same_winner == pytest.approx(3 / 5)
    assert two.spearman == pytest.approx(0.8)


def test_judges_who_say_the_same_agree_and_opposite_ones_do_not():
    same = judged([[1, 1], [-2, -2], [0, 0]])
    assert (same.alpha_interval, same.alpha_ordinal) == (1, 1)
    assert (same.two[0].same_winner, same.two[0].spearman) == (1, pytest.approx(1))
    opposite = judged([[1, -1], [-2, 2], [3, -3]])
    assert (opposite.two[0].same_winner, opposite.two[0].spearman) == (0, pytest.approx(-1))
    assert opposite.alpha_interval is not None
    assert opposite.alpha_interval < 0


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [[1.0], [2.0]],  # one judge
        [[NONE, NONE]] * 3,
        [[1, NONE], [NONE, 2]],  # no pair in common
        [[2, 2]] * 4,  # no two different values
        [[float("inf"), 1], [1, float("-inf")]],  # an infinite margin is none
    ],
)
def test_what_is_not_defined_is_null(rows: list[list[float]]):
    found = judged(rows)
    text = json.dumps(found.as_dict(), allow_nan=False)
    assert found.alpha_interval is None
    assert found.alpha_ordinal is None
    assert all(two.spearman is None for two in found.two)
    assert '"alpha_interval": null' in text
    assert "not defined" in found.lines()[0][1]


def test_a_constant_judge_has_no_rank_correlation_but_winners():
    (two,) = judged([[1, 2], [1, -3], [1, 4]]).two
    assert two.spearman is None
    assert two.same_winner == pytest.approx(2 / 3)


VALUES = st.one_of(st.just(NONE), st.integers(-3, 3).map(float), st.sampled_from([0.25, 1.5]))
TABLES = hn.arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(2, 4)), elements=VALUES)


@given(TABLES)
def test_alpha_is_that_of_the_package(table: Floats):
    """Wherever the package has one: it raises without a common unit or with one value only."""
    found = agreement(table, list("abcd"[: table.shape[1]]))
    pairable = table[(~np.isnan(table)).sum(axis=1) > 1]
    if len(np.unique(pairable[~np.isnan(pairable)])) < 2:
        assert found.alpha_interval is None
        return
    for level, ours in (("interval", found.alpha_interval), ("ordinal", found.alpha_ordinal)):
        theirs = krippendorff.alpha(pairable.T, level_of_measurement=level)
        assert ours == pytest.approx(theirs, abs=1e-9)


@given(TABLES)
def test_rank_correlation_is_scipys(table: Floats):
    first, second = table[:, 0], table[:, 1]
    shared = ~np.isnan(first) & ~np.isnan(second)
    two = agreement(table[:, :2], ["a", "b"]).two[0]
    assert two.pairs == shared.sum()
    if len(set(first[shared])) > 1 and len(set(second[shared])) > 1:
        assert two.spearman == pytest.approx(spearmanr(first[shared], second[shared]).statistic)
    else:
        assert two.spearman is None


def test_single_precision_and_many_different_values_are_no_matter():
    """60,000 pairs, 180,000 different values: the package would need terabytes."""
    draw = np.random.default_rng(0)
    truth = draw.normal(size=(60_000, 1))
    margins = (truth + draw.normal(size=(60_000, 3))).astype(np.float32)
    found = agreement(margins, ["a", "b", "c"])
    assert found.alpha_interval == pytest.approx(0.5, abs=0.01)  # var truth 1 of 1 + 1


def test_lines_say_all_of_it():
    lines = judged([[1, 1, NONE], [-2, -2, 1], [0, 0, NONE]]).lines()
    assert lines[0][0] == "agreement"
    assert lines[0][1].endswith("3 pairs")
    assert lines[1] == ("", "a and b: same winner 100.0%, Spearman 1.000, 3 pairs")
    assert lines[2] == ("", "a and c: same winner 0.0%, Spearman not defined, 1 pairs")
