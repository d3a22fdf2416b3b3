"""Margins from vectors: by hand, by scipy, and in property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cosine

from margintool.similarity.distances import METRICS, cosine_margin, euclidean_margin

NUMBERS = st.floats(-1e3, 1e3, width=32)


@st.composite
def two_sides(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(st.integers(0, 6)), draw(st.integers(1, 9)))
    a, b = (draw(arrays(np.float32, shape, elements=NUMBERS)) for _ in range(2))
    return a, b


def rows(*vectors: list[float]) -> np.ndarray:
    return np.array(vectors, np.float32)


def test_by_hand() -> None:
    """Same direction 0, right angle 1, opposite 2; 60 degrees 1 - 1/2. Lengths do not matter."""
    a = rows([1, 0], [1, 0], [1, 0], [2, 0])
    b = rows([3, 0], [0, 5], [-2, 0], [0.5, np.sqrt(3) / 2])
    np.testing.assert_allclose(cosine_margin(a, b), [0, 1, 2, 0.5], atol=1e-7)
    np.testing.assert_allclose(
        euclidean_margin(a, b), [2, np.sqrt(26), 3, np.sqrt(2.25 + 0.75)], rtol=1e-6
    )


def test_against_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200, 384)).astype(np.float32)
    double = zip(a.astype(float), b.astype(float), strict=True)
    expected = [cosine(left, right) for left, right in double]
    np.testing.assert_allclose(cosine_margin(a, b), expected, atol=1e-12)
    np.testing.assert_allclose(
        euclidean_margin(a, b), np.linalg.norm(a.astype(float) - b, axis=1), rtol=1e-12
    )


def test_near_equal_vectors_keep_their_distance() -> None:
    """Angle 1e-5: 1 - cos = 5e-11, which 1 minus a rounded cosine could not tell from 0."""
    a, b = rows([1, 0]), rows([1, 1e-5])
    np.testing.assert_allclose(cosine_margin(a, b), [5e-11], rtol=1e-4)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("metric", METRICS)
def test_broken_vectors_have_no_margin_and_harm_no_other(metric: str, broken: float) -> None:
    a, b = rows([1, 0], [1, broken], [0, 1]), rows([0, 1], [1, 0], [0, 1])
    margins = METRICS[metric](a, b)
    assert np.isnan(margins).tolist() == [False, True, False]
    assert np.isnan(METRICS[metric](b, a)).tolist() == [False, True, False]


def test_a_zero_vector_has_no_direction() -> None:
    assert np.isnan(cosine_margin(rows([0, 0]), rows([1, 0]))).all()
    assert np.isnan(cosine_margin(rows([0, 0]), rows([0, 0]))).all()
    assert euclidean_margin(rows([0, 0]), rows([3, 4])).tolist() == [5.0]


def test_very_long_and_very_short_vectors() -> None:
    """Their squares are beyond what float32 holds, both ways."""
    a, b = rows([3e38, 0], [1e-40, 0]), rows([3e38, 3e38], [0, 1e-40])
    np.testing.assert_allclose(cosine_margin(a, b), [1 - np.sqrt(0.5), 1], rtol=1e-6)


@given(two_sides())
@pytest.mark.parametrize("metric", METRICS)
def test_properties(metric: str, sides: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = sides
    margins = METRICS[metric](a, b)
    np.testing.assert_array_equal(margins, METRICS[metric](b, a))
    same = METRICS[metric](a, a.copy())
    has_direction = (a != 0).any(axis=1)
    assert (same[has_direction] == 0).all()
    assert (margins[~np.isnan(margins)] >= 0).all()
    if metric == "cosine":
        assert (margins[~np.isnan(margins)] <= 2).all()


@given(two_sides(), st.data())
@pytest.mark.parametrize("metric", METRICS)
def test_batch_invariant(
    metric: str, sides: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    a, b = sides
    cut = data.draw(st.integers(0, len(a)))
    whole = METRICS[metric](a, b)
    parts = [METRICS[metric](a[:cut], b[:cut]), METRICS[metric](a[cut:], b[cut:])]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_batch_invariant_at_real_sizes() -> None:
    """More rows than are worked on at once, strided input, and single rows."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 5000, 384)).astype(np.float32)
    whole = cosine_margin(a, b)
    np.testing.assert_array_equal(whole[::7], cosine_margin(a[::7], b[::7]))
    np.testing.assert_array_equal(whole, cosine_margin(np.asfortranarray(a), b))
    singles = [cosine_margin(a[i : i + 1], b[i : i + 1])[0] for i in range(4090, 4100)]
    np.testing.assert_array_equal(whole[4090:4100], singles)
