"""How good predicted preference probabilities are: accuracy, Brier, NLL, ECE, reliability.

Numpy only, pure functions on (N,) arrays. `predicted` is the model's probability that answer a
beats answer b; `truth` is what it is compared with: the outcome (0 or 1) or, where it is known
or estimated, the probability itself (anything in [0, 1]). Read by `margintool demo` and `compare`.

**Which way round a pair stands matters.** In a pair file `chosen` is the side that won, so every
outcome is 1 and "how often do pairs predicted at 0.7 come out 1?" has the answer "always": the
orientation was picked by looking at the outcome. Accuracy, Brier and NLL do not change when a
pair is turned round, (p, t) -> (1 - p, 1 - t). Bins do: for `reliability` and `ece`
give pairs in an orientation that was fixed without looking at the outcome (answer a first, as
the raw data has them), or pass them through `both_ways`, which counts every pair both ways and
so does not depend on the orientation at all.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmpo_core.errors import InputError

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

BINS = 10


def both_ways(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return every pair in both orientations: (N,), (N,) -> (2N,), (2N,).

    What is computed from the result is the same whichever side each pair had as a.
    Resample pairs before, never after: the two halves are one observation (`bootstrap_interval`).
    """
    p, t = _checked(predicted, truth)
    # The likelier side first, its mirror computed from it: 1 - (1 - p) is exact for p >= 0.5
    # only, and a rounding error at a bin's edge would let the orientation back in.
    likely = np.maximum(p, 1.0 - p)
    truth_likely = np.where(p >= 0.5, t, 1.0 - t)
    return (
        np.concatenate([likely, 1.0 - likely]),
        np.concatenate([truth_likely, 1.0 - truth_likely]),
    )


