"""A batch through a reward model: one reward a side, read at its last token.

In packed rows both answers of a pair follow one prompt, and the score head sees the hidden states
of their last tokens alone. In padded rows the model reads its rewards itself. Read by
mmpo_core.reward.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from mmpo_core.engine.chunked import at_least_float32
from mmpo_core.engine.scoring import Batch, model_inputs, through

Tensor = torch.Tensor


def side_rewards(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Return (2B,) rewards, float32 or wider, chosen before rejected.

    Args:
        model: sequence classifier with one label, maybe wrapped for several devices.
        batch: as Batching.collate gives it; or padded by PairCollator.
    """
    rewards: Tensor = through(model, reward_values, batch)
    return rewards


def reward_values(model: Any, forward: Callable[..., Any], batch: Batch) -> Tensor:
    """Return (2B,) rewards within a forward pass; see scoring.through."""
    inputs = model_inputs(model, batch)
    if "segments" not in batch:
        # (2B, 1) -> (2B,): a column against the (B,) targets would broadcast to (B, B)
        rewards = at_least_float32(forward(**inputs).logits.squeeze(-1))
        return rewards[: len(batch["last"])] if "last" in batch else rewards
    classifier = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = classifier.get_decoder()(**inputs).last_hidden_state.flatten(0, 1)
    return at_least_float32(classifier.score(hidden.index_select(0, batch["last"])).squeeze(-1))
