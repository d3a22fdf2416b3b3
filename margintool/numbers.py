"""Columns of scores as people store them, turned into float64 with a reason per unusable value.

Read by sources (scores to margins) and by the layouts that must look into a rating.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Column: TypeAlias = pa.Array | pa.ChunkedArray
Floats: TypeAlias = npt.NDArray[np.float64]

# Decimal notation, and the spellings of NaN and infinity that JSON and CSV writers produce.
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
NOT_FINITE = r"^[+-]?(?i:nan|inf|infinity)$"


def to_numbers(column: Column) -> tuple[Floats, pa.Array]:
    """Read a column as float64. Pure, vectorised, batch-invariant.

    Text is read after trimming white space: " 8 " and "4.5" are numbers, "8/10" is not. Booleans
    are not numbers. Integers of any size become the nearest float.

    Args:
        column: (N,) numbers, strings, booleans, nulls, or a dictionary of these.

    Returns:
        Values, (N,) float64, NaN where unusable; and reasons, (N,) string array, null where
        usable: `missing` (null or blank), `not_a_number` ("N/A", true, a list), `not_finite`
        (NaN, infinity, or too large for float64).
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return to_numbers(column.cast(kind.value_type))
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return _with_nulls(column.cast(pa.float64(), safe=False))
    if pa.types.is_floating(kind):
        return _with_nulls(column.cast(pa.float64()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _from_text(column)
    reason = pc.if_else(pc.is_null(column), "missing", "not_a_number")
    return np.full(len(column), np.nan), _one_array(reason)


def _with_nulls(column: Column) -> tuple[Floats, pa.Array]:
    """float64 column -> values and reasons; no per-row work when every value is finite."""
    values = np.asarray(column.to_numpy(zero_copy_only=False) if _is_array(column) else column)
    values = values.astype(np.float64, copy=False)
    finite = np.isfinite(values)
    if finite.all():
        return values, pa.nulls(len(column), pa.string())
    reason = pc.if_else(pc.is_null(column), "missing", "not_finite")
    reason = pc.if_else(pa.array(finite), pa.scalar(None, pa.string()), reason)
    return np.where(finite, values, np.nan), _one_array(reason)


def _from_text(column: Column) -> tuple[Floats, pa.Array]:
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    number = pc.fill_null(pc.match_substring_regex(text, NUMBER), False)
    parsed = pc.if_else(number, text, pa.scalar(None, pa.string())).cast(pa.float64())
    values, _ = _with_nulls(parsed)
    finite = np.isfinite(values)
    if finite.all():
        return values, pa.nulls(len(column), pa.string())
    missing = pc.or_(pc.is_null(text), pc.fill_null(pc.equal(text, ""), False))
    infinite = pc.or_(number, pc.fill_null(pc.match_substring_regex(text, NOT_FINITE), False))
    reason = pc.if_else(missing, "missing", pc.if_else(infinite, "not_finite", "not_a_number"))
    reason = pc.if_else(pa.array(finite), pa.scalar(None, pa.string()), reason)
    return values, _one_array(reason)


def _is_array(column: Column) -> bool:
    return isinstance(column, pa.Array)


def _one_array(column: Column) -> pa.Array:
    return column if _is_array(column) else column.combine_chunks()
