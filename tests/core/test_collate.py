"""Batches: where ids, masks and columns stand; B > 1 always."""

import numpy as np
import pytest
import torch

from mmpo_core.collate import PairCollator
from mmpo_core.encode import encode_pairs
from mmpo_core.errors import InputError
from mmpo_core.tiny import make_tiny_tokenizer
from tests.core.chat_tokenizers import pair_table


def example(prompt, chosen, rejected, **columns):
    ids = {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
    return {name: np.array(run, dtype=np.int32) for name, run in ids.items()} | columns


PAIRS = [
    example([1, 10], [100, 101, 2], [200, 2], target=0.75, margin=1.5),
    example([1, 11, 12], [103, 2], [203, 2], target=0.5, margin=0.0),
]


def test_chosen_rows_come_first_and_padding_stands_on_the_right():
    """Longest conversation: 5 tokens; PAD is 9."""
    batch = PairCollator(pad_token_id=9)(PAIRS)
    assert batch["input_ids"].tolist() == [
        [1, 10, 100, 101, 2],
        [1, 11, 12, 103, 2],
        [1, 10, 200, 2, 9],
        [1, 11, 12, 203, 2],
    ]
    assert batch["attention_mask"].tolist() == [[1] * 5, [1] * 5, [1, 1, 1, 1, 0], [1] * 5]
    assert batch["completion_mask"].int().tolist() == [
        [0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 1, 1],
    ]
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == torch.int64
    assert batch["completion_mask"].dtype == torch.bool


def test_columns_are_vectors_of_one_number_a_pair():
    """(B,) and not (B, 1): the published reward loss broadcast (B, 1) against (B,)."""
    batch = PairCollator(pad_token_id=9)(PAIRS)
    for name, expected in (("target", [0.75, 0.5]), ("margin", [1.5, 0.0])):
        assert batch[name].shape == (2,)
        assert batch[name].dtype == torch.float32
        assert batch[name].tolist() == expected


def test_length_is_rounded_up_to_a_multiple():
    batch = PairCollator(pad_token_id=9, pad_to_multiple_of=8)(PAIRS)
    assert batch["input_ids"].shape == (4, 8)
    assert int(batch["attention_mask"].sum()) == 5 + 5 + 4 + 5


def test_example_with_other_columns_is_refused():
    """A column checked on the first row only is TRL #5539."""
    odd = {name: value for name, value in PAIRS[1].items() if name != "target"}
    with pytest.raises(InputError, match=r"example 1 of the batch differs.*target"):
        PairCollator(pad_token_id=9)([PAIRS[0], odd])


def test_batch_of_encoded_pairs_masks_exactly_the_answers():
    tokenizer = make_tiny_tokenizer()
    pairs = encode_pairs(pair_table({}, {"prompt": "Longer?", "chosen": "Très bien 🦜"}), tokenizer)
    batch = PairCollator(tokenizer.pad_token_id)([pairs[0], pairs[1]])
    answers = [
        tokenizer.decode(ids[mask])
        for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
    ]
    assert answers == ["Yes, it is.<eos>", "Très bien 🦜<eos>", "No.<eos>", "No.<eos>"]
