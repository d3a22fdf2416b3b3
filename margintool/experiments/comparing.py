"""What several seeds of several arms show: means, differences, two intervals, a verdict.

Two things are left to chance, and each has an interval of its own: training (t interval over
seeds) and the held-out prompts (percentile bootstrap over prompts of the mean over seeds, all arms
and seeds on the same drawn prompts). Only where all intervals leave 0 out is anything said to be
clear. Pure; read by the experiments.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from margintool.demo.outcome import Interval, t_interval, verdict
from mmpo_core.evaluate.intervals import Estimate, estimate
from mmpo_core.evaluate.metrics import METRICS, MORE
from mmpo_core.evaluate.pairs import Pairs, pairs_of
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.evaluate.statistics import Statistic
from mmpo_core.interval_words import interval

# arm -> seed -> what its model says of the held-out pairs
Predicted = Mapping[str, Mapping[int, Predictions]]
# arm -> seed -> metric -> estimate
Measured = Mapping[str, Mapping[int, Mapping[str, Estimate]]]
Make = Callable[[Pairs, str], Mapping[str, Statistic]]

BINS = 10
UNCLEAR, UNKNOWN = "no clear difference", "unknown"


@dataclass(frozen=True)
class Finding:
    """A number over seeds.

    Attributes:
        mean: over seeds.
        sd: standard deviation over seeds (n - 1); None with one seed.
        over_seeds: 95% t interval of the mean; None with one seed.
        over_prompts: 95% bootstrap interval of the mean; None where prompts were not drawn.
    """

    mean: float
    sd: float | None
    over_seeds: Interval | None
    over_prompts: Interval | None

    def verdict(self, better: str | None = None) -> str:
        """Return what the number shows, taken as a difference.

        Args:
            better: METRICS' word for what is better, more or less; None for neither.

        Returns:
            better or worse, higher or lower where neither is better; UNCLEAR where an interval
            holds 0; UNKNOWN with one seed.
        """
        # Where prompts were not drawn there is one interval, which then stands for both.
        prompts = self.over_prompts or self.over_seeds
        if self.over_seeds is None or prompts is None:
            return UNKNOWN
        word = verdict(self.over_seeds, prompts, higher_is_better=better in (None, MORE))
        neutral = {"better": "higher", "worse": "lower"}
        return neutral.get(word, word) if better is None else word

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        pairs = {"over_seeds": self.over_seeds, "over_prompts": self.over_prompts}
        bounds = {name: None if one is None else list(one) for name, one in pairs.items()}
        return {"mean": self.mean, "sd": self.sd, **bounds}


def finding(estimates: Sequence[Estimate]) -> Finding:
    """Return one number of several seeds.

    Args:
        estimates: one a seed, from the same resamples; draws may be empty.
    """
    values = np.array([one.value for one in estimates])
    several = len(values) > 1 and bool(np.isfinite(values).all())
    draws = np.mean([one.draws for one in estimates], axis=0)
    return Finding(
        float(values.mean()),
        float(values.std(ddof=1)) if several else None,
        t_interval(values) if several else None,
        Estimate(float(values.mean()), draws).interval(),
    )


def difference(
    measured: Measured, a: str, b: str, metric: str, *, baseline: str | None = None
) -> Finding:
    """Return a's number less b's, seed by seed on the same prompts.

    Args:
        measured: see `measure`.
        a, b: arms, with the same seeds.
        metric: name of the number.
        baseline: the number of b, if it is another.
    """
    other = baseline or metric
    return finding(
        [
            Estimate(
                measured[a][seed][metric].value - measured[b][seed][other].value,
                measured[a][seed][metric].draws - measured[b][seed][other].draws,
            )
            for seed in measured[a]
        ]
    )


def less(measured: Measured, arm: str, metric: str, value: float) -> Finding:
    """Return an arm's number less a given one."""
    estimates = [one[metric] for one in measured[arm].values()]
    return finding([Estimate(one.value - value, one.draws - value) for one in estimates])


def measure(predicted: Predicted, make: Make, *, resamples: int, seed: int) -> Measured:
    """Return every number of every model, all from the same resamples of prompts.

    Args:
        predicted: models on the same pairs, in the same order.
        make: pairs and the name of their arm -> statistics by name.
        resamples, seed: of the bootstrap.
    """
    found: dict[str, dict[int, dict[str, Estimate]]] = {}
    for arm, by_seed in predicted.items():
        found[arm] = {}
        for number, predictions in by_seed.items():
            pairs = pairs_of(predictions)
            statistics = make(pairs, arm)
            found[arm][number] = estimate(statistics, pairs, resamples=resamples, seed=seed)
    return found


def by_metrics(names: Sequence[str], bins: int = BINS) -> Make:
    """Return what makes statistics of mmpo_core.evaluate's METRICS by name."""
    return lambda pairs, arm: {name: METRICS[name].make(pairs, bins) for name in names}


def interval_words(bounds: Sequence[float] | None) -> str:
    """Return an interval in words."""
    low, high = (None, None) if bounds is None else bounds
    return interval(low, high, "{:+.3f}".format)
