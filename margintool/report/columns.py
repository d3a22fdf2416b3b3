"""Makes a batch of a possibly broken pair file usable: the contract's types, or left out.

Read by scan.py. Nothing is repaired in the file; what had to be mended is reported as a breach.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmpo_core.conform import conform_column
from mmpo_core.schema import HISTORY, PAIR_SCHEMA

Ints = npt.NDArray[np.int64]

BYTES_OF_HISTORY = pa.list_(pa.struct([pa.field(f.name, pa.binary()) for f in HISTORY.value_type]))


def contract_columns(table: pa.Table) -> pa.Table:
    """Return those columns of the contract that `table` has and that can be read as such.

    Types are cast to the contract's; a column that cannot be cast is left out.
    """
    columns: dict[str, pa.ChunkedArray] = {}
    for field in PAIR_SCHEMA:
        if table.column_names.count(field.name) != 1:
            continue
        try:
            columns[field.name] = conform_column(table.column(field.name), field.type)
        except pa.ArrowException:
            continue
    return pa.table(columns)


def mended_texts(table: pa.Table, names: Collection[str | None]) -> pa.Table:
    """Return the table with what is not valid UTF-8 in the columns `names` made visible."""
    for at, field in enumerate(table.schema):
        if field.name in names:
            raw = BYTES_OF_HISTORY if pa.types.is_list(field.type) else pa.binary()
            mended = _decoded(table.column(at).cast(raw).to_pylist())
            table = table.set_column(at, field.name, pa.array(mended, field.type))
    return table


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict):
        return {name: _decoded(item) for name, item in value.items()}
    return None if value is None else value.decode("utf-8", "replace")


def without_nulls(table: pa.Table) -> pa.Table:
    """Return the table with null texts as empty strings and null histories as empty lists."""
    for at, field in enumerate(table.schema):
        column = table.column(at)
        if pa.types.is_string(field.type) and column.null_count:
            table = table.set_column(at, field.name, pc.fill_null(column, ""))
        if pa.types.is_list(field.type):
            table = table.set_column(at, field.name, _whole_messages(column, field.type))
    return table


def _whole_messages(column: pa.ChunkedArray, kind: pa.DataType) -> Any:
    messages = pc.list_flatten(column)
    fields = [pc.struct_field(messages, name) for name in ("role", "content")]
    if not (column.null_count or any(part.null_count for part in fields)):
        return column
    whole = [
        [{k: (m or {}).get(k) or "" for k in ("role", "content")} for m in messages or []]
        for messages in column.to_pylist()
    ]
    return pa.chunked_array([pa.array(whole, type=kind)])


def word_counts(texts: pa.ChunkedArray) -> Ints:
    """Return (N,) numbers of words: runs of characters between whitespace, as str.split()."""
    trimmed = pc.utf8_trim_whitespace(texts)
    pieces = pc.list_value_length(pc.utf8_split_whitespace(trimmed))
    return np.where(pc.binary_length(trimmed).to_numpy() == 0, 0, pieces.to_numpy())
