"""Packed rows, laid out by hand, and who sees whom in them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import MistralConfig

from mmpo_core.engine.attention import FORMS, packed_attention
from mmpo_core.engine.batches import Batching, StepCollator
from mmpo_core.engine.packed import pack
from mmpo_core.engine.rows import Limits
from mmpo_core.errors import InputError

FIRST = {"prompt_ids": [1, 5], "chosen_ids": [6, 7, 2], "rejected_ids": [8, 2]}
SECOND = {"prompt_ids": [1], "chosen_ids": [9, 2], "rejected_ids": [2]}
ROW = Limits(tokens=12, long_rows=True)
# the row:  1 5 | 6 7 2 | 8 2      1 | 9 2 | 2      pad
SEGMENTS = [0, 0, 1, 1, 1, 2, 2, 3, 4, 4, 5, 36]


def test_two_pairs_in_a_row():
    """Rejected starts at the position where chosen did; the prompt's last token predicts both."""
    batch = pack([FIRST, SECOND], 0, Limits(tokens=12, long_rows=True, multiple_of=12))
    assert batch["input_ids"].tolist() == [[1, 5, 6, 7, 2, 8, 2, 1, 9, 2, 2, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 3, 0, 1, 2, 1, 0]]
    assert batch["segments"].tolist() == [SEGMENTS]
    # chosen 6 7 2 by 5 6 7; chosen 9 2 by 1 9; rejected 8 2 by 5 8; rejected 2 by 1
    assert batch["token_ids"].tolist() == [6, 7, 2, 9, 2, 8, 2, 2]
    assert batch["source"].tolist() == [1, 2, 3, 7, 8, 1, 5, 7]
    assert batch["scored"].int().tolist() == [[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert batch["last"].tolist() == [4, 9, 6, 10]


def test_a_conversation_without_a_prompt_is_not_scored_at_its_first_token():
    """As in padded rows: nothing predicts it."""
    batch = pack([{**FIRST, "prompt_ids": []}], 0, ROW)
    assert batch["token_ids"].tolist() == [7, 2, 2]
    assert batch["source"].tolist() == [0, 1, 3]
    assert batch["scored"].sum(dim=1).tolist() == [2, 1]


def by_hand(window: int | None) -> np.ndarray:
    """Who sees whom in the row above, one pair of tokens at a time."""
    positions = [0, 1, 2, 3, 4, 2, 3, 0, 1, 2, 1, 0]
    pair = [0] * 7 + [1] * 4 + [2]
    side = [0, 0, 1, 1, 1, 2, 2, 0, 1, 1, 2, 0]
    seen = np.zeros((12, 12), dtype=bool)
    for q in range(12):
        for k in range(q + 1):
            reaches = window is None or positions[q] - positions[k] < window
            seen[q, k] = pair[q] == pair[k] and side[k] in (0, side[q]) and reaches
    return seen


@pytest.mark.parametrize("window", [None, 2, 3])
def test_masks_of_all_forms(window: int | None):
    batch = pack([FIRST, SECOND], 0, Limits(tokens=12, long_rows=True, multiple_of=12))
    inputs = batch["segments"], batch["position_ids"], window, torch.float32
    expected = torch.from_numpy(by_hand(window))[None, None]
    assert torch.equal(FORMS["sdpa"](*inputs), expected)
    lowest = torch.finfo(torch.float32).min
    assert torch.equal(FORMS["eager"](*inputs), torch.where(expected, 0.0, lowest))
    blocks = FORMS["flex_attention"](*inputs)
    places = torch.arange(12)
    dense = blocks.mask_mod(torch.tensor(0), None, places[:, None], places[None])
    assert torch.equal(dense[None, None], expected)


def test_layers_of_two_kinds_get_a_mask_each():
    config = MistralConfig(sliding_window=2)
    config.layer_types = ["full_attention", "sliding_attention"]
    config._attn_implementation = "sdpa"
    segments = torch.tensor([SEGMENTS])
    positions = torch.tensor([[0, 1, 2, 3, 4, 2, 3, 0, 1, 2, 1, 0]])
    masks = packed_attention(config, segments, positions, torch.float32)
    assert torch.equal(masks["full_attention"][0, 0], torch.from_numpy(by_hand(None)))
    assert torch.equal(masks["sliding_attention"][0, 0], torch.from_numpy(by_hand(2)))


def test_an_attention_without_block_masks_is_an_error():
    config = MistralConfig()
    config._attn_implementation = "flash_attention_2"
    with pytest.raises(InputError, match="flash_attention_2 takes no block mask"):
        packed_attention(config, torch.tensor([SEGMENTS]), torch.zeros(1, 12), torch.float32)


def examples(sizes: list[tuple[int, int, int]]) -> list[dict]:
    ids = iter(range(3, 10_000))
    return [
        {
            name: [next(ids) for _ in range(count)]
            for name, count in zip(("prompt_ids", "chosen_ids", "rejected_ids"), size, strict=True)
        }
        | {"target": float(number)}
        for number, size in enumerate(sizes)
    ]


SIZES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12
)


@given(sizes=SIZES, tokens=st.integers(1, 60), processes=st.integers(1, 4), shared=st.booleans())
def test_a_step_holds_every_pair_once_in_equally_many_micro_batches(
    sizes, tokens, processes, shared
):
    """Every completion token is scored once, by the token before it in its conversation."""
    pairs = examples(sizes)
    batching = Batching(0, Limits(tokens), shared)
    steps = [StepCollator(batching, processes, number)(pairs) for number in range(processes)]
    assert {step["pairs"] for step in steps} == {len(pairs)}
    assert len({len(step["micro_batches"]) for step in steps}) == 1
    found, seen = {}, []
    for batch in (batch for step in steps for batch in step["micro_batches"]):
        seen += batch["target"].tolist()
        predicting = batch["input_ids"].flatten()[batch["source"]].tolist()
        for token, before in zip(batch["token_ids"].tolist(), predicting, strict=True):
            assert token not in found
            found[token] = before
    assert sorted(seen) == list(range(len(pairs)))
    for pair in pairs:
        for side in ("chosen_ids", "rejected_ids"):
            before = [pair["prompt_ids"][-1], *pair[side]]
            for token, previous in zip(pair[side], before, strict=False):
                assert found.pop(token) == previous
    assert found == {}
