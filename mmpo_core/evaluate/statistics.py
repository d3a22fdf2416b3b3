"""Two kinds of statistics of pairs that can be computed of thousands of resamples in one go.

A resample of prompts is a count for each prompt: how often it was drawn. What is a function of
sums over prompts (`Sums`) costs one matrix product for all resamples and all such statistics
together. What needs the order of pairs (`Ordered`: ranks, quantiles) is computed resample by
resample, from counts of pairs in an order that was sorted once. Neither is approximate: both give
what the estimator gives of the resampled rows. Read by metrics.py; intervals.py computes them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmpo_core.evaluate.pairs import Floats


@dataclass(frozen=True, eq=False)
class Sums:
    """A statistic, or several, of sums over prompts.

    Attributes:
        table: (G, K) what each prompt adds.
        finish: (..., K) sums -> (...) the statistic; NaN where it is not defined.
    """

    table: Floats
    finish: Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Ordered:
    """A statistic of counted pairs. count: (N,) how often each is there -> the statistic."""

    of: Callable[[Floats], float]


Statistic = Sums | Ordered


def ratio(over: Floats, under: Floats) -> Floats:
    """Return over / under, NaN where under is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(under != 0, over / under, np.nan))
