"""Chunked log-probs against full logits: values, gradients of states, weight and bias."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmpo_core.engine.chunked import Head, token_logps

N, H, V = 150, 8, 30


class Adapted(nn.Module):
    """A head that is no plain linear layer, as LoRA makes it."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.base(hidden)


class Dropping(Adapted):
    """A head with a dropout of its own, as lora_dropout gives it."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.base(nn.functional.dropout(hidden, 0.5, training=self.training))


HEADS = {
    "plain": {},
    "bias": {"bias": True},
    "scale": {"scale": 0.3},
    "softcap": {"softcap": 2.0},
    "all": {"bias": True, "scale": 0.5, "softcap": 3.0},
}


def linear(bias: bool, dtype: torch.dtype) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(H, V, bias=bias, dtype=dtype)


def full(hidden, head, token_ids):
    """All logits at once, by the equations: scale, c tanh(x / c), log softmax."""
    logits = head.module(hidden) * head.scale
    if head.softcap is not None:
        logits = head.softcap * torch.tanh(logits / head.softcap)
    return logits.log_softmax(-1)[torch.arange(len(token_ids)), token_ids]


def values_and_gradients(function, options, adapted=False, frozen=False, dtype=torch.float32):
    options = dict(options)
    module = linear(options.pop("bias", False), dtype).requires_grad_(not frozen)
    head = Head(Adapted(module) if adapted else module, **options)
    torch.manual_seed(1)
    hidden = torch.randn(N, H, dtype=dtype, requires_grad=True)
    ids, weights = torch.randint(0, V, (N,)), torch.randn(N, dtype=dtype)
    logps = function(hidden, head, ids)
    (logps * weights).sum().backward()
    return [logps.detach(), hidden.grad, *(p.grad for p in module.parameters() if not frozen)]


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("kept_bytes", [0, 100 * V * 4, 1 << 20])
@pytest.mark.parametrize(("adapted", "frozen"), [(False, False), (True, False), (False, True)])
def test_chunks_equal_full_logits(name, kept_bytes, adapted, frozen, monkeypatch):
    """Chunks of 64 of 150 tokens: the logits of none, of the first, and of all are kept."""
    monkeypatch.setattr("mmpo_core.engine.chunked._CHUNK_ON_CPU", 64 * V)
    chunked = partial(token_logps, kept_bytes=kept_bytes)
    ours = values_and_gradients(chunked, HEADS[name], adapted, frozen)
    expected = values_and_gradients(full, HEADS[name], adapted, frozen)
    assert len(ours) == len(expected)
    for value, other in zip(ours, expected, strict=True):
        assert torch.allclose(value, other, rtol=1e-5, atol=1e-6)


def test_a_heads_dropout_draws_the_same_mask_in_both_directions(monkeypatch: pytest.MonkeyPatch):
    """The same chunks with their logits kept are the reference: nothing of them is made again."""
    monkeypatch.setattr("mmpo_core.engine.chunked._CHUNK_ON_CPU", 64 * V)
    head = Head(Dropping(linear(True, torch.float32)))

    def found() -> list[torch.Tensor]:
        torch.manual_seed(1)
        hidden = torch.randn(N, H, requires_grad=True)
        logps = token_logps(hidden, head, torch.arange(N) % V)
        inputs = [hidden, *head.module.parameters()]
        return [logps.detach(), *torch.autograd.grad(logps @ torch.linspace(-1, 1, N), inputs)]

    ours = found()
    monkeypatch.setattr("mmpo_core.engine.chunked.checkpoint", lambda f, *args, **_: f(*args))
    for value, other in zip(ours, found(), strict=True):
        assert torch.allclose(value, other, rtol=1e-5, atol=1e-6)
    head.module.eval()
    assert not torch.allclose(ours[0], found()[0], atol=0.01)  # there was a dropout


@pytest.mark.parametrize("kept_bytes", [0, 1 << 20])
def test_gradcheck_in_float64(kept_bytes):
    torch.manual_seed(0)
    head = Head(linear(True, torch.float64), scale=0.7, softcap=1.5)
    hidden = torch.randn(5, H, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, V, (5,))
    inputs = (hidden, head.module.weight, head.module.bias)

    def function(states, *_):
        return token_logps(states, head, ids, kept_bytes)

    assert torch.autograd.gradcheck(function, inputs)


def test_bfloat16_autocast_reduces_in_float32():
    """Gradients come back in the dtypes of what they belong to; values are float32."""
    with torch.autocast("cpu", torch.bfloat16):
        ours = values_and_gradients(token_logps, {"bias": True})
    exact = values_and_gradients(full, {"bias": True})
    assert [value.dtype for value in ours] == [torch.float32] * 4
    for value, other in zip(ours, exact, strict=True):
        assert float((value - other).norm() / other.norm()) < 0.01
    assert not torch.equal(ours[0], exact[0])


def test_logits_are_made_a_chunk_at_a_time_in_both_directions(monkeypatch: pytest.MonkeyPatch):
    """No operation makes more than the logits of 100 tokens: 1000 tokens' are never there."""
    tokens, width, vocabulary = 1000, 4, 5000
    monkeypatch.setattr("mmpo_core.engine.chunked._CHUNK_ON_CPU", 100 * vocabulary)
    head = Head(nn.Linear(width, vocabulary, bias=False))
    hidden = torch.randn(tokens, width, requires_grad=True)
    made = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            output = function(*args, **(kwargs or {}))
            made.extend(t.numel() for t in tree_leaves(output) if isinstance(t, torch.Tensor))
            return output

    with Watch():
        logps = token_logps(hidden, head, torch.zeros(tokens, dtype=torch.long), kept_bytes=0)
        logps.sum().backward()
    assert max(made) == 100 * vocabulary
    assert hidden.grad is not None


def test_no_tokens_give_no_log_probs_and_gradients_of_zero():
    """A process that has no pair left in a step runs forward and backward all the same."""
    head = Head(linear(False, torch.float32))
    hidden = torch.randn(0, H, requires_grad=True)
    token_logps(hidden, head, torch.zeros(0, dtype=torch.long)).sum().backward()
    assert torch.equal(head.module.weight.grad, torch.zeros(V, H))
