"""Encoded pairs to a padded batch: chosen rows first, then rejected. Every trainer reads this."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmpo_core.errors import InputError

IDS = ("prompt_ids", "chosen_ids", "rejected_ids")


class PairCollator:
    """Turns B examples of EncodedPairs into one batch of 2B conversations, padded on the right."""

    def __init__(self, pad_token_id: int, pad_to_multiple_of: int | None = None) -> None:
        """Set the padding.

        Args:
            pad_token_id: what stands in padded places. For a reward model it must be a token
                that stands nowhere else (see `load_reward_model`): transformers reads the reward
                at the last token that is not padding.
            pad_to_multiple_of: round the batch's length up to a multiple of this.
        """
        self.pad_token_id = pad_token_id
        self.pad_to_multiple_of = pad_to_multiple_of or 1

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Return a batch; T is the length of its longest conversation.

        Returns:
            input_ids (2B, T) int64: row i is the chosen conversation of pair i, row B + i the
                rejected one.
            attention_mask (2B, T) int64: 1 on tokens, 0 on padding.
            completion_mask (2B, T) bool: where input_ids[i, t] belongs to the completion, EOS
                included. Not shifted: the log-prob of that token is predicted at t - 1.
            every other key of the examples (target, margin, weight, ...): (B,) float32.

        Raises:
            InputError: if the examples do not all have the same keys.
        """
        conversations = [(e["prompt_ids"], e[side]) for side in IDS[1:] for e in examples]
        longest = max(len(prompt) + len(answer) for prompt, answer in conversations)
        width = -(-longest // self.pad_to_multiple_of) * self.pad_to_multiple_of
        shape = (len(conversations), width)
        input_ids = np.full(shape, self.pad_token_id, dtype=np.int64)
        attention_mask = np.zeros(shape, dtype=np.int64)
        completion_mask = np.zeros(shape, dtype=bool)
        for i, (prompt, answer) in enumerate(conversations):
            start, end = len(prompt), len(prompt) + len(answer)
            input_ids[i, :start] = prompt
            input_ids[i, start:end] = answer
            attention_mask[i, :end] = 1
            completion_mask[i, start:end] = True
        return {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(attention_mask),
            "completion_mask": torch.from_numpy(completion_mask),
            **columns_of(examples),
        }


def columns_of(examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Return the examples' numbers as (B,) float32 tensors."""
    names = examples[0].keys()
    for i, example in enumerate(examples):
        if example.keys() != names:
            differing = sorted(example.keys() ^ names)
            raise InputError(f"example {i} of the batch differs from the first in {differing}")
    return {
        name: torch.tensor([e[name] for e in examples], dtype=torch.float32)
        for name in names
        if name not in IDS
    }
