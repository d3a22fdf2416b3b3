"""Conversations to micro-batches, through the engine's rows.

A conversation goes through the engine as a pair without a second answer: it fills a row with
others, positions restarting and a block mask between them, or has a padded row of its own. Targets
are the assistant's tokens alone. Read by train.py and trainer.py; see engine/batches.py.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mmpo_core.collate import IDS
from mmpo_core.engine.batches import Batch, Batching, Example, StepCollator
from mmpo_core.engine.check import why_padded
from mmpo_core.engine.rows import Ints, PairLengths, plan_padded
from mmpo_core.engine.scoring import completion_token_logps, scorer_of
from mmpo_core.errors import InputError
from mmpo_core.run_options import RunOptions
from mmpo_core.sft.conversations import Conversations, Splits
from mmpo_core.train_batching import RunBatching, run_limits

logger = logging.getLogger("mmpo_core.train")


@dataclass(frozen=True)
class ConversationBatching(Batching):
    """How conversations become micro-batches."""

    def plan(self, lengths: PairLengths) -> list[Ints]:
        """Return N conversations as micro-batches of indices, those of the longest first."""
        if self.shared:
            return super().plan(lengths)
        # which counts two rows for each index, of the two answers
        return plan_padded(lengths.longer, replace(self.limits, tokens=2 * self.limits.tokens))

    def collate(self, examples: Sequence[Example], like: Example | None = None) -> Batch:
        """Return the tensors of a micro-batch of B conversations.

        input_ids and what places them; source, token_ids and scored (2B, L) of the assistant's
        tokens, the last B sides without any: see scoring.py.

        Args:
            examples: of Conversations, in the order of the plan; maybe none.
            like: not read: conversations have no columns.
        """
        batch = super().collate([{name: example[name] for name in IDS} for example in examples])
        if examples and not self.shared:
            # the other rows are those of the answers that are not there
            for name in ("input_ids", "attention_mask"):
                batch[name] = batch[name][: len(examples)]
        masks = [example["wanted"] for example in examples]
        wanted = torch.from_numpy(np.concatenate(masks) if masks else np.zeros(0, dtype=bool))
        places = ("input_ids", "attention_mask", "position_ids", "segments")
        kept = {name: batch[name] for name in places if name in batch}
        counts = np.array([*map(np.count_nonzero, masks), *[0] * len(masks)], dtype=np.int64)
        scored = np.arange(max(counts, default=0))[None] < counts[:, None]
        kept |= {name: batch[name][wanted] for name in ("source", "token_ids")}
        return kept | {"scored": torch.from_numpy(scored)}

    def positions(self, lengths: PairLengths) -> int:
        """Return the positions that a model computes for N conversations planned together."""
        counted = super().positions(lengths)
        return counted if self.shared else counted // 2


@dataclass(frozen=True)
class ConversationCollator(StepCollator):
    """Turns the conversations of an optimizer step into this process's micro-batches."""

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Return the step; `pairs`, what its loss is divided by, is its assistant tokens."""
        tokens = sum(int(example["wanted"].sum()) for example in examples)
        return super().__call__(examples) | {"pairs": tokens}


def conversation_batching(
    options: RunOptions, model: Any, tokenizer: Any, splits: Splits
) -> RunBatching:
    """Return how a run's conversations are batched for a model.

    Packed rows are used if the longest, the median and the shortest conversation have the same
    log-probs in them as in padded rows; the reason is logged where `auto` gives them up.

    Raises:
        InputError: if packing is `shared` and the model cannot.
    """
    batching = ConversationBatching(tokenizer.pad_token_id, run_limits(options, model))
    own_logits = scorer_of(model).why_not
    if own_logits is not None:
        logger.warning("the model's own logits are computed, not chunks of them: %s", own_logits)
    why_not = None
    if options.packing != "padded":
        examples = _sample(splits["train"])
        why_not = why_padded(model, examples, batching, completion_token_logps)
    if why_not is not None and options.packing == "shared":
        raise InputError(f"packing shared: {why_not}. Use --packing padded, or auto")
    if why_not is not None:
        logger.warning("one conversation a row (packing padded): %s", why_not)
    shared = options.packing != "padded" and why_not is None
    chosen = replace(batching, shared=True) if shared else batching.padded()
    lengths = step_lengths(splits["train"])
    return RunBatching(
        chosen, why_not, own_logits, chosen.positions(lengths), int(lengths.shared.sum())
    )


def step_lengths(conversations: Conversations) -> PairLengths:
    """Return the lengths of conversations as the engine counts them."""
    whole = conversations.lengths
    nothing = np.zeros_like(whole)
    return PairLengths(whole, nothing, nothing)


def _sample(conversations: Conversations) -> list[Example]:
    order = np.argsort(-conversations.lengths, kind="stable")
    places = dict.fromkeys(int(i) for i in (order[0], order[len(order) // 2], order[-1]))
    return [conversations[place] for place in places]
