"""The options that would save most memory, by the plan's own estimate. Read by out_of_memory.py."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmpo_core.engine.rows import PairLengths, rounded_up
from mmpo_core.errors import InputError
from mmpo_core.run_options import RunOptions
from mmpo_core.train_plan.plan import TrainPlan, asks_online, memory_of

_RANK = 16


@dataclass(frozen=True)
class Remedy:
    """An option that saves memory.

    Attributes:
        flag: as it is typed.
        saves: bytes, by the plan's estimate.
        costs: what else it does.
    """

    flag: str
    saves: int
    costs: str


def remedies(
    plan: TrainPlan, tokenizer: Any, lengths: PairLengths, device: Any, most: int = 3
) -> list[Remedy]:
    """Return the options that would save most, the best first; fewer if fewer save anything.

    Args:
        plan: of the run.
        tokenizer: the model's.
        lengths: of its train pairs or conversations.
        device: where it runs.
        most: how many at most.
    """
    found = []
    for flag, options, pairs, costs in _candidates(plan, lengths):
        try:
            saved = plan.memory.total - memory_of(options, tokenizer, pairs, device).total
        except InputError:  # no adapters without peft, or on layers of this model
            continue
        if saved > 0:
            found.append(Remedy(flag, saved, costs))
    return sorted(found, key=lambda one: -one.saves)[:most]


def _candidates(
    plan: TrainPlan, lengths: PairLengths
) -> Iterator[tuple[str, RunOptions, PairLengths, str]]:
    """Yield flag, options with it, lengths under them, and what else it does."""
    options = plan.options
    if not options.gradient_checkpointing:
        changed = replace(options, gradient_checkpointing=True)
        yield "--gradient-checkpointing", changed, lengths, "same result, a third more time"
    fewer = _tokens_of_longest(plan, lengths)
    if fewer < plan.largest.tokens:
        changed = replace(options, tokens_per_batch=fewer)
        yield f"--tokens-per-batch {fewer}", changed, lengths, "same result, more forward passes"
    if not options.bf16 and options.dtype == "float32":
        yield "--bf16", replace(options, bf16=True), lengths, "rounds activations"
    if not options.lora_rank:
        changed = replace(options, lora_rank=_RANK)
        yield f"--lora-rank {_RANK}", changed, lengths, "trains adapters; wants a larger --lr"
    elif options.quantize is None and not plan.device.startswith("cpu"):
        yield "--quantize 4bit", replace(options, quantize="4bit"), lengths, "rounds frozen weights"
    if asks_online(options):
        changed = replace(options, reference_logps="precomputed")
        yield "--reference-logps precomputed", changed, lengths, "same result"
    half = max(2, int(lengths.longer.max()) // 2)
    yield f"--max-length {half}", options, _cut(lengths, half), "cuts longer conversations"


def _tokens_of_longest(plan: TrainPlan, lengths: PairLengths) -> int:
    """Return how many tokens the micro-batch of the longest pair or conversation has alone."""
    one_row = plan.packed or plan.unit == "conversation"
    longest = lengths.shared.max() if one_row else 2 * lengths.longer.max()
    return rounded_up(int(longest), 8)


def _cut(lengths: PairLengths, most: int) -> PairLengths:
    """Return lengths under a limit, about as fit.py would have them: prompts give way first."""
    chosen = np.minimum(lengths.chosen, most - 1)
    rejected = np.minimum(lengths.rejected, most - 1)
    prompt = np.minimum(lengths.prompt, most - np.maximum(chosen, rejected))
    return PairLengths(prompt, chosen, rejected)
