"""Trains a model on pairs of texts and their similarities; the best checkpoint is kept.

With sentence-transformers' own trainers and losses. Heavy: fitting.py imports it when it trains.
"""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    CrossEncoder,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss
from transformers import PrinterCallback, TrainerCallback

from margintool.progress import Progress
from margintool.similarity.fingerprint import default_prompt
from margintool.similarity.fit.data import Floats
from margintool.similarity.fit.options import FitOptions
from mmpo_core.errors import InputError

METRIC = "spearman"
_LOGS_BETWEEN_CHECKPOINTS = 5


@dataclass(frozen=True)
class Examples:
    """What a model is trained on.

    Args:
        first, second: N texts each.
        similarity: (N,) what the model should say of the two, in [0, 1].
    """

    first: list[str]
    second: list[str]
    similarity: Floats


@dataclass(frozen=True)
class Trained:
    """What training came to.

    Args:
        best: folder of the checkpoint that did best in validation.
        best_step: its optimizer step.
        steps: optimizer steps of the run.
        validation: (step, Spearman) of every checkpoint.
    """

    best: Path
    best_step: int
    steps: int
    validation: list[dict[str, float]]


class _NoCard:
    """A trainer that gathers nothing for a model card, which would hold texts of the pairs."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add none."""


class _BiEncoderTrainer(_NoCard, SentenceTransformerTrainer):  # type: ignore[misc]
    pass


class _CrossEncoderTrainer(_NoCard, CrossEncoderTrainer):  # type: ignore[misc]
    pass


@dataclass(frozen=True)
class _Tools:
    """The library's classes for a kind of model."""

    model: Any
    trainer: Any
    arguments: Any
    loss: Any


_TOOLS: dict[str, _Tools] = {
    "bi-encoder": _Tools(
        SentenceTransformer,
        _BiEncoderTrainer,
        SentenceTransformerTrainingArguments,
        CosineSimilarityLoss,
    ),
    "cross-encoder": _Tools(
        CrossEncoder,
        _CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
        BinaryCrossEntropyLoss,
    ),
}


def train(
    kind: str,
    model: Any,
    examples: Examples,
    measure: Callable[[Any], float],
    options: FitOptions,
    *,
    folder: Path,
    checkpoint: Path | None,
    progress: Progress,
) -> Trained:
    """Train a model in place, and say which checkpoint was best.

    Args:
        kind: name of a kind of model.
        model: a SentenceTransformer or CrossEncoder.
        examples: to train on.
        measure: model -> Spearman on validation pairs; NaN is taken for the worst there is.
        options: of the fit.
        folder: for checkpoints.
        checkpoint: one to go on from.
        progress: told of optimizer steps.

    Raises:
        InputError: if training diverged; its checkpoints are removed then.
        OutOfMemoryError: of torch, if memory does not suffice.
    """
    tools = _TOOLS[kind]
    steps = math.ceil(math.ceil(len(examples.first) / options.batch_size) * options.epochs)
    arguments = tools.arguments(**_arguments(model, options, steps, folder))
    arguments._n_gpu = min(arguments.n_gpu, 1)  # not DataParallel, which splits batches
    columns = {"a": examples.first, "b": examples.second, "label": examples.similarity}
    trainer = tools.trainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict(columns),
        loss=tools.loss(model),
        evaluator=_Validation(measure, progress),
        callbacks=[_Steps(progress)],
    )
    trainer.remove_callback(PrinterCallback)
    try:
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    except _DivergedError:
        shutil.rmtree(folder)  # going on from a checkpoint would lead there again
        raise
    return _trained(trainer, folder)


def load_checkpoint(kind: str, folder: Path) -> Any:
    """Return the model of a checkpoint, on the CPU."""
    return _TOOLS[kind].model(str(folder), device="cpu", local_files_only=True)


def _arguments(model: Any, options: FitOptions, steps: int, folder: Path) -> dict[str, Any]:
    every = math.ceil(steps / options.checkpoints)
    on_cpu = model.device.type == "cpu"
    return {
        "output_dir": str(folder),
        "num_train_epochs": options.epochs,
        "per_device_train_batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "warmup_steps": options.warmup,  # a share where it is below 1
        "lr_scheduler_type": "linear",
        "seed": options.seed,
        "data_seed": options.seed,
        "prompts": default_prompt(model) or None,
        "eval_strategy": "steps",
        "eval_steps": every,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": METRIC,
        "greater_is_better": True,
        "logging_steps": max(1, every // _LOGS_BETWEEN_CHECKPOINTS),
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "bf16": options.dtype == "bfloat16",
    }


def _trained(trainer: Any, folder: Path) -> Trained:
    state = trainer.state
    best = folder / f"checkpoint-{state.best_global_step}"
    if not best.is_dir():
        raise InputError(
            f"{best}: the best checkpoint of this fit is gone. Start again with --overwrite"
        )
    measured = [
        {"step": entry["step"], METRIC: entry[f"eval_{METRIC}"]}
        for entry in state.log_history
        if f"eval_{METRIC}" in entry
    ]
    return Trained(best, state.best_global_step, state.global_step, measured)


class _DivergedError(InputError):
    pass


class _Validation(BaseEvaluator):  # type: ignore[misc]
    """Measures the model on validation pairs, as it would be used."""

    def __init__(self, measure: Callable[[Any], float], progress: Progress) -> None:
        super().__init__()
        self._measure, self._progress = measure, progress

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the metric by which the best checkpoint is chosen."""
        if not all(bool(torch.isfinite(weights).all()) for weights in model.parameters()):
            raise _DivergedError(
                f"training diverged before step {steps}: weights are no numbers any more. Give a "
                "smaller --learning-rate"
            )
        self._progress.note("measuring on validation pairs")
        value = self._measure(model)
        return {METRIC: -1.0 if math.isnan(value) else value}


class _Steps(TrainerCallback):  # type: ignore[misc]
    """Tells of optimizer steps, and of the latest loss and correlation."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._latest: dict[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin the stage, at the step that a checkpoint was of."""
        self._progress.start("fitting", state.max_steps)
        self._progress.advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count a step."""
        self._progress.advance(1)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any
    ) -> None:
        """Show the latest numbers."""
        names = {"loss": "loss", f"eval_{METRIC}": "validation Spearman"}
        self._latest |= {words: logs[name] for name, words in names.items() if name in logs}
        self._progress.note("  ".join(f"{name} {x:.3f}" for name, x in self._latest.items()))
