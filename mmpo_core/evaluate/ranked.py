"""Statistics of counted values: Spearman's rank correlation, quantiles, area under risk-coverage.

Each takes the (N,) values once, sorts them, and returns a function of counts: how often each row
is there. With counts of 1 it is the usual statistic; with those of a resample it is that of the
resampled rows, without making them. Counts are whole numbers, as float64.
"""

from collections.abc import Callable

import numpy as np

from mmpo_core.evaluate.pairs import Floats

OfCounts = Callable[[Floats], float]


def spearman(x: Floats, y: Floats) -> OfCounts:
    """Return Spearman's rho of (N,) x and y, mid-ranks for ties; NaN where either is constant."""
    rank_x, rank_y = _mid_ranks(x), _mid_ranks(y)

    def of(count: Floats) -> float:
        total = count.sum()
        if total == 0:
            return float("nan")
        # The mean of mid-ranks is (n + 1) / 2 whatever the ties are.
        a, b = rank_x(count) - (total + 1) / 2, rank_y(count) - (total + 1) / 2
        spread = (count @ (a * a)) * (count @ (b * b))
        return float((count @ (a * b)) / np.sqrt(spread)) if spread > 0 else float("nan")

    return of


def quantile(x: Floats, share: float) -> OfCounts:
    """Return the quantile of (N,) x, linear between neighbours, as numpy's."""
    order = np.argsort(x, kind="stable")
    ordered = x[order]

    def of(count: Floats) -> float:
        cumulative = np.cumsum(count[order])
        if cumulative[-1] == 0:
            return float("nan")
        place = share * (cumulative[-1] - 1)
        below = np.floor(place)
        # The value at place k is the first whose cumulative count is above k.
        at = np.searchsorted(cumulative, [below, np.ceil(place)], side="right")
        low, high = ordered[at]
        return float(low + (high - low) * (place - below))

    return of


def risk_area(confidence: Floats, error: Floats) -> OfCounts:
    """Return the area under the risk-coverage curve (Geifman, Uziel, El-Yaniv 2019, AURC).

    The mean over pairs of the error rate among those at least as confident: less is better.
    Pairs of one confidence are answered together, so their order does not matter.

    Args:
        confidence: (N,), larger is surer.
        error: (N,) from 0 to 1.
    """
    _, step = np.unique(-confidence, return_inverse=True)
    steps = int(step.max(initial=-1)) + 1

    def of(count: Floats) -> float:
        answered = np.bincount(step, weights=count, minlength=steps)
        wrong = np.bincount(step, weights=count * error, minlength=steps)
        covered = np.cumsum(answered)
        if covered[-1] == 0:
            return float("nan")
        risk = np.cumsum(wrong) / np.maximum(covered, 1.0)
        return float(answered @ risk / covered[-1])

    return of


def _mid_ranks(values: Floats) -> Callable[[Floats], Floats]:
    _, place = np.unique(values, return_inverse=True)
    places = int(place.max(initial=-1)) + 1

    def of(count: Floats) -> Floats:
        here = np.bincount(place, weights=count, minlength=places)
        rank: Floats = np.cumsum(here) - here + (here + 1) / 2
        return rank[place]

    return of
