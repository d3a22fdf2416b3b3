"""REWARD_LOSSES: what `train --objective reward` can minimise. h = r(x, yw) - r(x, yl)."""

import torch

from mmpo_core.losses import functions
from mmpo_core.losses.base import Loss, same_shape

Tensor = torch.Tensor

REWARD_LOSSES: dict[str, Loss] = {
    "mmpo": Loss(
        function=functions.soft_bradley_terry,
        equation="-p logsigmoid(h) - (1 - p) logsigmoid(-h)",
        source="MMPO, arXiv 2410.03145, section 3",
        reads="target",
        hard_labels=False,
    ),
    "hard": Loss(
        function=functions.hard,
        equation="-logsigmoid(h)",
        source="Bradley-Terry with certain labels, InstructGPT, arXiv 2203.02155, equation 1",
    ),
    "offset": Loss(
        function=functions.offset,
        equation="-logsigmoid(h - gamma m)",
        source="Llama 2, arXiv 2307.09288, equation 2, with margin gamma m",
        reads="target_gap",
    ),
}


def centring(chosen_rewards: Tensor, rejected_rewards: Tensor) -> Tensor:
    """Return (r(x, yw) + r(x, yl))^2, (B,) from (B,): small where rewards lie around zero.

    Added with a weight (`--center-rewards`, 0.01 in the paper) to any reward model loss: h alone
    leaves a constant per prompt free. Source: arXiv 2312.09244, equation 2.

    By hand: rewards 3 and -1 give 4.
    """
    same_shape(chosen_rewards=chosen_rewards, rejected_rewards=rejected_rewards)
    return (chosen_rewards + rejected_rewards) ** 2
