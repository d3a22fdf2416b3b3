"""Makes a batch of a possibly broken pair file usable: the contract's types, or left out.

Read by scan.py. Nothing is repaired in the file; what had to be mended is reported as a breach.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmpo_core.schema import PAIR_SCHEMA, Breach

Ints = npt.NDArray[np.int64]


def contract_columns(batch: pa.RecordBatch) -> pa.Table:
    """Return those columns of the contract that `batch` has and that can be read as such.

    Types are cast to the contract's; a column that cannot be cast is left out. The order of the
    fields within a message does not matter.
    """
    columns: dict[str, pa.Array] = {}
    for field in PAIR_SCHEMA:
        if batch.schema.names.count(field.name) != 1:
            continue
        found = batch.column(field.name)
        readable = _messages(found) if field.name == "history" else _cast(found, field.type)
        if readable is not None:
            columns[field.name] = readable
    return pa.table(columns)


def _cast(column: pa.Array, wanted: pa.DataType) -> pa.Array | None:
    try:
        return pc.cast(column, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _messages(column: pa.Array) -> pa.Array | None:
    """Return a history column in the contract's type; nulls inside a message stay nulls."""
    wanted = PAIR_SCHEMA.field("history").type
    if column.type == wanted:
        return column
    try:
        return pa.array(column.to_pylist(), type=wanted)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError):
        return None


def readable_texts(table: pa.Table, first_row: int) -> tuple[pa.Table, list[Breach]]:
    """Replace invalid UTF-8 in text columns, and name the first bad row of each such column."""
    breaches = []
    for at, name in enumerate(table.column_names):
        if not pa.types.is_string(table.schema.field(name).type):
            continue
        column = table.column(name).combine_chunks()
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            raw = column.cast(pa.binary()).to_pylist()
            row = first_row + next(i for i, text in enumerate(raw) if not _is_utf8(text))
            breaches.append(Breach("text", name, row, f"is not valid UTF-8 in row {row}"))
            mended = [None if text is None else text.decode("utf-8", "replace") for text in raw]
            table = table.set_column(at, name, pa.array(mended, pa.string()))
    return table, breaches


def _is_utf8(text: bytes | None) -> bool:
    try:
        (text or b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def null_messages(table: pa.Table, first_row: int) -> Iterator[Breach]:
    """Yield the first row whose history has a message without role or content."""
    if "history" not in table.column_names:
        return
    history = table.column("history").combine_chunks()
    messages = pc.list_flatten(history)
    role, content = pc.struct_field(messages, "role"), pc.struct_field(messages, "content")
    empty = pc.or_(pc.is_null(role), pc.is_null(content))
    if pc.any(empty).as_py():
        at = pc.index(empty, True)
        row = first_row + int(pc.list_parent_indices(history)[at.as_py()].as_py())
        yield Breach("null", "history", row, f"has a message without role or content in row {row}")


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
