"""Differences between models on the same pairs, resample by resample. Read by evaluating.py.

Both models are measured on the same drawn prompts, so that what is hard for both cancels out.
McNemar's test is not given beside it: it takes pairs to be independent, and where they are (one
a prompt) it asks what the bootstrap of accuracy asks.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from mmpo_core.evaluate.intervals import Estimate


def difference_to_dict(a: Estimate, b: Estimate) -> dict[str, float | None]:
    """Return a's number less b's: value, low, high, and p, for JSON.

    p is two-sided: twice the share of resamples on the rarer side of 0, those at 0 on both,
    counting the data as one of the resamples, so that it is never 0 (Davison and Hinkley 1997,
    chapter 4). None where there are no resamples, or the difference is not defined.

    Args:
        a, b: the same metric from the same resamples.
    """
    between = Estimate(a.value - b.value, a.draws - b.draws)
    found = between.to_dict()
    defined = between.draws[np.isfinite(between.draws)]
    if found["low"] is None:
        return found | {"p": None}
    rarer = min(int(np.sum(defined <= 0)), int(np.sum(defined >= 0)))
    return found | {"p": min(1.0, 2 * (rarer + 1) / (len(defined) + 1))}


def differences(estimates: Mapping[str, Mapping[str, Estimate]]) -> list[dict[str, Any]]:
    """Return a row for each two models and metric: a, b, metric, value (a less b), low, high, p.

    Args:
        estimates: model -> metric -> estimate, all from the same resamples.
    """
    return [
        {"a": a, "b": b, "metric": metric}
        | difference_to_dict(estimates[a][metric], estimates[b][metric])
        for a, b in combinations(estimates, 2)
        for metric in estimates[a]
    ]
