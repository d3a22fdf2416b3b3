"""EncodedPairs as a dataset: indexing, columns, selection, and digests of its pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.encode import encode_pairs
from mmpo_core.encoded_pairs import EncodedPairs, EncodeReport, Ragged
from mmpo_core.errors import InputError
from mmpo_core.tiny import make_tiny_tokenizer
from tests.core.chat_tokenizers import pair_table


@pytest.fixture(scope="module")
def pairs():
    rows = [{"prompt": "Why?" * i, "margin": 0.5 * i, "weight": 1.0 + i} for i in range(1, 5)]
    return encode_pairs(pair_table(*rows), make_tiny_tokenizer())


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=5), max_size=6))
def test_ragged_gives_back_its_runs(runs):
    ragged = Ragged.of([np.array(run, dtype=np.int32) for run in runs])
    assert [list(ragged[i]) for i in range(len(ragged))] == runs
    assert list(ragged.lengths) == [len(run) for run in runs]
    backwards = ragged.take(range(len(runs))[::-1])
    assert [list(backwards[i]) for i in range(len(runs))] == runs[::-1]


def test_example_holds_ids_and_a_float_for_each_column(pairs):
    example = pairs.with_columns(target=[0.5, 0.6, 0.7, 0.8])[2]
    names = {"prompt_ids", "chosen_ids", "rejected_ids", "margin", "weight", "target"}
    assert example.keys() == names
    assert (example["margin"], example["weight"], example["target"]) == (1.5, 4.0, 0.7)
    assert example["prompt_ids"].dtype == np.int32


def test_index_outside_ends_iteration(pairs):
    assert len(list(pairs)) == 4
    assert pairs[-1]["margin"] == 2.0
    with pytest.raises(IndexError):
        pairs[4]


def test_lengths_are_those_of_the_longer_conversation(pairs):
    """<bos><|user|>, 4 i letters, <eos><|assistant|>; "Yes, it is." has 11, and EOS."""
    assert list(pairs.lengths) == [4 + 4 * i + 12 for i in range(1, 5)]


def test_selection_keeps_order_columns_and_origin(pairs):
    some = pairs.select([3, 1])
    assert list(some.pair_id) == ["id-3", "id-1"]
    assert list(some.row) == [3, 1]
    assert np.array_equal(some[0]["prompt_ids"], pairs[3]["prompt_ids"])
    assert list(some.columns["margin"]) == [2.0, 1.0]


def test_column_of_another_length_is_refused(pairs):
    with pytest.raises(InputError, match=r"'target' has shape \(4, 1\), not \(4,\)"):
        pairs.with_columns(target=np.ones((4, 1)))


def test_digests_follow_each_pairs_ids_and_not_its_margin_or_place(pairs):
    digests = pairs.digests()
    assert digests.shape == (4, 16)
    assert len({row.tobytes() for row in digests}) == 4
    assert np.array_equal(pairs.with_columns(margin=np.zeros(4)).digests(), digests)
    assert np.array_equal(pairs.select([3, 1]).digests(), digests[[3, 1]])


def test_digest_tells_apart_where_one_run_of_ids_ends_and_the_next_begins():
    """The same five ids as 2 + 2 + 1, 2 + 1 + 2 and 1 + 2 + 2, and with an answer swapped."""
    report = EncodeReport(1, 1, 0, 0, 0, 0)

    def digest(*runs: list[int]) -> bytes:
        ids = [Ragged.of([np.array(run, np.int32)]) for run in runs]
        return EncodedPairs(*ids, np.arange(1), ["a"], report).digests().tobytes()

    splits = [([1, 2], [3, 4], [5]), ([1, 2], [3], [4, 5]), ([1], [2, 3], [4, 5])]
    assert len({digest(*runs) for runs in splits}) == 3
    assert digest([1], [2], [3]) != digest([1], [3], [2])
    assert digest([1], [2], [3]) == digest([1], [2], [3])
