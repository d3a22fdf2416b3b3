"""Numbers to facts: quantiles, histogram, length bias, duplicates. Pure; read by inspecting.py."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from margintool.report.facts import Duplicates, Histogram, LengthBias, Quantiles

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

POINTS = {
    "min": 0,
    "1%": 1,
    "5%": 5,
    "25%": 25,
    "50%": 50,
    "75%": 75,
    "95%": 95,
    "99%": 99,
    "max": 100,
}
BINS = 20


def quantiles(values: "Floats | Ints") -> Quantiles:
    """Return the quantiles and the mean of the finite values; empty if there is none."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {}
    found = dict(zip(POINTS, np.percentile(finite, list(POINTS.values())).tolist(), strict=True))
    return {**found, "mean": float(finite.mean())}


def histogram(column: str, values: Floats, bins: int = BINS) -> Histogram | None:
    """Count the finite values, zeros apart: by value, or in bins if they are more than `bins`.

    The bins are of equal width and reach to the 99% quantile of the values that are not 0, and
    the last one on to the maximum, so that one outlier does not push everything into the first
    bin. None where there is no finite value.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    rest = finite[finite != 0]
    zeros = int(finite.size - rest.size)
    distinct, counts = np.unique(rest, return_counts=True)
    if distinct.size <= bins:
        return Histogram(column, zeros, [], distinct.tolist(), counts.tolist())
    edges = np.linspace(min(0.0, rest.min()), np.percentile(rest, 99), bins + 1)
    edges[-1] = rest.max()
    if not np.all(np.diff(edges) > 0):
        edges = np.array([rest.min(), rest.max()])
    counts, _ = np.histogram(rest, edges)
    return Histogram(column, zeros, edges.tolist(), [], counts.tolist())


def length_bias(unit: str, margin: Floats, chosen: Ints, rejected: Ints) -> LengthBias:
    """Say whether longer answers win. (N,) margins and lengths; ties and NaN are left out."""
    from scipy.stats import pearsonr, spearmanr

    won = np.isfinite(margin) & (margin > 0)
    gap = margin[won]
    longer_by = (chosen - rejected)[won].astype(np.float64)
    varied = gap.size >= 3 and bool(np.ptp(gap) > 0) and bool(np.ptp(longer_by) > 0)
    return LengthBias(
        unit=unit,
        pairs=int(gap.size),
        longer=int((longer_by > 0).sum()),
        equal=int((longer_by == 0).sum()),
        shorter=int((longer_by < 0).sum()),
        pearson=float(pearsonr(gap, longer_by).statistic) if varied else None,
        spearman=float(spearmanr(gap, longer_by).statistic) if varied else None,
    )


def duplicates(prompt: Keys, ordered: Keys, pair: Keys, identical: int) -> Duplicates:
    """Count repetition from (N,) keys of prompts, ordered pairs and unordered pairs."""
    rows = len(prompt)
    _, first = np.unique(pair, return_index=True)
    again = np.ones(rows, dtype=bool)
    again[first] = False
    same_order = rows - len(np.unique(ordered))
    _, per_prompt = np.unique(prompt, return_counts=True)
    repeated = int(again.sum())
    return Duplicates(
        repeated=repeated,
        swapped=repeated - same_order,
        first_repeated=int(again.argmax()) if repeated else None,
        identical_answers=identical,
        prompts=len(per_prompt),
        pairs_per_prompt=dict(sorted(Counter(per_prompt.tolist()).items())),
    )
