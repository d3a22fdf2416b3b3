"""SftTrainer: the mean negative log-prob of the assistant's tokens.

The mean is over all assistant tokens of an optimizer step, in all processes, however they are
packed: a long answer counts more than a short one, as in any language model's training.
Read by train.py; step_trainer.py cuts a step into micro-batches.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from transformers.trainer_utils import EvalLoopOutput

from mmpo_core.engine.scoring import completion_token_logps, scorer_of, through, unwrapped
from mmpo_core.metrics import PairMeans
from mmpo_core.sft.batching import ConversationBatching, ConversationCollator
from mmpo_core.step_trainer import StepTrainer
from mmpo_core.trainer import PairTrainer

Tensor = torch.Tensor
Batch = Mapping[str, Tensor]


class SftTrainer(PairTrainer):
    """Trains a language model on the assistant's tokens.

    Args:
        batching: how conversations become micro-batches.
        kwargs: as for StepTrainer; data sets are Conversations.
    """

    def __init__(self, *, batching: ConversationBatching, **kwargs: Any) -> None:
        super().__init__(batching=batching, **kwargs)
        accelerator = self.accelerator
        self.data_collator = ConversationCollator(
            batching, accelerator.num_processes, accelerator.process_index
        )

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor:
        """Return this micro-batch's share of the mean loss over the step's assistant tokens."""
        with self.accelerator.autocast():
            losses = token_losses(model, inputs)
        tokens = len(losses) if num_items_in_batch is None else num_items_in_batch
        # gradients are averaged over processes, and tokens counts those of all of them
        share: Tensor = losses.sum() * self.accelerator.num_processes / tokens
        return share

    def prediction_step(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, None, None]:
        """Evaluate a micro-batch; what counts goes into the evaluation's mean over tokens."""
        batch = self._prepare_inputs(inputs)
        with torch.no_grad(), self.accelerator.autocast():
            self._eval_means.add({"loss": token_losses(model, batch)})
        return None, None, None

    def evaluation_loop(
        self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
    ) -> EvalLoopOutput:
        """Evaluate: loss over assistant tokens, whatever the batches were, and perplexity."""
        self._eval_means = PairMeans()
        output = StepTrainer.evaluation_loop(
            self, *args, metric_key_prefix=metric_key_prefix, **kwargs
        )
        loss = self._eval_means.take(self._sum_over_processes)["loss"]
        metrics = {"loss": loss, "perplexity": perplexity(loss)}
        output.metrics.update({f"{metric_key_prefix}_{name}": v for name, v in metrics.items()})
        return output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the perplexity to training entries; see PairTrainer.log."""
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
