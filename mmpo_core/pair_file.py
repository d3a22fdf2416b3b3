"""Reading and writing whole pair files under the contract, validated both ways.

What is checked stands in checks.py and file_metadata.py; inspect reports the same breaches.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

import pyarrow as pa
import pyarrow.parquet as pq

from mmpo_core.checks import column_breaches, id_breaches, refuse, row_breaches
from mmpo_core.conform import conform, frame_to_table
from mmpo_core.errors import InputError
from mmpo_core.file_metadata import pack_metadata, recorded_gamma, unpack_metadata
from mmpo_core.schema import METADATA_KEY, PAIR_SCHEMA, pair_to_messages

if TYPE_CHECKING:
    import datasets
    import pandas as pd

PathLike = str | os.PathLike[str]
COMPRESSION = "zstd"


@contextmanager
def whole_file(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`.

    On any exception the temporary file is removed and `path` is as it was before.

    Raises:
        InputError: if `path` is a folder, its folder cannot be made or written to, or the disk
            is full.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        if target.is_dir():
            raise InputError(f"{target}: is a folder. Give the name of a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
    except OSError as error:
        problem = f"{error.strerror}: {error.filename}"
        raise InputError(f"{target}: cannot be written ({problem})") from error
    try:
        yield temporary
        publish(temporary, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"{target}: cannot be written, the disk is full") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def publish(finished: Path, target: PathLike) -> None:
    """Put a finished file in its place: synced to the disk, then renamed in one step."""
    with finished.open("rb+") as file:
        os.fsync(file.fileno())
    finished.replace(target)


class PairWriter:
    """Writes pair batches to one Parquet file, each batch checked against the contract.

    A context manager: where an exception ends it, the file is closed and removed. pair_ids must
    be unique over the file: `score` removes duplicates before it writes, and `write_pairs`
    checks; a streaming writer cannot.
    """

    def __init__(
        self,
        path: PathLike,
        metadata: Mapping[str, Any],
        *,
        name: PathLike | None = None,
        further: pa.Schema | None = None,
    ) -> None:
        """Begin a file.

        Args:
            path: where to write.
            metadata: see pack_metadata.
            name: what to call the file in messages; `path` if not given.
            further: columns to write after the contract's own.

        Raises:
            ContractError: if the metadata breaks the contract, or a further column has the name
                of one of the contract's.
        """
        self._path = Path(path)
        self._name = str(path if name is None else name)
        packed = pack_metadata(metadata, self._name)
        self._gamma = recorded_gamma(unpack_metadata(packed)[0])
        self._rows = 0
        fields = pa.schema([*PAIR_SCHEMA, *(further or [])])
        refuse(column_breaches(fields), self._name)
        self._schema = fields.with_metadata({METADATA_KEY: packed})
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression=COMPRESSION,
            use_dictionary=["prompt", "source"],
            write_statistics=["margin_raw", "margin", "p_chosen", "weight"],
        )

    def __enter__(self) -> "PairWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except (OSError, pa.ArrowException):
            # What ended the writing is the error to report, not that the footer failed after it.
            if kind is None:
                raise
        finally:
            if kind is not None:
                self._path.unlink(missing_ok=True)

    def write(self, table: pa.Table) -> None:
        """Append pairs. table: the contract's columns and the further ones; others are left out.

        Raises:
            ContractError: if a column or a value breaks the contract.
        """
        refuse(column_breaches(table.schema), self._name)
        table = conform(table.select(self._schema.names))
        refuse(row_breaches(table, self._rows, self._gamma), self._name)
        self._rows += table.num_rows
        self._writer.write_table(table.cast(self._schema))

    def close(self) -> None:
        """Write the Parquet footer."""
        self._writer.close()


def write_pairs(
    table: "pa.Table | pd.DataFrame", path: PathLike, metadata: Mapping[str, Any]
) -> None:
    """Write a whole pair file at once: complete and valid, or not at all.

    What `read_pairs` gave, filtered or changed, can be written with what `read_metadata` gave:

        pairs = read_pairs("pairs.parquet")
        write_pairs(pairs[pairs.margin > 1], "clear.parquet", read_metadata("pairs.parquet"))

    Args:
        table: the contract's columns, as an Arrow table or a data frame; others are left out.
        path: file to write; folders on the way are made.
        metadata: at least {"schema_version": 1}; with `gamma`, p_chosen must be
            sigma(gamma * margin), see mmpo_core.probability.

    Raises:
        ContractError: if the table or the metadata breaks the contract.
        InputError: if `path` is a folder or cannot be written, or `table` is neither form.
    """
    table = _as_table(table, str(path))
    refuse(column_breaches(table.schema), str(path))
    table = conform(table)
    with whole_file(path) as temporary, PairWriter(temporary, metadata, name=path) as writer:
        writer.write(table)
        refuse(id_breaches(table.column("pair_id")), str(path))


def _as_table(table: Any, where: str) -> pa.Table:
    if isinstance(table, pa.Table):
        return table
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return frame_to_table(table, where)
    raise InputError(
        f"{where}: pairs must be a pyarrow.Table or a pandas.DataFrame, not {type(table).__name__}"
    )


def open_parquet(path: PathLike) -> pq.ParquetFile:
    """Open a Parquet file, or raise InputError saying what the file is instead."""
    if Path(path).is_dir():
        raise InputError(f"{path}: is a folder. A pair file is made by `margintool score`")
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file. A pair file is made by `margintool score`")
    try:
        return pq.ParquetFile(path)
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = str(error).split(". ")[0].rstrip(".")
        raise InputError(
            f"{path}: not a Parquet file, or a damaged one ({why}). A pair file is made by "
            "`margintool score`"
        ) from error


@contextmanager
def damage_named(path: PathLike) -> Iterator[None]:
    """Turn what Arrow raises while it reads a damaged file into an InputError."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: damaged Parquet file ({error})") from error


