"""JSON rows of different kinds apart: a list of messages in one row, plain text in the next.

A column of an Arrow table has one type, so that one odd value would turn all others into JSON
text (MIXED COLUMNS in json_values.py). Rows whose values have the same kinds go into one table
each; null and what a list or object lacks fit any kind. Used by both JSON readers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from margintool.storage.columns import Wanted, columns_to_read
from margintool.storage.json_values import Record, names_of, table_of

# None: null. A list holds the kind of its items, an object the kinds of its values.
Kind: TypeAlias = "str | list[Kind] | dict[Any, Kind] | None"
SCALAR, MIXED = "scalar", "mixed"


class Piece(NamedTuple):
    """Rows of one kind, and their places in the block; None where they are all of it."""

    table: pa.Table
    places: npt.NDArray[np.int64] | None = None


class Pieces:
    """Makes pieces of the blocks of one file. The first block shows whether the file will do."""

    def __init__(self, name: str, wanted: Wanted | None) -> None:
        self._name = name
        self._wanted = wanted
        self._checked = False

    def of_table(self, table: pa.Table) -> list[Piece]:
        """Return a block that fits into one table, with the wanted columns."""
        self._check([table], table.column_names)
        return [Piece(table.select(self._columns(table.column_names)))]

    def of_records(self, records: Sequence[Record]) -> list[Piece]:
        """Return one piece for each kind of row, with the wanted columns that its rows have.

        Raises:
            InputError: the first block lacks columns.
        """
        names = names_of(records)
        contested = [] if self._wanted is None else self._wanted.contested(names)
        columns = self._columns(names)
        groups: list[_Group] = []
        for place, record in enumerate(records):
            _add(groups, place, _kinds_in(record, columns, contested))
        pieces = [Piece(table_of(records, columns))]
        if len(groups) > 1:
            pieces = [self._piece(records, group, columns) for group in groups]
        self._check([piece.table for piece in pieces], names)
        return pieces

    def _piece(self, records: Sequence[Record], group: "_Group", columns: list[str]) -> Piece:
        some = [records[place] for place in group.places]
        if self._wanted is not None:
            present = set(names_of(some))
            columns = [name for name in columns if name in present]
        return Piece(table_of(some, columns), np.array(group.places, dtype=np.int64))

    def _columns(self, names: list[str]) -> list[str]:
        return names if self._wanted is None else self._wanted.among(names)

    def _check(self, tables: Sequence[pa.Table], names: Sequence[str]) -> None:
        """Check the columns of the first block: those of any kind of row."""
        if self._checked or not names:
            return
        types: dict[str, pa.DataType] = dict.fromkeys(names, pa.null())
        for table in sorted(tables, key=lambda table: int(table.num_rows)):
            types.update((f.name, f.type) for f in table.schema if not pa.types.is_null(f.type))
        columns_to_read(self._name, self._wanted, pa.schema(list(types.items())))
        self._checked = True


@dataclass
class _Group:
    kind: Kind
    places: list[int]


def _kinds_in(
    record: Record, columns: Sequence[str], contested: Sequence[Sequence[str]]
) -> dict[Any, Kind]:
    """Return the kind of each column, and by which name each contested one is found."""
    kinds: dict[Any, Kind] = {name: _kind_of(record.get(name)) for name in columns}
    for group in contested:
        kinds[tuple(group)] = next((name for name in group if name in record), None)
    return kinds


def _kind_of(value: Any) -> Kind:
    if value is None:
        return None
    if isinstance(value, dict):
        return {name: _kind_of(inner) for name, inner in value.items()}
    if isinstance(value, list):
        items: Kind = None
        for item in value:
            items = _merged(items, _kind_of(item), MIXED)
        return [items]
    return SCALAR


def _add(groups: list[_Group], place: int, kind: Kind) -> None:
    """Put a row into the first group that it fits, or into a new one."""
    for group in groups:
        try:
            group.kind = _merged(group.kind, kind)
        except _DifferError:
            continue
        group.places.append(place)
        return
    groups.append(_Group(kind, [place]))


class _DifferError(Exception):
    """Two kinds do not fit into one column."""


def _merged(one: Kind, other: Kind, otherwise: Kind = None) -> Kind:
    """Return the kind that covers both; `otherwise` where they differ, or raise if it is None."""
    if one is None or other is None or one == other:
        return other if one is None else one
    if isinstance(one, list) and isinstance(other, list):
        return [_merged(one[0], other[0], otherwise)]
    if isinstance(one, dict) and isinstance(other, dict):
        both = {name: _merged(one[name], other[name], otherwise) for name in other if name in one}
        return {**one, **other, **both}
    if otherwise is None:
        raise _DifferError
    return otherwise