def accuracy(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the share of pairs whose predicted better side is the truly better (more likely) one.

    A prediction or a truth of exactly 0.5 names no side and counts one half, so turning pairs
    round changes nothing.
    """
    p, t = _checked(predicted, truth)
    return float(np.mean(hits(p, t)))


def hits(predicted: Floats, truth: Floats) -> Floats:
    """Return what each pair adds to accuracy, (N,): 1 where the sides agree, 0.5 where none is."""
    return np.asarray(0.5 + 0.5 * np.sign(predicted - 0.5) * np.sign(truth - 0.5))


def brier(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the mean of (predicted - truth)^2 (Brier 1950, for one of two classes).

    Against outcomes y ~ Bernoulli(q) its expectation is (p - q)^2 + q (1 - q). Against known
    probabilities only the first part is left: 0 is perfect, and the noise of votes is not in it.
    """
    p, t = _checked(predicted, truth)
    return float(np.mean((p - t) ** 2))


def nll(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the mean cross-entropy -t ln p - (1 - t) ln(1 - p), in nats.

    Infinite when a side predicted at exactly 0 happens with t > 0: nothing is clipped.
    """
    p, t = _checked(predicted, truth)
    return float(np.mean(-_times_log(t, p) - _times_log(1.0 - t, 1.0 - p)))


@dataclass(frozen=True)
class Reliability:
    """Predictions sorted into equal-width bins; all arrays are (bins,).

    Attributes:
        low: lower edge, excluded (0 belongs to the first bin).
        high: upper edge, included.
        count: how many predictions fell in.
        mean_predicted: their mean; NaN where count is 0.
        mean_true: the mean truth beside it; NaN where count is 0.
    """

    low: Floats
    high: Floats
    count: npt.NDArray[np.int64]
    mean_predicted: Floats
    mean_true: Floats


def reliability(predicted: npt.ArrayLike, truth: npt.ArrayLike, *, bins: int = BINS) -> Reliability:
    """Return the reliability table: mean prediction against mean truth in equal-width bins.

    Bin m is ((m - 1) / bins, m / bins], as in Guo et al. 2017 (arXiv 1706.04599), section 2.

    Raises:
        InputError: if bins < 1 or the arrays are not probabilities of one length.
    """
    p, t = _checked(predicted, truth)
    if bins < 1:
        raise InputError(f"bins must be at least 1, got {bins}")
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = bin_of(p, edges)
    count = np.bincount(index, minlength=bins)
    filled = np.maximum(count, 1)

    def mean(values: Floats) -> Floats:
        total = np.bincount(index, weights=values, minlength=bins)
        return np.where(count > 0, total / filled, np.nan)

    return Reliability(edges[:-1], edges[1:], count.astype(np.int64), mean(p), mean(t))


def bin_of(predicted: Floats, edges: Floats) -> Rows:
    """Return (N,) numbers of bins from 0. edges: (bins + 1,) ascending; the upper belongs in."""
    return np.searchsorted(edges[1:-1], predicted, side="left")


def ece(predicted: npt.ArrayLike, truth: npt.ArrayLike, *, bins: int = BINS) -> float:
    """Return the expected calibration error (ECE): sum over bins of n_m / N |mean p - mean t|.

    Naeini, Cooper and Hauskrecht 2015 (AAAI), with the equal-width bins of Guo et al. 2017
    (equation 3). 0 is perfect. See the module docstring: give pairs in an orientation that does
    not depend on the outcome, or both ways.
    """
    table = reliability(predicted, truth, bins=bins)
    used = table.count > 0
    gap = np.abs(table.mean_predicted[used] - table.mean_true[used])
    return float(np.sum(table.count[used] * gap) / np.sum(table.count))


def pair_ece(predicted: npt.ArrayLike, truth: npt.ArrayLike, *, bins: int = BINS) -> float:
    """Return the ECE of pairs counted both ways: the same in every orientation of the pairs.

    Raises:
        InputError: if bins is odd, or the arrays are not probabilities of one length.
    """
    check_pair_bins(bins)
    return ece(*both_ways(predicted, truth), bins=bins)


def check_pair_bins(bins: int) -> None:
    """Raise InputError unless bins of pairs counted both ways are even in number.

    A bin around 0.5 would hold a pair and its mirror image, and (p - t) + (t - p) = 0: whatever
    is wrong there would count as no error.
    """
    if bins < 2 or bins % 2:
        raise InputError(
            f"bins must be an even number >= 2, got {bins}: every pair is counted both ways, and "
            "in a bin around 0.5 the errors of a pair and of its mirror image cancel out"
        )


def bootstrap_interval(
    statistic: Callable[[Rows], float],
    groups: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic of rows (Efron 1979).

    Whole groups are drawn with replacement, as pairs of one prompt share answers and are not
    independent. For independent rows give every row its own group: `np.arange(N)`.

    Args:
        statistic: takes row numbers, with repeats, and returns the number of interest.
        groups: (N,) which group each row belongs to, any labels.
        level: covered share, between 0 and 1.
        resamples: how many times groups are drawn.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        InputError: if there is no row, or level or resamples is out of range.
    """
    if not 0.0 < level < 1.0 or resamples < 1:
        raise InputError(f"need 0 < level < 1 and resamples >= 1, got {level} and {resamples}")
    values = [statistic(rows) for rows in resampled_rows(groups, resamples=resamples, seed=seed)]
    return percentile_interval(values, level)


def percentile_interval(
    values: Sequence[float] | Floats, level: float = 0.95
) -> tuple[float, float]:
    """Return the middle share `level` of the values of resamples."""
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def resampled_rows(
    groups: npt.ArrayLike, *, resamples: int, seed: int, draws: int | None = None
) -> Iterator[Rows]:
    """Yield row numbers of groups drawn with replacement, once for each resample.

    Args:
        groups: (N,) which group each row belongs to, any labels.
        resamples: how many times groups are drawn.
        seed: of the draws.
        draws: how many groups are drawn each time; as many as there are if not given.

    Raises:
        InputError: if there is no row.
    """
    labels = np.asarray(groups)
    if labels.ndim != 1 or labels.size == 0:
        raise InputError(f"groups must be a (N,) array with N >= 1, got shape {labels.shape}")
    _, number, size = np.unique(labels, return_inverse=True, return_counts=True)
    by_group = np.argsort(number, kind="stable")
    start = np.cumsum(size) - size
    for drawn in drawn_groups(len(size), resamples=resamples, seed=seed, draws=draws):
        counts = size[drawn]
        # The i-th row of a drawn group stands i places after the group's first in `by_group`.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        yield by_group[np.repeat(start[drawn], counts) + within]


def drawn_groups(
    groups: int, *, resamples: int, seed: int, draws: int | None = None
) -> Iterator[Rows]:
    """Yield the numbers of the groups that each resample draws, with repeats.

    What reads them sees the same resamples for the same seed, whatever it computes.

    Args:
        groups: how many there are.
        resamples: how many times groups are drawn.
        seed: of the draws.
        draws: how many groups are drawn each time; as many as there are if not given.
    """
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield rng.integers(groups, size=groups if draws is None else draws)


def _times_log(weight: Floats, value: Floats) -> Floats:
    """weight * ln(value), with 0 ln 0 = 0; (N,) each."""
    with np.errstate(divide="ignore"):
        return np.where(weight > 0, weight * np.log(np.where(weight > 0, value, 1.0)), 0.0)


def _checked(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return both as float64 (N,), or raise InputError naming the array and its first bad row."""
    arrays = []
    for name, values in (("predicted", predicted), ("truth", truth)):
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 1 or array.size == 0:
            raise InputError(f"{name} must be a (N,) array with N >= 1, got shape {array.shape}")
        inside = (array >= 0.0) & (array <= 1.0)
        if not inside.all():
            row = int(np.argmin(inside))
            raise InputError(f"{name}[{row}] is {array[row]}, expected a probability from 0 to 1")
        arrays.append(array)
    p, t = arrays
    if p.shape != t.shape:
        raise InputError(f"predicted has {p.size} rows and truth {t.size}; they must be one to one")
    return p, t
