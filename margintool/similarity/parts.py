"""The files of a store of vectors: one Arrow file a part, written whole, read through a memory map.

Arrow's own format, not Parquet: a row of a part is a place in the file, so that a few vectors of
millions can be read without decoding the rest. Vectors are float32: rounding to float16 would
move a margin by up to about 1e-5, and vectors hardly compress. Arrow checks how a file is framed,
not what it holds: a part carries a checksum of its numbers, which are read once when it is opened.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from margintool.similarity.digest_index import Digests
from margintool.similarity.distances import Vectors
from mmpo_core.errors import InputError
from mmpo_core.pair_file import whole_file

Mask = npt.NDArray[np.bool_]
SUFFIX = ".arrow"

_CHECKSUM = b"xxh3_128"


@dataclass(frozen=True)
class Rows:
    """N texts: (N, 16) digests, (N, D) vectors, (N,) whether longer than the model's limit."""

    digests: Digests
    vectors: Vectors
    over_limit: Mask

    def __len__(self) -> int:
        return len(self.digests)


def joined(rows: list[Rows]) -> Rows:
    """Return all rows as one."""
    return Rows(
        np.concatenate([part.digests for part in rows]),
        np.concatenate([part.vectors for part in rows]),
        np.concatenate([part.over_limit for part in rows]),
    )


def write_part(path: Path, rows: Rows) -> None:
    """Write a part: complete, or not at all."""
    dim = rows.vectors.shape[1]
    schema = _schema(dim).with_metadata({_CHECKSUM: _checksum(rows)})
    digests = pa.py_buffer(np.ascontiguousarray(rows.digests))
    numbers = pa.array(np.ascontiguousarray(rows.vectors).reshape(-1))
    columns = [
        pa.FixedSizeBinaryArray.from_buffers(
            schema.field("digest").type, len(rows), [None, digests]
        ),
        pa.FixedSizeListArray.from_arrays(numbers, dim),
        pa.array(rows.over_limit),
    ]
    batch = pa.record_batch(columns, schema=schema)
    with whole_file(path) as temporary, pa.ipc.new_file(str(temporary), schema) as writer:
        writer.write_batch(batch)


def read_part(path: Path, dim: int) -> Rows:
    """Return the rows of a part as views of its memory map: vectors are read when looked at.

    All of it is read once here, against its checksum.

    Raises:
        InputError: if the file is damaged, or of another shape.
    """
    try:
        with pa.memory_map(str(path)) as source:
            batch = pa.ipc.open_file(source).get_batch(0)
        rows = _rows(batch, dim)
        if (batch.schema.metadata or {}).get(_CHECKSUM) != _checksum(rows):
            raise pa.ArrowInvalid("what it holds is not what was written: its checksum differs")
        return rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{path}: is damaged ({error}). Remove the file: what it holds is computed again"
        ) from error


def _rows(batch: pa.RecordBatch, dim: int) -> Rows:
    if batch.schema != _schema(dim):
        raise pa.ArrowInvalid(f"not vectors of {dim} numbers")
    batch.validate()  # that buffers are as long as their columns say
    digests, vectors = batch.column("digest"), batch.column("vector").flatten()
    return Rows(
        np.frombuffer(digests.buffers()[1], np.uint8).reshape(-1, 16),
        np.frombuffer(vectors.buffers()[1], np.float32).reshape(-1, dim),
        batch.column("over_limit").to_numpy(zero_copy_only=False),
    )


def _checksum(rows: Rows) -> bytes:
    digest = xxhash.xxh3_128()
    for column in (rows.digests, rows.vectors, rows.over_limit):
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest().encode()


def _schema(dim: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("digest", pa.binary(16), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dim), nullable=False),
            pa.field("over_limit", pa.bool_(), nullable=False),
        ]
    )
