"""Conversations to micro-batches, through the engine's rows.

A conversation goes through the engine as a pair without a second answer: it fills a row with
others, positions restarting and a block mask between them, or has a padded row of its own. Targets
are the assistant's tokens alone. Read by train.py and trainer.py; see engine/batches.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mmpo_core.collate import IDS
from mmpo_core.engine.batches import Batch, Batching, Example, StepCollator
from mmpo_core.engine.rows import Ints, PairLengths, plan_padded


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

    def shape(self, lengths: PairLengths) -> tuple[int, int]:
        """Return rows and width of a micro-batch, in the order of the plan."""
        rows, width = super().shape(lengths)
        return (rows if self.shared else len(lengths.prompt)), width

    def tokens_apart(self, lengths: PairLengths) -> int:
        """Return the tokens of N conversations."""
        return int(lengths.shared.sum())


@dataclass(frozen=True)
class ConversationCollator(StepCollator):
    """Turns the conversations of an optimizer step into this process's micro-batches."""

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Return the step; `pairs`, what its loss is divided by, is its assistant tokens."""
        tokens = sum(int(example["wanted"].sum()) for example in examples)
        return super().__call__(examples) | {"pairs": tokens}
