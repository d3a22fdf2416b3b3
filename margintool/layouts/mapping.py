"""`--map prompt=COLUMN,rating=scores.overall`: other column names onto a layout's.

A dot goes into a struct, unless a column has that very name.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import NOT_TEXT
from margintool.layouts.base import MAPPED, Layout, matching
from margintool.layouts.registry import LAYOUTS
from mmpo_core.errors import InputError, nearest


def parse_map(text: str | None) -> dict[str, str]:
    """Parse `NAME=COLUMN,NAME=COLUMN` into {layout's name: the file's column}.

    Raises:
        InputError: for a part without `=`, an empty side, a name given twice, or a name that no
            layout has.
    """
    mapping: dict[str, str] = {}
    for part in text.split(",") if text else ():
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not (name and equals and column):
            raise InputError(
                f"--map: {part.strip()!r} is not NAME=COLUMN. "
                "Example: --map prompt=input,rating=scores.overall"
            )
        if name in mapping:
            raise InputError(f"--map: {name} stands twice, as {mapping[name]} and as {column}")
        _check_target(name)
        mapping[name] = column
    return mapping


def _check_target(name: str) -> None:
    patterns = [pattern for layout in LAYOUTS.values() for pattern in layout.patterns()]
    if not any(matching(pattern, [name]) for pattern in patterns):
        raise InputError(
            f"--map: no layout has a column {name!r}.{nearest(name, patterns)} "
            "Write NAME=COLUMN with the layout's name first; `margintool layouts` lists the names"
        )


def apply_map(table: pa.Table, mapping: Mapping[str, str], *, strict: bool = True) -> pa.Table:
    """Return the table with columns under the names that a layout knows.

    A mapped column moves to its new name, with storage's `__not_text` companion; a struct that a
    field is taken from stays. The table's metadata keeps where each came from (Raw.mapped_from).

    Args:
        table: a raw batch.
        mapping: layout's name -> column, or a dotted path into structs.
        strict: whether a struct field that this table lacks is an error. Batches after the first
            may lack a field that none of their rows has: with False it is null there.

    Raises:
        InputError: if a column, or with `strict` a struct field, does not exist; names the
            nearest ones.
    """
    new: dict[str, pa.ChunkedArray] = {}
    for name, path in mapping.items():
        new[name], mark = _at(table, path, strict)
        if mark is not None:
            new[name + NOT_TEXT] = mark
    moved = {*mapping.values(), *(path + NOT_TEXT for path in mapping.values()), *new}
    kept = {name: table.column(name) for name in table.column_names if name not in moved}
    came_from = {MAPPED + name: path for name, path in mapping.items()}
    return pa.table({**kept, **new}, metadata=came_from) if mapping else table


def _at(table: pa.Table, path: str, strict: bool) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """Return the column at a path, a column's name or fields inside it, and its companion."""
    top = _top(path, table.column_names)
    if top is None:
        raise InputError(
            f"--map: there is no column {path!r}.{nearest(path, table.column_names)} "
            f"Found: {', '.join(table.column_names)}"
        )
    column = table.column(top)
    mark = table.column(top + NOT_TEXT) if top + NOT_TEXT in table.column_names else None
    for field in path[len(top) + 1 :].split(".") if len(path) > len(top) else ():
        fields = [f.name for f in column.type] if pa.types.is_struct(column.type) else []
        if field in fields:
            marked = field + NOT_TEXT in fields
            mark = pc.struct_field(column, field + NOT_TEXT) if marked else None
            column = pc.struct_field(column, field)
        elif strict:
            inside = ", ".join(fields) or f"none: it is {column.type}"
            raise InputError(
                f"--map: {path!r} has no field {field!r}.{nearest(field, fields)} Fields: {inside}"
            )
        else:
            column, mark = pa.chunked_array([pa.nulls(table.num_rows)]), None
    return column, mark


def _top(path: str, columns: Sequence[str]) -> str | None:
    """Return the column a path starts in: the longest name that is all of it, or up to a dot."""
    starts = [name for name in columns if path == name or path.startswith(name + ".")]
    return max(starts, key=len, default=None)


def wanted_columns(
    layout: Layout, mapping: Mapping[str, str], available: Sequence[str]
) -> list[str]:
    """Return the raw columns that a layout reads, optional ones and companions among them.

    Args:
        layout: the layout.
        mapping: what `parse_map` gave.
        available: names of the file's columns.

    Returns:
        Names out of `available`, in its order.
    """
    wanted = {_top(path, available) for path in mapping.values()}
    for name in (*layout.required, *layout.optional):
        names = (name, *layout.aliases.get(name, ()))
        if not any(other in mapping for other in names):
            wanted.update(found for other in names for found in matching(other, available))
    wanted.update([f"{name}{NOT_TEXT}" for name in wanted])
    return [name for name in available if name in wanted]
