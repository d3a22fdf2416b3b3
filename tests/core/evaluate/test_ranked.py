"""Statistics of counted values against scipy and numpy on the repeated values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from mmpo_core.evaluate.ranked import quantile, risk_area, spearman

counted = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 3)), min_size=2, max_size=15
).filter(lambda rows: sum(row[2] for row in rows) > 1)


@given(counted)
@settings(deadline=None, max_examples=50)
def test_counts_are_repeated_rows(rows):
    x, y, count = np.array(rows, float).T
    many_x, many_y = np.repeat(x, count.astype(int)), np.repeat(y, count.astype(int))
    rho = spearman(x, y)(count)
    if np.ptp(many_x) and np.ptp(many_y):
        assert rho == pytest.approx(spearmanr(many_x, many_y).statistic, abs=1e-9)
    else:
        assert np.isnan(rho)
    for share in (0.0, 0.05, 0.5, 0.9, 1.0):
        assert quantile(x, share)(count) == pytest.approx(np.quantile(many_x, share), abs=1e-12)


def test_risk_area_by_hand():
    """Surest first: right, wrong, right: risks 0, 1/2, 1/3; their mean 5/18."""
    of = risk_area(np.array([3.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0]))
    assert of(np.ones(3)) == pytest.approx(5 / 18)


def test_pairs_of_one_confidence_are_answered_together():
    """Two of three tie at 2, one of them wrong: risks 1/2, 1/2, 1/3."""
    of = risk_area(np.array([2.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0]))
    assert of(np.ones(3)) == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)


def test_nothing_counted_is_not_defined():
    x = np.array([1.0, 2.0])
    for of in (spearman(x, x), quantile(x, 0.5), risk_area(x, x)):
        assert np.isnan(of(np.zeros(2)))
