"""MMPOTrainer: transformers.Trainer on preference pairs, with a soft target for every pair.

PairTrainer does what policies and reward models share: the loss of an optimizer step is the mean
over its pairs, and metrics are means over pairs, whatever the micro-batches were.
Read next: losses/policy.py, logprobs.py; reward.py for reward models; train.py sets it all up.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback
from transformers.trainer_utils import EvalLoopOutput

from mmpo_core.errors import InputError, lookup
from mmpo_core.evaluation import EvaluationPairs, by_margin, evaluation_metrics, flat
from mmpo_core.logprobs import completion_logps
from mmpo_core.losses import LOSSES, answer_scores, sft_loss
from mmpo_core.metrics import PairMeans, pair_metrics
from mmpo_core.processes import gathered
from mmpo_core.reference import reference_logps
from mmpo_core.step_trainer import StepTrainer

Tensor = torch.Tensor
Batch = Mapping[str, Tensor]

_REMEDY = "Lower lr, or compute in float32"
# log key -> what it is
_MUST_BE_FINITE = {
    "loss": "loss",
    "eval_loss": "loss of the held-out pairs",
    "grad_norm": "gradient's norm",
}


class PairTrainer(StepTrainer):
    """A StepTrainer that averages over pairs; subclasses say what a pair's loss is.

    A micro-batch is what Batching.collate makes, with target, margin and weight (B,). It may hold
    no pair at all: processes with fewer pairs than others run empty ones.
    """

    def __init__(self, **kwargs: Any) -> None:
        config = kwargs["model"].config
        use_cache = config.use_cache
        callbacks = [LogLastStep(), *(kwargs.pop("callbacks", None) or [])]
        super().__init__(**kwargs, callbacks=callbacks)
        # Trainer turns the cache off in the config that is saved; pair_losses turns it off itself
        config.use_cache = use_cache
        # compute_loss divides by the step's pairs itself: Trainer must not divide again
        self.model_accepts_loss_kwargs = True
        self._train_means = PairMeans()
        self._eval_means = PairMeans()
        self._eval_pairs = EvaluationPairs()
        self.margin_table: list[dict[str, float]] = []
        self._evaluated_step: int | None = None

    def pair_losses(self, model: Any, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (B,) losses, and metric name -> (B,) values. Subclasses say how."""
        raise NotImplementedError

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor:
        """Return this micro-batch's share of the mean loss over the optimizer step's pairs."""
        with self.accelerator.autocast():
            losses, values = self.pair_losses(model, inputs)
        self._train_means.add(values)
        weighted = (losses * inputs["weight"]).sum()
        pairs = len(losses) if num_items_in_batch is None else num_items_in_batch
        # gradients are averaged over processes, and pairs counts those of all of them
        share: Tensor = weighted * self.accelerator.num_processes / pairs
        return share

    def prediction_step(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, None, None]:
        """Evaluate a micro-batch: what counts goes into the evaluation's means, not to Trainer."""
        batch = self._prepare_inputs(inputs)
        with torch.no_grad(), self.accelerator.autocast():
            losses, values = self.pair_losses(model, batch)
        self._eval_means.add({"loss": losses * batch["weight"], **values})
        self._eval_pairs.add(
            h=values["rewards/margins"], target=values["targets/mean"], margin=batch["margin"]
        )
        return None, None, None

    def evaluation_loop(
        self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
    ) -> EvalLoopOutput:
        """Evaluate; the loss and all metrics are over pairs, whatever the batches were.

        Beside the means there are accuracy, nll, brier and ece, and accuracy and predicted
        probability by margin (see evaluation.py); `margin_table` keeps the latest in full.
        """
        self._eval_means, self._eval_pairs = PairMeans(), EvaluationPairs()
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        metrics = self._eval_means.take(self._sum_over_processes)
        parts = gathered(self._eval_pairs.take())
        pairs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if math.isfinite(metrics["loss"]):  # log() stops a run that diverged, and says so
            self.margin_table = by_margin(pairs["h"], pairs["target"], pairs["margin"])
            metrics |= evaluation_metrics(pairs["h"], pairs["target"]) | flat(self.margin_table)
        output.metrics.update({f"{metric_key_prefix}_{name}": v for name, v in metrics.items()})
        return output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means over pairs since the last training entry.

        Raises:
            InputError: if a loss or the gradient is not finite: going on would train on nonsense.
        """
        for key, name in _MUST_BE_FINITE.items():
            if key in logs and not math.isfinite(logs[key]):
                raise InputError(
                    f"the {name} became {logs[key]} by step {self.state.global_step}. {_REMEDY}"
                )
        if "loss" in logs:
            logs = {**logs, **self._train_means.take(self._sum_over_processes)}
        if "eval_loss" in logs:
            self._evaluated_step = self.state.global_step
        super().log(logs, start_time)

    def evaluate_at_end(self) -> None:
        """Evaluate the model that training ended with, unless its last step was evaluated already.

        With load_best_model_at_end that is another model than the last step's. A resumed run counts
        its own evaluations only: margin_table is not in a checkpoint.
        """
        if self._evaluated_step != self.state.global_step or self.args.load_best_model_at_end:
            self.evaluate()

    def check_weights(self) -> None:
        """Raise InputError if a weight is not finite: the last step's log comes before its update.

        Without held-out pairs nothing else would look at the weights that are saved.
        """
        for name, parameter in self.model.named_parameters():
            if not torch.isfinite(parameter).all():
                raise InputError(
                    f"the weights {name} are not finite after step {self.state.global_step}; no "
                    f"model is written. {_REMEDY}"
                )

    def _sum_over_processes(self, value: Tensor) -> Tensor:
        summed: Tensor = self.accelerator.reduce(value, reduction="sum")
        return summed


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


class LogLastStep(TrainerCallback):  # type: ignore[misc]
    """Logs the last step too, when it is no multiple of logging_steps."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask for a log entry at the end of training."""
        if state.global_step >= state.max_steps:
            control.should_log = True
