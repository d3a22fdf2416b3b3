"""Known margins as the similarities that a model is trained to give.

    distance = min(margin_raw / largest, 1),  similarity = 1 - distance

`largest` is the 95% quantile of the training pairs' margins above 0. Proportional, not by ranks:
a tie stays at distance 0, where two equal answers are, and twice the margin is twice the distance.
From a quantile, not the maximum: a few huge margins would press all others towards 0. Monotone,
and fitted on the training pairs alone. Read by fitting.py.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

QUANTILE = 0.95


def largest_margin(margins: Floats) -> float:
    """Return the margin that becomes distance 1. margins: (N,) >= 0, one of them > 0."""
    return float(np.quantile(margins[margins > 0], QUANTILE))


def similarities(margins: Floats, largest: float) -> Floats:
    """Return the (N,) similarities, in [0, 1], that stand for margins."""
    return 1.0 - np.minimum(margins / largest, 1.0)
