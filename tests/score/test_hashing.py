"""Row hashes: stable, independent of batches, and equal to xxhash row by row."""

import math

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from margintool import hashing
from margintool.hashing import permuted, seeded
from mmpo_core.schema import HISTORY

texts = st.lists(st.text(max_size=20), min_size=1, max_size=20)


@given(texts, st.integers(0, 20))
def test_digests_equal_xxhash_whatever_the_chunks(values: list[str], cut: int) -> None:
    chunks = [values[:cut], values[cut:]]
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks])
    expected = [xxhash.xxh3_128_digest(value.encode()) for value in values]
    assert [row.tobytes() for row in hashing.text_digests(column)] == expected


def test_sliced_arrays_hash_their_own_rows() -> None:
    sliced = pa.chunked_array([pa.array(["no", "yes", "no"]).slice(1, 1)])
    assert hashing.text_digests(sliced)[0].tobytes() == xxhash.xxh3_128_digest(b"yes")


def test_hex_strings() -> None:
    digests = hashing.text_digests(pa.chunked_array([["a", "b"]]))
    expected = [xxhash.xxh3_128_hexdigest(b"a"), xxhash.xxh3_128_hexdigest(b"b")]
    assert hashing.hex_strings(digests).to_pylist() == expected


def history_table(histories: list[list[dict[str, str]]]) -> pa.Table:
    return pa.table(
        {
            "prompt": ["Why?"] * len(histories),
            "history": pa.array(histories, HISTORY),
        }
    )


def test_prompt_digest_tells_histories_apart_and_ignores_neighbours() -> None:
    turn = [{"role": "system", "content": "Be brief."}]
    both = hashing.prompt_digests(history_table([[], turn]))
    assert both[0].tobytes() != both[1].tobytes()
    assert both[0].tobytes() == hashing.prompt_digests(history_table([[]]))[0].tobytes()
    assert both[1].tobytes() == hashing.prompt_digests(history_table([turn]))[0].tobytes()


def test_combine_depends_on_the_order_of_columns() -> None:
    a, b = (hashing.text_digests(pa.chunked_array([[x]])) for x in "ab")
    assert hashing.combine([a, b]).tobytes() != hashing.combine([b, a]).tobytes()


def test_seeded_numbers_are_fixed_by_key_and_seed_and_spread() -> None:
    """Mean of 10,000 uniform draws: 0.5 with sd 0.0029."""
    keys = np.arange(10_000, dtype=np.uint64)
    drawn = hashing.seeded(keys, 1)
    np.testing.assert_array_equal(drawn[::7], hashing.seeded(keys[::7], 1))
    assert not np.array_equal(drawn, hashing.seeded(keys, 2))
    assert abs(float((drawn / 2.0**64).mean()) - 0.5) < 0.015


@given(st.integers(1, 300), st.integers(0, 2**64 - 1))
def test_permuted_is_a_permutation(size: int, key: int) -> None:
    index = np.arange(size)
    moved = permuted(index, np.full(size, size), np.full(size, key, np.uint64))
    assert sorted(moved.tolist()) == index.tolist()


@pytest.mark.parametrize(("size", "sample"), [(3, 1), (6, 3), (10, 2), (78, 1)])
def test_samples_by_permutation_are_even(size: int, sample: int) -> None:
    """50,000 keys: each set of `sample` numbers is equally likely; chi-square, fixed keys."""
    draws = 50_000
    keys = seeded(np.arange(draws, dtype=np.uint64), 7)
    columns = [permuted(np.full(draws, i), np.full(draws, size), keys) for i in range(sample)]
    sets = np.sort(np.stack(columns, axis=1), axis=1)
    _, counts = np.unique(sets, axis=0, return_counts=True)
    assert len(counts) == math.comb(size, sample)
    assert chisquare(counts).pvalue > 1e-3


def test_permuted_long_numbers_stay_in_range() -> None:
    """Lengths at a power of two, one less and one more, up to 5e11."""
    size = np.array([1, 2, 2**20 - 1, 2**20, 2**20 + 1, 500_000_000_000])
    moved = permuted(size - 1, size, np.arange(6, dtype=np.uint64))
    assert np.all((moved >= 0) & (moved < size))
