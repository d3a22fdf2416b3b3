"""METRICS: every number about a model's predictions, by name. One dict, one line each.

`make` takes pairs and the number of bins and returns a statistic; intervals.py computes its value
and its interval. Which truth: `_hard` is against who won in the file (ties 0.5), the rest against
the targets p = sigma(gamma * margin). Accuracy asks for the winner, and ties count one half.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmpo_core.evaluate.binning import (
    Binned,
    binned,
    calibration_error,
    debiased_error,
    equal_mass,
    equal_width,
    maximum_error,
)
from mmpo_core.evaluate.pairs import Floats, Pairs, by_prompt
from mmpo_core.evaluate.ranked import quantile, risk_area, spearman
from mmpo_core.evaluate.statistics import Ordered, Statistic, Sums, ratio
from mmpo_core.evaluation import cross_entropy

MORE, LESS = "more", "less"


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        label: what tables and pictures call it.
        make: pairs, bins -> its statistic.
        better: MORE or LESS; None where neither is.
    """

    label: str
    make: Callable[[Pairs, int], Statistic]
    better: str | None = None


def mean(values: Floats, pairs: Pairs) -> Sums:
    """Return the mean of (N,) values as a statistic."""
    columns = np.stack([np.ones(len(pairs)), values], axis=1)
    table = by_prompt(columns, pairs.prompt, pairs.prompts)
    return Sums(table, lambda sums: ratio(sums[..., 1], sums[..., 0]))


def _spread(pairs: Pairs) -> Sums:
    # Shifted by the mean, or the difference of large squares would lose digits.
    h = pairs.h - pairs.h.mean()
    columns = np.stack([np.ones(len(pairs)), h, h * h], axis=1)

    def finish(sums: Floats) -> Floats:
        count, total, squares = np.moveaxis(sums, -1, 0)
        variance = ratio(squares - ratio(total * total, count), count - 1)
        return np.sqrt(np.maximum(variance, 0.0))

    return Sums(by_prompt(columns, pairs.prompt, pairs.prompts), finish)


def _accuracy(pairs: Pairs, bins: int) -> Sums:
    return mean(pairs.hits, pairs)


def _square(pairs: Pairs, truth: Floats) -> Sums:
    return mean((pairs.predicted - truth) ** 2, pairs)


def _both_ranked(pairs: Pairs) -> Ordered:
    of = spearman(
        np.concatenate([pairs.h, -pairs.h]), np.concatenate([pairs.margin, -pairs.margin])
    )
    return Ordered(lambda count: of(np.concatenate([count, count])))


def _risk_area(pairs: Pairs, bins: int) -> Ordered:
    return Ordered(risk_area(np.abs(pairs.h), 1.0 - pairs.hits))


def _soft(pairs: Pairs, bins: int) -> Binned:
    return binned(pairs, pairs.target, equal_width, bins)


def _quantile(share: float) -> Callable[[Pairs, int], Ordered]:
    return lambda pairs, bins: Ordered(quantile(pairs.h, share))


METRICS: dict[str, Metric] = {
    "accuracy": Metric("accuracy", _accuracy, MORE),
    "nll": Metric("NLL", lambda p, _: mean(cross_entropy(p.h, p.target), p), LESS),
    "nll_hard": Metric("NLL, hard labels", lambda p, _: mean(cross_entropy(p.h, p.label), p), LESS),
    "brier": Metric("Brier", lambda p, _: _square(p, p.target), LESS),
    "brier_hard": Metric("Brier, hard labels", lambda p, _: _square(p, p.label), LESS),
    "ece": Metric("ECE", lambda p, bins: calibration_error(_soft(p, bins)), LESS),
    "ece_hard": Metric(
        "ECE, hard labels",
        lambda p, bins: calibration_error(binned(p, p.label, equal_width, bins)),
        LESS,
    ),
    "ece_equal_mass": Metric(
        "ECE, equal mass",
        lambda p, bins: calibration_error(binned(p, p.target, equal_mass, bins)),
        LESS,
    ),
    "l2_debiased": Metric(
        "L2 error, debiased", lambda p, bins: debiased_error(_soft(p, bins)), LESS
    ),
    "mce": Metric("MCE", lambda p, bins: maximum_error(_soft(p, bins)), LESS),
    "reward_margin": Metric("mean h", lambda p, _: mean(p.h, p)),
    "reward_margin_sd": Metric("sd of h", lambda p, _: _spread(p)),
    "reward_margin_p05": Metric("h, 5%", _quantile(0.05)),
    "reward_margin_p25": Metric("h, 25%", _quantile(0.25)),
    "reward_margin_p50": Metric("h, median", _quantile(0.5)),
    "reward_margin_p75": Metric("h, 75%", _quantile(0.75)),
    "reward_margin_p95": Metric("h, 95%", _quantile(0.95)),
    "spearman": Metric("Spearman", lambda p, _: Ordered(spearman(p.h, p.margin)), MORE),
    "spearman_both_ways": Metric("Spearman, both ways", lambda p, _: _both_ranked(p), MORE),
    "aurc": Metric("AURC", _risk_area, LESS),
}
"""Name in evaluation.json -> metric. Spearman of `h` and margin asks whether clearer pairs get a
larger h; both ways, (h, m) and (-h, -m), it counts the winner too and turning pairs round changes
nothing."""

MAIN = ("accuracy", "nll", "brier", "ece", "reward_margin")
"""What breakdowns by margin, source and length show."""
