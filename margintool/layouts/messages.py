"""Columns of conversations, {role, content} lists, taken apart without a loop over rows.

All messages of a column lie end to end in two flat arrays; `offsets` says where each row's
messages start. Used by texts.py.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import NOT_TEXT
from margintool.layouts.rows import as_array, as_mask, is_text
from margintool.numbers import Column
from mmpo_core.schema import HISTORY

ROLES = ("system", "user", "assistant")

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Messages:
    """The conversations of a column.

    Attributes:
        offsets: (rows + 1,) row i has messages offsets[i] to offsets[i + 1].
        role: (messages,) string, null where it is not text.
        content: (messages,) string, null where it is not text.
    """

    offsets: Ints
    role: pa.Array
    content: pa.Array

    @property
    def lengths(self) -> Ints:
        """(rows,) number of messages."""
        return np.diff(self.offsets)

    @property
    def parents(self) -> Ints:
        """(messages,) the row of each message."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def history(self) -> pa.Array:
        """Return the conversations as the contract's history column."""
        fields = list(HISTORY.value_type)
        items = pa.StructArray.from_arrays([self.role, self.content], fields=fields)
        return pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), items, type=HISTORY)

    def split_last(self) -> tuple[pa.Array, pa.Array, "Messages"]:
        """Return the role and content of each last message (null if none), and those before it."""
        some = self.lengths > 0
        last = self.offsets[1:] - 1
        place = pa.array(last, mask=~some)
        keep = np.ones(len(self.role), dtype=bool)
        keep[last[some]] = False
        offsets = self.offsets - np.concatenate([[0], np.cumsum(some)])
        kept = pa.array(keep)
        before = Messages(offsets, self.role.filter(kept), self.content.filter(kept))
        return self.role.take(place), self.content.take(place), before

    def malformed(self) -> tuple[Bools, pa.Array]:
        """Return which rows have a message that cannot be used, and what is wrong, in words.

        Wrong are roles other than ROLES, content that is not text, and a system message that is
        not the first. Words: (rows,) about the first such message, null in good rows.
        """
        parents = self.parents
        position = np.arange(len(parents)) - self.offsets[:-1][parents]
        unknown = as_mask(pc.invert(pc.is_in(self.role, pa.array(ROLES))))
        late = pc.and_(as_mask(pc.equal(self.role, "system")), pa.array(position > 0))
        bad = pc.or_(pc.or_(unknown, late), pc.is_null(self.content))
        where = np.flatnonzero(bad.to_numpy(zero_copy_only=False))
        rows, first = np.unique(parents[where], return_index=True)
        words = _words(self, where[first], position)
        spread = np.full(len(self.lengths), -1)
        spread[rows] = np.arange(len(rows))
        return spread >= 0, words.take(pa.array(spread, mask=spread < 0))

    def differ(self, other: "Messages") -> Bools:
        """Return in which rows two columns of conversations are not the same."""
        different = self.lengths != other.lengths
        same_length = np.flatnonzero(~different)
        mine, theirs = self.take(same_length), other.take(same_length)
        same = pc.and_(pc.equal(mine.role, theirs.role), pc.equal(mine.content, theirs.content))
        unequal = ~as_mask(same).to_numpy(zero_copy_only=False)
        different[same_length[mine.parents[unequal]]] = True
        return np.asarray(different)

    def take(self, rows: Ints) -> "Messages":
        """Return the conversations of some rows."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        shift = np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        place = pa.array(np.arange(offsets[-1]) + shift)
        return Messages(offsets, self.role.take(place), self.content.take(place))

    def only(self, rows: Bools) -> "Messages":
        """Return the conversations with those of the other rows emptied."""
        kept = pa.array(np.repeat(rows, self.lengths))
        offsets = np.concatenate([[0], np.cumsum(np.where(rows, self.lengths, 0))])
        return Messages(offsets, self.role.filter(kept), self.content.filter(kept))

    def followed_by(self, other: "Messages") -> "Messages":
        """Return each row's messages with the other column's messages of the row after them."""
        order = np.argsort(np.concatenate([self.parents, other.parents]), kind="stable")
        place = pa.array(order)
        role = pa.concat_arrays([self.role, other.role]).take(place)
        content = pa.concat_arrays([self.content, other.content]).take(place)
        return Messages(self.offsets + other.offsets, role, content)


def _words(messages: Messages, where: Ints, position: Ints) -> pa.Array:
    """Say what is wrong with the messages at `where`."""
    roles = messages.role.take(pa.array(where)).to_pylist()
    texts = messages.content.take(pa.array(where)).to_pylist()
    words = [
        f"message {number + 1} " + _fault(role, text)
        for number, role, text in zip(position[where], roles, texts, strict=True)
    ]
    return pa.array(words, type=pa.string())


def _fault(role: str | None, content: str | None) -> str:
    if role is None:
        return f"has no role; known are {', '.join(ROLES)}"
    if role not in ROLES:
        return f"has role {role!r}; known are {', '.join(ROLES)}"
    if content is None:
        return f"(from {role!r}) has no text"
    return "has role 'system', which only the first message may have"


def no_messages(rows: int) -> Messages:
    """Return an empty conversation for each row."""
    empty = pa.array([], pa.string())
    return Messages(np.zeros(rows + 1, dtype=np.int64), empty, empty)


def read_messages(column: Column) -> Messages | None:
    """Read a column of lists (null counts as empty), or return None if its type is no list.

    What is in the lists shows in `malformed`: one list of plain texts must not make the empty
    lists beside it, in a column of one type, look like lists of texts.
    """
    kind = column.type
    if pa.types.is_null(kind):
        return no_messages(len(column))
    if not is_list(kind):
        return None
    lists = as_array(column)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    items = lists.flatten()
    if pa.types.is_struct(items.type):
        return Messages(offsets, _field(items, "role"), _field(items, "content"))
    nothing = pa.nulls(len(items), pa.string())  # items that are no messages have no role
    return Messages(offsets, nothing, nothing)


def is_list(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a list of anything."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _field(items: pa.StructArray, name: str) -> pa.Array:
    """Return a text field of structs; null where the struct is null or the field is no text."""
    if items.type.get_field_index(name) < 0:
        return pa.nulls(len(items), pa.string())
    values = pc.struct_field(items, name)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not is_text(values.type):
        return pa.nulls(len(items), pa.string())
    text = values.cast(pa.string())
    if items.type.get_field_index(name + NOT_TEXT) < 0:
        return text
    marked = pc.fill_null(pc.struct_field(items, name + NOT_TEXT), False)
    return pc.if_else(marked, pa.scalar(None, pa.string()), text)
