"""Lists in a row, such as all completions of a prompt, laid out as one row for each item.

Used by ultrafeedback.py and responses.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool.layouts.messages import is_list
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, as_array, sentence, shorten
from margintool.numbers import Column


@dataclass(frozen=True)
class Items:
    """The items of a column of lists.

    Attributes:
        row: (items,) the row of each; a row without any has one item, which is null.
        item: (items,) the items.
        not_text: (items,) storage's mark of items that were not text; None if it marked none.
        problems: the problems of the items: so far, for each, that of its row.
    """

    row: npt.NDArray[np.int64]
    item: pa.Array
    not_text: pa.Array | None
    problems: Problems

    def spread(self, column: Column) -> pa.Array:
        """Return for each item its row's value of a column."""
        return as_array(column).take(pa.array(self.row))


def read_items(
    raw: Raw, problems: Problems, name: str, fits: Callable[[pa.DataType], bool], what: str
) -> Items:
    """Lay out a column of lists. Marks rows `bad_NAME` (not such a list) and `no_NAME` (empty).

    Args:
        raw: the batch.
        problems: those of its rows.
        name: the column.
        fits: whether a type is that of such lists.
        what: what the column must be, in words: `a list of objects`.
    """
    lists, marks = as_array(raw.column(name)), raw.marked_items(name)
    if not fits(lists.type):
        lists, marks = _only_empty(lists, problems, name, what), None
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    problems.mark(lengths == 0, f"no_{name}", f"{name} is empty")
    item, not_text = lists.flatten(), None if marks is None else as_array(marks).flatten()
    row = np.repeat(np.arange(raw.rows), np.maximum(lengths, 1))
    if not (lengths > 0).all():
        nothing = (lengths == 0)[row]
        place = pa.array(np.cumsum(~nothing) - 1, mask=nothing)
        item, not_text = item.take(place), None if not_text is None else not_text.take(place)
    own = Problems(len(row))
    own.reason, own.detail = (x.take(pa.array(row)) for x in (problems.reason, problems.detail))
    return Items(row, item, not_text, own)


def _only_empty(values: pa.Array, problems: Problems, name: str, what: str) -> pa.Array:
    """Mark values that are not such lists; return a list without items for each row."""
    odd = pc.is_valid(values)
    if is_list(values.type):  # an empty list is one of any type
        odd = pc.and_(odd, pc.greater(pc.fill_null(pc.list_value_length(values), 0), 0))

    def words(rows: pa.Array) -> pa.Array:
        return sentence(f"{name} is ", shorten(values.take(rows)), f", not {what}")

    problems.mark(odd, f"bad_{name}", words)
    return pa.nulls(len(values), pa.list_(pa.struct([])))
