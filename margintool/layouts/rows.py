"""What every layout's convert ends with: the first problem of each row, and the canonical table."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import PAIR_TYPES
from margintool.numbers import Column
from mmpo_core.schema import HISTORY

Mask: TypeAlias = Column | npt.NDArray[np.bool_]
# What is wrong, in words: one text for all rows, or a function from row numbers to texts.
Detail: TypeAlias = str | Callable[[pa.Array], Column]

QUOTED = 60  # characters of a value that a message quotes


class Problems:
    """The first problem found in each row; rows keep their places.

    Attributes:
        reason: (rows,) string, null where the row is usable.
        detail: (rows,) the same in words.
    """

    def __init__(self, rows: int) -> None:
        self.reason: pa.Array = pa.nulls(rows, pa.string())
        self.detail: pa.Array = pa.nulls(rows, pa.string())

    def mark(self, bad: Mask, reason: str, detail: Detail) -> None:
        """Mark the rows where `bad` is true and that have no problem yet. Null counts as false."""
        fresh = pc.and_(as_mask(bad), pc.is_null(self.reason))
        rows = pc.indices_nonzero(fresh)
        if len(rows) == 0:
            return
        words = detail if isinstance(detail, str) else as_array(detail(rows))
        self.reason = pc.replace_with_mask(self.reason, fresh, reason)
        self.detail = pc.replace_with_mask(self.detail, fresh, words)

    def adopt(self, other: "Problems", where: Mask) -> None:
        """Take over the other's problems where `where` is true and there is none yet."""
        fresh = pc.and_(as_mask(where), pc.is_null(self.reason))
        self.reason = pc.if_else(fresh, other.reason, self.reason)
        self.detail = pc.if_else(fresh, other.detail, self.detail)


def as_array(column: Column) -> pa.Array:
    """Return a column as one Array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def as_mask(mask: Mask) -> pa.Array:
    """Return a mask as one boolean Array without nulls."""
    if isinstance(mask, np.ndarray):
        return pa.array(mask, type=pa.bool_())
    return pc.fill_null(as_array(mask), False)


def quote(column: Column) -> pa.Array:
    """Return values for a message: cut short, text in quotes, others as they print."""
    short = shorten(column)
    if not is_text(column.type):
        return short
    return pc.if_else(pc.is_valid(as_array(column)), sentence("'", short, "'"), short)


def shorten(column: Column) -> pa.Array:
    """Return values as they print, cut to QUOTED characters; null as the word null."""
    values = as_array(column)
    if not is_text(values.type):
        printed = [None if value is None else str(value) for value in values.to_pylist()]
        values = pa.array(printed, type=pa.string())
    text = values.cast(pa.string())
    long = pc.greater(pc.utf8_length(text), QUOTED)
    cut = pc.if_else(long, sentence(pc.utf8_slice_codeunits(text, 0, QUOTED), "..."), text)
    return pc.fill_null(cut, "null")


def sentence(*parts: str | Column) -> pa.Array:
    """Join texts and columns of texts into one column of texts."""
    return as_array(pc.binary_join_element_wise(*parts, ""))


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds UTF-8 text."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def no_history(rows: int) -> pa.Array:
    """Return an empty history for each row."""
    offsets = pa.array(np.zeros(rows + 1, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array([], HISTORY.value_type), type=HISTORY)


def pairs_table(problems: Problems, columns: Mapping[str, Column]) -> pa.Table:
    """Build canonical PAIRS from the given columns; those not given are null."""
    rows = len(problems.reason)
    given = {**columns, "reason": problems.reason, "detail": problems.detail}
    filled = {
        name: given.get(name, pa.nulls(rows, kind or pa.null()))
        for name, kind in PAIR_TYPES.items()
    }
    return pa.table(filled)


def responses_table(
    problems: Problems, columns: Mapping[str, Column], aspects: Mapping[str, Column]
) -> pa.Table:
    """Build canonical RESPONSES. columns: row, prompt, history, response, rating; model if any."""
    rows = len(problems.reason)
    fields = [pa.field(name, pa.string()) for name in aspects]
    ratings = [as_array(rating_text(column)) for column in aspects.values()]
    struct = (
        pa.StructArray.from_arrays(ratings, fields=fields)
        if fields
        else pa.array([{}] * rows, pa.struct([]))
    )
    return pa.table(
        {
            "row": columns["row"],
            "prompt": columns["prompt"],
            "history": columns["history"],
            "response": columns["response"],
            "model": columns.get("model", pa.nulls(rows, pa.string())),
            "rating": columns["rating"],
            "aspects": struct,
            "reason": problems.reason,
            "detail": problems.detail,
        }
    )


def rating_text(column: Column) -> Column:
    """Return ratings as text: "4" for 4, "4" or "N/A" as they are; null for lists and structs."""
    if pa.types.is_nested(column.type):
        return pa.nulls(len(column), pa.string())
    return column.cast(pa.string())
