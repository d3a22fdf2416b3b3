"""SftTrainer: the mean negative log-prob of the assistant's tokens.

The mean is over all assistant tokens of an optimizer step, in all processes, however they are
packed: a long answer counts more than a short one, as in any language model's training.
Read mean_trainer.py first; step_trainer.py cuts a step into micro-batches.
"""

import math
from typing import Any

from mmpo_core.engine.scoring import completion_token_logps, scorer_of, through, unwrapped
from mmpo_core.mean_trainer import Batch, MeanTrainer, Tensor
from mmpo_core.sft.batching import ConversationBatching, ConversationCollator


class SftTrainer(MeanTrainer):
    """Trains a language model on the assistant's tokens.

    Args:
        batching: how conversations become micro-batches.
        kwargs: as for StepTrainer; data sets are Conversations.
    """

    collator = ConversationCollator

    def __init__(self, *, batching: ConversationBatching, **kwargs: Any) -> None:
        super().__init__(batching=batching, **kwargs)

    def item_losses(self, model: Any, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the (N,) losses of a micro-batch's assistant tokens; there are no other values."""
        return token_losses(model, inputs), {}

    def _evaluated(self, means: dict[str, float]) -> dict[str, float]:
        """Return the loss over assistant tokens, and the perplexity."""
        return means | {"perplexity": perplexity(means["loss"])}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the perplexity to training entries; see MeanTrainer.log."""
        if "loss" in logs:
            logs = {**logs, "perplexity": perplexity(logs["loss"])}
        super().log(logs, start_time)


def token_losses(model: Any, batch: Batch) -> Tensor:
    """Return (N,) negative log-probs of the N assistant tokens of a micro-batch.

    Args:
        model: causal language model, maybe wrapped for several devices.
        batch: as ConversationBatching.collate gives it.
    """
    scorer_of(unwrapped(model))
    logps: Tensor = through(model, completion_token_logps, batch)
    return -logps


def perplexity(loss: float) -> float:
    """Return exp(loss); infinite where that is too large for a number."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
