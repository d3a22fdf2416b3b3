"""Examples to the tensors of micro-batches, and a step's pairs to those of every process.

Batching says how: prompts shared and rows packed, or padded; check.py decides which. All processes
see all pairs of a step and plan for all of them alike, so that each runs the same number of
forward passes (FSDP and DDP hang otherwise) without a word between them. Read by trainer.py and
reference.py; the keys of a batch are listed in scoring.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mmpo_core.collate import PairCollator, columns_of
from mmpo_core.engine.packed import lengths_of, pack
from mmpo_core.engine.rows import (
    Ints,
    Limits,
    PairLengths,
    deal,
    plan_padded,
    plan_shared,
    rounded_up,
    rows_of,
)

Batch = dict[str, Tensor]
Example = dict[str, Any]


@dataclass(frozen=True)
class Batching:
    """How pairs become micro-batches.

    Attributes:
        pad_token_id: what stands in padded places; see PairCollator.
        limits: of a micro-batch.
        shared: one prompt for both answers and several pairs in a row, or padded conversations.
    """

    pad_token_id: int
    limits: Limits
    shared: bool = False

    def plan(self, lengths: PairLengths) -> list[Ints]:
        """Return N pairs as micro-batches of indices, those of the longest pairs first."""
        if self.shared:
            return plan_shared(lengths.shared, self.limits)
        return plan_padded(lengths.longer, self.limits)

    def collate(self, examples: Sequence[Example], like: Example | None = None) -> Batch:
        """Return the tensors of a micro-batch of B pairs, and its columns (B,).

        Args:
            examples: in the order of the plan. If there are none, the batch is one row of padding,
                which is computed and counts for nothing.
            like: an example that says which columns a batch of no pairs has.
        """
        if examples and not self.shared:
            collator = PairCollator(self.pad_token_id, self.limits.multiple_of)
            return with_targets(collator(examples))
        batch = pack(examples, self.pad_token_id, self.limits)
        if not self.shared:
            del batch["segments"], batch["position_ids"]
            batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        columns = columns_of(examples or [like or {}])
        return batch | {name: column[: len(examples)] for name, column in columns.items()}

    def tokens_apart(self, lengths: PairLengths) -> int:
        """Return the tokens of N pairs' conversations, each apart and without padding."""
        return int((2 * lengths.prompt + lengths.chosen + lengths.rejected).sum())

    def positions(self, lengths: PairLengths) -> int:
        """Return the positions that a model computes for N pairs planned together."""
        shapes = [self.shape(lengths.take(group)) for group in self.plan(lengths)]
        return sum(rows * width for rows, width in shapes)

    def shape(self, lengths: PairLengths) -> tuple[int, int]:
        """Return rows and width of the micro-batch of B pairs, in the order of the plan."""
        if not self.shared:
            width = rounded_up(int(lengths.longer.max()), self.limits.multiple_of)
            return 2 * len(lengths.prompt), width
        used = [int(lengths.shared[row].sum()) for row in rows_of(lengths.shared, self.limits)]
        return len(used), rounded_up(max(used), self.limits.multiple_of)

    def padded(self) -> "Batching":
        """Return the same without sharing prompts."""
        return replace(self, shared=False, limits=replace(self.limits, long_rows=False))


def dataset_lengths(pairs: Any) -> PairLengths:
    """Return the tokens of the pairs of a data set.

    Args:
        pairs: with `pair_lengths`, such as EncodedPairs and Conversations; else examples by number.
    """
    known: PairLengths | None = getattr(pairs, "pair_lengths", None)
    return lengths_of([pairs[i] for i in range(len(pairs))]) if known is None else known


def with_targets(batch: Batch) -> Batch:
    """Return a padded batch with source, token_ids, scored and last, from its masks.

    A row's first token is never scored: nothing predicts it.
    """
    scored = batch["completion_mask"][:, 1:].bool()
    row, column = scored.nonzero(as_tuple=True)
    width = batch["input_ids"].shape[1]
    ends = batch["attention_mask"].sum(dim=1) - 1
    return {
        **batch,
        "source": row * width + column,
        "token_ids": batch["input_ids"][:, 1:][scored],
        "scored": scored,
        "last": torch.arange(len(ends), device=ends.device) * width + ends,
    }


@dataclass(frozen=True)
class StepCollator:
    """Turns the pairs of an optimizer step into this process's micro-batches.

    Attributes:
        batching: how.
        processes: how many share the step.
        process: this one's number.
    """

    batching: Batching
    processes: int = 1
    process: int = 0

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Return the step.

        Args:
            examples: all pairs of the step, the same in every process.

        Returns:
            pairs: how many the step has in all processes.
            micro_batches: of this process; as many as every other one has.
        """
        lengths = lengths_of(examples)
        shares = deal(lengths.shared, self.processes)
        plans = [self.batching.plan(lengths.take(share)) for share in shares]
        mine, share = plans[self.process], shares[self.process]
        groups = [share[group] for group in mine]
        groups += [share[:0]] * (max(map(len, plans)) - len(groups))
        batches = [
            self.batching.collate([examples[int(i)] for i in group], examples[0])
            for group in groups
        ]
        return {"pairs": len(examples), "micro_batches": batches}


class ShareOfPlan:
    """A batch sampler: one process's micro-batches of a plan, as many as every other has.

    The last ones may be empty.
    """

    def __init__(self, plan: Sequence[Ints], processes: int = 1, process: int = 0) -> None:
        mine = [group.tolist() for group in plan[process::processes]]
        self._groups = mine + [[]] * (-(-len(plan) // processes) - len(mine))

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Any:
        return iter(self._groups)
