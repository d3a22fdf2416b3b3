"""Row hashes: stable, independent of batches, and equal to xxhash row by row."""

import numpy as np
import pyarrow as pa
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from margintool import hashing
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
