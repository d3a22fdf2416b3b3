"""Small tools for streams of Arrow tables, used by every reader. Next: raw_input.py."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from margintool.storage.columns import Wanted

T = TypeVar("T")

BATCH_BYTES = 16 << 20  # decoded text in one batch: large enough for Arrow, small in memory


class Chunk(NamedTuple):
    """Some rows of one file, in one table.

    JSON rows of different kinds cannot share a table: those of one block come as several chunks.

    Args:
        table: the rows.
        position: how far into the file, in its own bytes, reading has come.
        places: (rows,) ascending places of the rows in their block, from 0; None if the chunk is
            the whole block.
        more: whether another chunk of the same block follows.
    """

    table: pa.Table
    position: int
    places: npt.NDArray[np.int64] | None = None
    more: bool = False


Read = Callable[[Wanted | None, int], Generator[Chunk, None, None]]
"""Reads one part: (wanted columns or None for all, bytes of a batch) -> its chunks in order."""


@dataclass(frozen=True)
class Part:
    """One file or one split.

    Args:
        name: what origins and messages call it.
        size: its bytes on disk; None if not known.
        files: what it consists of on disk, in order; empty for the hub.
        read: its reader.
    """

    name: str
    size: int | None
    files: tuple[Path, ...]
    read: Read


def prefetch(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Yield the items of a generator, computing one ahead in a thread.

    An exception in `items` is raised here. Closing this generator waits for the item under
    way and closes `items`, so no thread outlives it.
    """
    end = object()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
            ahead = pool.submit(next, items, end)
            while (item := ahead.result()) is not end:
                ahead = pool.submit(next, items, end)
                yield item  # type: ignore[misc]  # not `end`, hence a T
    finally:
        items.close()


def rows_per_batch(table: pa.Table | pa.RecordBatch, batch_bytes: int) -> int:
    """Return how many rows like those of `table` make about `batch_bytes`; at least 1."""
    return max(1, batch_bytes * max(1, int(table.num_rows)) // max(1, int(table.nbytes)))


def regroup(chunks: Iterator[Chunk], batch_bytes: int) -> Generator[Chunk, None, None]:
    """Join small tables and cut large ones, so that each has about `batch_bytes`."""
    held: list[pa.Table] = []
    held_bytes = 0
    position = 0
    for chunk in chunks:
        position = chunk.position
        held.append(chunk.table)
        held_bytes += chunk.table.nbytes
        if held_bytes >= batch_bytes:
            yield from _cut(held, position, batch_bytes)
            held, held_bytes = [], 0
    if held:
        yield from _cut(held, position, batch_bytes)


def _cut(tables: list[pa.Table], position: int, batch_bytes: int) -> Iterator[Chunk]:
    table = pa.concat_tables(tables, promote_options="permissive")
    rows = rows_per_batch(table, 2 * batch_bytes)
    for start in range(0, table.num_rows, rows):
        yield Chunk(table.slice(start, rows), position)
