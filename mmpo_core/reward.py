"""RewardTrainer: a reward model on preference pairs, by the soft Bradley-Terry loss.

h = r(x, chosen) - r(x, rejected), so the loss's minimum lies at a reward gap of gamma * margin.
Source: MMPO, arXiv 2410.03145, section 3. Read trainer.py first.
"""

from typing import Any

import torch

from mmpo_core.logprobs import at_least_float32
from mmpo_core.losses import soft_bradley_terry
from mmpo_core.metrics import pair_metrics
from mmpo_core.trainer import Batch, PairTrainer


class RewardTrainer(PairTrainer):
    """Trains a sequence classifier with one label; its output is the reward of prompt + answer."""

    def pair_losses(
        self, model: Any, inputs: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return (B,) losses, and metric name -> (B,) values."""
        output = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            use_cache=False,
        )
        # (2B, 1) -> (2B,): a column against the (B,) targets would broadcast to (B, B)
        rewards = at_least_float32(output.logits.squeeze(-1))
        chosen, rejected = rewards.chunk(2)
        losses = soft_bradley_terry(chosen - rejected, inputs["target"])
        return losses, pair_metrics(chosen, rejected, inputs["target"])
