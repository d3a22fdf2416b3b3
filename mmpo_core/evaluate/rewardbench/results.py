"""From predictions on RewardBench's examples to everything that is reported of a model.

Predictions hold the subset as `source`. Intervals are over prompts, drawn from all examples
together, so that a prompt which several subsets share stays one observation.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from mmpo_core.calibration import pair_ece
from mmpo_core.evaluate.binning import binned, calibration_error, debiased_error, equal_width
from mmpo_core.evaluate.intervals import Estimate, estimate
from mmpo_core.evaluate.pairs import by_prompt, pairs_of
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.evaluate.rewardbench.scoring import (
    Floats,
    average,
    correct,
    half_credit,
    scores_of,
    section_scores,
)
from mmpo_core.evaluate.rewardbench.sections import PRIOR, SECTIONS, SUBSETS, section_of
from mmpo_core.evaluate.statistics import Statistic, Sums, ratio

_AVERAGE = "average"


def results_of(predictions: Predictions, *, resamples: int, bins: int, seed: int) -> dict[str, Any]:
    """Return what rewardbench.json says of a model's predictions.

    Args:
        predictions: of at least one example; `source` is its subset.
        resamples: of prompts, behind the 95% intervals; 0 for none.
        bins: of the calibration error.
        seed: of the resamples.

    Returns:
        `average`, `sections` and `subsets`, each with value, low and high from 0 to 1 (low and high
        None where a single prompt is behind it); `missing`
        subsets; `ties`; `ties_half`, the scores with one half for a tie; and `calibration` on
        Prior Sets, None without examples of them.

    Raises:
        InputError: if there is no example.
    """
    found = _estimates(predictions, resamples, seed)
    subsets = {name: one for name in SUBSETS if (one := _counts(predictions, [name]))["examples"]}
    sections = {
        name: {"weight": one.weight, **_counts(predictions, list(one.counts))}
        for name, one in SECTIONS.items()
    }
    return {
        _AVERAGE: found[_AVERAGE].to_dict(),
        "sections": {
            name: found[name].to_dict() | facts
            for name, facts in sections.items()
            if facts["examples"]
        },
        "subsets": {
            name: found[name].to_dict() | {"section": section_of(name)} | facts
            for name, facts in subsets.items()
        },
        "missing": [name for name in SUBSETS if section_of(name) and name not in subsets],
        **_counts(predictions, SUBSETS),
        "ties_half": _with_half_credit(predictions, list(subsets)),
        "calibration": _calibration(predictions, resamples, bins, seed),
    }


def _estimates(predictions: Predictions, resamples: int, seed: int) -> dict[str, Estimate]:
    """Return estimates of the accuracy of each subset, each section's score and the average."""
    pairs = pairs_of(predictions)
    member = predictions.source[:, None] == np.array(SUBSETS)
    right = correct(predictions.chosen_score, predictions.rejected_score)
    columns = np.concatenate([member, member * right[:, None]], axis=1)
    sums = by_prompt(columns, pairs.prompt, pairs.prompts)
    found: dict[str, Statistic] = {
        name: Sums(sums[:, [k, k + len(SUBSETS)]], _accuracy) for k, name in enumerate(SUBSETS)
    }
    for k, name in enumerate(SECTIONS):
        found[name] = Sums(sums, partial(_section, k))
    found[_AVERAGE] = Sums(sums, lambda totals: average(_sections(totals)))
    drawn = estimate(found, pairs, resamples=resamples, seed=seed)
    parts = {name: [name] for name in SUBSETS} | {
        name: list(one.counts) for name, one in SECTIONS.items()
    }
    for name, subsets in parts.items():
        rows = np.isin(predictions.source, subsets)
        if len(np.unique(pairs.prompt[rows])) == 1:  # which resamples would make look certain
            drawn[name] = Estimate(drawn[name].value, np.empty(0))
    return drawn


def _accuracy(sums: Floats) -> Floats:
    return ratio(sums[..., 1], sums[..., 0])


def _sections(sums: Floats) -> Floats:
    """Return section scores, (..., SECTIONS). sums: (..., 2 SUBSETS) counts, then what is right."""
    count, right = np.split(sums, 2, axis=-1)
    return section_scores(ratio(right, count))


def _section(number: int, sums: Floats) -> Floats:
    return np.asarray(_sections(sums)[..., number])


def _counts(predictions: Predictions, subsets: Sequence[str]) -> dict[str, int]:
    rows = np.isin(predictions.source, list(subsets))
    return {"examples": int(rows.sum()), "ties": int((predictions.h[rows] == 0).sum())}


def _with_half_credit(predictions: Predictions, subsets: list[str]) -> dict[str, Any]:
    credit = half_credit(predictions.chosen_score, predictions.rejected_score)
    scores = scores_of({one: float(credit[predictions.source == one].mean()) for one in subsets})
    return {"sections": scores.sections, _AVERAGE: scores.average}


def _calibration(
    predictions: Predictions, resamples: int, bins: int, seed: int
) -> dict[str, Any] | None:
    """Return calibration errors on Prior Sets: of all their examples, the ECE by subset too.

    Every outcome is "chosen won", so pairs are counted both ways (see calibration.py). This is
    the error of confidences sigma(|h|) in bins / 2 bins from 0.5 to 1.
    """
    prior = predictions.take(np.isin(predictions.source, list(SECTIONS[PRIOR].counts)))
    if not len(prior):
        return None
    pairs = pairs_of(prior)
    both = binned(pairs, pairs.label, equal_width, bins)
    errors = {"ece": calibration_error(both), "l2_debiased": debiased_error(both)}
    found = estimate(errors, pairs, resamples=resamples, seed=seed)
    by_subset = {
        name: pair_ece(pairs.predicted[rows], pairs.label[rows], bins=bins)
        for name in SECTIONS[PRIOR].counts
        if (rows := prior.source == name).any()
    }
    return {
        "section": PRIOR,
        "bins": bins,
        **{name: one.to_dict() for name, one in found.items()},
        "by_subset": by_subset,
    }