def read_metadata(path: PathLike) -> dict[str, Any]:
    """Return a pair file's metadata: schema and tool version, source, normaliser, gamma, counts.

    Raises:
        ContractError: if the file has none, or one that is not JSON or of a newer schema.
    """
    with open_parquet(path) as file:
        return _metadata(file, path)


def _metadata(file: pq.ParquetFile, path: PathLike) -> dict[str, Any]:
    metadata, breaches = unpack_metadata((file.schema_arrow.metadata or {}).get(METADATA_KEY))
    refuse(breaches, str(path))
    return metadata


def read_table(path: PathLike) -> pa.Table:
    """Read a pair file as an Arrow table with the contract's columns, and check all of it.

    Raises:
        ContractError: naming the column and the first bad row.
    """
    with open_parquet(path) as file:
        gamma = recorded_gamma(_metadata(file, path))
        refuse(column_breaches(file.schema_arrow), str(path))
        with damage_named(path):
            table = file.read()
    table = conform(table)
    refuse(row_breaches(table, gamma=gamma), str(path))
    refuse(id_breaches(table.column("pair_id")), str(path))
    return table


@overload
def read_pairs(path: PathLike, *, conversational: bool = False) -> "pd.DataFrame": ...
@overload
def read_pairs(
    path: PathLike, form: Literal["pandas"], *, conversational: bool = False
) -> "pd.DataFrame": ...
@overload
def read_pairs(
    path: PathLike, form: Literal["arrow"], *, conversational: bool = False
) -> pa.Table: ...
@overload
def read_pairs(
    path: PathLike, form: Literal["datasets"], *, conversational: bool = False
) -> "datasets.Dataset": ...
def read_pairs(path: PathLike, form: str = "pandas", *, conversational: bool = False) -> Any:
    """Read a pair file and check it against the contract.

    Args:
        path: a file made by `margintool score` or `write_pairs`.
        form: `pandas` (DataFrame), `arrow` (pyarrow.Table) or `datasets` (datasets.Dataset).
        conversational: give prompt, chosen and rejected as TRL's message lists, with history
            inside the prompt; the other columns stay.

    Raises:
        ContractError: if the file breaks the contract; names the column and the first bad row.
    """
    if form not in ("pandas", "arrow", "datasets"):
        raise InputError(f"unknown form {form!r}. Known: pandas, arrow, datasets")
    table = read_table(path)
    if conversational:
        table = to_conversational(table)
    if form == "arrow":
        return table
    if form == "pandas":
        return table.to_pandas()
    from datasets import Dataset

    return Dataset(table)


def to_conversational(table: pa.Table) -> pa.Table:
    """Replace history, prompt, chosen and rejected by TRL's message lists. One row in, one out."""
    texts = table.select(["history", "prompt", "chosen", "rejected"])
    messages = [pair_to_messages(row) for batch in texts.to_batches() for row in batch.to_pylist()]
    rest = table.drop_columns(["history", "prompt", "chosen", "rejected"])
    for name in ("prompt", "chosen", "rejected"):
        column = pa.array([m[name] for m in messages], type=PAIR_SCHEMA.field("history").type)
        rest = rest.append_column(name, column)
    return rest
