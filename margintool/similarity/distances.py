"""READ THIS FIRST. How unlike two texts are, from their vectors: margins of the similarity source.

Pure, and batch-invariant: a row's margin depends on its two vectors alone, and the order of the
two does not matter. Differences are taken in float64 before they are squared, so that near-equal
vectors keep their small distance and equal ones have exactly 0.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

# Rows worked on at once: float64 copies of a large batch would take twice its memory.
_ROWS = 4096


def cosine_margin(a: Vectors, b: Vectors) -> Floats:
    """Return 1 - cosine(a, b) of (N, D) vectors, row by row: (N,) in [0, 2].

    Computed as |a/|a| - b/|b||^2 / 2, which is the same number. NaN where a vector is zero or
    not finite, for it has no direction.
    """
    return _by_rows(_cosine, a, b)


def euclidean_margin(a: Vectors, b: Vectors) -> Floats:
    """Return |a - b| of (N, D) vectors, row by row: (N,) >= 0.

    In the model's own unit: 0 to 2 for models that give vectors of length 1. NaN where a vector
    is not finite.
    """
    return _by_rows(_euclidean, a, b)


METRICS: dict[str, Callable[[Vectors, Vectors], Floats]] = {
    "cosine": cosine_margin,
    "euclidean": euclidean_margin,
}


def _cosine(a: Floats, b: Floats) -> Floats:
    return np.clip(_squares(_unit(a) - _unit(b)) / 2, 0.0, 2.0)


def _euclidean(a: Floats, b: Floats) -> Floats:
    return np.sqrt(_squares(a - b))


def _by_rows(measure: Callable[[Floats, Floats], Floats], a: Vectors, b: Vectors) -> Floats:
    assert a.shape == b.shape
    assert a.ndim == 2
    margins = np.empty(len(a))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for first in range(0, len(a), _ROWS):
            rows = slice(first, first + _ROWS)
            left, right = (np.ascontiguousarray(side[rows], np.float64) for side in (a, b))
            margins[rows] = measure(left, right)
    margins[~np.isfinite(margins)] = np.nan
    return margins


def _unit(vectors: Floats) -> Floats:
    # Scaled by the largest element first: squares of very small or large ones would be 0 or inf.
    scaled = vectors / np.abs(vectors).max(axis=1, keepdims=True)
    return np.asarray(scaled / np.sqrt(_squares(scaled))[:, None])


def _squares(vectors: Floats) -> Floats:
    return np.asarray(np.square(vectors).sum(axis=1))
