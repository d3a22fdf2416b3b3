"""Tables that pictures are drawn from: reliability with intervals, and risk against coverage.

Read by evaluating.py; plots.py draws them.
"""

from typing import Any

import numpy as np

from mmpo_core.calibration import reliability
from mmpo_core.evaluate.binning import Binned, binned, equal_width
from mmpo_core.evaluate.intervals import estimate
from mmpo_core.evaluate.pairs import Floats, Pairs
from mmpo_core.evaluate.statistics import Sums, ratio

CURVE_POINTS = 100

Row = dict[str, Any]


def reliability_rows(pairs: Pairs, *, bins: int, resamples: int, seed: int) -> list[Row]:
    """Return a row for each equal-width bin of sigma(h), every pair counted both ways.

    Args:
        pairs: N pairs.
        bins, resamples, seed: as in evaluate_predictions.

    Returns:
        Rows with low and high edge, count (of 2N), and the means predicted, true (of targets) with
        true_low and true_high, and won (of hard labels); None in an empty bin. The interval is
        None of a single prompt too: drawn again and again it would look certain.
    """
    soft = binned(pairs, pairs.target, equal_width, bins)
    hard = binned(pairs, pairs.label, equal_width, bins)
    table = reliability(soft.predicted, soft.truth, bins=bins)
    won = reliability(hard.predicted, hard.truth, bins=bins).mean_true
    found = estimate(
        {str(k): _mean_truth(soft, k) for k in range(bins)}, pairs, resamples=resamples, seed=seed
    )
    prompts = (soft.sums(np.ones(len(soft.index))) > 0).sum(axis=0)
    rows = []
    for k in range(bins):
        filled = bool(table.count[k])
        low, high = (found[str(k)].interval() if prompts[k] > 1 else None) or (None, None)
        rows.append(
            {
                "low": float(table.low[k]),
                "high": float(table.high[k]),
                "count": int(table.count[k]),
                "predicted": float(table.mean_predicted[k]) if filled else None,
                "true": float(table.mean_true[k]) if filled else None,
                "true_low": low,
                "true_high": high,
                "won": float(won[k]) if filled else None,
            }
        )
    return rows


def _mean_truth(of: Binned, number: int) -> Sums:
    count, truth = of.sums(np.ones(len(of.index))), of.sums(of.truth)
    table = np.stack([count[:, number], truth[:, number]], axis=1)
    return Sums(table, lambda sums: ratio(sums[..., 1], sums[..., 0]))


def risk_coverage_rows(pairs: Pairs, *, points: int = CURVE_POINTS) -> list[Row]:
    """Return how often the model errs if only its surest pairs are answered.

    Returns:
        Rows with coverage (share of pairs answered: those with |h| >= threshold), risk (share of
        these that it gets wrong, ties counting one half), threshold; at most `points` steps of
        coverage, the last 1. Pairs of one |h| are answered together.
    """
    order = np.argsort(-np.abs(pairs.h), kind="stable")
    sure = np.abs(pairs.h)[order]
    wrong: Floats = np.cumsum(1.0 - pairs.hits[order])
    ends = np.flatnonzero(np.append(sure[1:] != sure[:-1], True))
    wanted = np.ceil(np.arange(1, points + 1) / points * len(pairs)) - 1
    shown = np.unique(ends[np.searchsorted(ends, wanted)])
    return [
        {
            "coverage": float((at + 1) / len(pairs)),
            "risk": float(wrong[at] / (at + 1)),
            "threshold": float(sure[at]),
        }
        for at in shown
    ]
