"""Brings tables and data frames into the contract's types without loss, or says which row fails.

Used by pair_file.py on both ways, and by margintool/report/columns.py.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmpo_core.checks import Breach, ContractError
from mmpo_core.schema import HISTORY, MESSAGE, PAIR_SCHEMA

if TYPE_CHECKING:
    import pandas as pd


def conform(table: pa.Table) -> pa.Table:
    """Return the table with the contract's columns in exactly the contract's types.

    Args:
        table: one without `column_breaches`. Its further columns stay as they are.
    """
    for field in PAIR_SCHEMA:
        at = table.schema.get_field_index(field.name)
        found = table.field(at)
        if found.type != field.type:
            column = conform_column(table.column(at), field.type)
            table = table.set_column(at, found.with_type(field.type), column)
    return table


def conform_column(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Cast a column. The order of the fields within a message does not matter.

    Raises:
        pa.ArrowException: if there is no such cast, or a value does not survive it.
    """
    if column.type == wanted:
        return column
    chunks = [part for chunk in column.chunks for part in _cast(chunk, wanted)]
    return pa.chunked_array(chunks, type=wanted)


def _cast(chunk: pa.Array, wanted: pa.DataType) -> list[pa.Array]:
    try:
        return [_messages(chunk) if wanted == HISTORY else chunk.cast(wanted)]
    except pa.ArrowInvalid:
        # An array of the string type holds at most 2 GiB, one of large_string may hold more.
        # `take` copies: a slice would still count from the beginning of the whole.
        if len(chunk) < 2:
            raise
        halves = np.array_split(np.arange(len(chunk)), 2)
        return [part for half in halves for part in _cast(chunk.take(pa.array(half)), wanted)]


def _messages(lists: pa.Array) -> pa.ListArray:
    """Return (N,) lists of messages in the contract's type, whatever the order of the fields."""
    found = pc.list_flatten(lists)
    if pa.types.is_null(found.type):
        found = found.cast(MESSAGE)
    texts = [pc.struct_field(found, field.name).cast(field.type) for field in MESSAGE]
    # A null list has no messages, and is marked by a null among the (N + 1,) offsets.
    ends = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy())
    null = np.append(lists.is_null().to_numpy(zero_copy_only=False), False)
    offsets = pa.array(np.insert(ends, 0, 0), pa.int32(), mask=null)
    messages = pa.StructArray.from_arrays(texts, fields=list(MESSAGE))
    return pa.ListArray.from_arrays(offsets, messages, type=HISTORY)


def frame_to_table(frame: "pd.DataFrame", where: str) -> pa.Table:
    """Return the contract's columns of a data frame as a table; `conform` settles the types.

    The index is left out. Whole numbers count as numbers, NaN as null, and a history may be any
    sequence of dicts.

    Args:
        frame: as `read_pairs` gives it, or filtered, or one's own.
        where: what to call it in messages.

    Raises:
        ContractError: for a column of another type; rows are counted from 0 in the frame's
            order. A missing column is one of the result's `column_breaches`.
    """
    places = [at for at, name in enumerate(frame.columns) if name in PAIR_SCHEMA.names]
    names = [frame.columns[at] for at in places]
    fields = [PAIR_SCHEMA.field(name) for name in names]
    columns = [
        _from_series(frame.iloc[:, at], f, where) for at, f in zip(places, fields, strict=True)
    ]
    return pa.table(columns, names=names)


def _from_series(series: "pd.Series[Any]", field: pa.Field, where: str) -> Any:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_object_dtype

    numbers = is_numeric_dtype(series.dtype) and not is_bool_dtype(series.dtype)
    # Arrow would parse text as numbers.
    if pa.types.is_floating(field.type) and not (numbers or is_object_dtype(series.dtype)):
        raise ContractError(f"{where}: {_other_type(series, field)}")
    # Pandas keeps the text of a column in one array, which may be larger than 2 GiB.
    wanted = pa.large_string() if pa.types.is_string(field.type) else field.type
    try:
        return pa.Array.from_pandas(series, type=wanted)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ContractError(f"{where}: {_first_unfit(series, field)}") from error


def _first_unfit(series: "pd.Series[Any]", field: pa.Field) -> Breach:
    """Return the first value that does not fit; where each does by itself, it is the dtype."""
    for row, value in enumerate(series):
        try:
            pa.array([value], type=field.type, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError):
            problem = f"is {value!r:.60} in row {row}, expected {field.type}"
            return Breach("type", field.name, row, problem)
    return _other_type(series, field)


def _other_type(series: "pd.Series[Any]", field: pa.Field) -> Breach:
    return Breach("type", field.name, None, f"has type {series.dtype}, expected {field.type}")
