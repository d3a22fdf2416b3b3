"""Log-probabilities of completions under a causal language model, summed over each answer.

The one function that policy, reference and evaluation call, for packed and for padded batches.
Only positions that predict a completion token get logits, and those a chunk at a time: see
engine/scoring.py and engine/chunked.py. Numbers are summed in float32 whatever the model computes
in. Read by trainer.py and reference.py.
"""

from collections.abc import Mapping
from typing import Any

import torch

from mmpo_core.engine.batches import with_targets
from mmpo_core.engine.chunked import at_least_float32
from mmpo_core.engine.scoring import (
    by_side,
    completion_token_logps,
    scorer_of,
    through,
    unwrapped,
)

__all__ = ["at_least_float32", "completion_logps"]

Tensor = torch.Tensor


def completion_logps(model: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return summed log-probs of the completion tokens, and their numbers.

    Args:
        model: causal language model, maybe wrapped for several devices.
        batch: as Batching.collate gives it, packed or padded; or padded by PairCollator, with
            input_ids, attention_mask and completion_mask (2B, T), the mask 1 on the tokens to be
            scored, never on a row's first token, which nothing predicts.

    Returns:
        ((2B,) sums, float32 or wider, of log pi(token | tokens before it), (2B,) int64 token
        counts); chosen before rejected.
    """
    given = dict(batch)
    targets = given if "scored" in given else with_targets(given)
    scorer_of(unwrapped(model))
    logps = through(model, completion_token_logps, targets)
    return by_side(logps, targets["scored"]), targets["scored"].sum(dim=1)
