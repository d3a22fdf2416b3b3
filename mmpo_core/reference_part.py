"""A part of the reference cache: log-probs of some pairs in one Parquet file, checked when read.

`duckdb -c "select * from 'PART.parquet'"` shows one. The pattern of parts, and who writes them:
reference_cache.py.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from mmpo_core.encoded_pairs import Digests
from mmpo_core.pair_file import whole_file

SUFFIX = ".parquet"
_META = b"margintool_reference"
# Changes when the meaning of a column does: parts of another format are computed anew.
_FORMAT = 1

SCHEMA = pa.schema(
    [
        pa.field("pair", pa.binary(16), nullable=False),
        pa.field("chosen_logps", pa.float32(), nullable=False),
        pa.field("rejected_logps", pa.float32(), nullable=False),
        pa.field("chosen_tokens", pa.int32(), nullable=False),
        pa.field("rejected_tokens", pa.int32(), nullable=False),
    ]
)


class DamagedPartError(Exception):
    """A part that does not hold what was written; says what is wrong with it."""


@dataclass(frozen=True)
class ReferenceRows:
    """Log-probs of N pairs under the reference.

    Attributes:
        pair: (N, 16) uint8 digests of the pairs' token ids (EncodedPairs.digests).
        logps: (2, N) float32 sums over completion tokens, chosen before rejected.
        tokens: (2, N) int32 completion tokens, EOS included.
    """

    pair: Digests
    logps: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.pair)

    def where(self, mask: npt.NDArray[np.bool_]) -> "ReferenceRows":
        """Return the rows where the (N,) mask is true."""
        return ReferenceRows(self.pair[mask], self.logps[:, mask], self.tokens[:, mask])

    def table(self) -> pa.Table:
        """Return the rows under SCHEMA."""
        pair = pa.FixedSizeBinaryArray.from_buffers(
            SCHEMA.field("pair").type,
            len(self),
            [None, pa.py_buffer(np.ascontiguousarray(self.pair))],
        )
        return pa.table([pair, *map(pa.array, (*self.logps, *self.tokens))], schema=SCHEMA)


def no_rows() -> ReferenceRows:
    """Return no rows."""
    return ReferenceRows(
        np.empty((0, 16), np.uint8), np.empty((2, 0), np.float32), np.empty((2, 0), np.int32)
    )


def joined(parts: list[ReferenceRows]) -> ReferenceRows:
    """Return all rows as one."""
    parts = parts or [no_rows()]
    return ReferenceRows(
        np.concatenate([part.pair for part in parts]),
        np.concatenate([part.logps for part in parts], axis=1),
        np.concatenate([part.tokens for part in parts], axis=1),
    )


def write_part(folder: Path, model_key: str, rows: ReferenceRows) -> Path:
    """Write a part, complete or not at all, and return its path; its checksum is its name."""
    checksum = _checksum(model_key, rows)
    path = folder / f"{checksum}{SUFFIX}"
    about = {"format": _FORMAT, "model": model_key, "checksum": checksum}
    table = rows.table().replace_schema_metadata({_META: json.dumps(about)})
    with whole_file(path) as temporary:
        pq.write_table(table, temporary)
    return path


def read_part(path: Path, model_key: str) -> ReferenceRows:
    """Return the rows of a part.

    Raises:
        DamagedPartError: if it cannot be read, is of another model or format, or its content is
            not what its checksum was made of.
        FileNotFoundError: if there is no such file.
    """
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        about = json.loads((table.schema.metadata or {})[_META])
        if about["format"] != _FORMAT or not table.schema.equals(SCHEMA):
            raise DamagedPartError("it has another format")
        if about["model"] != model_key:
            raise DamagedPartError("it is of another model")
        rows = _rows(table)
        if about["checksum"] != _checksum(model_key, rows):
            raise DamagedPartError("its content differs from its checksum")
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        raise DamagedPartError(f"it cannot be read: {error}") from error
    return rows


def _rows(table: pa.Table) -> ReferenceRows:
    pair = np.frombuffer(b"".join(table["pair"].to_pylist()), np.uint8).reshape(-1, 16)
    logps, tokens = (
        np.stack([table[f"{side}_{what}"].to_numpy() for side in ("chosen", "rejected")])
        for what in ("logps", "tokens")
    )
    return ReferenceRows(pair, logps, tokens)


def _checksum(model_key: str, rows: ReferenceRows) -> str:
    digest = xxhash.xxh3_128(model_key.encode())
    for values, kind in ((rows.pair, "u1"), (rows.logps, "<f4"), (rows.tokens, "<i4")):
        digest.update(np.ascontiguousarray(values, dtype=kind).tobytes())
    return str(digest.hexdigest())
