"""One number that makes log-odds less or more sure: h / T, fitted on some prompts, tried on others.

Guo et al. 2017 (arXiv 1706.04599), section 4.2: T minimises the mean cross-entropy. Accuracy and
ranks do not change, calibration does. Read by evaluating.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmpo_core.errors import InputError
from mmpo_core.evaluate.intervals import LEVEL, Estimate, estimate
from mmpo_core.evaluate.metrics import METRICS
from mmpo_core.evaluate.paired import difference_to_dict
from mmpo_core.evaluate.pairs import Pairs, by_prompt
from mmpo_core.evaluation import probability_of

FEWEST_PROMPTS = 30
"""In each half; with fewer, T would be chance."""
COMPARED = ("nll", "brier", "ece")


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        value: T > 0; above 1 where the model is too sure.
        low, high: 95% interval, from the variance of the score over prompts (sandwich) and a
            normal ln T.
    """

    value: float
    low: float
    high: float


def fit_temperature(pairs: Pairs) -> Temperature:
    """Return the T > 0 with the least mean cross-entropy of sigma(h / T) against the targets.

    Cross-entropy is convex in s = 1 / T, and its slope, mean h (sigma(s h) - target), rises with
    s: T is where it is 0.

    Raises:
        InputError: if there is none: the slope is above 0 already at s = 0 (h says nothing of the
            targets, or the contrary), or below 0 for any s (every target is met best by certainty).
    """
    from scipy.optimize import brentq

    largest = float(np.abs(pairs.h).max(initial=0.0))
    if largest == 0.0:
        raise InputError("no temperature fits: every reward margin is 0")
    h = pairs.h / largest  # so that bounds on s hold whatever the unit of h

    def slope(s: float) -> float:
        return float(np.mean(h * (probability_of(s * h) - pairs.target)))

    if slope(0.0) >= 0.0:
        raise InputError(
            "no temperature fits: larger reward margins do not go with larger targets, so that "
            "the best T is infinite"
        )
    # Its limit for s without bound, where sigma(s h) is 0 or 1. From numbers that saturate, the
    # slope itself would be read as 0 there.
    if float(np.mean(h * ((h > 0) - pairs.target))) <= 0.0:
        raise InputError(
            "no temperature fits: every pair is predicted on the right side of a certain target, "
            "so that the best T is 0"
        )
    upper = 1.0
    while slope(upper) < 0.0:
        upper *= 2.0
    s = float(brentq(slope, 0.0, upper, xtol=1e-14, rtol=1e-14))
    error = _standard_error(pairs, s / largest)
    return Temperature(
        largest / s, float(largest / s * np.exp(-error)), float(largest / s * np.exp(error))
    )


def _standard_error(pairs: Pairs, s: float) -> float:
    """Return the half-width of the interval of ln T at s = 1 / T; ln T = -ln s."""
    from scipy.stats import norm

    p = probability_of(s * pairs.h)
    score = by_prompt((pairs.h * (p - pairs.target))[:, None], pairs.prompt, pairs.prompts)
    curvature = float(np.sum(pairs.h**2 * p * (1.0 - p)))
    if curvature == 0.0:
        return float("inf")
    return float(norm.ppf((1 + LEVEL) / 2) * np.sqrt(np.sum(score**2)) / curvature / s)


def split_prompts(pairs: Pairs, seed: int) -> tuple[Pairs, Pairs]:
    """Return the pairs of half of the prompts, drawn at random, and those of the other half."""
    drawn = np.random.default_rng(seed).permutation(pairs.prompts) < pairs.prompts // 2
    first = drawn[pairs.prompt]
    return pairs.take(first), pairs.take(~first)


def temperature(pairs: Pairs, *, bins: int, resamples: int, seed: int) -> dict[str, Any]:
    """Return T fitted on half of the prompts, and NLL, Brier and ECE of the other half with it.

    Intervals of the metrics take T as given.

    Args:
        pairs: N pairs.
        bins, resamples, seed: as in evaluate_predictions; the seed also draws the halves.

    Returns:
        temperature (value, low, high), fitted_on and tried_on (pairs, prompts), metrics: name ->
        before, after (value, low, high) and change (after less before, with p). Or, where none
        can be fitted, temperature None and the reason.
    """
    if pairs.prompts < 2 * FEWEST_PROMPTS:
        return _refused(
            f"{pairs.prompts} prompts are too few: at least {FEWEST_PROMPTS} to fit a temperature "
            f"on and {FEWEST_PROMPTS} others to try it on"
        )
    fitted, tried = split_prompts(pairs, seed)
    try:
        found = fit_temperature(fitted)
    except InputError as error:
        return _refused(str(error))
    statistics = {
        f"{when} {name}": METRICS[name].make(these, bins)
        for when, these in (("before", tried), ("after", tried.tempered(found.value)))
        for name in COMPARED
    }
    estimates = estimate(statistics, tried, resamples=resamples, seed=seed)
    return {
        "temperature": vars(found) | {"high": found.high if np.isfinite(found.high) else None},
        "reason": None,
        "fitted_on": {"pairs": len(fitted), "prompts": fitted.prompts},
        "tried_on": {"pairs": len(tried), "prompts": tried.prompts},
        "metrics": {name: _change(name, estimates) for name in COMPARED},
    }


def _change(name: str, estimates: dict[str, Estimate]) -> dict[str, Any]:
    before, after = estimates[f"before {name}"], estimates[f"after {name}"]
    return {
        "before": before.to_dict(),
        "after": after.to_dict(),
        "change": difference_to_dict(after, before),
    }


def _refused(reason: str) -> dict[str, Any]:
    return {"temperature": None, "reason": reason}
