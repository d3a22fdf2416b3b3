"""Steps and micro-batches of a run, by the engine's own row builder. Read by plan.py.

An epoch's random order is drawn, and its steps are planned as step_trainer.py plans them; of a long
epoch, the first STEPS_TRIED, and the rest are taken to be like them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmpo_core.engine.attention import FORMS
from mmpo_core.engine.batches import Batching
from mmpo_core.engine.rows import PairLengths, deal
from mmpo_core.processes import launched
from mmpo_core.run_options import RunOptions
from mmpo_core.sft.batching import ConversationBatching
from mmpo_core.train_batching import run_limits
from mmpo_core.train_plan.activations import MicroBatch, layer_bytes, sizes_of
from mmpo_core.training_args import optimizer_steps

STEPS_TRIED = 200


@dataclass(frozen=True)
class Steps:
    """What an epoch is made of; means are over the steps that were planned.

    Attributes:
        per_epoch: optimizer steps of an epoch.
        total: optimizer steps of the run.
        micro_batches: forward passes of a step in each process, mean.
        rows: rows of a step in all processes, mean.
        tokens: positions that a model computes in an epoch, padding included.
        tokens_padded: the same if every conversation had a row of its own.
        tokens_apart: tokens of all conversations, without padding.
    """

    per_epoch: int
    total: int
    micro_batches: float
    rows: float
    tokens: int
    tokens_padded: int
    tokens_apart: int


def likely_batching(
    options: RunOptions, model: Any, tokenizer: Any, device: torch.device
) -> Batching:
    """Return how pairs or conversations will become micro-batches, if packed rows can be used.

    Whether the model takes them is tried when its weights are loaded (engine/check.py).
    """
    kernel = model.config.get_text_config()._attn_implementation
    kind = ConversationBatching if options.task == "sft" else Batching
    batching = kind(
        tokenizer.pad_token_id,
        run_limits(options, model, device),
        shared=options.packing != "padded" and kernel in FORMS,
    )
    return batching if batching.shared else batching.padded()


def count_steps(options: RunOptions, batching: Batching, lengths: PairLengths) -> Steps:
    """Plan an epoch's steps on N train pairs or conversations and count what is in them."""
    steps = list(_steps(options, lengths))
    made = [_shapes(batching, step) for step in steps]
    padded = [_shapes(batching.padded(), step) for step in steps]
    pairs = len(lengths.prompt)
    scale = pairs / sum(len(step.prompt) for step in steps)
    return Steps(
        per_epoch=-(-pairs // options.batch_size),
        total=optimizer_steps(options, pairs),
        micro_batches=float(np.mean([max(map(len, shares)) for shares in made])),
        rows=sum(rows for rows, _ in _flat(made)) / len(steps),
        tokens=round(scale * sum(rows * width for rows, width in _flat(made))),
        tokens_padded=round(scale * sum(rows * width for rows, width in _flat(padded))),
        tokens_apart=batching.tokens_apart(lengths),
    )


def largest_micro_batch(
    options: RunOptions, batching: Batching, lengths: PairLengths, config: Any
) -> MicroBatch:
    """Return the micro-batch that takes most memory, of the planned steps and the longest pairs.

    Args:
        options: checked options.
        batching: how pairs become micro-batches.
        lengths: of N train pairs.
        config: the model's.
    """
    whole = lengths.shared if batching.shared else lengths.longer
    longest = lengths.take(np.argsort(-whole, kind="stable")[: options.batch_size])
    sizes, found = sizes_of(config), []
    for step in (longest, *_steps(options, lengths)):
        for share in deal(step.shared, launched()):
            mine = step.take(share)
            found += [_micro_batch(batching, mine.take(group)) for group in batching.plan(mine)]
    return max(found, key=lambda one: layer_bytes(sizes, one, 4))


def _steps(options: RunOptions, lengths: PairLengths) -> Iterator[PairLengths]:
    order = np.random.default_rng(options.seed).permutation(len(lengths.prompt))
    most = min(len(order), STEPS_TRIED * options.batch_size)
    for start in range(0, most, options.batch_size):
        yield lengths.take(order[start : start + options.batch_size])


def _shapes(batching: Batching, step: PairLengths) -> list[list[tuple[int, int]]]:
    """Return rows and width of each micro-batch, process by process."""
    shares = [step.take(share) for share in deal(step.shared, launched())]
    return [[batching.shape(one.take(group)) for group in batching.plan(one)] for one in shares]


def _flat(steps: list[list[list[tuple[int, int]]]]) -> Iterator[tuple[int, int]]:
    return (shape for shares in steps for share in shares for shape in share)


def _micro_batch(batching: Batching, lengths: PairLengths) -> MicroBatch:
    rows, width = batching.shape(lengths)
    scored = int((lengths.chosen + lengths.rejected).sum())
    return MicroBatch(len(lengths.prompt), rows, width, scored)
