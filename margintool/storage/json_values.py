"""Parsed JSON records to an Arrow table, whatever types their values have.

pyarrow's own reader is faster and is tried first (json_lines.py); this is for what it refuses:
a column that holds text in one row and a number in another, integers beyond 64 bits, half a
surrogate pair. Nothing is lost: see `MIXED COLUMNS` in `table_of`.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from margintool.canonical import NOT_TEXT

Record = dict[str, Any]


def table_of(records: Sequence[Record], columns: Sequence[str] | None = None) -> pa.Table:
    """Return records as a table; a key that a record lacks is null there.

    MIXED COLUMNS: where a column holds values of several kinds (text and numbers, or anything
    inside one row's list; json_kinds.py keeps lists, objects and other values apart), it becomes
    a string column: text as it is, any other value as its JSON text. A boolean column named
    `{name}__not_text` beside it is true where the JSON value was neither a string nor null.
    Fields of structs follow the same rule, and items of lists, whose companion is a list of
    booleans. Text that no UTF-8 can hold (half a surrogate pair) is
    kept as its JSON text and counts as not text. Integers beyond 64 bits make a float64 column,
    as in pyarrow's reader; beyond float64 they are infinite.

    Args:
        records: parsed JSON objects.
        columns: names to keep, in this order; None keeps all, in order of first appearance.
    """
    names = names_of(records) if columns is None else columns
    fields = _fields(records, names)
    if not fields:
        return pa.table({"": pa.nulls(len(records))}).select([])
    return pa.table(dict(fields))


def names_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return all keys of the records, in order of first appearance."""
    return list(dict.fromkeys(chain.from_iterable(records)))


def _fields(
    records: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> list[tuple[str, pa.Array]]:
    fields = []
    for name in names:
        array, not_text = _column([record.get(name) for record in records])
        fields.append((name, array))
        if not_text is not None:
            fields.append((name + NOT_TEXT, not_text))
    return fields


def _column(values: list[Any]) -> tuple[pa.Array, pa.Array | None]:
    """Return the values as an array and, for a mixed column, where they are not text."""
    kinds = set(map(type, values)) - {type(None)}
    try:
        if not kinds:
            return pa.nulls(len(values)), None
        if kinds == {str}:
            return pa.array(values, pa.string()), None
        if kinds == {bool}:
            return pa.array(values, pa.bool_()), None
        if kinds <= {int, float}:
            return _numbers(values, kinds), None
        if kinds == {list}:
            return _lists(values)
        if kinds == {dict}:
            return _structs(values), None
    except UnicodeEncodeError:
        pass  # half a surrogate pair: as JSON text
    texts = [_as_text(value) for value in values]
    return pa.array([text for text, _ in texts], pa.string()), pa.array([odd for _, odd in texts])


def _numbers(values: list[Any], kinds: set[type]) -> pa.Array:
    if kinds == {int}:
        try:
            return pa.array(values, pa.int64())
        except OverflowError:
            pass
    return pa.array([None if v is None else _float(v) for v in values], pa.float64())


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _lists(values: list[Any]) -> tuple[pa.Array, pa.Array | None]:
    items, not_text = _column(list(chain.from_iterable(v for v in values if v is not None)))
    offsets = [0]
    for value in values:
        offsets.append(offsets[-1] + (len(value) if value is not None else 0))
    missing = pa.array([value is None for value in values])

    def lists(inner: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner, mask=missing)

    return lists(items), None if not_text is None else lists(not_text)


def _structs(values: list[Any]) -> pa.Array:
    records = [{} if value is None else value for value in values]
    names = names_of(records)
    if not names:
        return pa.array(values, pa.struct([]))
    fields = _fields(records, names)
    missing = pa.array([value is None for value in values])
    return pa.StructArray.from_arrays(
        [array for _, array in fields], [name for name, _ in fields], mask=missing
    )


def _as_text(value: Any) -> tuple[str | None, bool]:
    """Return a value's text and whether it was something other than text."""
    if value is None:
        return None, False
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if _is_utf8(text):
        return text, not isinstance(value, str)
    return json.dumps(value), True


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
