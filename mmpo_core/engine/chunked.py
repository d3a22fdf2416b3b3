"""Log-probs of wanted tokens from hidden states, a chunk of tokens at a time.

The logits of all tokens, (N, V), are never held: a chunk's are made, reduced in float32, and made
again in the backward pass. Chunks whose logits fit into KEPT_BYTES together keep them instead,
which saves the second matrix product and bounds the memory by a constant. Read by scoring.py.

A plain linear head goes through an autograd.Function. Against torch.utils.checkpoint a chunk it
took 4 to 14 % less time (1024 tokens of width 256, V = 8192, chunks of 64 to 512 tokens, one CPU
core, head trained or frozen): its backward needs no graph of the logits, and no gradient of a head
that is frozen. Other heads (adapted, quantised, sharded) are called as modules under
torch.utils.checkpoint, so that their own hooks and gradients work.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

Tensor = torch.Tensor

# Logits of a chunk: elements on a CPU, where more leaves the caches, and on an accelerator.
_CHUNK_ON_CPU = 1 << 22
_CHUNK_ON_DEVICE = 1 << 26
KEPT_BYTES = 1 << 27


@dataclass(frozen=True)
class Head:
    """What turns hidden states into logits.

    Attributes:
        module: the output embeddings.
        scale: what its output is multiplied with (Cohere, Granite).
        softcap: c in c * tanh(logits / c), after scaling (Gemma 2); None for none.
    """

    module: nn.Module
    scale: float = 1.0
    softcap: float | None = None

    @property
    def plain(self) -> bool:
        """Whether it is a linear layer whose weights are all here, and nothing more."""
        weight = getattr(self.module, "weight", None)
        return (
            type(self.module) is nn.Linear and type(weight) is nn.Parameter and weight.numel() > 0
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits (..., V), float32 or wider, of hidden states (..., H)."""
        return self.finish(self.module(hidden))

    def finish(self, output: Tensor) -> Tensor:
        """Return what the module gave as logits: at least float32, scaled and capped."""
        logits = at_least_float32(output)
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        return logits

    def unfinish(self, gradient: Tensor, logits: Tensor) -> Tensor:
        """Return the gradient by the module's output, from that by the logits; in place."""
        if self.softcap is not None:
            gradient.mul_(1 - (logits / self.softcap).square_())
        return gradient.mul_(self.scale) if self.scale != 1.0 else gradient


def at_least_float32(values: Tensor) -> Tensor:
    """Return values in float32, or in float64 if they are: sums in bfloat16 lose whole nats."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def token_logps(
    hidden: Tensor, head: Head, token_ids: Tensor, kept_bytes: int = KEPT_BYTES
) -> Tensor:
    """Return log softmax(logits)[token] of each token.

    Args:
        hidden: (N, H), the state that predicts each token.
        head: makes logits.
        token_ids: (N,) int64.
        kept_bytes: of logits that may be kept for the backward pass.

    Returns:
        (N,) float32 or wider.
    """
    chunk = _chunk_tokens(hidden, head)
    if head.plain:
        keep = kept_bytes if torch.is_grad_enabled() else 0
        weight, bias = head.module.weight, head.module.bias
        inputs = (hidden, weight, bias, token_ids, head, chunk, keep)
        logps: Tensor = _LinearLogps.apply(*inputs)  # type: ignore[no-untyped-call]
        return logps

    def logps_of(part: Tensor, ids: Tensor) -> Tensor:
        return -cross_entropy(head.logits(part), ids, reduction="none")

    # an adapter's dropout draws the same mask again, as checkpoint keeps the generator's state
    parts = [
        checkpoint(logps_of, part, ids, use_reentrant=False)
        for part, ids in zip(*_chunks(chunk, hidden, token_ids), strict=True)
    ]
    return torch.cat(parts)


def _chunks(size: int, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    return [torch.split(tensor, size) for tensor in tensors]


def _chunk_tokens(hidden: Tensor, head: Head) -> int:
    vocabulary = getattr(head.module, "out_features", None) or 1 << 17
    return chunk_tokens(vocabulary, hidden.device.type)


def chunk_tokens(vocabulary: int, device: str) -> int:
    """Return how many tokens' logits are made at once on a type of device."""
    elements = _CHUNK_ON_CPU if device == "cpu" else _CHUNK_ON_DEVICE
    return max(64, elements // vocabulary)


class _LinearLogps(torch.autograd.Function):
    """log softmax(head(hidden))[token], with the head's weight as an input."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        token_ids: Tensor,
        head: Head,
        chunk: int,
        keep: int,
    ) -> Tensor:
        ctx.head, ctx.chunk, ctx.dtype = head, chunk, _compute_dtype(hidden)
        states, matrix, offset = _in_dtype(ctx.dtype, hidden, weight, bias)
        picked, totals, kept = [], [], []
        with torch.autocast(hidden.device.type, enabled=False):
            for part, ids in zip(*_chunks(chunk, states, token_ids), strict=True):
                output = nn.functional.linear(part, matrix, offset)
                logits = head.finish(output)
                picked.append(logits.gather(1, ids[:, None]).squeeze(1))
                totals.append(logits.logsumexp(dim=1))
                keep -= output.numel() * output.element_size()
                if keep >= 0:
                    kept.append(output)
        log_totals = torch.cat(totals)
        ctx.save_for_backward(hidden, weight, bias, token_ids, log_totals, *kept)
        return torch.cat(picked) - log_totals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, token_ids, log_totals, *kept = ctx.saved_tensors
        states, matrix, offset = _in_dtype(ctx.dtype, hidden, weight, bias)
        wants_weight, wants_bias = ctx.needs_input_grad[1:3]
        # summed over chunks in at least float32
        by_weight = torch.zeros_like(weight, dtype=_wide(weight)) if wants_weight else None
        by_bias = torch.zeros_like(bias, dtype=_wide(bias)) if wants_bias else None
        by_hidden = torch.empty_like(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            for number, start in enumerate(range(0, len(hidden), ctx.chunk)):
                here = slice(start, start + ctx.chunk)
                known = number < len(kept)
                output = (
                    kept[number] if known else nn.functional.linear(states[here], matrix, offset)
                )
                by_output = _by_output(
                    ctx.head, output, token_ids[here], log_totals[here], gradient[here]
                ).to(ctx.dtype)
                by_hidden[here] = by_output @ matrix
                if by_weight is not None:
                    _add_product(by_weight, by_output.T, states[here])
                if by_bias is not None:
                    by_bias += by_output.sum(dim=0, dtype=by_bias.dtype)
        return (
            by_hidden,
            None if by_weight is None else by_weight.to(weight.dtype),
            None if by_bias is None else by_bias.to(bias.dtype),
            *(None,) * 4,
        )


def _by_output(
    head: Head, output: Tensor, token_ids: Tensor, log_totals: Tensor, gradient: Tensor
) -> Tensor:
    """Return the gradient by the head's output (N, V): (one at the token - softmax) * gradient."""
    logits = head.finish(output)
    by_logits = (logits - log_totals[:, None]).exp_().mul_(-gradient[:, None])
    by_logits.scatter_add_(1, token_ids[:, None], gradient[:, None])
    return head.unfinish(by_logits, logits)


def _compute_dtype(hidden: Tensor) -> torch.dtype:
    """Return the dtype of the matrix product: autocast's where it is on."""
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


def _in_dtype(
    dtype: torch.dtype, hidden: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    return hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)


def _wide(values: Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right to the total, which may be of a wider dtype."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
