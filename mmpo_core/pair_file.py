"""Reading and writing whole pair files under the contract of schema.py, validated both ways."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import pyarrow as pa
import pyarrow.parquet as pq

from mmpo_core.errors import InputError
from mmpo_core.schema import (
    METADATA_KEY,
    PAIR_SCHEMA,
    ContractError,
    check_columns,
    check_metadata,
    check_unique_ids,
    check_values,
    pair_to_messages,
)

if TYPE_CHECKING:
    import datasets
    import pandas as pd

PathLike = str | os.PathLike[str]
COMPRESSION = "zstd"


@contextmanager
def whole_file(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`.

    On any exception the temporary file is removed and `path` is as it was before.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield temporary
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def publish(finished: Path, target: PathLike) -> None:
    """Put a finished file in its place: synced to the disk, then renamed in one step."""
    with finished.open("rb+") as file:
        os.fsync(file.fileno())
    finished.replace(target)


class PairWriter:
    """Writes pair batches to one Parquet file, each batch checked against the contract.

    pair_ids must be unique over the file: `score` removes duplicates before it writes, and
    `write_pairs` checks; a streaming writer cannot.
    """

    def __init__(self, path: PathLike, metadata: Mapping[str, Any]) -> None:
        check_metadata(metadata, str(path))
        packed = json.dumps(metadata, sort_keys=True, ensure_ascii=False)
        self._path = str(path)
        self._rows = 0
        self._schema = PAIR_SCHEMA.with_metadata({METADATA_KEY: packed.encode()})
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression=COMPRESSION,
            use_dictionary=["prompt", "source"],
            write_statistics=["margin_raw", "margin", "p_chosen", "weight"],
        )

    def write(self, table: pa.Table) -> None:
        """Append pairs. table: the contract's columns.

        Raises:
            ContractError: if a value breaks the contract.
        """
        check_columns(table.schema, self._path)
        check_values(table, self._path, self._rows)
        self._rows += table.num_rows
        self._writer.write_table(table.select(PAIR_SCHEMA.names).cast(self._schema))

    def close(self) -> None:
        """Write the Parquet footer."""
        self._writer.close()


def write_pairs(
    table: "pa.Table | pd.DataFrame", path: PathLike, metadata: Mapping[str, Any]
) -> None:
    """Write a whole pair file at once: complete and valid, or not at all.

    Raises:
        ContractError: if the table or the metadata breaks the contract.
    """
    if not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table, schema=PAIR_SCHEMA, preserve_index=False)
    check_columns(table.schema, str(path))
    check_unique_ids(table.column("pair_id"), str(path))
    with whole_file(path) as temporary:
        writer = PairWriter(temporary, metadata)
        writer.write(table)
        writer.close()


def open_parquet(path: PathLike) -> pq.ParquetFile:
    """Open a Parquet file, or raise InputError saying what the file is instead."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file. A pair file is made by `margintool score`")
    try:
        return pq.ParquetFile(path)
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a Parquet file, or a damaged one ({error})") from error


def read_metadata(path: PathLike) -> dict[str, Any]:
    """Return a pair file's metadata: schema and tool version, source, normaliser, gamma, counts.

    Raises:
        ContractError: if the file has none, or one of a newer schema.
    """
    with open_parquet(path) as file:
        packed = (file.schema_arrow.metadata or {}).get(METADATA_KEY)
    if packed is None:
        raise ContractError(
            f"{path}: no margintool metadata. A pair file is made by `margintool score`; "
            "write your own with mmpo_core.write_pairs"
        )
    metadata: dict[str, Any] = json.loads(packed)
    check_metadata(metadata, str(path))
    return metadata


def read_table(path: PathLike) -> pa.Table:
    """Read a pair file as an Arrow table with the contract's columns, and check all of it.

    Raises:
        ContractError: naming the column and the first bad row.
    """
    read_metadata(path)
    with open_parquet(path) as file:
        check_columns(file.schema_arrow, str(path))
        try:
            table = file.read()
        except OSError as error:
            raise InputError(f"{path}: damaged Parquet file ({error})") from error
    check_values(table, str(path))
    check_unique_ids(table.column("pair_id"), str(path))
    return table


@overload
def read_pairs(path: PathLike) -> "pd.DataFrame": ...
@overload
def read_pairs(path: PathLike, form: Literal["pandas"]) -> "pd.DataFrame": ...
@overload
def read_pairs(path: PathLike, form: Literal["arrow"]) -> pa.Table: ...
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
