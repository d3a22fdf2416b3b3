"""FlexAttention on packed rows: the block mask against every pair of tokens, and sdpa's results."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MistralForCausalLM

from mmpo_core.engine.attention import packed_attention, sees
from mmpo_core.engine.block_mask import BLOCK, block_mask
from mmpo_core.engine.packed import pack
from mmpo_core.engine.rows import Limits
from tests.core.small_models import small_config

flex = pytest.importorskip("torch.nn.attention.flex_attention")


def rows(sizes: list[tuple[int, int, int]], tokens: int, multiple_of: int = 1) -> dict[str, Any]:
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    ids = np.random.default_rng(0).integers(3, 60, size=(len(sizes), 3, 400))
    examples = [
        {
            name: ids[n, side, :size].tolist()
            for side, (name, size) in enumerate(zip(names, three, strict=True))
        }
        for n, three in enumerate(sizes)
    ]
    examples.sort(key=lambda one: -sum(len(one[name]) for name in names))
    return pack(examples, 0, Limits(tokens=tokens, long_rows=True, multiple_of=multiple_of))


def listed(counts: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """The blocks that a BlockMask lists, (R, Q, K) bool."""
    blocks = torch.zeros_like(indices[:, 0], dtype=torch.bool)
    for row, query in np.ndindex(*blocks.shape[:2]):
        chosen = indices[row, 0, query, : counts[row, 0, query]].long()
        assert len(set(chosen.tolist())) == len(chosen)
        blocks[row, query, chosen] = True
    return blocks


SIZES = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 200), st.integers(1, 200)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60)
@given(sizes=SIZES, tokens=st.integers(100, 900), window=st.none() | st.integers(1, 300))
def test_blocks_cover_what_is_visible_and_full_ones_hold_nothing_else(
    sizes: list[tuple[int, int, int]], tokens: int, window: int | None
):
    batch = rows(sizes, tokens)
    segments, positions = batch["segments"], batch["position_ids"]
    visible = sees(segments, positions, window)
    mask = block_mask(visible, segments, positions, window)
    count, width = segments.shape
    place = torch.arange(width)
    row = torch.arange(count)[:, None, None]
    dense = visible(row, row, place[None, :, None], place[None, None, :])
    beyond = -width % BLOCK
    tiles = torch.nn.functional.pad(dense, (0, beyond, 0, beyond))
    tiles = tiles.unflatten(2, (-1, BLOCK)).unflatten(1, (-1, BLOCK)).transpose(2, 3).flatten(3)
    part = listed(mask.kv_num_blocks, mask.kv_indices)
    full = listed(mask.full_kv_num_blocks, mask.full_kv_indices)
    assert not (part & full).any()
    assert tiles[full].all()
    assert not tiles[~(part | full)].any()


def test_far_and_foreign_blocks_are_left_out_and_prompts_are_seen_in_full():
    """One pair of 256 + 128 + 128 tokens: blocks P P C R. C sees both P in full, itself in part; R

    sees both P in full, not C, and itself in part.
    """
    batch = rows([(256, 128, 128)], 512)
    segments, positions = batch["segments"], batch["position_ids"]
    mask = block_mask(sees(segments, positions, None), segments, positions, None)
    part = listed(mask.kv_num_blocks, mask.kv_indices)[0].int().tolist()
    full = listed(mask.full_kv_num_blocks, mask.full_kv_indices)[0].int().tolist()
    assert part == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert full == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]


def outputs(attention: str, batch: dict[str, Any], window: int | None) -> list[torch.Tensor]:
    """Hidden states at real tokens, and all gradients of a function of them."""
    torch.manual_seed(0)
    config = small_config()
    config.sliding_window, config.max_position_embeddings = window, 1024
    config._attn_implementation = attention
    model = MistralForCausalLM(config)
    segments, positions = batch["segments"], batch["position_ids"]
    mask = packed_attention(model.config, segments, positions, torch.float32)
    states = model.get_decoder()(
        input_ids=batch["input_ids"], attention_mask=mask, position_ids=positions, use_cache=False
    ).last_hidden_state
    real = segments != 3 * segments.shape[1]
    (states[real] ** 3).mean().backward()
    grads = [p.grad for p in model.get_decoder().parameters() if p.grad is not None]
    return [states[real].detach(), *grads]


@pytest.mark.parametrize("window", [None, 60])
def test_values_and_gradients_are_those_of_sdpa(
    window: int | None, monkeypatch: pytest.MonkeyPatch
):
    # transformers compiles flex_attention, which on a CPU has no backward pass; its uncompiled
    # form, whose backward pass torch merely refuses there, computes the same thing
    monkeypatch.setattr(flex, "_validate_device", lambda *tensors: None)
    batch = rows([(70, 90, 40), (30, 20, 60), (5, 7, 3)], 512, multiple_of=BLOCK)
    expected = outputs("sdpa", batch, window)
    with torch.compiler.set_stance("force_eager"):
        got = outputs("flex_attention", batch, window)
    assert len(got) == len(expected) > 10
    for ours, theirs in zip(got, expected, strict=True):
        scale = theirs.abs().max()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * float(scale))


def test_flex_attention_is_not_compiled_for_every_shape_of_row():
    """Counted by dynamo, without a backend: as often for twelve widths as for the first three.

    Two kinds of layers, with a window and without, and gradients off and on must stay below the
    limit, for past it flex_attention runs uncompiled, and holds every score.
    """
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(flex.flex_attention, backend=counter)
    config = small_config()
    config._attn_implementation = "flex_attention"
    config.layer_types = ["full_attention", "sliding_attention"]
    config.sliding_window = 60
    widths = [8, 4, 6, 10, 3, 5, 7, 9, 12, 11, 2, 1]
    counts = []
    for blocks in widths:
        batch = rows([(40, 30, 20)] * blocks, blocks * BLOCK, multiple_of=BLOCK)
        masks = packed_attention(config, batch["segments"], batch["position_ids"], torch.float32)
        query = torch.zeros(*batch["segments"].shape, 2, 16).transpose(1, 2)
        for mask in masks.values():
            with torch.no_grad():
                compiled(query, query, query, block_mask=mask)
        counts.append(counter.frame_count)
    assert counts[2] == counts[-3]
    assert counts[-1] <= 4
    assert torch._dynamo.config.recompile_limit >= 64
    assert all(later >= earlier for earlier, later in pairwise(counts))
