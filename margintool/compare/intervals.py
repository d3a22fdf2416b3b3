"""Bootstrap intervals of all numbers at once, over prompts. Read by comparing.py.

Whole prompts are drawn with replacement, since pairs of one prompt share answers. Where a full
draw would be more than MOST_PAIRS pairs (Kendall's tau alone then takes minutes), m of the n
prompts are drawn each time, so many that they hold about MOST_PAIRS pairs, and the spread around
the estimate is multiplied by sqrt(m / n): the m out of n bootstrap (Bickel, Götze and van Zwet
1997), for numbers whose error falls as 1 / sqrt(prompts). The caller is told m.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from margintool.compare.joining import Joined
from margintool.compare.measures import all_numbers
from margintool.compare.reading import Floats
from margintool.progress import Progress
from mmpo_core.calibration import resampled_rows

LEVEL = 0.95
MOST_PAIRS = 5000
FEWEST_DRAWN = 100

Interval = tuple[float, float]


@dataclass(frozen=True)
class Intervals:
    """95% percentile intervals.

    Attributes:
        bounds: name -> (low, high); a number without one is absent.
        prompts: n, how many prompts there are.
        drawn: m, how many are drawn each time.
        undefined: name -> in how many resamples the number was not defined, where in any.
    """

    bounds: dict[str, Interval]
    prompts: int
    drawn: int
    undefined: dict[str, int]


def intervals(
    pairs: Joined,
    estimates: Mapping[str, float],
    *,
    resamples: int,
    seed: int,
    progress: Progress,
) -> Intervals:
    """Return the interval of every number of N joined pairs.

    Args:
        pairs: the N pairs.
        estimates: their numbers. Those that are infinite or NaN get no interval.
        resamples: how often prompts are drawn; 0 gives no intervals.
        seed: of the draws.
        progress: told of the resamples.
    """
    prompts = len(np.unique(pairs.prompt))
    drawn = _draws(prompts, len(pairs))
    names = [name for name, value in estimates.items() if math.isfinite(value)]
    if not resamples:
        return Intervals({}, prompts, drawn, {})
    progress.start("bootstrap", resamples)
    values = np.empty((resamples, len(names)))
    draws = resampled_rows(pairs.prompt, resamples=resamples, seed=seed, draws=drawn)
    for at, rows in enumerate(draws):
        found = all_numbers(pairs.take(rows))
        values[at] = [found[name] for name in names]
        progress.advance(1)
    shrink = math.sqrt(drawn / prompts)
    bounds, undefined = {}, {}
    for name, column in zip(names, values.T, strict=True):
        defined = column[~np.isnan(column)]
        if len(defined) < resamples:
            undefined[name] = resamples - len(defined)
        if len(defined):
            bounds[name] = _interval(defined, estimates[name], shrink)
    return Intervals(bounds, prompts, drawn, undefined)


def _draws(prompts: int, pairs: int) -> int:
    """Return m: all prompts, or as many as hold about MOST_PAIRS pairs."""
    enough = max(math.ceil(prompts * MOST_PAIRS / pairs), FEWEST_DRAWN)
    return min(prompts, enough)


def _interval(values: Floats, at: float, shrink: float) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    if shrink == 1.0:  # the same bounds, without rounding
        return low, high
    return at + shrink * (low - at), at + shrink * (high - at)
