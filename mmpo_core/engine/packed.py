"""Pairs to packed rows: one prompt for both answers, several pairs in a row.

A pair is laid out as [prompt | chosen | rejected]. Positions restart with every pair, and those of
rejected begin where those of chosen do: each answer continues the prompt. Read by batches.py;
attention.py says who sees whom.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmpo_core.engine.rows import Ints, Limits, PairLengths, rounded_up, rows_of

IDS = ("prompt_ids", "chosen_ids", "rejected_ids")


def lengths_of(examples: Sequence[dict[str, Any]]) -> PairLengths:
    """Return the tokens of N examples."""
    counts = [[len(example[name]) for example in examples] for name in IDS]
    return PairLengths(*(np.array(part, dtype=np.int64) for part in counts))


def pack(
    examples: Sequence[dict[str, Any]], pad_token_id: int, limits: Limits
) -> dict[str, Tensor]:
    """Return B pairs as packed rows (R, T).

    Args:
        examples: with IDS, in the order of plan_shared.
        pad_token_id: what stands in padded places.
        limits: of the plan.

    Returns:
        input_ids, position_ids (R, T) int64; segments (R, T) int32, see attention.py.
        source, token_ids (N,) int64 and scored (2B, L) bool, see scoring.py.
        last (2B,) int64: flat position of each side's last token, chosen before rejected.
    """
    lengths = lengths_of(examples)
    rows = rows_of(lengths.shared, limits)
    used = max((int(lengths.shared[row].sum()) for row in rows), default=1)
    sheet = _Sheet(max(1, len(rows)), rounded_up(used, limits.multiple_of), pad_token_id)
    starts = np.zeros(len(examples), dtype=np.int64)
    for number, row in enumerate(rows):
        for place, pair in enumerate(row):
            starts[pair] = sheet.add(number, place, examples[pair])
    return sheet.tensors() | _targets(examples, lengths, starts)


class _Sheet:
    """Rows that are being filled from the left."""

    def __init__(self, rows: int, width: int, pad_token_id: int) -> None:
        shape = (rows, width)
        self.input_ids = np.full(shape, pad_token_id, dtype=np.int64)
        self.position_ids = np.zeros(shape, dtype=np.int64)
        # a number that no pair has: more pairs than tokens cannot lie in a row
        self.segments = np.full(shape, 3 * width, dtype=np.int32)
        self.filled = [0] * rows

    def add(self, row: int, place: int, example: dict[str, Any]) -> int:
        """Put a pair, the `place`-th of its row, behind what is there; return its flat start."""
        start = at = self.filled[row]
        position = 0
        for side, name in enumerate(IDS):
            ids = example[name]
            here = slice(at, at + len(ids))
            self.input_ids[row, here] = ids
            self.position_ids[row, here] = np.arange(position, position + len(ids))
            self.segments[row, here] = 3 * place + side
            position = position + len(ids) if side == 0 else position
            at += len(ids)
        self.filled[row] = at
        return int(row * self.input_ids.shape[1] + start)

    def tensors(self) -> dict[str, Tensor]:
        names = ("input_ids", "position_ids", "segments")
        return {name: torch.from_numpy(getattr(self, name)) for name in names}


def _targets(
    examples: Sequence[dict[str, Any]], lengths: PairLengths, starts: Ints
) -> dict[str, Tensor]:
    """Return source, token_ids, scored and last, of chosen sides, then rejected ones."""
    prompt, chosen, rejected = lengths
    begins = np.concatenate([starts + prompt, starts + prompt + chosen])
    counts = np.concatenate([chosen, rejected])
    prompt_ends = np.tile(starts + prompt - 1, 2)
    # nothing predicts the first token of a conversation without a prompt
    skipped = np.tile(prompt == 0, 2).astype(np.int64)
    answers = [np.asarray(e[side], dtype=np.int64) for side in IDS[1:] for e in examples]
    sources, ids = [], []
    for i, answer in enumerate(answers):
        source = np.arange(begins[i] - 1, begins[i] - 1 + counts[i])
        source[:1] = prompt_ends[i]
        sources.append(source[skipped[i] :])
        ids.append(answer[skipped[i] :])
    scored = np.arange(max(counts, default=0))[None] < (counts - skipped)[:, None]
    return {
        "source": torch.from_numpy(_joined(sources)),
        "token_ids": torch.from_numpy(_joined(ids)),
        "scored": torch.from_numpy(scored),
        "last": torch.from_numpy(begins + counts - 1),
    }


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
