"""READ THIS FIRST. Raw feedback as a stream of Arrow tables, whatever it is stored as.

`open_input` finds out what the user means (locate.py, hub.py) and gives a RawInput. Formats
have one reader each: json_lines.py, json_list.py, delimited.py, parquet.py, saved.py, hub.py.
Local files import neither `datasets` nor pandas.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from margintool.storage.columns import Wanted
from margintool.storage.files import reading
from margintool.storage.hub import hub_part
from margintool.storage.locate import is_hub_id, local_parts, no_effect, specs_of
from margintool.storage.stream import BATCH_BYTES, Chunk, Part, prefetch
from mmpo_core.errors import InputError

SAMPLE_ROWS = 100
_SAMPLE_BYTES = 1 << 20
_HASH_BLOCK = 4 << 20


@dataclass(frozen=True)
class RawBatch:
    """Some rows of one file or split.

    Args:
        table: the columns as found, or those wanted. Names and types may differ from batch to
            batch. JSON columns that mix text with other values follow json_values.table_of.
        name: the path as the user gave it, or `stanfordnlp/SHP:train`.
        rows: (rows,) ascending numbers, from 1, of the rows within that file or split.
        more: whether the next batch is of the same stretch of rows. JSON rows of different kinds
            come as several batches, whose row numbers interleave.
    """

    table: pa.Table
    name: str
    rows: npt.NDArray[np.int64]
    more: bool = False


class RawInput:
    """An input that was found; made by `open_input`. It can be read any number of times."""

    def __init__(self, description: str, parts: Sequence[Part], identity: str | None) -> None:
        self.description = description
        self._parts = parts
        self._identity = identity  # of a hub dataset; None where there are files to hash

    @property
    def files(self) -> list[Path]:
        """The files on disk that are read, resolved, in order; empty for the hub."""
        return [path.resolve() for part in self._parts for path in part.files]

    @property
    def total_bytes(self) -> int | None:
        """Size on disk, compressed if it is; None if not known (hub)."""
        sizes = [part.size for part in self._parts]
        return sum(size for size in sizes if size is not None) if None not in sizes else None

    @cached_property
    def _sample(self) -> pa.Table:
        for part in self._parts:
            with closing(part.read(None, _SAMPLE_BYTES)) as chunks:
                tables = []
                for chunk in chunks:
                    tables.append(chunk.table)
                    if not chunk.more and (some := max(tables, key=len)).num_rows:
                        return some.slice(0, SAMPLE_ROWS)
        raise InputError(f"{self.description}: no rows")

    def schema_sample(self) -> pa.Table:
        """Return the first rows, at most 100, with all columns; of the most frequent kind of row.

        Raises:
            InputError: there are no rows, or the first ones cannot be read.
        """
        return self._sample

    def batches(
        self,
        wanted: Wanted | None = None,
        limit: int | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Generator[RawBatch, None, None]:
        """Yield all rows in order, in batches of about 16 MB, reading one batch ahead.

        Args:
            wanted: which columns, of those that a file has; None for all.
            limit: at most so many rows in all.
            on_bytes: called with the number of bytes read since its last call; the sum comes to
                `total_bytes`.

        Raises:
            InputError: naming the file and the row or line that cannot be read, or the columns
                that the file lacks.
        """
        left = limit
        for part in self._parts:
            if left == 0:
                return
            for batch in _batches(part, wanted, left, on_bytes):
                left = None if left is None else left - batch.table.num_rows
                yield batch

    def fingerprint(self) -> str:
        """Return the xxh3_128 hex digest of all files' bytes in order.

        For the hub: `id@commit:config:split`.
        """
        if self._identity is not None:
            return self._identity
        import xxhash

        digest = xxhash.xxh3_128()
        for part in self._parts:
            for path in part.files:
                reading(part.name, partial(_hash_file, digest.update, path))
        return digest.hexdigest()


def open_input(
    spec: str | Path | Sequence[str | Path],
    *,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
) -> RawInput:
    """Find an input; nothing of its content is read yet.

    Args:
        spec: a file, several files, a glob, a folder (of files, or saved by `datasets`) or a
            dataset on the hub as `org/name`. What exists on disk is never taken for a hub id.
        split: which split of a saved or hub dataset (hub: `train` unless given).
        config: which configuration of a hub dataset.
        revision: which revision of a hub dataset.

    Raises:
        InputError: what is wrong with it, and what to do.
    """
    specs = specs_of(spec)
    if len(specs) > 1 and (dataset := next(filter(is_hub_id, specs), None)) is not None:
        raise InputError(
            f"{dataset}: no such file or folder. A dataset on the hub cannot be combined with "
            "other inputs: give its id alone"
        )
    if len(specs) == 1 and is_hub_id(specs[0]):
        part, identity = hub_part(specs[0], split=split, config=config, revision=revision)
        dataset, _, chosen = part.name.rpartition(":")
        return RawInput(f"{dataset} ({chosen})", [part], identity)
    for option, value in (("--config", config), ("--revision", revision)):
        if value is not None:
            raise no_effect(option, specs[0])
    parts = [part for one in specs for part in local_parts(one, split)]
    return RawInput(parts[0].name if len(parts) == 1 else f"{len(parts)} files", parts, None)


def _batches(
    part: Part,
    wanted: Wanted | None,
    limit: int | None,
    on_bytes: Callable[[int], None] | None,
) -> Generator[RawBatch, None, None]:
    """Yield the batches of one part, at most `limit` rows."""
    done = ahead = read = 0  # rows of the blocks before, and with those of this one so far
    with closing(prefetch(part.read(wanted, BATCH_BYTES))) as chunks:
        for chunk in chunks:
            batch = _batch(chunk, part.name, done, limit)
            ahead = max(ahead, done + _last(chunk))
            if batch.table.num_rows or chunk.places is not None:
                yield batch
            if on_bytes is not None and chunk.position > read:
                on_bytes(chunk.position - read)
                read = chunk.position
            if not chunk.more:
                done = ahead
                if limit is not None and done >= limit:
                    return
    if on_bytes is not None and part.size is not None and part.size > read:
        on_bytes(part.size - read)


def _batch(chunk: Chunk, name: str, done: int, limit: int | None) -> RawBatch:
    """Return a chunk after `done` rows of the file `name`, cut at row `limit`."""
    places = np.arange(chunk.table.num_rows) if chunk.places is None else chunk.places
    rows = places + done + 1
    count = len(rows) if limit is None else int(np.searchsorted(rows, limit, side="right"))
    return RawBatch(chunk.table.slice(0, count), name, rows[:count], chunk.more)


def _last(chunk: Chunk) -> int:
    """Return how many rows of its block a chunk shows: its last place, from 1."""
    return int(chunk.table.num_rows if chunk.places is None else chunk.places[-1] + 1)


def _hash_file(update: Callable[[bytes], None], path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while block := file.read(_HASH_BLOCK):
            update(block)
