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
from mmpo_core.engine.by_pair import Span, carrying_spans, sdpa, spans_of
from mmpo_core.engine.packed import pack
from mmpo_core.engine.rows import Limits
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
