"""How a run's pairs or conversations become micro-batches, from its options and model.

Read by train.py and sft/train.py. engine/check.py tries whether the model may share rows; the
limits are chosen here.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mmpo_core.engine.attention import skips_hidden
from mmpo_core.engine.batches import Batching, dataset_lengths
from mmpo_core.engine.check import choose_batching
from mmpo_core.engine.rewards import reward_values
from mmpo_core.engine.rows import Limits
from mmpo_core.engine.scoring import completion_token_logps, scorer_of
from mmpo_core.run_options import RunOptions
from mmpo_core.step_trainer import tokens_per_batch

logger = logging.getLogger("mmpo_core.train")

_FLEX = "flex_attention"
# FlexAttention skips blocks of this size; kernels of accelerators take rows of multiples of 8.
_FLEX_BLOCK, _ALIGNED = 128, 8


@dataclass(frozen=True)
class RunBatching:
    """What a run uses.

    Attributes:
        batching: how they become micro-batches.
        why_padded: why rows are not shared although they might have been.
        own_logits: why the model's own logits are computed instead of chunks; None if they are not.
        tokens: positions in one pass over the training pairs, padding included.
        tokens_apart: the same with every conversation apart and no padding.
    """

    batching: Batching
    why_padded: str | None
    own_logits: str | None
    tokens: int
    tokens_apart: int

    def record(self) -> dict[str, Any]:
        """Return what run.json says about it."""
        limits = self.batching.limits
        return {
            "used": "shared" if self.batching.shared else "padded",
            "why_padded": self.why_padded,
            "tokens_per_batch": limits.tokens,
            "tokens_per_epoch": self.tokens,
            "tokens_of_conversations": self.tokens_apart,
            "own_logits": self.own_logits,
        }


def run_batching(
    options: RunOptions,
    model: Any,
    tokenizer: Any,
    splits: Mapping[str, Any],
    kind: type[Batching] = Batching,
) -> RunBatching:
    """Return how a run's pairs or conversations are batched for a model, policy or reference.

    Args:
        options: checked options.
        model: unwrapped, on its device.
        tokenizer: its pad token stands in padded places.
        splits: split -> its pairs, or conversations.
        kind: how they become micro-batches.

    Raises:
        InputError: if packing is `shared` and the model cannot.
    """
    batching = kind(tokenizer.pad_token_id, run_limits(options, model))
    reward = options.task == "reward"
    function = reward_values if reward else completion_token_logps
    choice = choose_batching(model, splits, batching, options.packing, function)
    lengths = dataset_lengths(splits["train"])
    return RunBatching(
        choice.batching,
        choice.why_padded,
        None if reward else scorer_of(model).why_not,
        choice.batching.positions(lengths),
        choice.batching.tokens_apart(lengths),
    )


def run_limits(options: RunOptions, model: Any, device: torch.device | None = None) -> Limits:
    """Return what a micro-batch of a run may hold.

    Args:
        options: checked options.
        model: of which the configuration is read, and the device if none is given.
        device: where it will run.
    """
    device = device or model.device
    config = model.config.get_text_config()
    flex = config._attn_implementation == _FLEX
    aligned = 1 if device.type == "cpu" else _ALIGNED
    return Limits(
        tokens=options.tokens_per_batch or tokens_per_batch(device),
        pairs=options.micro_batch_size,
        long_rows=skips_hidden(config, device, compiled=getattr(options, "compile", False)),
        multiple_of=_FLEX_BLOCK if flex else aligned,
    )
