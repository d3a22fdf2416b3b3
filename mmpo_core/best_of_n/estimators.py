"""Expected reward of the best of n answers, from N >= n candidates of each prompt.

Pure functions; numpy. Drawing n of the N candidates again and again and averaging the best would
estimate the same with more noise; this is its exact mean over all subsets of n.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmpo_core.calibration import drawn_groups
from mmpo_core.errors import InputError
from mmpo_core.evaluate.intervals import RESAMPLES, SEED, Estimate

Floats = npt.NDArray[np.float64]


def rank_weights(candidates: int, n: int) -> Floats:
    """Return the probability that each of N candidates is the best of n drawn without replacement.

    Of the candidates sorted upwards, the i-th (from 1) is the best of C(i - 1, n - 1) of the
    C(N, n) subsets. Computed from the top down, as w_N = n / N and w_i / w_(i+1) = (i - n + 1) / i:
    no binomial coefficient, so nothing overflows however large N is.

    Args:
        candidates: N, at least 1.
        n: from 1 to N.

    Returns:
        (N,) weights in ascending order of the candidates; they add up to 1, the lowest n - 1 are 0.

    Raises:
        InputError: if n is not from 1 to N.
    """
    if not 1 <= n <= candidates:
        raise InputError(f"n is {n}, expected a number from 1 to the {candidates} candidates")
    rank = np.arange(candidates - 1, 0, -1)
    falling = np.cumprod(np.maximum(rank - n + 1, 0) / rank)
    return (n / candidates) * np.concatenate([[1.0], falling])[::-1]


def expected_of_best(scores: npt.ArrayLike, n: int, values: npt.ArrayLike | None = None) -> float:
    """Return an unbiased estimate of what the best of n answers by score is worth.

    sum_i C(i - 1, n - 1) / C(N, n) v_(i), candidates sorted by score: the appendix of Nakano et al.
    2021 (WebGPT, arXiv 2112.09332). Unbiased for independent answers of one policy. Among equal
    scores the pick is even: they share their ranks' weights.

    Args:
        scores: (N,) what the best is picked by.
        n: of how many answers the best is picked, from 1 to N.
        values: (N,) what the pick is worth, such as another model's reward; the scores if not
            given: the expected maximum.

    Raises:
        InputError: if the arrays are not finite and (N,), or n is not from 1 to N.
    """
    by = _finite("scores", scores)
    worth = by if values is None else _finite("values", values)
    if worth.shape != by.shape:
        raise InputError(f"there are {by.size} scores and {worth.size} values, expected as many")
    _, rank, count = np.unique(by, return_inverse=True, return_counts=True)
    together = np.add.reduceat(rank_weights(by.size, n), np.cumsum(count) - count)
    return float(np.sum((together / count)[rank] * worth))


def by_prompt(
    scores: Sequence[npt.ArrayLike],
    ns: Sequence[int],
    values: Sequence[npt.ArrayLike] | None = None,
) -> Floats:
    """Return `expected_of_best` of each prompt and n, (prompts, len(ns)).

    Args:
        scores: of each prompt, (N,); prompts may have different N.
        ns: how many answers.
        values: of each prompt, (N,); see expected_of_best.

    Raises:
        InputError: naming the prompt (from 0) whose candidates cannot be used or are too few.
    """
    table = np.empty((len(scores), len(ns)))
    for prompt, one in enumerate(scores):
        worth = None if values is None else values[prompt]
        try:
            table[prompt] = [expected_of_best(one, n, worth) for n in ns]
        except InputError as error:
            raise InputError(f"prompt {prompt}: {error}") from error
    return table


def mean_over_prompts(
    table: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED
) -> list[Estimate]:
    """Return the mean over prompts of each column, with its resamples.

    Prompts are drawn with replacement, the same for all columns, so that the draws of two n can be
    subtracted. What one prompt's candidates happen to be is in the spread between prompts.

    Args:
        table: (prompts, K), as `by_prompt` gives it.
        resamples: how often; none are drawn of a single prompt.
        seed: of the draws.

    Raises:
        InputError: if there is no prompt.
    """
    rows = np.asarray(table, dtype=np.float64)
    if rows.ndim != 2 or not len(rows):
        raise InputError(f"need a row for each of at least one prompt, got shape {rows.shape}")
    drawn = drawn_groups(len(rows), resamples=resamples if len(rows) > 1 else 0, seed=seed)
    draws = np.array([rows[prompts].mean(axis=0) for prompts in drawn]).reshape(-1, rows.shape[1])
    return [
        Estimate(float(value), column) for value, column in zip(rows.mean(0), draws.T, strict=True)
    ]


def _finite(name: str, values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise InputError(f"{name} must be (N,) with N >= 1, got shape {array.shape}")
    if not np.isfinite(array).all():
        at = int(np.argmin(np.isfinite(array)))
        raise InputError(f"{name}[{at}] is {array[at]}, expected a finite number")
    return array
