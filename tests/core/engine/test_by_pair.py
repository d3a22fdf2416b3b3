"""Attention by pair equals attention with the mask: values, gradients, and where it is used."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from mmpo_core.engine import by_pair
from mmpo_core.engine.attention import packed_attention, skips_hidden
from mmpo_core.engine.batches import Batching
from mmpo_core.engine.by_pair import Span, carrying_spans, sdpa, spans_of
from mmpo_core.engine.packed import pack
from mmpo_core.engine.rows import Limits
from mmpo_core.engine.scoring import completion_token_logps, scorer_of, through
from mmpo_core.train_setup import without_dropout
from tests.core.engine.test_architectures import PAIRS, SHARED, make
from tests.core.small_models import PAD, small_config

HEADS, KEY_HEADS, DIM = 4, 2, 8

pairs = st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(1, 5))


def packed(sizes: list[tuple[int, int, int]], width: int) -> dict[str, torch.Tensor]:
    examples = [
        {
            "prompt_ids": [3] * prompt,
            "chosen_ids": [4] * chosen,
            "rejected_ids": [5] * rejected,
        }
        for prompt, chosen, rejected in sorted(sizes, key=sum, reverse=True)
    ]
    return pack(examples, PAD, Limits(tokens=width, long_rows=True))


def attention(batch: dict[str, torch.Tensor], function: Any, *, spans: bool) -> list[torch.Tensor]:
    """Return the output (R, T, heads, D) and the gradients of its weighted sum, in float64."""
    config = small_config()
    config._attn_implementation = "sdpa"
    mask = packed_attention(config, batch["segments"], batch["position_ids"], torch.float64)
    assert hasattr(mask, "spans_of_pairs")
    mask = mask if spans else mask.clone()
    rows, width = batch["input_ids"].shape
    generator = torch.Generator().manual_seed(0)

    def states(heads: int) -> torch.Tensor:
        made = torch.randn(rows, width, heads, DIM, generator=generator, dtype=torch.float64)
        return made.transpose(1, 2).requires_grad_()

    query, key, value = states(HEADS), states(KEY_HEADS), states(KEY_HEADS)
    module = SimpleNamespace(num_key_value_groups=HEADS // KEY_HEADS, is_causal=True)
    output, _ = function(module, query, key, value, mask, dropout=0.0, scaling=0.3)
    weight = torch.randn(output.shape, generator=generator, dtype=torch.float64)
    (output * weight).sum().backward()
    return [output, query.grad, key.grad, value.grad]


@given(st.lists(pairs, min_size=1, max_size=6), st.integers(15, 40))
def test_values_and_gradients_are_those_of_the_mask(sizes: list[tuple[int, int, int]], width: int):
    batch = packed(sizes, width)
    found = attention(batch, sdpa, spans=True)
    expected = attention(batch, sdpa_attention_forward, spans=False)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_spans_of_rows_with_padding():
    """Row 0: prompt 2, chosen 1, rejected 2; row 1: two pairs of 1, 1 and one padded place."""
    segments = torch.tensor([[0, 0, 1, 2, 2], [1, 2, 4, 5, 15]])
    found = spans_of(segments)
    assert [(s.prompt, s.chosen, s.rejected) for s in found] == [
        (2, 1, 2),
        (0, 1, 1),
        (0, 1, 1),
        (0, 1, 0),
    ]
    assert found[0].mask.tolist() == [[True, True, True, False], [True, True, True, True]]
    assert found[-1] == Span(0, 1, 0)


def test_an_ordinary_mask_is_left_to_transformers(monkeypatch: pytest.MonkeyPatch):
    calls = []
    monkeypatch.setattr(by_pair, "sdpa_attention_forward", lambda *given, **_: calls.append(given))
    query = torch.zeros(1, HEADS, 3, DIM)
    mask = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    sdpa(None, query, query, query, mask)
    assert len(calls) == 1
    assert calls[0][4] is mask


def test_a_mask_that_bounds_more_than_the_spans_say_carries_none():
    """A window of 3 hides the first of four tokens from the last; one of 4 hides nothing."""
    segments, positions = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 2, 3]])
    config = small_config()
    config.sliding_window = 3
    config._attn_implementation = "sdpa"
    assert not hasattr(
        packed_attention(config, segments, positions, torch.float32), "spans_of_pairs"
    )
    config.sliding_window = 4
    assert hasattr(packed_attention(config, segments, positions, torch.float32), "spans_of_pairs")


def test_a_mask_made_from_it_carries_none():
    mask = carrying_spans(torch.ones(1, 1, 2, 2, dtype=torch.bool), torch.tensor([[0, 1]]))
    assert not hasattr(mask[:, :, :, :2], "spans_of_pairs")


@pytest.mark.parametrize(
    ("kernel", "device", "window", "compiled", "expected"),
    [
        ("sdpa", "cpu", None, False, True),
        ("sdpa", "cpu", None, True, False),  # compiled code takes the mask
        ("sdpa", "cpu", 3, False, False),
        ("sdpa", "cuda", None, False, False),
        ("eager", "cpu", None, False, False),
        ("flex_attention", "cuda", 3, True, True),
    ],
)
def test_rows_are_long_only_where_nothing_is_computed_of_what_is_hidden(
    kernel: str, device: str, window: int | None, compiled: bool, expected: bool
):
    config = small_config()
    config.sliding_window = window
    config._attn_implementation = kernel
    assert skips_hidden(config, torch.device(device), compiled=compiled) is expected


MODELS = ["llama", "opt", "qwen2, window", "phi-3"]


@pytest.mark.parametrize("reentrant", [None, False, True], ids=["plain", "checkpoint", "reentrant"])
@pytest.mark.parametrize("name", MODELS)
def test_models_have_the_log_probs_and_gradients_of_the_mask(
    name: str, reentrant: bool | None, monkeypatch: pytest.MonkeyPatch
):
    """Of qwen2's two layers the second has a window, and computes with the mask."""
    batch = Batching(PAD, Limits(54, long_rows=True), shared=True).collate(PAIRS)
    model = trained(name, reentrant)
    seen: list[Any] = []

    def noted(*given: Any, **options: Any) -> Any:
        seen.append(given[4])
        return sdpa_attention_forward(*given, **options)

    monkeypatch.setattr(by_pair, "sdpa_attention_forward", noted)
    values, gradients = log_probs(model, batch)
    assert any(mask is None for mask in seen)
    seen.clear()
    monkeypatch.setattr(by_pair, "spans_of", lambda segments: None)
    expected, expected_gradients = log_probs(model, batch)
    assert seen
    assert all(mask is not None for mask in seen)
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for parameter, gradient in gradients.items():
        # of a bias of keys it is 0, but for roundings
        torch.testing.assert_close(
            gradient, expected_gradients[parameter], rtol=1e-4, atol=1e-4, msg=parameter
        )


def trained(name: str, reentrant: bool | None) -> Any:
    model = without_dropout(make(*SHARED[name])).train()
    assert model.config._attn_implementation == "sdpa"
    scorer_of(model)
    if reentrant is not None:
        model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        model.enable_input_require_grads()
    return model


def log_probs(
    model: Any, batch: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return log-probs, and gradients of their weighted mean."""
    model.zero_grad()
    values = through(model, completion_token_logps, batch)
    (values * torch.linspace(-1, 1, len(values))).mean().backward()
    return values.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
