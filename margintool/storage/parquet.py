"""Parquet, streamed in bounded memory whatever the size of its row groups."""

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from margintool.storage.columns import Wanted, check_unique, columns_to_read
from margintool.storage.files import ByteSource, InputFile, reading
from margintool.storage.stream import Chunk, rows_per_batch
from mmpo_core.errors import InputError

# Column chunks are read through buffers of this size instead of whole: writers put up to a
# million rows into one row group.
_BUFFER = 1 << 20
_COPY_BLOCK = 4 << 20
_SAMPLE_ROWS = 256


def read_parquet(
    file: InputFile, wanted: Wanted | None, batch_bytes: int
) -> Generator[Chunk, None, None]:
    """Yield the rows of a Parquet file, about `batch_bytes` of decoded values at a time.

    Raises:
        InputError: not a Parquet file, a damaged one, or one whose columns do not do.
    """
    with _plain_path(file) as path, _open(file, path) as parquet:
        check_unique(file.name, parquet.schema_arrow.names)
        columns = columns_to_read(file.name, wanted, parquet.schema_arrow)
        total = parquet.metadata.num_rows
        rows = 0
        for batch in _batches(file, parquet, columns, batch_bytes):
            rows += batch.num_rows
            yield Chunk(pa.Table.from_batches([batch]), file.size * rows // max(1, total))


def _open(file: InputFile, path: Path) -> pq.ParquetFile:
    try:
        # Neither memory_map nor pre_buffer: mapped pages and whole column chunks would both
        # count in the memory of the process.
        return pq.ParquetFile(path, memory_map=False, pre_buffer=False, buffer_size=_BUFFER)
    except PermissionError as error:
        raise InputError(f"{file.name}: no permission to read it") from error
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{file.name}: not a Parquet file, or one that is cut off ({error})"
        ) from error


def _batches(
    file: InputFile, parquet: pq.ParquetFile, columns: list[str], batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    done = 0
    try:
        rows = _batch_rows(parquet, columns, batch_bytes)
        for batch in parquet.iter_batches(rows, columns=columns, use_threads=True):
            yield batch
            done += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file.name}: damaged Parquet data after row {done} ({error})") from error


def _batch_rows(parquet: pq.ParquetFile, columns: list[str], batch_bytes: int) -> int:
    """Choose the rows of a batch from the size of the whole file and of its first rows.

    The file's own figure is of encoded values, too low where texts repeat; the first rows may
    be shorter than the rest. The larger of the two row sizes counts.
    """
    metadata = parquet.metadata
    groups = range(metadata.num_row_groups)
    encoded = sum(int(metadata.row_group(group).total_byte_size) for group in groups)
    by_file = max(1, batch_bytes * max(1, int(metadata.num_rows)) // max(1, encoded))
    first = next(parquet.iter_batches(min(_SAMPLE_ROWS, by_file), columns=columns), None)
    return by_file if first is None else min(by_file, rows_per_batch(first, batch_bytes))


@contextmanager
def _plain_path(file: InputFile) -> Iterator[Path]:
    """Yield the file's path; a compressed file is decompressed to a temporary one first."""
    if file.compression is None:
        yield file.path
        return
    with tempfile.NamedTemporaryFile(prefix="margintool-", suffix=".parquet") as copy:
        with file.open() as source:
            reading(f"{file.name}, decompressed to {copy.name}", lambda: _copy(source, copy))
        yield Path(copy.name)


def _copy(source: ByteSource, target: "tempfile._TemporaryFileWrapper[bytes]") -> None:
    while block := source.read(_COPY_BLOCK):
        target.write(block)
    target.flush()
