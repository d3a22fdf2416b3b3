"""The straight line through learned h over the true gamma * margin: slope, intercept, correlation.

Least squares with an intercept, over pairs turned so that the true margin is >= 0. The orientation
comes from the truth and not from noisy labels, so it bends nothing. Read by synthetic.py.
"""

from collections.abc import Callable

import numpy as np

from mmpo_core.evaluate.pairs import Floats, Pairs, by_prompt
from mmpo_core.evaluate.statistics import Sums, ratio

Finish = Callable[[Floats], Floats]


def slope(pairs: Pairs, gamma: float) -> Sums:
    """Return how much h grows with gamma * margin; 1 where margins are matched."""
    return _of_line(pairs, gamma, lambda sums: _slope(*_moments(sums)[2:4]))


def intercept(pairs: Pairs, gamma: float) -> Sums:
    """Return h at margin 0; 0 where margins are matched."""

    def finish(sums: Floats) -> Floats:
        x, y, xx, xy, _ = _moments(sums)
        return y - _slope(xx, xy) * x

    return _of_line(pairs, gamma, finish)


def correlation(pairs: Pairs, gamma: float) -> Sums:
    """Return Pearson's correlation of h and gamma * margin; the same for every gamma > 0."""

    def finish(sums: Floats) -> Floats:
        _, _, xx, xy, yy = _moments(sums)
        return ratio(xy, np.sqrt(np.maximum(xx * yy, 0.0)))

    return _of_line(pairs, gamma, finish)


def _of_line(pairs: Pairs, gamma: float, finish: Finish) -> Sums:
    x, y = gamma * pairs.margin, pairs.h
    columns = np.stack([np.ones(len(pairs)), x, y, x * x, x * y, y * y], axis=1)
    return Sums(by_prompt(columns, pairs.prompt, pairs.prompts), finish)


def _moments(sums: Floats) -> tuple[Floats, ...]:
    """Return means of x and y, and central second moments xx, xy, yy; each (...). sums: (..., 6)"""
    count, x, y, xx, xy, yy = np.moveaxis(sums, -1, 0)
    x, y = ratio(x, count), ratio(y, count)
    return (
        x,
        y,
        ratio(xx, count) - x * x,
        ratio(xy, count) - x * y,
        ratio(yy, count) - y * y,
    )


def _slope(xx: Floats, xy: Floats) -> Floats:
    return ratio(xy, xx)
