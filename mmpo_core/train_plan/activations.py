"""What a forward pass keeps for its backward pass: an estimate, from a model's configuration.

Written for decoders of the Llama kind: RMSNorm, rotary positions, a gated MLP. Estimate over what
torch kept on a CPU, of small models: Llama, Qwen 2 and 3, Phi-3, Mixtral 0.92 to 1.03 (1.25 with
padded rows or bfloat16 weights), Gemma 2 0.73, GPT-NeoX 1.37, OPT 1.80.

With H the width, A = heads * width of a head, I the MLP's inner width, s the bytes of a number, a
layer keeps for each token

    24 H     two norms: what each takes, divides and gives, in float32 (or with copies in half
             types, which come to about as much)
    4 A s    queries, keys and values of every head, and what attention gives
    4 I s    the gate before and after its function, the other half, their product

and of a micro-batch of R rows of T tokens an attention mask of R T T numbers, in eager attention
also the probabilities, heads * R T T. With gradient checkpointing a layer keeps its input alone,
H s, and one layer at a time has all of it. Logits are counted as engine/chunked.py makes them.
Under autocast every float32 matrix has a copy in bfloat16. Not counted: buffers of the kernels,
fragmentation, gradients by activations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mmpo_core.engine.chunked import KEPT_BYTES, chunk_tokens
from mmpo_core.run_options import RunOptions
from mmpo_core.train_plan.memory import trained


@dataclass(frozen=True)
class MicroBatch:
    """The size of a forward pass.

    Attributes:
        pairs: B.
        rows: R.
        width: T, tokens of a row, padding included.
        scored: completion tokens, whose log-probs are computed.
    """

    pairs: int
    rows: int
    width: int
    scored: int

    @property
    def tokens(self) -> int:
        """Positions, padding included."""
        return self.rows * self.width


@dataclass(frozen=True)
class Sizes:
    """What of a model's configuration decides its activations; see the module's docstring."""

    layers: int
    hidden: int
    heads: int
    attention: int
    inner: int
    vocabulary: int
    kernel: str


def sizes_of(config: Any) -> Sizes:
    """Return the sizes in a transformers configuration of a decoder.

    Names that differ between architectures (n_embd, ffn_dim) are those of transformers.
    """
    config = config.get_text_config()
    hidden, heads = int(config.hidden_size), _first(config, "num_attention_heads") or 1
    inner = _first(config, "moe_intermediate_size", "intermediate_size", "ffn_dim", "n_inner")
    experts = _first(config, "num_experts_per_tok") or 1
    return Sizes(
        layers=int(config.num_hidden_layers),
        hidden=hidden,
        heads=heads,
        attention=heads * (_first(config, "head_dim") or hidden // heads),
        inner=experts * (inner or 4 * hidden),
        vocabulary=int(config.vocab_size),
        kernel=str(config._attn_implementation),
    )


def _first(config: Any, *names: str) -> int | None:
    found = (getattr(config, name, None) for name in names)
    # a list has a value for each layer
    return next((int(np.max(value)) for value in found if value is not None), None)


def activation_bytes(
    model: Any, batch: MicroBatch, options: RunOptions, device: torch.device
) -> int:
    """Return the bytes that a forward pass keeps until its backward pass is through.

    Args:
        model: of any device, also `meta`.
        batch: size of the micro-batch.
        options: bf16, dtype, gradient_checkpointing and the task are read.
        device: where the model will run.
    """
    sizes = sizes_of(model.config)
    half = options.bf16 or options.dtype == "bfloat16"
    wide = 2 if options.dtype == "bfloat16" else 4
    layer = layer_bytes(sizes, batch, 2 if half else 4)
    if options.gradient_checkpointing:
        layers = sizes.layers * batch.tokens * sizes.hidden * wide + layer
    else:
        layers = sizes.layers * layer
    ends = 3 * batch.tokens * sizes.hidden * 4
    mask = batch.tokens * batch.width if sizes.kernel == "sdpa" else 0
    total = layers + ends + mask
    if options.bf16 and options.dtype == "float32":
        total += _autocast_copies(model)
    return total if options.task == "reward" else total + _logit_bytes(model, sizes, batch, device)


def layer_bytes(sizes: Sizes, batch: MicroBatch, number: int) -> int:
    """Return the bytes that one layer keeps without checkpointing.

    Args:
        sizes: of the model.
        batch: its size.
        number: bytes of a number in matrix products.
    """
    token = 24 * sizes.hidden + 4 * number * (sizes.attention + sizes.inner)
    square = batch.tokens * batch.width
    if sizes.kernel == "eager":
        # probabilities in float32, and as they are multiplied with the values
        square *= sizes.heads * (4 + (number if number < 4 else 0))
    elif sizes.kernel == "sdpa":
        square *= number  # the mask as it is added to the scores, made anew in each layer
    else:
        square = 0
    return batch.tokens * token + square


def _autocast_copies(model: Any) -> int:
    """Return the bytes of the matrices in bfloat16 that autocast makes for a forward pass."""
    matrices = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    return sum(2 * one.numel() for one in matrices if one.dtype == torch.float32)


def _logit_bytes(model: Any, sizes: Sizes, batch: MicroBatch, device: torch.device) -> int:
    """Return the bytes of logits that are kept, of a chunk's work, and of the head's gradient."""
    chunk = min(batch.scored, chunk_tokens(sizes.vocabulary, device.type))
    kept = min(4 * batch.scored * sizes.vocabulary, KEPT_BYTES)
    head = model.get_output_embeddings()
    weight = None if head is None else head.weight
    by_head = sum(4 * one.numel() for one in trained(model) if one is weight)
    states = 2 * 4 * batch.scored * sizes.hidden
    return int(kept + 2 * 4 * chunk * sizes.vocabulary + by_head + states)
