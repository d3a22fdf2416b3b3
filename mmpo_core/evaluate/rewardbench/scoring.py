"""From accuracies of subsets to section scores and the average, as RewardBench computes them.

Pure functions on arrays; sections.py holds the weights. What is not in the data does not count: a
section is the weighted mean of those of its subsets that are there, the average that of the
sections that are there. So do the benchmark's own functions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmpo_core.errors import InputError, lookup
from mmpo_core.evaluate.rewardbench.sections import SECTIONS, SUBSETS
from mmpo_core.evaluate.statistics import ratio

Floats = npt.NDArray[np.float64]

_IN_SECTION = np.array(
    [[one.counts.get(subset, 0) for one in SECTIONS.values()] for subset in SUBSETS], float
)
_OF_SECTION = np.array([one.weight for one in SECTIONS.values()])


@dataclass(frozen=True)
class Scores:
    """Scores from 0 to 1.

    Attributes:
        sections: section -> score, of those with at least one subset in the data.
        average: their weighted mean; NaN where there is no section.
    """

    sections: dict[str, float]
    average: float


def scores_of(accuracies: Mapping[str, float]) -> Scores:
    """Return section scores and average of subset -> accuracy.

    Raises:
        InputError: for an unknown subset, or an accuracy that is not from 0 to 1.
    """
    for subset, accuracy in accuracies.items():
        lookup("subset", subset, dict.fromkeys(SUBSETS))
        if not 0 <= accuracy <= 1:
            raise InputError(f"{subset}: accuracy is {accuracy}, expected a number from 0 to 1")
    found = section_scores(np.array([accuracies.get(subset, np.nan) for subset in SUBSETS]))
    there = {
        name: float(score) for name, score in zip(SECTIONS, found, strict=True) if score == score
    }
    return Scores(there, float(average(found)))


def section_scores(accuracies: Floats) -> Floats:
    """Return the scores of SECTIONS, (..., sections). accuracies: (..., SUBSETS), NaN if absent."""
    return _weighted_mean(accuracies, _IN_SECTION)


def average(sections: Floats) -> Floats:
    """Return the overall score, (...). sections: (..., SECTIONS), NaN where absent."""
    return _weighted_mean(sections, _OF_SECTION)


def correct(chosen: Floats, rejected: Floats) -> Floats:
    """Return what each example adds to its subset's accuracy, (N,): 1 if chosen > rejected, else 0.

    RewardBench's own rule (run_rm.py and run_dpo.py of rewardbench 0.1.4): a tie is a miss.
    """
    return np.asarray(chosen > rejected, dtype=np.float64)


def half_credit(chosen: Floats, rejected: Floats) -> Floats:
    """Return the same with one half for a tie, as accuracy is counted elsewhere in this package."""
    return np.asarray(0.5 + 0.5 * np.sign(chosen - rejected))


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Return means of what is not NaN, and NaN where nothing is left.

    values: (..., K); weights: (K, M) or (K,) -> (..., M) or (...).
    """
    there = np.isfinite(values)
    return ratio(np.where(there, values, 0.0) @ weights, there @ weights)
