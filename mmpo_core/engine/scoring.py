"""A batch through a causal language model: the log-prob of every completion token.

The decoder's hidden states are taken, and the head applied to the predicting positions alone
(chunked.py). All of it happens inside the model's own forward call, so that DDP, FSDP and DeepSpeed
see an ordinary forward pass. Where the decoder and head of a model cannot be used so, its own
logits are: scorer_of says why. Read by mmpo_core.logprobs, check.py and reward.py.

Keys of a batch that are read here; batches.py makes them:

    input_ids       (R, T) int64
    attention_mask  (R, T), of a padded batch
    position_ids    (R, T), and segments (R, T), of a packed one
    source          (N,) flat position r * T + t of the token that predicts each completion token
    token_ids       (N,) the completion tokens, side by side: chosen of all pairs, then rejected
    scored          (2B, L) bool, where the N tokens lie when each side has a row
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from mmpo_core.engine.attention import packed_attention
from mmpo_core.engine.chunked import Head, at_least_float32, token_logps

Tensor = torch.Tensor
Batch = Mapping[str, Tensor]
Function = Callable[[Any, Callable[..., Any], Batch], Any]

_READ = (
    "input_ids attention_mask position_ids segments source token_ids scored completion_mask last"
).split()
# what a model may raise when it is called in a way that it does not know
CALL_ERRORS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Scorer:
    """How a model's log-probs are computed.

    Attributes:
        decoder: gives last_hidden_state; None if the model's own logits are used.
        head: what the model puts on top of it.
        why_not: why decoder and head cannot be used.
    """

    decoder: nn.Module | None = None
    head: Head | None = None
    why_not: str | None = None


_SCORERS: "WeakKeyDictionary[nn.Module, Scorer]" = WeakKeyDictionary()


def scorer_of(model: nn.Module) -> Scorer:
    """Return how a model's log-probs are computed; found out once, on four tokens.

    Args:
        model: causal language model, unwrapped.
    """
    if model not in _SCORERS:
        _SCORERS[model] = _find_scorer(model)
    return _SCORERS[model]


def unwrapped(model: Any) -> Any:
    """Return what DDP, DeepSpeed or torch.compile wrapped."""
    while True:
        inner = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def through(model: Any, function: Function, batch: Batch) -> Any:
    """Return function(inner, forward, batch), called by the model as its forward pass.

    A wrapper's hooks surround the call: it gathers weights and gradients as in any forward pass.

    Args:
        model: wrapped or not.
        function: takes the unwrapped model, its own forward, and the batch.
        batch: what of it is read is handed through the wrapper.
    """
    inner = unwrapped(model)
    own = inner.forward
    inputs = {name: batch[name] for name in _READ if name in batch}
    with _forward_is(inner, lambda **tensors: function(inner, own, tensors)):
        return model(**inputs)


@contextmanager
def _forward_is(model: Any, forward: Callable[..., Any]) -> Iterator[None]:
    own = vars(model).get("forward")
    model.forward = forward
    try:
        yield
    finally:
        if own is None:
            del model.forward
        else:
            model.forward = own


def completion_token_logps(model: Any, forward: Callable[..., Any], batch: Batch) -> Tensor:
    """Return (N,) log-probs, float32 or wider, of the tokens `token_ids`.

    Args:
        model: unwrapped; scorer_of has seen it.
        forward: its own forward.
        batch: see the module's docstring.
    """
    scorer = scorer_of(model)
    if scorer.decoder is None or scorer.head is None:
        logits = _own_logits(forward, batch, model_inputs(model, batch))
        return -cross_entropy(at_least_float32(logits), batch["token_ids"], reduction="none")
    hidden = scorer.decoder(**model_inputs(model, batch)).last_hidden_state
    predicting = hidden.flatten(0, 1).index_select(0, batch["source"])
    return token_logps(predicting, scorer.head, batch["token_ids"])


def by_side(values: Tensor, scored: Tensor) -> Tensor:
    """Return (2B,) sums of (N,) values over the tokens of each side."""
    rows = values.new_zeros(scored.shape).masked_scatter(scored, values)
    return rows.sum(dim=1)


def model_inputs(model: Any, batch: Batch) -> dict[str, Any]:
    """Return the keyword arguments of a decoder or model for a batch, packed or padded."""
    inputs: dict[str, Any] = {"input_ids": batch["input_ids"], "use_cache": False}
    if "segments" not in batch:
        return inputs | {"attention_mask": batch["attention_mask"]}
    positions = batch["position_ids"]
    mask = packed_attention(
        model.config.get_text_config(), batch["segments"], positions, model.dtype
    )
    return inputs | {"position_ids": positions, "attention_mask": mask}


def _own_logits(forward: Callable[..., Any], batch: Batch, inputs: dict[str, Any]) -> Tensor:
    """Return the model's own logits (N, V) at `source`; of few positions if it can be asked so."""
    width = batch["input_ids"].shape[1]
    row, column = batch["source"] // width, batch["source"] % width
    if "logits_to_keep" not in inspect.signature(forward).parameters:
        # virtual tokens of an adapter stand before the row's own
        whole: Tensor = forward(**inputs).logits[:, -width:]
        return whole[row, column]
    columns, place = torch.unique(column, return_inverse=True)
    kept: Tensor = forward(**inputs, logits_to_keep=columns).logits
    return kept[row, place]


def _find_scorer(model: Any) -> Scorer:
    """Return decoder and head if they give the model's own logits on four tokens."""
    try:
        head, decoder = _head(model), model.get_decoder()
        ours, own = _both_logits(model, decoder, head)
        most = float((ours - own).abs().max() / own.abs().max().clamp(min=1e-30))
    except CALL_ERRORS as error:
        return Scorer(why_not=f"{type(error).__name__}: {error}")
    # a few roundings in the dtype that the logits were computed in
    if not most <= 8 * torch.finfo(model.dtype).eps:
        return Scorer(why_not=f"its head gives other logits than it does itself (by {most:.1e})")
    return Scorer(decoder, head)


def _head(model: Any) -> Head:
    module = model.get_output_embeddings()
    if module is None:
        raise AttributeError("the model names no output embeddings")
    config = model.config.get_text_config()
    scale = getattr(config, "logit_scale", None) or 1.0
    scale *= getattr(config, "lm_head_multiplier", None) or 1.0
    scale /= getattr(config, "logits_scaling", None) or 1.0
    softcap = getattr(config, "final_logit_softcapping", None)
    return Head(module, scale, softcap or getattr(config, "logits_soft_cap", None))


def _both_logits(model: Any, decoder: Any, head: Head) -> tuple[Tensor, Tensor]:
    """Return logits (1, 4, V) of decoder and head, and the model's own."""
    if decoder is model:
        raise AttributeError("the model names no decoder")
    ids = torch.arange(4, device=model.device)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            ours = head.logits(decoder(**inputs).last_hidden_state)
            own = at_least_float32(model(**inputs).logits[:, -ids.shape[1] :])
    finally:
        model.train(was_training)
    return ours, own
