"""The mathematics of every loss: pure functions of the reward gap h, (B,) tensors in and out.

h is the model's log-odds that the chosen answer is better: for a reward model r(x, yw) - r(x, yl),
for a policy beta times the difference of the answers' log-probs (policy.py). Sources stand in
LOSSES and REWARD_LOSSES. Derivatives in h are given where they say what a loss aims at.
"""

import torch
from torch.nn.functional import logsigmoid

from mmpo_core.errors import InputError

Tensor = torch.Tensor


def soft_bradley_terry(h: Tensor, target: Tensor | float) -> Tensor:
    """Return -p logsigmoid(h) - (1 - p) logsigmoid(-h), the cross-entropy against p = target.

    The derivative is sigma(h) - p: the minimum lies at h = gamma * margin for a target
    p = sigma(gamma * margin). Finite for any finite h: logsigmoid does not overflow.

    By hand: h = 0 gives ln 2 = 0.6931 for every p; h = ln 3, p = 3/4 gives the entropy of
    (3/4, 1/4), 3/4 ln(4/3) + 1/4 ln 4 = 0.5623.
    """
    return -target * logsigmoid(h) - (1 - target) * logsigmoid(-h)


def hard(h: Tensor) -> Tensor:
    """Return -logsigmoid(h): the label is certain. The derivative, sigma(h) - 1, never vanishes.

    By hand: h = ln 3 gives -ln(3/4) = 0.2877.
    """
    return -logsigmoid(h)


def offset(h: Tensor, target_gap: Tensor) -> Tensor:
    """Return -logsigmoid(h - gamma * margin): a certain label that wants more than the gap.

    By hand: h = 2 ln 3, gamma * margin = ln 3 gives -ln(3/4) = 0.2877.
    """
    return -logsigmoid(h - target_gap)


def squared(h: Tensor, target_gap: Tensor) -> Tensor:
    """Return (h - gamma * margin)^2, with the minimum of `soft_bradley_terry`.

    By hand: h = 3, gamma * margin = 1 gives 4.
    """
    return (h - target_gap) ** 2


def hinge(h: Tensor) -> Tensor:
    """Return max(0, 1 - h). By hand: h = 0.25 gives 0.75, h = 1 and more give 0."""
    return torch.relu(1 - h)


def ipo(h: Tensor, *, beta: float) -> Tensor:
    """Return (h / beta - 1 / (2 beta))^2: log-probs are to differ by 1 / (2 beta).

    By hand: h = 0, beta = 0.1 gives (0 - 5)^2 = 25.
    """
    return (h / beta - 1 / (2 * beta)) ** 2


def smoothed(h: Tensor, *, label_smoothing: float) -> Tensor:
    """Return `soft_bradley_terry` with one p = 1 - label_smoothing for every pair.

    By hand: h = ln 3, label_smoothing = 1/4 gives 0.5623, as there.
    """
    _check_smoothing(label_smoothing)
    return soft_bradley_terry(h, 1 - label_smoothing)


def robust(h: Tensor, *, label_smoothing: float) -> Tensor:
    """Return [-(1 - e) logsigmoid(h) + e logsigmoid(-h)] / (1 - 2e), e = label_smoothing.

    Its mean over labels flipped with probability e is -logsigmoid(h), the loss of the right ones:
    (1 - e) L(h) + e L(-h). It falls without end as h grows.

    By hand: h = ln 3, e = 1/4 gives (3/4 ln(4/3) - 1/4 ln 4) / (1/2) = -0.2616.
    """
    _check_smoothing(label_smoothing)
    right = -(1 - label_smoothing) * logsigmoid(h)
    flipped = -label_smoothing * logsigmoid(-h)
    return (right - flipped) / (1 - 2 * label_smoothing)


def simpo(h: Tensor, *, simpo_margin: float) -> Tensor:
    """Return -logsigmoid(h - simpo_margin), one offset for all pairs.

    By hand: h = 2 ln 3, simpo_margin = ln 3 gives -ln(3/4) = 0.2877.
    """
    return -logsigmoid(h - simpo_margin)


def _check_smoothing(label_smoothing: float) -> None:
    if not 0 <= label_smoothing < 0.5:
        raise InputError(f"label_smoothing must lie in [0, 0.5), got {label_smoothing}")
