"""Tables parked on disk between two passes: written once, read in order or by row number."""

import mmap
import tempfile
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# Not compressed: on 1.1 GB of text lz4 made writing 4 to 10 times and reading 3 to 8 times
# slower, for a file 40% smaller.
_WRITE = pa.ipc.IpcWriteOptions(compression=None)
# Bytes of one record batch. Far below the 2 GB that 32-bit offsets of text can address, and
# small enough that `gather` maps little besides the rows asked for.
BATCH_BYTES = 8 << 20
_GATHER_BYTES = 512 << 20  # more than this is put together in pieces, for the same 2 GB

Rows = npt.NDArray[np.int64]


class Spill:
    """An Arrow IPC file in a working folder: append, finish, then read any number of times.

    A context manager: leaving it deletes the file.
    """

    def __init__(self, folder: Path, name: str = "spill") -> None:
        with tempfile.NamedTemporaryFile(
            dir=folder, prefix=f"{name}-", suffix=".arrow", delete=False
        ) as file:
            self._path = Path(file.name)
        self._sink: Any = None
        self._writer: Any = None
        self._schema: pa.Schema | None = None
        self._starts = [0]  # row number of each batch's first row, and the number of rows
        self._bytes = 0
        self._mapped: mmap.mmap | None = None
        self._reader: Any = None

    @property
    def num_rows(self) -> int:
        """Rows appended so far."""
        return self._starts[-1]

    def append(self, table: pa.Table) -> None:
        """Add rows at the end. All tables have the schema of the first one."""
        if self._writer is None:
            self._schema = table.schema
            self._sink = pa.OSFile(str(self._path), "wb")
            self._writer = pa.ipc.new_file(self._sink, self._schema, options=_WRITE)
        table = table.combine_chunks()
        self._bytes += table.nbytes
        rows = max(1, BATCH_BYTES * table.num_rows // max(1, table.nbytes))
        for batch in table.to_batches(max_chunksize=rows):
            if batch.num_rows:
                self._writer.write_batch(batch)
                self._starts.append(self.num_rows + batch.num_rows)

    def finish(self) -> None:
        """End the writing. Reading may begin."""
        if self._writer is not None:
            self._writer.close()
            self._sink.close()

    def batches(self) -> Generator[pa.Table, None, None]:
        """Yield all rows in order, about 8 MB at a time; nothing is mapped into memory."""
        if self._schema is None:
            return
        with pa.OSFile(str(self._path)) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                yield pa.Table.from_batches([reader.get_batch(number)])

    def gather(self, rows: Rows) -> pa.Table:
        """Return the rows with these numbers (from 0), in the order asked; repeats are allowed.

        Memory: the rows asked for, plus the touched pages of one batch.

        Raises:
            IndexError: a row number that no row has.
        """
        if self._schema is None:
            raise IndexError("the spill has no rows and no columns yet")
        if not len(rows):
            return self._schema.empty_table()
        if rows.min() < 0 or rows.max() >= self.num_rows:
            raise IndexError(f"row {rows.min()} or {rows.max()} is not in 0..{self.num_rows - 1}")
        if len(rows) > 1 and len(rows) * (self._bytes // self.num_rows) > _GATHER_BYTES:
            half = len(rows) // 2
            return pa.concat_tables([self.gather(rows[:half]), self.gather(rows[half:])])
        order = np.argsort(rows, kind="stable")
        taken = pa.Table.from_batches(self._take_sorted(rows[order])).combine_chunks()
        return taken.take(pa.array(np.argsort(order, kind="stable")))

    def _take_sorted(self, rows: Rows) -> list[pa.RecordBatch]:
        """Return rows in ascending order, batch by batch."""
        reader, mapped = self._open_mapped()
        ends = np.searchsorted(rows, self._starts[1:])
        taken, start = [], 0
        for number in np.flatnonzero(np.diff(ends, prepend=0)).tolist():
            local = rows[start : ends[number]] - self._starts[number]
            taken.append(reader.get_batch(number).take(pa.array(local)))
            # Give the pages back, or the whole file would come to count as memory in use.
            mapped.madvise(mmap.MADV_DONTNEED)
            start = ends[number]
        return taken

    def _open_mapped(self) -> tuple[Any, mmap.mmap]:
        if self._mapped is None:
            with self._path.open("rb") as file:
                self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._reader = pa.ipc.open_file(pa.py_buffer(self._mapped))
        return self._reader, self._mapped

    def __enter__(self) -> "Spill":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sink is not None and not self._sink.closed:
            self._sink.close()
        self._reader = self._mapped = None
        self._path.unlink(missing_ok=True)
