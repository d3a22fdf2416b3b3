"""REWARD_LOSSES: what `train --objective reward` can minimise. h = r(x, yw) - r(x, yl)."""

from dataclasses import replace

import torch

from mmpo_core.losses.base import Loss, same_shape
from mmpo_core.losses.policy import LOSSES

Tensor = torch.Tensor

# the same functions of h as for policies; sources that use them for reward models
REWARD_LOSSES: dict[str, Loss] = {
    "mmpo": LOSSES["mmpo"],
    "hard": replace(
        LOSSES["dpo"],
        source="Bradley-Terry with certain labels, InstructGPT, arXiv 2203.02155",
    ),
    "offset": replace(LOSSES["odpo"], source="Llama 2, arXiv 2307.09288, with margin gamma m"),
}


def centring(chosen_rewards: Tensor, rejected_rewards: Tensor) -> Tensor:
    """Return (r(x, yw) + r(x, yl))^2, (B,) from (B,): small where rewards lie around zero.

    Added with a weight (`--center-rewards`, 0.01 in the paper) to any reward model loss: h alone
    leaves a constant per prompt free. Source: arXiv 2312.09244, equation 2.

    By hand: rewards 3 and -1 give 4.
    """
    same_shape(chosen_rewards=chosen_rewards, rejected_rewards=rejected_rewards)
    return (chosen_rewards + rejected_rewards) ** 2
