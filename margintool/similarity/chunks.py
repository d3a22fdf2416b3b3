"""Texts that are longer than a model can read, cut at token boundaries; and batches by tokens.

Pure: numbers in, numbers out. Read by tokens.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Room:
    """How many tokens of text a model reads at once: with and after the first chunk.

    The prompt is part of the first chunk's text and is put before every later one.
    """

    first: int
    later: int


def cut(count: int, room: Room, word_starts: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Cut a text of `count` tokens into chunks that fit, as (start, end) of each.

    A chunk ends before the word that does not fit whole, where that word begins in the second
    half of the chunk; else between two tokens.

    Args:
        count: tokens of the text.
        room: tokens that fit.
        word_starts: (count,) whether a word begins at a token.
    """
    chunks, start, size = [], 0, room.first
    while count - start > size:
        end = start + size
        back = np.flatnonzero(word_starts[end - size // 2 : end + 1][::-1])
        end -= int(back[0]) if len(back) else 0
        chunks.append((start, end))
        start, size = end, room.later
    chunks.append((start, count))
    return chunks


def batches(sizes: Sequence[int] | Ints, budget: int) -> Iterator[Ints]:
    """Yield the indices of what fits into one batch: longest first, padded size <= `budget`.

    Args:
        sizes: (N,) tokens of each.
        budget: tokens of a batch, padding included; one that is longer gets a batch of its own.
    """
    order = np.argsort(-np.asarray(sizes, np.int64), kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(sizes[order[start]]))
        end = start + max(1, budget // longest)
        yield order[start:end]
        start = end
