"""From predictions to numbers and to the sentence that says what they show. Pure functions.

Every measure compares predictions on held-out pairs with the known probabilities. What is
concluded follows from intervals alone (`verdict`), so it says "worse" or "no clear difference"
when that is what came out. Read by run.py; table.py and plot.py show it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from margintool.demo.heldout import Floats, Heldout, sigmoid
from margintool.demo.settings import ARMS
from mmpo_core.calibration import accuracy, bootstrap_interval, brier, nll, pair_ece

Score = Callable[[Floats, Floats], float]
Interval = tuple[float, float]
Gaps = Mapping[str, Mapping[int, Floats]]


@dataclass(frozen=True)
class Measure:
    """A number that says how good predictions are.

    Args:
        label: what tables and the plot call it.
        score: predictions (N,), truth (N,) -> number.
        higher_is_better: else lower is.
    """

    label: str
    score: Score
    higher_is_better: bool = False


MEASURES: dict[str, Measure] = {
    "accuracy": Measure("accuracy", accuracy, higher_is_better=True),
    "ece": Measure("ECE", pair_ece),
    "brier": Measure("Brier score", brier),
}


def overconfidence(predicted: Floats, truth: Floats) -> float:
    """Return mean(confidence - true probability) of the predicted sides. > 0: overconfident."""
    sure = np.where(predicted >= 0.5, predicted - truth, truth - predicted)
    return float(np.mean(sure))


@dataclass(frozen=True)
class Difference:
    """First arm minus second in one measure.

    Args:
        mean: mean over seeds of the paired differences.
        over_seeds: 95% t interval of that mean over training seeds; None with one seed.
        over_prompts: 95% bootstrap interval of it over held-out prompts.
        verdict: better, worse, no clear difference, or unknown with one seed: of the first arm.
    """

    mean: float
    over_seeds: Interval | None
    over_prompts: Interval
    verdict: str


def numbers(predicted: Floats, heldout: Heldout) -> dict[str, float]:
    """Return every number of one model. predicted: (N,) probability that A wins."""
    truth, majority = heldout.p_true, heldout.majority
    return {
        **{name: measure.score(predicted, truth) for name, measure in MEASURES.items()},
        "nll": nll(predicted, truth),
        "overconfidence": overconfidence(predicted, truth),
        "majority_accuracy": accuracy(predicted, majority),
        "majority_ece": pair_ece(predicted, majority),
        "majority_brier": brier(predicted, majority),
    }


def spread(per_seed: Mapping[int, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Return mean and sample standard deviation over seeds of every number; None for one seed."""
    names = next(iter(per_seed.values()))
    columns = {name: np.array([row[name] for row in per_seed.values()]) for name in names}
    return {
        "mean": {name: float(values.mean()) for name, values in columns.items()},
        "sd": {
            name: float(values.std(ddof=1)) if values.size > 1 else None
            for name, values in columns.items()
        },
    }


def differences(gaps: Gaps, heldout: Heldout, resamples: int, seed: int) -> dict[str, Difference]:
    """Compare the first arm of ARMS with the second, measure by measure.

    Args:
        gaps: arm -> seed -> (N,) predicted log-odds that A wins; both arms with the same seeds.
        heldout: the N pairs.
        resamples, seed: of the bootstrap over prompts.
    """
    first, second = ({s: sigmoid(h) for s, h in gaps[arm].items()} for arm in ARMS)
    truth = heldout.p_true

    def compare(measure: Measure) -> Difference:
        def paired(rows: "npt.NDArray[np.intp] | slice") -> Floats:
            t = truth[rows]
            return np.array(
                [
                    measure.score(first[s][rows], t) - measure.score(second[s][rows], t)
                    for s in first
                ]
            )

        each = paired(slice(None))
        over_seeds = t_interval(each) if each.size > 1 else None
        over_prompts = bootstrap_interval(
            lambda rows: float(paired(rows).mean()),
            np.array(heldout.prompt),
            resamples=resamples,
            seed=seed,
        )
        return Difference(
            float(each.mean()),
            over_seeds,
            over_prompts,
            verdict(over_seeds, over_prompts, higher_is_better=measure.higher_is_better),
        )

    return {name: compare(measure) for name, measure in MEASURES.items()}


def t_interval(values: Floats) -> Interval:
    """Return the 95% t interval of the mean of (n,) values, n >= 2: mean -+ t sd / sqrt(n)."""
    from scipy.stats import t

    half = float(t.ppf(0.975, values.size - 1)) * float(values.std(ddof=1)) / values.size**0.5
    return float(values.mean()) - half, float(values.mean()) + half


def verdict(over_seeds: Interval | None, over_prompts: Interval, *, higher_is_better: bool) -> str:
    """Return what a difference shows: only if both intervals lie on one side of 0 is it clear."""
    if over_seeds is None:
        return "unknown"
    lows, highs = zip(over_seeds, over_prompts, strict=True)
    if min(lows) > 0:
        return "better" if higher_is_better else "worse"
    if max(highs) < 0:
        return "worse" if higher_is_better else "better"
    return "no clear difference"


def conclusion(found: Mapping[str, Difference]) -> str:
    """Return one sentence that says what came out, whatever it is."""
    first, second = (arm.label for arm in ARMS.values())
    by_verdict: dict[str, list[str]] = {}
    for name, difference in found.items():
        by_verdict.setdefault(difference.verdict, []).append(MEASURES[name].label)
    if "unknown" in by_verdict:
        return (
            "One seed shows no spread, so nothing can be concluded about the difference; "
            "--seeds 3 trains more."
        )
    parts = [
        f"{first} are {word} than {second} in {_listed(by_verdict[word])}"
        for word in ("better", "worse")
        if word in by_verdict
    ]
    if "no clear difference" in by_verdict:
        parts.append(
            f"there is no clear difference in {_listed(by_verdict['no clear difference'])}"
        )
    return f"On these simulated votes, {'; '.join(parts)}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def as_dict(found: Mapping[str, Difference]) -> dict[str, Any]:
    """Return differences as JSON holds them."""
    return {
        name: {
            "mean": d.mean,
            "interval_over_seeds": d.over_seeds and list(d.over_seeds),
            "interval_over_prompts": list(d.over_prompts),
            "verdict": d.verdict,
        }
        for name, d in found.items()
    }
