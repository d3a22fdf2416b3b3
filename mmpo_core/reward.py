"""RewardTrainer: a reward model on preference pairs, by one of REWARD_LOSSES.

h = r(x, chosen) - r(x, rejected); the minimum of mmpo, the soft Bradley-Terry loss, lies at a
reward gap of gamma * margin. Read trainer.py first, losses/reward.py next.
"""

from typing import Any

import torch

from mmpo_core.engine.rewards import side_rewards
from mmpo_core.errors import lookup
from mmpo_core.losses import REWARD_LOSSES, centring
from mmpo_core.mean_trainer import Batch
from mmpo_core.metrics import pair_metrics
from mmpo_core.trainer import PairTrainer


class RewardTrainer(PairTrainer):
    """Trains a sequence classifier with one label; its output is the reward of prompt + answer.

    Args:
        loss: name in REWARD_LOSSES.
        center_rewards: how much of the squared sum of a pair's rewards is added.
        kwargs: as for transformers.Trainer. Batches also hold the column that the loss reads.
    """

    def __init__(self, *, loss: str = "mmpo", center_rewards: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss = lookup("loss", loss, REWARD_LOSSES)
        self.center_rewards = center_rewards

    def pair_losses(
        self, model: Any, inputs: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return (B,) losses, and metric name -> (B,) values."""
        chosen, rejected = side_rewards(model, inputs).chunk(2)
        losses = self.loss(chosen - rejected, inputs)
        if self.center_rewards:
            losses = losses + self.center_rewards * centring(chosen, rejected)
        return losses, pair_metrics(chosen, rejected, inputs["target"])
