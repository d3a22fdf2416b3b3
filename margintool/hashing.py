"""Stable 128-bit hashes of rows of text: pair ids, prompt keys and seeded choices.

xxh3 is not cryptographic; it is fast, and the same on every machine and version, which is what
an id needs. Read by the pipeline.
"""

from binascii import hexlify
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]
Digests = npt.NDArray[np.uint8]

# 4 do for long numbers; for numbers of a few bits samples were even from 8 on (chi-square).
FEISTEL_ROUNDS = 12


def text_digests(column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """Return (N, 16) bytes: the xxh3_128 digest of each string's UTF-8. Null hashes as empty."""
    digest = xxhash.xxh3_128_digest
    parts = []
    for chunk in column.chunks:
        text, starts = _text_and_offsets(chunk)
        bounds = starts.tolist()
        parts.append(b"".join([digest(text[s:e]) for s, e in pairwise(bounds)]))
    return np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(-1, 16)


def _text_and_offsets(chunk: pa.Array) -> tuple[memoryview, npt.NDArray[np.int64]]:
    """Return a string array's bytes and its N + 1 row boundaries, without copying the text."""
    chunk = chunk.cast(pa.large_string())
    _, offsets, data = chunk.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64, count=len(chunk) + 1, offset=8 * chunk.offset)
    return memoryview(data if data is not None else b""), starts


def history_digests(column: pa.ChunkedArray) -> npt.NDArray[np.uint8] | None:
    """Return (N, 16) digests of message lists, or None when every list is empty."""
    if not pc.any(pc.greater(pc.list_value_length(column), 0)).as_py():
        return None
    texts = [_history_text(messages) for messages in column.to_pylist()]
    return text_digests(pa.chunked_array([pa.array(texts, pa.large_string())]))


def _history_text(messages: Sequence[dict[str, Any]] | None) -> str:
    # Unit and record separators cannot be confused with text that holds quotes or brackets.
    return "\x1e".join(f"{m['role']}\x1f{m['content']}" for m in messages or [])


def combine(digests: Sequence[npt.NDArray[np.uint8] | None]) -> npt.NDArray[np.uint8]:
    """Hash several (N, 16) digests row by row into one (N, 16); None stands for all-empty."""
    present = np.hstack([part for part in digests if part is not None])
    width, raw = present.shape[1], np.ascontiguousarray(present).tobytes()
    digest = xxhash.xxh3_128_digest
    joined = b"".join([digest(raw[i : i + width]) for i in range(0, len(raw), width)])
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, 16)


def in_order(a: Digests, b: Digests) -> tuple[Digests, Digests, npt.NDArray[np.bool_]]:
    """Return two (N, 16) digests row by row smaller one first, and (N,) which rows that swaps.

    The same for (a, b) and (b, a): what is hashed from it does not depend on their order.
    """
    (a_high, a_low), (b_high, b_low) = a.view("<u8").T, b.view("<u8").T
    swapped = (b_high < a_high) | ((b_high == a_high) & (b_low < a_low))
    return np.where(swapped[:, None], b, a), np.where(swapped[:, None], a, b), swapped


def prompt_digests(table: pa.Table) -> npt.NDArray[np.uint8]:
    """Return (N, 16) digests of the conversation up to the answer: history and prompt."""
    prompts = text_digests(table.column("prompt"))
    history = history_digests(table.column("history"))
    return prompts if history is None else combine_where_present(history, prompts, table)


def combine_where_present(
    history: npt.NDArray[np.uint8], prompts: npt.NDArray[np.uint8], table: pa.Table
) -> npt.NDArray[np.uint8]:
    """Mix history into the prompt digests of those rows that have one.

    Rows without history keep their prompt digest, whatever else is in the batch: the digest of
    a row must not depend on its neighbours.
    """
    with_history = np.asarray(pc.greater(pc.list_value_length(table.column("history")), 0))
    return np.where(with_history[:, None], combine([history, prompts]), prompts)


def pair_keys(table: pa.Table) -> tuple[Keys, Keys, Keys]:
    """Return (N,) keys of conversations, of these with chosen, rejected, and with them swapped.

    The smaller one of the last two is the key of the pair whichever way round it stands; they
    are equal where the two answers are the same text.
    """
    prompt = prompt_digests(table)
    chosen, rejected = (text_digests(table.column(name)) for name in ("chosen", "rejected"))
    ordered = keys(combine([prompt, chosen, rejected]))
    return keys(prompt), ordered, keys(combine([prompt, rejected, chosen]))


def keys(digests: npt.NDArray[np.uint8]) -> Keys:
    """Return the first 64 bits of each (N, 16) digest as (N,) uint64."""
    return np.ascontiguousarray(digests).view("<u8")[:, 0].astype(np.uint64)


def hex_strings(digests: npt.NDArray[np.uint8]) -> pa.Array:
    """Return (N, 16) digests as N strings of 32 hexadecimal digits."""
    count = len(digests)
    text = hexlify(np.ascontiguousarray(digests).tobytes())
    offsets = np.arange(0, 32 * (count + 1), 32, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))


def seeded(values: Keys, seed: int) -> Keys:
    """Return (N,) pseudo-random uint64, one per key, fixed by key and seed (SplitMix64).

    The number drawn for a row does not depend on its place in the file or on other rows.
    """
    with np.errstate(over="ignore"):
        mixed = values + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def permuted(index: Rows, size: Rows, key: Keys) -> Rows:
    """Return (N,) where a pseudo-random permutation of 0..size-1, fixed by key, puts each index.

    The first n indices of a key give a sample of n different numbers, and nothing of length
    `size` is held in memory. A Feistel network permutes the numbers below a power of 4 that is at
    least `size`; those that land outside go through it again ("cycle walking", Black and Rogaway,
    Ciphers with Arbitrary Finite Domains, 2002), up to 4 times as a mean.

    Args:
        index: (N,) numbers from 0 to size - 1.
        size: (N,) lengths >= 1.
        key: (N,) which permutation.
    """
    # frexp's exponent is the number of bits of an integer below 2^53.
    half = np.maximum((np.frexp((size - 1).astype(np.float64))[1] + 1) // 2, 1).astype(np.uint64)
    value, bound = index.astype(np.uint64), size.astype(np.uint64)
    walking = np.arange(len(index))
    while len(walking):
        value[walking] = _feistel(value[walking], half[walking], key[walking])
        walking = walking[value[walking] >= bound[walking]]
    return value.astype(np.int64)


def _feistel(value: Keys, half: Keys, key: Keys) -> Keys:
    """Permute (N,) numbers of 2 * half bits each."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = value >> half, value & mask
    for step in range(FEISTEL_ROUNDS):
        left, right = right, left ^ (seeded(key + right, step) & mask)
    return (left << half) | right
