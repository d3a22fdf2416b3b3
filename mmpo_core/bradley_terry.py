"""Margins to probabilities and back: p = sigma(gamma * margin), and how gamma is chosen.

Numpy only: the same numbers are written by the data side and read by the trainer.
Source: Margin Matching Preference Optimization, arXiv 2410.03145.
"""

import math

import numpy as np
import numpy.typing as npt

from mmpo_core.errors import InputError

Floats = npt.NDArray[np.float64]
TINY = 1e-300


def probability(margin: npt.ArrayLike, gamma: float) -> Floats:
    """Return sigma(gamma * margin), the Bradley-Terry probability that the better answer wins.

    Args:
        margin: quality gaps, any shape, >= 0, unit-free.
        gamma: >= 0. 0 gives 0.5 everywhere; math.inf gives hard labels: 1, and 0.5 for ties.

    Returns:
        float64 of the same shape, in [0.5, 1]. Never overflows: exp is taken of numbers <= 0.

    Raises:
        InputError: if gamma is negative or NaN, or a margin is negative or NaN.
    """
    margins = np.asarray(margin, dtype=np.float64)
    check_gamma(gamma)
    if margins.size and not bool(np.all(margins >= 0)):
        raise InputError("margins must be numbers >= 0; found a negative or NaN margin")
    if math.isinf(gamma):
        return np.where(margins > 0, 1.0, 0.5)
    # A product beyond the floats is inf, and exp(-inf) = 0 gives p = 1, as it should.
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-gamma * margins)))


def check_gamma(gamma: float, name: str = "gamma") -> None:
    """Raise InputError unless gamma is a number >= 0 (math.inf is one)."""
    if not gamma >= 0:
        raise InputError(f"{name} must be a number >= 0, got {gamma}")


def solve_gamma(margin: npt.ArrayLike, agreement: float) -> float:
    """Return the gamma whose mean target, mean(sigma(gamma * margin)), equals `agreement`.

    The mean target grows with gamma from 0.5 towards 1 - (share of ties) / 2, so there is one
    solution or none. It is bracketed by doubling and found by Brent's method to 1e-9 in the mean.

    Args:
        margin: (N,) margins >= 0.
        agreement: wanted mean target, in (0.5, 1): how often a fresh rater would agree.

    Raises:
        InputError: if agreement is out of range, or cannot be reached because of ties.
    """
    from scipy.optimize import brentq

    margins = np.asarray(margin, dtype=np.float64)
    if not 0.5 < agreement < 1:
        raise InputError(f"agreement must lie between 0.5 and 1 (both excluded), got {agreement}")
    highest = 1 - float(np.mean(margins == 0)) / 2 if margins.size else 0.5
    if agreement >= highest:
        raise InputError(
            f"no gamma gives a mean target of {agreement}: {np.mean(margins == 0):.0%} of the "
            f"pairs are ties, so it stays below {highest:.4g}. Lower --agreement, use "
            "--ties drop, or give --gamma a number"
        )

    def excess(gamma: float) -> float:
        return float(np.mean(probability(margins, gamma))) - agreement

    largest = float(margins.max())
    if largest < TINY:
        raise InputError(f"all margins are below {TINY:g}: no gamma in the range of floats fits")
    upper = 1.0 / largest
    while excess(upper) < 0:
        upper *= 2
    return float(brentq(excess, 0.0, upper, xtol=1e-15 * upper, rtol=1e-14))
