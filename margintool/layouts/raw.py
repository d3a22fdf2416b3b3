"""A raw batch as a layout sees it: columns by name or alias, nulls where a batch lacks one.

Types differ from batch to batch (a column may be null, string, large_string or a dictionary),
so every layout reads its columns through here.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import NOT_TEXT
from margintool.layouts.base import MAPPED, matching


class Raw:
    """Read access to one raw batch."""

    def __init__(self, table: pa.Table, aliases: Mapping[str, tuple[str, ...]] | None = None):
        self._table = table
        self._aliases = aliases or {}
        self.rows: int = table.num_rows

    def name(self, column: str) -> str:
        """Return the name under which a column is found: its own before its aliases."""
        candidates = (column, *self._aliases.get(column, ()))
        return next((c for c in candidates if c in self._table.column_names), column)

    def mapped_from(self, column: str) -> str | None:
        """Return which column of the input --map took this one from; None if it did not."""
        known = self._table.schema.metadata or {}
        path: bytes | None = known.get(f"{MAPPED}{self.name(column)}".encode())
        return None if path is None else path.decode()

    def has(self, column: str) -> bool:
        """Whether the batch has a column, under its own name or an alias."""
        return self.name(column) in self._table.column_names

    def column(self, column: str) -> pa.ChunkedArray:
        """Return a column as found; dictionaries decoded; nulls if the batch lacks it."""
        if not self.has(column):
            return pa.chunked_array([pa.nulls(self.rows)])
        found = self._table.column(self.name(column))
        if pa.types.is_dictionary(found.type):
            return found.cast(found.type.value_type)
        return found

    def matching(self, pattern: str) -> list[str]:
        """Return the names of the columns that a glob stands for."""
        return matching(pattern, self._table.column_names)

    def marked_not_text(self, column: str) -> pa.ChunkedArray | None:
        """Return storage's mask of values that were not text, or None if it marked none here."""
        marked = self._companion(column)
        if marked is None or not pa.types.is_boolean(marked.type):
            return None
        return pc.fill_null(marked, False)

    def marked_items(self, column: str) -> pa.ChunkedArray | None:
        """Return the same mask for a column of lists: lists as long, or None."""
        marked = self._companion(column)
        if marked is None or not pa.types.is_list(marked.type):
            return None
        return marked if pa.types.is_boolean(marked.type.value_type) else None

    def _companion(self, column: str) -> pa.ChunkedArray | None:
        name = self.name(column) + NOT_TEXT
        return self._table.column(name) if name in self._table.column_names else None
