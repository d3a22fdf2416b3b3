"""Calibration errors from bins of predictions: plain, equal-mass, debiased, maximum, as `Sums`.

Every pair is counted both ways (calibration.both_ways), so that nothing depends on which answer
stands first. Edges of equal-mass bins are those of all pairs, also in resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmpo_core.calibration import bin_of, both_ways, check_pair_bins
from mmpo_core.evaluate.pairs import Floats, Pairs, Rows
from mmpo_core.evaluate.statistics import Sums, ratio

Edges = Callable[[Floats, int], Floats]


def equal_width(predicted: Floats, bins: int) -> Floats:
    """Return (bins + 1,) edges at equal distances from 0 to 1. predicted is not looked at."""
    return np.linspace(0.0, 1.0, bins + 1)


def equal_mass(predicted: Floats, bins: int) -> Floats:
    """Return (bins + 1,) edges between bins that hold about equally many predictions.

    Edges are quantiles (the lower of the two nearest values); those that fall together leave
    empty bins between them. Nguyen and O'Connor 2015 (arXiv 1508.05154), section 3.
    """
    share = np.arange(1, bins) / bins
    inner = np.quantile(predicted, share, method="inverted_cdf")
    return np.concatenate([[0.0], inner, [1.0]])


@dataclass(frozen=True, eq=False)
class Binned:
    """2N predictions, both ways, in bins.

    Attributes:
        index: (2N,) number of the bin.
        predicted: (2N,).
        truth: (2N,).
        prompt: (2N,).
        prompts: G.
        edges: (bins + 1,).
    """

    index: Rows
    predicted: Floats
    truth: Floats
    prompt: Rows
    prompts: int
    edges: Floats

    @property
    def bins(self) -> int:
        """How many bins there are, the empty ones too."""
        return len(self.edges) - 1

    def sums(self, values: Floats) -> Floats:
        """Return sums of (2N,) values by prompt and bin, (G, bins)."""
        cell = self.prompt * self.bins + self.index
        flat = np.bincount(cell, weights=values, minlength=self.prompts * self.bins)
        return flat.astype(np.float64).reshape(self.prompts, self.bins)


def binned(pairs: Pairs, truth: Floats, edges: Edges, bins: int) -> Binned:
    """Return predictions both ways in bins. truth: (N,) pairs.target or pairs.label.

    Raises:
        InputError: if bins is odd.
    """
    check_pair_bins(bins)
    predicted, both = both_ways(pairs.predicted, truth)
    found = edges(predicted, bins)
    # both_ways puts the mirror images after the N pairs, in the same order.
    prompt = np.concatenate([pairs.prompt, pairs.prompt])
    return Binned(bin_of(predicted, found), predicted, both, prompt, pairs.prompts, found)


def calibration_error(of: Binned) -> Sums:
    """Return sum over bins of n_m / N |mean p - mean t|: the ECE of Naeini et al. 2015 (AAAI)."""
    return Sums(_counts_and_gaps(of), _expected)


def maximum_error(of: Binned) -> Sums:
    """Return the largest |mean p - mean t| of a bin with pairs (Naeini et al. 2015: MCE)."""
    return Sums(_counts_and_gaps(of), _largest)


def debiased_error(of: Binned) -> Sums:
    """Return the debiased L2 calibration error: sqrt(sum n_m / N (gap_m^2 - var(gap_m))).

    Squaring a noisy gap adds its variance; the debiased estimator of Kumar, Liang and Ma 2019
    (arXiv 1909.10155), which they take from meteorology (Bröcker 2012; Ferro and Fricker 2012),
    takes it off again. It estimates var(gap_m) by y (1 - y) / (n_m - 1), which is right for hard
    labels, one prediction a bin and independent pairs. Here it is the variance of a mean over
    prompts (clusters),

        k / (k - 1) sum_g (G_g - n_g gap_m)^2 / n_m^2,

    with G_g and n_g the sum of p - t and the number of prompt g's pairs in the bin, k prompts in
    it. This is their estimator in that case, and holds for soft targets and for pairs that share
    a prompt. A bin with one prompt has no variance and counts as 0, as in their code; so does a
    negative sum. Being of squares, it is no smaller than the mean absolute gap in expectation.
    """
    gap, one = of.sums(of.predicted - of.truth), of.sums(np.ones(len(of.index)))
    columns = (one, gap, gap * gap, gap * one, one * one, (one > 0).astype(np.float64))
    return Sums(np.concatenate(columns, axis=1), _debiased)


def _counts_and_gaps(of: Binned) -> Floats:
    ones = np.ones(len(of.index))
    return np.concatenate([of.sums(ones), of.sums(of.predicted - of.truth)], axis=1)


def _expected(sums: Floats) -> Floats:
    count, gap = np.split(sums, 2, axis=-1)
    return ratio(np.abs(gap).sum(axis=-1), count.sum(axis=-1))


def _largest(sums: Floats) -> Floats:
    count, gap = np.split(sums, 2, axis=-1)
    # An empty bin has no gap. Where all are empty there is nothing to take the largest of.
    largest = np.nan_to_num(np.abs(ratio(gap, count))).max(axis=-1)
    return np.where(count.sum(axis=-1) > 0, largest, np.nan)


def _debiased(sums: Floats) -> Floats:
    count, gap, gap_gap, gap_count, count_count, prompts = np.split(sums, 6, axis=-1)
    mean = np.nan_to_num(ratio(gap, count))
    spread = gap_gap - 2 * mean * gap_count + mean * mean * count_count
    variance = ratio(spread, count * count) * ratio(prompts, prompts - 1)
    squared = np.where(prompts > 1, mean * mean - np.nan_to_num(variance), 0.0)
    total = ratio((count * squared).sum(axis=-1), count.sum(axis=-1))
    return np.sqrt(np.maximum(total, 0.0))
