"""Which candidate is picked, and how sure that is: by calibrated probabilities of winning.

Pure functions; numpy. A reward model's h = r_i - r_j, divided by the temperature T that calibrates
it on held-out pairs (mmpo_core/evaluate/temperature.py), makes sigma(h / T) the probability that
answer i beats answer j.
"""

import math

import numpy as np
import numpy.typing as npt

from mmpo_core.errors import InputError
from mmpo_core.evaluation import probability_of

Floats = npt.NDArray[np.float64]


def win_probability(rewards: npt.ArrayLike, temperatures: npt.ArrayLike = 1.0) -> Floats:
    """Return each candidate's mean calibrated probability of beating another one, (N,).

    Mean over models m and the other candidates j of sigma((r_mi - r_mj) / T_m). It is 1/2 for all
    where the rewards say nothing, and adds up to N / 2.

    **With one model the order is that of the rewards**: what is gained is a number that says how
    clear the pick is. With several, each counts by what it can tell: a model whose temperature is
    high moves the mean little, however large its rewards are, and rewards of different scales can
    be taken together.

    Args:
        rewards: (N,) of one model, or (M, N) of several, finite.
        temperatures: T > 0, one for all, or (M,).

    Raises:
        InputError: if there are fewer than two candidates, or a value is out of range.
    """
    table = np.atleast_2d(np.asarray(rewards, dtype=np.float64))
    if table.ndim != 2 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise InputError(
            "rewards must be finite, (N,) or (models, N) with N >= 2 candidates to compare; got "
            f"shape {table.shape}"
        )
    scale = np.asarray(temperatures, dtype=np.float64)
    if scale.shape not in ((), (len(table),)):
        raise InputError(f"there are {len(table)} models and {scale.size} temperatures")
    if not ((scale > 0) & (scale < math.inf)).all():
        raise InputError(f"temperatures must be finite numbers > 0, got {scale.tolist()}")
    tempered = table / scale.reshape(-1, 1)
    beats = probability_of(tempered[:, :, None] - tempered[:, None, :])
    others = table.shape[1] - 1
    return np.asarray((beats.mean(axis=0).sum(axis=1) - 0.5) / others)


def choose(rewards: npt.ArrayLike, temperatures: npt.ArrayLike = 1.0) -> int:
    """Return the number of the candidate with the highest `win_probability`, the first of equals.

    Raises:
        InputError: see win_probability.
    """
    sure = win_probability(rewards, temperatures)
    table = np.atleast_2d(np.asarray(rewards, dtype=np.float64))
    # of one model the same order, without what rounding does where the temperature is high
    return int(np.argmax(table[0] if len(table) == 1 else sure))
