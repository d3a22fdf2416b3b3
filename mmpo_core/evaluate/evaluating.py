"""`evaluate_predictions`: from predictions of models on the same pairs to evaluation.json.

What it returns, ready for JSON; a number that is not defined is null, and so are low and high
where there are no resamples. ESTIMATE is {"value", "low", "high"}, a 95% interval.

    models             name ->
        kind, gamma, beta      the model's, as in predictions.parquet
        pairs, prompts, ties   counts; tie_share = ties / pairs
        metrics                metric of metrics.METRICS -> ESTIMATE
        by_margin              [{lowest, highest, pairs, prompts, ties, metrics}], quantiles
        by_source              [{name, pairs, prompts, ties, metrics}]
        by_length_difference   [{lowest, highest, ...}], tokens of chosen less those of rejected
        temperature            {temperature: ESTIMATE or null, reason, fitted_on, tried_on,
                               metrics: name -> {before, after: ESTIMATE, change: ESTIMATE and p}}
        reliability            [{low, high, count, predicted, true, true_low, true_high, won}]
        risk_coverage          [{coverage, risk, threshold}]
    differences        [{a, b, metric, value, low, high, p}], a less b; p two-sided
    settings           resamples, seed, bins, parts, level

Metrics in the rows of by_... are those of metrics.MAIN. A refused temperature has only
`temperature` (null) and `reason`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmpo_core.calibration import BINS, check_pair_bins
from mmpo_core.errors import InputError
from mmpo_core.evaluate.breakdown import PARTS, by_label, by_quantile, counts
from mmpo_core.evaluate.curves import reliability_rows, risk_coverage_rows
from mmpo_core.evaluate.intervals import LEVEL, RESAMPLES, SEED, Estimate, estimate
from mmpo_core.evaluate.metrics import METRICS
from mmpo_core.evaluate.paired import differences
from mmpo_core.evaluate.pairs import Pairs, pairs_of
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.evaluate.temperature import temperature


def evaluate_predictions(
    models: Mapping[str, Predictions],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    bins: int = BINS,
    parts: int = PARTS,
) -> dict[str, Any]:
    """Measure one or several models' predictions on the same pairs.

    Args:
        models: name -> predictions. Rows may stand in any order.
        resamples: of prompts, behind the intervals; 0 gives none.
        seed: of the resamples, and of the halves that temperature is fitted and tried on.
        bins: of the calibration errors and the reliability table; an even number.
        parts: of the breakdowns by margin and by difference in length.

    Returns:
        The content of evaluation.json; the module's docstring says what is in it.

    Raises:
        InputError: if there is no model or no pair, the models' pairs or targets differ, or a
            setting is out of range.
    """
    check_pair_bins(bins)
    if parts < 1:
        raise InputError(f"parts must be at least 1, got {parts}")
    aligned = align(models)
    found: dict[str, Any] = {}
    estimates: dict[str, dict[str, Estimate]] = {}
    for name, predictions in aligned.items():
        pairs = pairs_of(predictions)
        statistics = {key: metric.make(pairs, bins) for key, metric in METRICS.items()}
        estimates[name] = estimate(statistics, pairs, resamples=resamples, seed=seed)
        found[name] = (
            _about(predictions, pairs)
            | {"metrics": {key: one.to_dict() for key, one in estimates[name].items()}}
            | _tables(predictions, pairs, bins, parts, resamples, seed)
        )
    return {
        "models": found,
        "differences": differences(estimates),
        "settings": {
            "resamples": resamples,
            "seed": seed,
            "bins": bins,
            "parts": parts,
            "level": LEVEL,
        },
    }


def _about(predictions: Predictions, pairs: Pairs) -> dict[str, Any]:
    gamma = predictions.gamma
    counted = counts(pairs.label, pairs.prompts)
    return {
        "kind": predictions.kind,
        # JSON has no infinity: hard labels are the text "inf", as in a pair file.
        "gamma": gamma if gamma is None or np.isfinite(gamma) else str(gamma),
        "beta": predictions.beta,
        **counted,
        "tie_share": counted["ties"] / counted["pairs"],
    }


def _tables(
    predictions: Predictions, pairs: Pairs, bins: int, parts: int, resamples: int, seed: int
) -> dict[str, Any]:
    longer = predictions.length_difference
    drawn = {"bins": bins, "resamples": resamples, "seed": seed}
    return {
        "by_margin": by_quantile(pairs, predictions.margin, parts=parts, **drawn),
        "by_source": by_label(pairs, predictions.source, **drawn),
        "by_length_difference": by_quantile(pairs, longer, parts=parts, **drawn),
        "temperature": temperature(pairs, **drawn),
        "reliability": reliability_rows(pairs, **drawn),
        "risk_coverage": risk_coverage_rows(pairs),
    }


def align(models: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """Return predictions with their rows in the order of the first model's.

    Raises:
        InputError: if there is no model or no pair, a pair is there twice, pairs or prompts are
            not the same in all, or targets differ: then numbers could not be compared.
    """
    if not models:
        raise InputError("there are no predictions to evaluate")
    first_name, first = next(iter(models.items()))
    if not len(first):
        raise InputError(f"{first_name}: there is no pair to evaluate")
    place = {pair: at for at, pair in enumerate(first.pair_id)}
    if len(place) < len(first):
        raise InputError(f"{first_name}: a pair_id is there more than once; it must be unique")
    aligned = {}
    for name, predictions in models.items():
        at = [place[pair] for pair in predictions.pair_id if pair in place]
        shared = len(set(at))
        if not shared == len(predictions) == len(first):
            raise InputError(
                f"{name} and {first_name} are not of the same pairs: {len(predictions)} and "
                f"{len(first)}, {shared} in both. Evaluate them on one file"
            )
        aligned[name] = predictions.take(np.argsort(at))
        _same(aligned[name], first, name, first_name)
    return aligned


def _same(a: Predictions, b: Predictions, name: str, other: str) -> None:
    if not np.allclose(a.target, b.target, rtol=0, atol=1e-9):
        row = int(np.argmax(np.abs(a.target - b.target)))
        raise InputError(
            f"{name} and {other} have other targets for the same pairs (pair {a.pair_id[row]}: "
            f"{a.target[row]:g} and {b.target[row]:g}). Evaluate them with one gamma"
        )
    if not (np.array_equal(a.tie, b.tie) and _same_groups(a, b)):
        raise InputError(
            f"{name} and {other} differ in the prompts or ties of the same pairs. Evaluate them "
            "on one file"
        )


def _same_groups(a: Predictions, b: Predictions) -> bool:
    together = len(set(zip(a.prompt_id.tolist(), b.prompt_id.tolist(), strict=True)))
    return together == len(set(a.prompt_id.tolist())) == len(set(b.prompt_id.tolist()))
