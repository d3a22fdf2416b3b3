"""Normalisers: contract over the registry, and hand-derived values."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.normalize import NORMALIZERS, apply, fit
from mmpo_core.errors import InputError

margin_lists = st.lists(st.floats(0, 1e9), min_size=1, max_size=60)
names = st.sampled_from(sorted(NORMALIZERS))


@given(names, margin_lists)
def test_monotone_finite_and_zero_stays_zero(name: str, values: list[float]) -> None:
    ordered = np.sort(np.array([0.0, *values]))
    result = apply(fit(name, np.array(values)), ordered)
    assert result[0] == 0
    assert np.all(np.isfinite(result))
    assert np.all(np.diff(result) >= 0)


@given(names, margin_lists, st.integers(0, 60))
def test_application_does_not_depend_on_the_batch(name: str, values: list[float], cut: int) -> None:
    margins = np.array(values)
    fitted = fit(name, margins)
    parts = [apply(fitted, margins[:cut]), apply(fitted, margins[cut:])]
    np.testing.assert_array_equal(np.concatenate(parts), apply(fitted, margins))


@given(names, margin_lists)
def test_fitted_statistics_survive_json(name: str, values: list[float]) -> None:
    fitted = fit(name, np.array(values))
    assert json.loads(json.dumps(fitted.params)) == fitted.params


def test_rms_by_hand() -> None:
    """sqrt((9 + 16) / 2) = 3.5355..., so 3 becomes 0.8485 and the mean square 1."""
    fitted = fit("rms", np.array([3.0, 4.0]))
    assert fitted.params["scale"] == pytest.approx(math.sqrt(12.5), rel=1e-15)
    assert np.mean(apply(fitted, np.array([3.0, 4.0])) ** 2) == pytest.approx(1, rel=1e-15)


def test_rms_of_enormous_margins_does_not_overflow() -> None:
    """The square of 1e200 is not a float, the root mean square is."""
    assert fit("rms", np.array([1e200, 1e200])).params["scale"] == pytest.approx(1e200)


def test_range_uses_the_scale_if_known_else_the_largest_gap() -> None:
    """A scale 1 to 10 has a widest gap of 9."""
    margins = np.array([0.0, 3.0, 6.0])
    np.testing.assert_allclose(apply(fit("range", margins, 9.0), margins), [0, 1 / 3, 2 / 3])
    np.testing.assert_allclose(apply(fit("range", margins), margins), [0, 0.5, 1])


def test_quantile_by_hand() -> None:
    """Positive margins 1, 1, 2, 5: mid-ranks 1/4, 2.5/4, 3.5/4; the tie stays 0."""
    margins = np.array([0.0, 1.0, 1.0, 2.0, 5.0])
    result = apply(fit("quantile", margins), margins)
    np.testing.assert_allclose(result, [0, 0.25, 0.25, 0.625, 0.875])


def test_quantile_of_many_values_is_close_to_their_rank() -> None:
    """10,000 values, 257 knots: off by at most one knot's width, 1/256, from (i + 1/2) / N."""
    margins = np.random.default_rng(0).exponential(size=10_000)
    fitted = fit("quantile", margins)
    assert len(fitted.params["knots"]) <= 258
    ranks = (np.argsort(np.argsort(margins)) + 0.5) / len(margins)
    assert np.abs(apply(fitted, margins) - ranks).max() < 1 / 256


def test_log1p_and_none() -> None:
    margins = np.array([0.0, math.e - 1])
    np.testing.assert_allclose(apply(fit("log1p", margins), margins), [0, 1])
    np.testing.assert_array_equal(apply(fit("none", margins), margins), margins)


@pytest.mark.parametrize("name", sorted(NORMALIZERS))
def test_all_ties_stay_ties(name: str) -> None:
    assert apply(fit(name, np.zeros(3)), np.zeros(3)).tolist() == [0, 0, 0]


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'quantile'"):
        fit("quantiles", np.ones(1))
