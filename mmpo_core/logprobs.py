"""Log-probabilities of completions under a causal language model.

Only positions that predict a completion token get logits: the prompt's never exist where the
model takes `logits_to_keep`, and padding's are dropped before the log-softmax. Numbers are
summed in float32 whatever the model computes in. Read by trainer.py and reference.py.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import cross_entropy

Tensor = torch.Tensor


def completion_logps(model: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return summed log-probs of the completion tokens, and their numbers.

    Args:
        model: causal language model, maybe wrapped for several devices.
        batch: input_ids, attention_mask, completion_mask, each (R, T); completion_mask is 1 on the
            tokens to be scored, never on a row's first token, which nothing predicts.

    Returns:
        ((R,) sums, float32 or wider, of log pi(token | tokens before it), (R,) int64 token counts).
    """
    # token t is predicted by the logits at t - 1
    scored = batch["completion_mask"][:, 1:].bool()
    columns = scored.any(dim=0).nonzero().squeeze(1)
    logits = _logits_at(model, batch, columns)
    scored_here = scored[:, columns]
    token_ids = batch["input_ids"][:, 1:][:, columns][scored_here]
    token_logps = -cross_entropy(at_least_float32(logits[scored_here]), token_ids, reduction="none")
    per_position = token_logps.new_zeros(scored_here.shape).masked_scatter(scored_here, token_logps)
    return per_position.sum(dim=1), scored.sum(dim=1)


def at_least_float32(values: Tensor) -> Tensor:
    """Return values in float32, or in float64 if they are: sums in bfloat16 lose whole nats."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _logits_at(model: Any, batch: Mapping[str, Tensor], columns: Tensor) -> Tensor:
    """Return logits (R, K, V) at the K given positions."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    if _keeps_logits(model):
        output: Tensor = model(**inputs, use_cache=False, logits_to_keep=columns).logits
        return output
    full: Tensor = model(**inputs, use_cache=False).logits
    return full[:, columns]


def _keeps_logits(model: Any) -> bool:
    """Whether the model (or what a wrapper holds) can be asked for logits at some positions."""
    inner = getattr(model, "module", model)
    return "logits_to_keep" in inspect.signature(inner.forward).parameters
