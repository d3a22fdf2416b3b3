"""MMPOTrainer: transformers.Trainer on preference pairs, with a soft target for every pair.

PairTrainer does what policies and reward models share. Read mean_trainer.py first; next
losses/policy.py, logprobs.py; reward.py for reward models; train.py sets it all up.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mmpo_core.errors import lookup
from mmpo_core.evaluation import EvaluationPairs, by_margin, evaluation_metrics, flat
from mmpo_core.logprobs import completion_logps
from mmpo_core.losses import LOSSES, answer_scores, sft_loss
from mmpo_core.mean_trainer import Batch, MeanTrainer, Tensor
from mmpo_core.metrics import pair_metrics
from mmpo_core.processes import gathered
from mmpo_core.reference import reference_logps


class PairTrainer(MeanTrainer):
    """A MeanTrainer over pairs; subclasses say what a pair's loss is.

    A micro-batch is what Batching.collate makes, with target, margin and weight (B,).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._eval_pairs = EvaluationPairs()
        self.margin_table: list[dict[str, float]] = []

    def pair_losses(self, model: Any, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (B,) losses, and metric name -> (B,) values. Subclasses say how."""
        raise NotImplementedError

    def item_losses(self, model: Any, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (B,) weighted losses, and metric name -> (B,) values, which no weight touches."""
        losses, values = self.pair_losses(model, inputs)
        return losses * inputs["weight"], values

    def _count_evaluated(self, batch: Batch, losses: Tensor, values: dict[str, Tensor]) -> None:
        super()._count_evaluated(batch, losses, values)
        self._eval_pairs.add(
            h=values["rewards/margins"], target=values["targets/mean"], margin=batch["margin"]
        )

    def _evaluated(self, means: dict[str, float]) -> dict[str, float]:
        """Return the means with accuracy, nll, brier and ece, and what pairs of like margins got.

        See evaluation.py; `margin_table` keeps the latest table in full.
        """
        parts = gathered(self._eval_pairs.take())
        pairs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if not math.isfinite(means["loss"]):  # log() stops a run that diverged, and says so
            return means
        self.margin_table = by_margin(pairs["h"], pairs["target"], pairs["margin"])
        return means | evaluation_metrics(pairs["h"], pairs["target"]) | flat(self.margin_table)

    def record(self) -> dict[str, Any]:
        """Return the table by margin of the last evaluation."""
        return {"eval_by_margin": self.margin_table}


class MMPOTrainer(PairTrainer):
    """Trains a policy with one of LOSSES.

    Args:
        loss: name in LOSSES.
        beta: strength of the pull to the reference model; the loss's own default if not given.
        loss_options: further keywords of the loss; its defaults where left out.
        sft_weight: how much of the chosen answers' mean negative log-prob per token is added.
        reference_model: asked at every step, its adapters disabled, where the batches hold no
            log-probs of the reference; may be the policy itself, if it has adapters.
        kwargs: as for transformers.Trainer. Batches also hold the column that the loss reads and,
            unless it is reference-free, reference_chosen_logps and reference_rejected_logps (B,),
            summed over completion tokens (see reference.py).
    """

    def __init__(
        self,
        *,
        loss: str = "mmpo",
        beta: float | None = None,
        loss_options: Mapping[str, float] | None = None,
        sft_weight: float = 0.0,
        reference_model: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reference_model = reference_model
        self.loss = lookup("loss", loss, LOSSES)
        self.beta = self.loss.beta if beta is None else beta
        self.loss_options = dict(loss_options or {})
        self.sft_weight = sft_weight

    def pair_losses(self, model: Any, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (B,) losses, and metric name -> (B,) values."""
        sums, tokens = completion_logps(model, inputs)
        scores = answer_scores(self.loss, sums, self._reference_logps(inputs), tokens)
        chosen, rejected = scores.chunk(2)
        h = self.beta * (chosen - rejected)
        losses = self.loss(h, inputs, beta=self.beta, **self.loss_options)
        values = pair_metrics(self.beta * chosen, self.beta * rejected, inputs["target"])
        chosen_logps, rejected_logps = sums.detach().chunk(2)
        values |= {"logps/chosen": chosen_logps, "logps/rejected": rejected_logps}
        if self.sft_weight:
            likely = sft_loss(sums.chunk(2)[0], tokens.chunk(2)[0])
            losses = losses + self.sft_weight * likely
            values["sft_loss"] = likely.detach()
        return losses, values

    def _reference_logps(self, inputs: Batch) -> Tensor | None:
        """Return the reference's (2B,) log-probs, chosen first; None for a loss without one."""
        if self.loss.reference_free:
            return None
        if self.reference_model is not None:
            return reference_logps(self.reference_model, inputs, bf16=self.args.bf16)[0]
        sides = ("reference_chosen_logps", "reference_rejected_logps")
        return torch.cat([inputs[name] for name in sides])
