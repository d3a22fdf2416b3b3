"""Targets and gamma: hand-derived values, limits, and properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from mmpo_core.bradley_terry import probability, solve_gamma
from mmpo_core.errors import InputError

margins = st.lists(st.floats(0, 1e6), min_size=1, max_size=40)
gammas = st.floats(0, 1e6)


def test_hand_values() -> None:
    """sigma(ln 3) = 3 / (3 + 1) = 0.75, and sigma(2 * ln 3) = 9 / 10."""
    assert probability([math.log(3)], 1.0) == pytest.approx([0.75], abs=1e-15)
    assert probability([math.log(3)], 2.0) == pytest.approx([0.9], abs=1e-15)


def test_gamma_zero_gives_one_half_everywhere() -> None:
    """The reference code took gamma = 0 for hard labels."""
    assert probability([0.0, 1.0, 1e300], 0.0).tolist() == [0.5, 0.5, 0.5]


def test_infinite_gamma_gives_hard_labels_and_half_for_ties() -> None:
    assert probability([0.0, 1e-300, 5.0], math.inf).tolist() == [0.5, 1.0, 1.0]


@pytest.mark.parametrize("margin", [710.0, 1e4, 1e308])
def test_huge_margins_do_not_overflow(margin: float) -> None:
    """math.exp overflows at 710, where the reference code stopped."""
    with np.errstate(over="raise", invalid="raise"):
        assert probability([margin], 1e3).tolist() == [1.0]


@given(margins, gammas)
def test_equals_scipy_and_stays_in_range(values: list[float], gamma: float) -> None:
    p = probability(values, gamma)
    assert np.all((p >= 0.5) & (p <= 1))
    np.testing.assert_allclose(p, expit(gamma * np.array(values)), rtol=1e-14)


@pytest.mark.parametrize("gamma", [-1.0, math.nan])
def test_bad_gamma_is_refused(gamma: float) -> None:
    with pytest.raises(InputError, match="gamma must be"):
        probability([1.0], gamma)


@pytest.mark.parametrize("margin", [-1e-9, math.nan])
def test_bad_margin_is_refused(margin: float) -> None:
    with pytest.raises(InputError, match="negative or NaN"):
        probability([margin], 1.0)


def test_gamma_of_a_single_margin_by_hand() -> None:
    """One margin m: sigma(gamma * m) = 3/4 at gamma = ln 3 / m."""
    assert solve_gamma([2.0], 0.75) == pytest.approx(math.log(3) / 2, rel=1e-12)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30), st.floats(0.51, 0.95))
def test_solved_gamma_reaches_the_agreement(values: list[float], agreement: float) -> None:
    gamma = solve_gamma(values, agreement)
    assert abs(float(probability(values, gamma).mean()) - agreement) < 1e-9


def test_ties_can_make_the_agreement_unreachable() -> None:
    """Half ties: the mean target stays below (1 + 1 + 0.5 + 0.5) / 4 = 0.75."""
    with pytest.raises(InputError, match="50% of the pairs are ties"):
        solve_gamma([0.0, 0.0, 1.0, 1.0], 0.75)
    assert solve_gamma([0.0, 0.0, 1.0, 1.0], 0.74) > 0


@pytest.mark.parametrize("agreement", [0.5, 1.0, 0.2, math.nan])
def test_agreement_out_of_range(agreement: float) -> None:
    with pytest.raises(InputError, match="agreement"):
        solve_gamma([1.0], agreement)
