"""How well distances predict known margins: correlations, and what changed, with intervals.

Intervals are 95% percentile bootstrap intervals over prompts: pairs of one prompt share answers.
Differences are paired: both correlations of every resample are of the same pairs. Read by
fitting.py; words.py says what the numbers mean.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from margintool.progress import Progress, no_progress
from mmpo_core.calibration import resampled_rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESAMPLES = 1000
LEVEL = 0.95
MEASURES = ("spearman", "pearson")


def spearman(margin: Floats, distance: Floats) -> float:
    """Return the rank correlation of two (N,) arrays; NaN where it is not defined."""
    return float(_correlations(np.stack([margin, distance]))[0, 0])


def figures(
    margin: Floats,
    prompts: Ints,
    distances: Mapping[str, Floats],
    *,
    of: str,
    seed: int,
    resamples: int = RESAMPLES,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Return the correlations of several distances with the margin, and what `of` adds to each.

    Args:
        margin: (N,) known margins.
        prompts: (N,) which prompt each pair is of.
        distances: name -> (N,), finite.
        of: the one that the others are compared with.
        seed: of the resamples.
        resamples: how often prompts are drawn.
        progress: told of resamples.

    Returns:
        name -> {"spearman": {"value", "low", "high"}, "pearson": ...}, and but for `of` itself
        "gain": the same of (correlation of `of` - correlation of this one). Values are None where
        a correlation is not defined: all distances are the same.
    """
    values = np.stack([margin, *distances.values()])
    point = _correlations(values)
    progress.start("bootstrap", resamples)
    drawn = []
    for rows in resampled_rows(prompts, resamples=resamples, seed=seed):
        drawn.append(_correlations(values[:, rows]))
        progress.advance(1)
    resampled = np.stack(drawn)
    base = list(distances).index(of)
    found: dict[str, Any] = {}
    for at, name in enumerate(distances):
        found[name] = _estimates(point[at], resampled[:, at])
        if name != of:
            found[name]["gain"] = _estimates(
                point[base] - point[at], resampled[:, base] - resampled[:, at]
            )
    return found


def _estimates(point: Floats, resampled: Floats) -> dict[str, Any]:
    """Return the estimates of both measures. point: (2,), resampled: (R, 2)."""
    return {
        measure: _estimate(float(point[at]), resampled[:, at])
        for at, measure in enumerate(MEASURES)
    }


def _estimate(value: float, resampled: Floats) -> dict[str, float | None]:
    defined = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or not len(defined):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def _correlations(values: Floats) -> Floats:
    """Return the (K, 2) Spearman and Pearson correlations of rows 1 to K with row 0."""
    from scipy.stats import rankdata

    both = (np.asarray(rankdata(values, axis=1), np.float64), values)
    return np.stack([_with_first(rows) for rows in both], axis=1)


def _with_first(rows: Floats) -> Floats:
    """Return the (K,) Pearson correlations of rows 1 to K with row 0; NaN for a constant row."""
    same = np.ptp(rows, axis=1) == 0
    largest = np.where(same, 1.0, np.abs(rows).max(axis=1))
    scaled = rows / largest[:, None]  # squares of margins may leave the range of floats
    centred = scaled - scaled.mean(axis=1, keepdims=True)
    # Exactly 0 where all are the same: a mean may be off by a rounding error.
    centred[same] = 0.0
    lengths = np.sqrt(np.square(centred).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (centred[1:] @ centred[0]) / (lengths[1:] * lengths[0])
    return np.asarray(np.clip(found, -1.0, 1.0))
