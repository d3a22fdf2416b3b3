"""plan(): what a run would take and do, before weights are loaded. Nothing is written.

    from mmpo_core.train_plan.plan import plan
    plan(TrainOptions(pairs="pairs.parquet", model="mistral-7b")).memory.total

shapes.py builds the model without weights, steps.py counts what the engine would compute, memory.py
and activations.py count bytes. `--plan` of `margintool train` prints it (words.py); that of `sft`
comes from plan_of too (sft/planning.py).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeGuard

import torch

from mmpo_core.engine.batches import dataset_lengths
from mmpo_core.engine.rows import PairLengths
from mmpo_core.loss_options import chosen_loss
from mmpo_core.run_options import RunOptions
from mmpo_core.train_data import load_tables
from mmpo_core.train_options import TrainOptions, checked_options
from mmpo_core.train_plan.activations import MicroBatch, activation_bytes
from mmpo_core.train_plan.memory import (
    Memory,
    device_memory,
    gradient_bytes,
    optimizer_bytes,
    weight_bytes,
)
from mmpo_core.train_plan.shapes import bare_shape, parameter_counts, start_shape
from mmpo_core.train_plan.steps import Steps, count_steps, largest_micro_batch, likely_batching
from mmpo_core.train_progress import quiet_transformers
from mmpo_core.train_setup import check_positions, encode_tables
from mmpo_core.training_args import training_arguments


@dataclass(frozen=True)
class TrainPlan:
    """What a run would take and do.

    Attributes:
        options: of the run, checked.
        device: where it would run.
        device_memory: bytes of the device in all; None if not known.
        parameters: of the model, adapters included.
        trainable: of these, how many are trained.
        data: split -> pairs or conversations read and kept, dropped by reason, cut; longest
            conversation in tokens; nothing if out of memory.
        splits: split -> how many it has.
        packed: whether rows would be packed, and prompts shared, if the model takes such rows.
        steps: of the optimizer, and what is in them.
        largest: the micro-batch that takes most memory.
        longest: tokens of the longest train pair, prompt and both answers, or conversation.
        reference_pairs: how many pairs need log-probs of a reference before training; how many of
            them are in the cache is not known before the weights are loaded.
        memory: bytes by part.
    """

    options: RunOptions
    device: str
    device_memory: int | None
    parameters: int
    trainable: int
    data: dict[str, dict[str, Any]]
    splits: dict[str, int]
    packed: bool
    steps: Steps
    largest: MicroBatch
    longest: int
    reference_pairs: int
    memory: Memory

    @property
    def unit(self) -> str:
        """What is trained on, one of it."""
        return "conversation" if self.options.task == "sft" else "pair"

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain values that JSON holds."""
        return {
            **asdict(self),
            "options": self.options.to_dict(),
            "memory": self.memory.to_dict(),
        }


def plan(options: TrainOptions) -> TrainPlan:
    """Return what a run with these options would take and do.

    Raises:
        InputError: for options, pairs and models that cannot be used.
    """
    options = checked_options(options)
    tables = load_tables(options)
    arguments = training_arguments(options, evaluates=tables.evaluation is not None)
    with quiet_transformers():
        tokenizer, pairs = encode_tables(options, tables)
        data = {
            name: {**split.report.to_dict(), "longest": int(split.lengths.max())}
            for name, split in pairs.items()
        }
        return plan_of(options, tokenizer, pairs, arguments.device, data)


def plan_of(
    options: RunOptions,
    tokenizer: Any,
    splits: Mapping[str, Any],
    device: torch.device,
    data: Mapping[str, Mapping[str, Any]] | None = None,
) -> TrainPlan:
    """Return the plan for encoded pairs or conversations.

    Args:
        options: checked options.
        tokenizer: the model's.
        splits: split -> its pairs or conversations.
        device: where the run is to be.
        data: as in TrainPlan, where it is wanted.
    """
    model = start_shape(options, tokenizer)
    check_positions(model, splits)
    lengths = dataset_lengths(splits["train"])
    batching = likely_batching(options, model, tokenizer, device)
    parameters, trainable = parameter_counts(model)
    largest = largest_micro_batch(options, batching, lengths, model.config)
    before = needs_reference(options) and not asks_online(options)
    return TrainPlan(
        options=options,
        device=str(device),
        device_memory=device_memory(device),
        parameters=parameters,
        trainable=trainable,
        data={name: dict(counts) for name, counts in (data or {}).items()},
        splits={name: len(split) for name, split in splits.items()},
        packed=batching.shared,
        steps=count_steps(options, batching, lengths),
        largest=largest,
        longest=int(lengths.shared.max()),
        reference_pairs=sum(map(len, splits.values())) if before else 0,
        memory=_memory(options, model, largest, device),
    )


def memory_of(
    options: RunOptions, tokenizer: Any, lengths: PairLengths, device: torch.device
) -> Memory:
    """Return the bytes of a run on N train pairs or conversations of given lengths."""
    model = start_shape(options, tokenizer)
    batching = likely_batching(options, model, tokenizer, device)
    largest = largest_micro_batch(options, batching, lengths, model.config)
    return _memory(options, model, largest, device)


def needs_reference(options: RunOptions) -> TypeGuard[TrainOptions]:
    """Whether the loss compares the model with a reference."""
    return (
        isinstance(options, TrainOptions)
        and options.objective == "policy"
        and not chosen_loss(options).reference_free
    )


def asks_online(options: RunOptions) -> TypeGuard[TrainOptions]:
    """Whether a reference model is asked at every step."""
    return isinstance(options, TrainOptions) and options.reference_logps == "online"


def _memory(options: RunOptions, model: Any, largest: MicroBatch, device: torch.device) -> Memory:
    states, assumed = optimizer_bytes(model, options.optimizer)
    return Memory(
        weights=weight_bytes(model, quantized=options.quantize is not None),
        gradients=gradient_bytes(model),
        optimizer=states,
        reference=_reference_bytes(options),
        reference_stays=asks_online(options),
        activations=activation_bytes(model, largest, options, device),
        assumed=assumed,
    )


def _reference_bytes(options: RunOptions) -> int:
    """Return the bytes of a second model's weights; 0 if the policy is its own reference."""
    if not needs_reference(options):
        return 0
    if options.reference is None and (options.lora_rank > 0 or not asks_online(options)):
        return 0
    name, revision = options.reference, None
    if name is None:
        name, revision = options.model, options.revision
    return weight_bytes(bare_shape(options, name, revision, reward=False))
