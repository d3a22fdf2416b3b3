"""MeanTrainer: an optimizer step's loss is the mean over its pairs, or tokens, of all processes.

What trainers of pairs and of conversations share: losses, metrics and evaluations that do not
depend on micro-batches, and runs that end where numbers are no longer finite. trainer.py, reward.py
and sft/trainer.py say what an item's loss is. Read step_trainer.py first.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import EvalLoopOutput

from mmpo_core.errors import InputError
from mmpo_core.metrics import PairMeans
from mmpo_core.step_trainer import StepTrainer

Tensor = torch.Tensor
Batch = Mapping[str, Tensor]

_REMEDY = "Lower lr, or compute in float32"
# log key -> what it is
_MUST_BE_FINITE = {
    "loss": "loss",
    "eval_loss": "held-out loss",
    "grad_norm": "gradient's norm",
}


class LogLastStep(TrainerCallback):  # type: ignore[misc]
    """Logs the last step too, when it is no multiple of logging_steps."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask for a log entry at the end of training."""
        if state.global_step >= state.max_steps:
            control.should_log = True


class MeanTrainer(StepTrainer):
    """A StepTrainer that averages over items; subclasses say what an item's loss is.

    A micro-batch may hold no item at all: processes with fewer than others run empty ones.
    """

    def __init__(self, **kwargs: Any) -> None:
        config = kwargs["model"].config
        use_cache = config.use_cache
        callbacks = [LogLastStep(), *(kwargs.pop("callbacks", None) or [])]
        super().__init__(**kwargs, callbacks=callbacks)
        # Trainer turns the cache off in the config that is saved; forward passes do it themselves
        config.use_cache = use_cache
        # compute_loss divides by the step's items itself: Trainer must not divide again
        self.model_accepts_loss_kwargs = True
        self._train_means = PairMeans()
        self._eval_means = PairMeans()
        self._evaluated_step: int | None = None

    def item_losses(self, model: Any, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (N,) losses, and metric name -> (N,) values to be averaged beside them."""
        raise NotImplementedError

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor:
        """Return this micro-batch's share of the mean loss over the optimizer step's items."""
        with self.accelerator.autocast():
            losses, values = self.item_losses(model, inputs)
        self._train_means.add(values)
        items = len(losses) if num_items_in_batch is None else num_items_in_batch
        # gradients are averaged over processes, and items counts those of all of them
        share: Tensor = losses.sum() * self.accelerator.num_processes / items
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
            losses, values = self.item_losses(model, batch)
        self._count_evaluated(batch, losses, values)
        return None, None, None

    def _count_evaluated(self, batch: Batch, losses: Tensor, values: dict[str, Tensor]) -> None:
        """Count a micro-batch's items into the evaluation."""
        self._eval_means.add({"loss": losses, **values})

    def evaluation_loop(
        self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
    ) -> EvalLoopOutput:
        """Evaluate; the loss and all metrics are over items, whatever the batches were."""
        self._eval_means = PairMeans()
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        metrics = self._evaluated(self._eval_means.take(self._sum_over_processes))
        output.metrics.update({f"{metric_key_prefix}_{name}": v for name, v in metrics.items()})
        return output

    def _evaluated(self, means: dict[str, float]) -> dict[str, float]:
        """Return an evaluation's metrics: its means, and what subclasses make of them."""
        return means

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means over items since the last training entry.

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
        its own evaluations only: what one found beside its metrics is not in a checkpoint.
        """
        if self._evaluated_step != self.state.global_step or self.args.load_best_model_at_end:
            self.evaluate()

    def record(self) -> dict[str, Any]:
        """Return what run.json says of the run beside its metrics."""
        return {}

    def check_weights(self) -> None:
        """Raise InputError if a weight is not finite: the last step's log comes before its update.

        Without held-out data nothing else would look at the weights that are saved.
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
